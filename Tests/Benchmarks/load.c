// A small closed-loop Redis load generator that checks every reply.
//
//   load PORT CLIENTS PIPELINE REQUESTS SIZE WRITES_PER_THOUSAND KEYS SEED
//
// Each of CLIENTS connections sends PIPELINE requests, waits for all their replies, and starts again, until REQUESTS
// have been answered. Once all are connected it prints "ready" and waits for a line on stdin; then it runs, prints one
// line of JSON, and keeps its connections until stdin ends. So whoever drives it can measure a proxy between the two
// lines, without the cost of connecting and closing.
//
// A value starts with its key and goes on with a pattern, so a reply that belongs to another request, or is shifted by
// a byte, is noticed and ends the program with status 1. The same seed gives the same requests in the same order on
// each connection.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { pipeline_limit = 256, key_length = 16, read_size = 256 * 1024, batch_limit = 256 * 1024 };

struct connection {
    int fd;
    uint64_t random;
    uint64_t sent_at;
    // The batch: what was asked, how far it is sent, how far it is answered.
    uint32_t keys[pipeline_limit];
    uint8_t writes[pipeline_limit];
    unsigned batch, sending, answered;
    size_t sending_offset;
    int wants_write;
    // The reply that is being read: its first line, then `body_read` bytes of the value and its CRLF.
    char line[64];
    unsigned line_length;
    int in_body;
    size_t body_read;
};

static unsigned clients, pipeline, writes_per_thousand, key_count;
static size_t value_size, get_length, set_length, set_key_at, get_key_at, set_value_at;
static uint64_t requests, issued, finished, sets;
static char *get_template, *set_template, *expected, *scratch, *incoming;
static uint32_t *latencies;  // microseconds, one per request
static int poller;

static void fail(const char *what) {
    fprintf(stderr, "load: %s\n", what);
    exit(1);
}

static void *allocate(size_t size) {
    void *memory = calloc(1, size);
    if (!memory) fail("out of memory");
    return memory;
}

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t next_random(uint64_t *state) {  // xorshift64
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void write_key(char *at, uint32_t key) {
    memcpy(at, "key:000000000000", key_length);
    for (char *digit = at + key_length - 1; key; digit--, key /= 10) *digit = (char)('0' + key % 10);
}

static void prepare_templates(void) {
    get_template = allocate(128);
    int get_head = sprintf(get_template, "*2\r\n$3\r\nGET\r\n$%d\r\n", key_length);
    get_key_at = (size_t)get_head;
    get_length = get_key_at + key_length + 2;
    memcpy(get_template + get_key_at + key_length, "\r\n", 2);

    set_template = allocate(value_size + 256);
    set_key_at = (size_t)sprintf(set_template, "*3\r\n$3\r\nSET\r\n$%d\r\n", key_length);
    char *rest = set_template + set_key_at + key_length;
    rest += sprintf(rest, "\r\n$%zu\r\n", value_size);
    set_value_at = (size_t)(rest - set_template);
    for (size_t i = 0; i < value_size; i++) rest[i] = (char)('a' + i % 23);
    memcpy(rest + value_size, "\r\n", 2);
    set_length = set_value_at + value_size + 2;

    expected = allocate(value_size + 2);
    memcpy(expected, rest, value_size + 2);
    scratch = allocate(batch_limit + set_length + get_length);
    incoming = allocate(read_size);
}

static void watch(struct connection *connection, int wants_write, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (wants_write ? EPOLLOUT : 0), .data.ptr = connection};
    if (epoll_ctl(poller, operation, connection->fd, &event)) fail("epoll_ctl failed");
    connection->wants_write = wants_write;
}

// Renders whole requests from the first unsent one on, so that no connection has to own a buffer of its requests.
static void send_batch(struct connection *connection) {
    while (connection->sending < connection->batch) {
        size_t length = 0;
        for (unsigned i = connection->sending; i < connection->batch && length < batch_limit; i++) {
            char *at = scratch + length;
            if (connection->writes[i]) {
                memcpy(at, set_template, set_length);
                write_key(at + set_key_at, connection->keys[i]);
                write_key(at + set_value_at, connection->keys[i]);
                length += set_length;
            } else {
                memcpy(at, get_template, get_length);
                write_key(at + get_key_at, connection->keys[i]);
                length += get_length;
            }
        }
        ssize_t sent = send(connection->fd, scratch + connection->sending_offset, length - connection->sending_offset, MSG_NOSIGNAL);
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) fail("the connection was closed while sending");
        size_t offset = connection->sending_offset + (size_t)sent;
        for (;;) {
            if (connection->sending == connection->batch) break;
            size_t one = connection->writes[connection->sending] ? set_length : get_length;
            if (offset < one) break;
            offset -= one;
            connection->sending++;
        }
        connection->sending_offset = offset;
    }
    int unsent = connection->sending < connection->batch;
    if (unsent != connection->wants_write) watch(connection, unsent, EPOLL_CTL_MOD);
}

static void start_batch(struct connection *connection) {
    uint64_t left = requests - issued;
    connection->batch = left < pipeline ? (unsigned)left : pipeline;
    connection->sending = connection->answered = 0;
    connection->sending_offset = 0;
    if (connection->batch == 0) return;
    issued += connection->batch;
    for (unsigned i = 0; i < connection->batch; i++) {
        uint64_t random = next_random(&connection->random);
        connection->keys[i] = (uint32_t)(random >> 32) % key_count;
        connection->writes[i] = (random & 0xffffff) % 1000 < writes_per_thousand;
        sets += connection->writes[i];
    }
    connection->sent_at = now_ns();
    send_batch(connection);
}

static void finish_reply(struct connection *connection, uint64_t now) {
    latencies[finished++] = (uint32_t)((now - connection->sent_at) / 1000);
    connection->answered++;
    connection->line_length = 0;
    connection->in_body = 0;
    connection->body_read = 0;
}

static void check_line(struct connection *connection, uint64_t now) {
    char wanted[64];
    int is_write = connection->writes[connection->answered];
    if (is_write) strcpy(wanted, "+OK\r\n");
    else sprintf(wanted, "$%zu\r\n", value_size);
    if (strlen(wanted) != connection->line_length || memcmp(wanted, connection->line, connection->line_length)) {
        fprintf(stderr, "load: the reply to a %s began with: %.*s\n", is_write ? "SET" : "GET", (int)connection->line_length, connection->line);
        exit(1);
    }
    if (is_write) finish_reply(connection, now);
    else connection->in_body = 1;
}

static void parse(struct connection *connection, const char *bytes, size_t count, uint64_t now) {
    while (count) {
        if (connection->answered == connection->batch) fail("more replies than requests");
        if (!connection->in_body) {
            if (connection->line_length == sizeof connection->line) fail("the first line of a reply is too long");
            connection->line[connection->line_length++] = *bytes++;
            count--;
            if (bytes[-1] == '\n') check_line(connection, now);
            continue;
        }
        size_t take = value_size + 2 - connection->body_read;
        if (take > count) take = count;
        write_key(expected, connection->keys[connection->answered]);
        if (memcmp(bytes, expected + connection->body_read, take)) fail("the value of a GET is not the one of its key");
        connection->body_read += take;
        bytes += take;
        count -= take;
        if (connection->body_read == value_size + 2) finish_reply(connection, now);
    }
}

static void receive(struct connection *connection) {
    for (;;) {
        ssize_t count = recv(connection->fd, incoming, read_size, 0);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
        if (count <= 0) fail("the connection was closed while receiving");
        parse(connection, incoming, (size_t)count, now_ns());
        if (connection->batch && connection->answered == connection->batch) {
            if (connection->sending < connection->batch) fail("answered before it was sent");
            start_batch(connection);
            return;  // nothing can have come yet; level-triggered epoll tells when it has
        }
        if (count < read_size) return;
    }
}

static void connect_all(struct connection *connections, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < clients; i++) {
        struct connection *connection = &connections[i];
        int yes = 1;
        connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection->fd < 0) fail("no more sockets");
        if (connect(connection->fd, (struct sockaddr *)&address, sizeof address)) fail("cannot connect");
        setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        // Proxies that connect upstream per client, or accept lazily, do so before the clock starts.
        char pong[7];
        if (send(connection->fd, "*1\r\n$4\r\nPING\r\n", 14, MSG_NOSIGNAL) != 14) fail("cannot send a PING");
        if (recv(connection->fd, pong, 7, MSG_WAITALL) != 7 || memcmp(pong, "+PONG\r\n", 7)) fail("no PONG");
        watch(connection, 0, EPOLL_CTL_ADD);
    }
}

static int by_value(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

int main(int count, char **arguments) {
    if (count != 9) fail("usage: load PORT CLIENTS PIPELINE REQUESTS SIZE WRITES_PER_THOUSAND KEYS SEED");
    int port = atoi(arguments[1]);
    clients = (unsigned)atoi(arguments[2]);
    pipeline = (unsigned)atoi(arguments[3]);
    requests = strtoull(arguments[4], NULL, 10);
    value_size = strtoull(arguments[5], NULL, 10);
    writes_per_thousand = (unsigned)atoi(arguments[6]);
    key_count = (unsigned)atoi(arguments[7]);
    uint64_t seed = strtoull(arguments[8], NULL, 10);
    if (port < 1 || port > 65535) fail("the port must be 1 to 65535");
    if (clients < 1 || clients > 20000) fail("the clients must be 1 to 20000");
    if (pipeline < 1 || pipeline > pipeline_limit) fail("the pipeline must be 1 to 256");
    if (requests < 1 || requests > 50000000) fail("the requests must be 1 to 50 million");
    if (value_size < key_length || value_size > 16 * 1024 * 1024) fail("the size must be 16 bytes to 16 MiB");
    if (key_count < 1 || writes_per_thousand > 1000) fail("at least one key, and 0 to 1000 writes per thousand");

    prepare_templates();
    latencies = allocate(requests * sizeof *latencies);
    struct connection *connections = allocate(clients * sizeof *connections);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < clients; i++) {
        connections[i].random = (seed + 1) * 0x9e3779b97f4a7c15u ^ (i + 1) * 0xbf58476d1ce4e5b9u;
        if (connections[i].random == 0) connections[i].random = 1;
        for (int warm = 0; warm < 4; warm++) next_random(&connections[i].random);
    }
    connect_all(connections, port);

    char line[16];
    printf("ready\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) fail("told to stop before the start");

    uint64_t start = now_ns();
    for (unsigned i = 0; i < clients; i++) start_batch(&connections[i]);
    struct epoll_event events[256];
    while (finished < requests) {
        int ready = epoll_wait(poller, events, 256, 20000);
        if (ready < 0 && errno == EINTR) continue;
        if (ready < 0) fail("epoll_wait failed");
        if (ready == 0) fail("no reply for 20 seconds");
        for (int i = 0; i < ready; i++) {
            struct connection *connection = events[i].data.ptr;
            if (connection->sending < connection->batch && (events[i].events & EPOLLOUT)) send_batch(connection);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) receive(connection);
        }
    }
    double seconds = (double)(now_ns() - start) / 1e9;
    qsort(latencies, requests, sizeof *latencies, by_value);
    printf("{\"requests\":%llu,\"sets\":%llu,\"seconds\":%.6f,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
           (unsigned long long)requests, (unsigned long long)sets, seconds, latencies[(requests - 1) / 2],
           latencies[(requests - 1) * 99 / 100], latencies[requests - 1]);
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {}
    return 0;
}
