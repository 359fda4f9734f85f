// Linux interfaces that the Swift overlay of glibc leaves out, or imports in an awkward shape, as static inline functions.
// Nothing here retries or interprets: a call returns what the kernel returned, and -1 leaves the reason in errno.
#ifndef SWITCHYARD_CLINUX_SHIM_H
#define SWITCHYARD_CLINUX_SHIM_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

// The headers show these only under _GNU_SOURCE, which would make this module's types differ from those of Swift's Glibc module.
extern int accept4(int, struct sockaddr *__restrict, socklen_t *__restrict, int);

// Readiness.

static inline int switchyard_epoll_create(void) { return epoll_create1(EPOLL_CLOEXEC); }

static inline int switchyard_epoll_add(int epoll, int descriptor, uint32_t events, uint64_t token) {
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = events;
    event.data.u64 = token;
    return epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event);
}

static inline int switchyard_epoll_remove(int epoll, int descriptor) {
    return epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, 0);
}

static inline uint32_t switchyard_event_flags(const struct epoll_event *events, long index) { return events[index].events; }
static inline uint64_t switchyard_event_token(const struct epoll_event *events, long index) { return events[index].data.u64; }

enum {
    SWITCHYARD_EPOLLIN = EPOLLIN,
    SWITCHYARD_EPOLLOUT = EPOLLOUT,
    SWITCHYARD_EPOLLERR = EPOLLERR,
    SWITCHYARD_EPOLLHUP = EPOLLHUP,
    SWITCHYARD_EPOLLRDHUP = EPOLLRDHUP,
    SWITCHYARD_EPOLLEXCLUSIVE = 1 << 28,
};
static const uint32_t SWITCHYARD_EPOLLET = 1u << 31;

static inline int switchyard_eventfd(void) { return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK); }
static inline int switchyard_blocking_eventfd(void) { return eventfd(0, EFD_CLOEXEC); }

// Sockets.

static inline int switchyard_socket(int family) {
    return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static inline int switchyard_accept(int listener, struct sockaddr_storage *address, socklen_t *length) {
    return accept4(listener, (struct sockaddr *)address, length, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline int switchyard_bind(int descriptor, const struct sockaddr_storage *address, socklen_t length) {
    return bind(descriptor, (const struct sockaddr *)address, length);
}

static inline int switchyard_connect(int descriptor, const struct sockaddr_storage *address, socklen_t length) {
    return connect(descriptor, (const struct sockaddr *)address, length);
}

static inline int switchyard_local_address(int descriptor, struct sockaddr_storage *address, socklen_t *length) {
    return getsockname(descriptor, (struct sockaddr *)address, length);
}

static inline long switchyard_receive(int descriptor, void *bytes, size_t count) { return recv(descriptor, bytes, count, 0); }

static inline long switchyard_peek(int descriptor, void *bytes, size_t count) {
    return recv(descriptor, bytes, count, MSG_PEEK);
}

static inline long switchyard_send(int descriptor, const void *bytes, size_t count) {
    return send(descriptor, bytes, count, MSG_NOSIGNAL);
}

static inline long switchyard_send_vectors(int descriptor, struct iovec *vectors, size_t count) {
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = vectors;
    message.msg_iovlen = count;
    return sendmsg(descriptor, &message, MSG_NOSIGNAL);
}

enum switchyard_socket_option {
    SWITCHYARD_REUSE_ADDRESS,
    SWITCHYARD_REUSE_PORT,
    SWITCHYARD_KEEPALIVE,
    SWITCHYARD_IPV6_ONLY,
    SWITCHYARD_NO_DELAY,
    SWITCHYARD_KEEPALIVE_IDLE,
    SWITCHYARD_KEEPALIVE_INTERVAL,
    SWITCHYARD_KEEPALIVE_COUNT,
};

static inline int switchyard_set_socket_option(int descriptor, enum switchyard_socket_option option, int value) {
    static const int names[][2] = {
        {SOL_SOCKET, SO_REUSEADDR},   {SOL_SOCKET, SO_REUSEPORT},   {SOL_SOCKET, SO_KEEPALIVE},    {IPPROTO_IPV6, IPV6_V6ONLY},
        {IPPROTO_TCP, TCP_NODELAY},   {IPPROTO_TCP, TCP_KEEPIDLE},  {IPPROTO_TCP, TCP_KEEPINTVL}, {IPPROTO_TCP, TCP_KEEPCNT},
    };
    return setsockopt(descriptor, names[option][0], names[option][1], &value, sizeof value);
}

// The error a non-blocking connect or a hang-up left on the socket, 0 for none, or -1.
static inline int switchyard_socket_error(int descriptor) {
    int value = 0;
    socklen_t length = sizeof value;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &value, &length) < 0) return -1;
    return value;
}

// Files.

static inline int switchyard_open_append(const char *path) {
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}
static inline int switchyard_open_read(const char *path) { return open(path, O_RDONLY | O_CLOEXEC); }

static inline int switchyard_is_socket_file(const char *path) {
    struct stat status;
    return lstat(path, &status) == 0 && S_ISSOCK(status.st_mode);
}

// Time.

static inline uint64_t switchyard_monotonic_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static inline int64_t switchyard_wall_milliseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static inline int switchyard_sleep(uint64_t nanoseconds) {
    struct timespec time = {(time_t)(nanoseconds / 1000000000u), (long)(nanoseconds % 1000000000u)};
    return clock_nanosleep(CLOCK_MONOTONIC, 0, &time, 0);
}

static inline int switchyard_set_timer_slack(unsigned long nanoseconds) { return prctl(PR_SET_TIMERSLACK, nanoseconds, 0, 0, 0); }

// Threads and the process.

static inline int switchyard_set_thread_name(const char *name) { return prctl(PR_SET_NAME, (unsigned long)name, 0, 0, 0); }

static inline int switchyard_usable_processors(void) {
    unsigned long mask[128];
    long bytes = syscall(SYS_sched_getaffinity, 0, sizeof mask, mask);
    if (bytes <= 0) return (int)sysconf(_SC_NPROCESSORS_ONLN);
    int count = 0;
    for (long index = 0; index < bytes / (long)sizeof mask[0]; index++) count += __builtin_popcountl(mask[index]);
    return count;
}

// Raises the soft limit of open files to `wanted`, as far as the hard limit (or, for root, the kernel) lets it; returns the soft
// limit that holds afterwards.
static inline uint64_t switchyard_raise_open_files(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
    if (limit.rlim_cur >= wanted) return limit.rlim_cur;
    struct rlimit raised = {wanted, limit.rlim_max > wanted ? limit.rlim_max : wanted};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return wanted;
    raised.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    raised.rlim_max = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return raised.rlim_cur;
    return limit.rlim_cur;
}

static inline double switchyard_processor_seconds(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static inline int switchyard_trim_memory(void) { return malloc_trim(0); }

// Bytes that the program holds of what malloc got from the kernel.
static inline size_t switchyard_allocated_bytes(void) {
    struct mallinfo2 information = mallinfo2();
    return information.uordblks + information.hblkhd;
}

// Signals.

// Blocks the signals that the control loop reads (SIGTERM, SIGINT, SIGHUP, SIGUSR1) in this thread and those it will start, and
// ignores SIGPIPE.
static inline int switchyard_block_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    signal(SIGPIPE, SIG_IGN);
    return pthread_sigmask(SIG_BLOCK, &set, 0);
}

static inline int switchyard_signal_descriptor(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static inline long switchyard_read_signal(int descriptor, int *number) {
    struct signalfd_siginfo information;
    long count = read(descriptor, &information, sizeof information);
    if (count == (long)sizeof information) *number = (int)information.ssi_signo;
    return count;
}

#endif
