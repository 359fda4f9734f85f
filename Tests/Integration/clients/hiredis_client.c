/* libhiredis: blocking calls, pipelines, pub/sub, a transaction and raw binary. hiredis_client PORT */
#include <assert.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#undef NDEBUG

static redisContext *open_connection(int port) {
    struct timeval limit = {10, 0};
    redisContext *c = redisConnectWithTimeout("127.0.0.1", port, limit);
    if (!c || c->err) { fprintf(stderr, "connect: %s\n", c ? c->errstr : "no memory"); exit(1); }
    redisSetTimeout(c, limit);
    return c;
}

static redisReply *reply_of(redisContext *c) {
    redisReply *r = NULL;
    if (redisGetReply(c, (void **)&r) != REDIS_OK) { fprintf(stderr, "reply: %s\n", c->errstr); exit(1); }
    return r;
}

#define CHECK(condition) do { if (!(condition)) { fprintf(stderr, "line %d: %s\n", __LINE__, #condition); exit(1); } } while (0)

int main(int argc, char **argv) {
    (void)argc;
    int port = atoi(argv[1]);
    redisContext *c = open_connection(port), *other = open_connection(port);
    redisReply *r = redisCommand(c, "FLUSHALL");
    CHECK(r->type == REDIS_REPLY_STATUS);
    freeReplyObject(r);
    r = redisCommand(c, "SET %b %b", "bin\0key", (size_t)7, "v\r\n\0x", (size_t)5);
    CHECK(r->type == REDIS_REPLY_STATUS && !strcmp(r->str, "OK"));
    freeReplyObject(r);
    r = redisCommand(c, "EVAL %s 1 %b", "return redis.call('GET', KEYS[1])", "bin\0key", (size_t)7);
    CHECK(r->type == REDIS_REPLY_STRING && r->len == 5 && !memcmp(r->str, "v\r\n\0x", 5));
    freeReplyObject(r);
    for (int i = 0; i < 10000; i++) redisAppendCommand(c, i % 2 ? "INCR counter" : "ECHO %d", i);
    for (int i = 0; i < 10000; i++) {
        r = reply_of(c);
        if (i % 2) CHECK(r->type == REDIS_REPLY_INTEGER && r->integer == i / 2 + 1);
        else CHECK(r->type == REDIS_REPLY_STRING && atoi(r->str) == i);
        freeReplyObject(r);
    }
    redisAppendCommand(c, "MULTI"); redisAppendCommand(c, "LPUSH l a b c"); redisAppendCommand(c, "LRANGE l 0 -1"); redisAppendCommand(c, "EXEC");
    for (int i = 0; i < 3; i++) freeReplyObject(reply_of(c));
    r = reply_of(c);
    CHECK(r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[0]->integer == 3 && r->element[1]->elements == 3);
    freeReplyObject(r);
    r = redisCommand(c, "LPUSH bin\\x wrong");
    freeReplyObject(r);
    r = redisCommand(c, "INCR l");
    CHECK(r->type == REDIS_REPLY_ERROR && !strncmp(r->str, "WRONGTYPE", 9));
    freeReplyObject(r);
    r = redisCommand(c, "SUBSCRIBE ch");
    CHECK(r->elements == 3 && r->element[2]->integer == 1);
    freeReplyObject(r);
    for (int i = 0; i < 100; i++) freeReplyObject(redisCommand(other, "PUBLISH ch message%d", i));
    for (int i = 0; i < 100; i++) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "message%d", i);
        r = reply_of(c);
        CHECK(r->elements == 3 && !strcmp(r->element[2]->str, wanted));
        freeReplyObject(r);
    }
    redisAppendCommand(other, "BLPOP queue 5");
    int done = 0;
    while (!done) redisBufferWrite(other, &done);
    redisFree(c);
    c = open_connection(port);
    freeReplyObject(redisCommand(c, "RPUSH queue job"));
    r = reply_of(other);
    CHECK(r->elements == 2 && !strcmp(r->element[1]->str, "job"));
    freeReplyObject(r);
    redisFree(c);
    redisFree(other);
    puts("ok");
    return 0;
}
