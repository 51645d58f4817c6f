/* WSASend: gathered, partial under back-pressure, several in flight, cancelled, cut off. */
#include "harness.h"

#include <stdlib.h>
#include <string.h>

enum {
    SMALL = 16 * 1024,        /* socket buffers, so that the peer's slowness is felt soon */
    LARGE = 4 * 1024 * 1024,  /* more than both buffers of a loopback connection ever hold */
    CHUNK = 64 * 1024,
};

static char *numbered_block(size_t size, unsigned salt)
{
    char *block = malloc(size);
    CHECK(block != NULL);
    number_bytes(block, size, 0, salt);
    return block;
}

/* The peer reads `size` numbered bytes. */
static void read_numbered(peer_t peer, size_t size, unsigned salt)
{
    char *bytes = malloc(CHUNK);
    size_t position = 0;
    CHECK(bytes != NULL);
    while (position < size) {
        long got = peer_receive(peer, bytes, size - position < CHUNK ? size - position : CHUNK);
        if (got <= 0)
            FAIL("the peer saw the end after %lu of %lu bytes", (unsigned long)position, (unsigned long)size);
        check_numbered(bytes, (size_t)got, position, salt);
        position += (size_t)got;
    }
    free(bytes);
}

struct reader {
    peer_t peer;
    size_t size;
    unsigned salt;
    int times;
};

static void reader(void *given)
{
    struct reader *r = given;
    int turn;
    for (turn = 0; turn < r->times; turn++)
        read_numbered(r->peer, r->size, r->salt);
}

/* A pair whose peer does not read yet. */
static void open_slow_pair(SOCKET *here, peer_t *there)
{
    open_pair(here, there, 7, SMALL);
    port_buffers(*here, SMALL, 0);
}

/* A send that the peer holds up. Windows may take one of any size at once, as long as less than SO_SNDBUF of others waits: so the same is
 * sent again until one is held up. Returns how many sends that took. */
static int start_until_stuck(struct operation *send, const WSABUF *buffers, DWORD count)
{
    WSABUF once[9];
    int turn;
    CHECK(count <= 9);
    for (turn = 1; turn <= 8; turn++) {
        enum start result;
        memcpy(once, buffers, count * sizeof *buffers);
        result = start_send(send, once, count);
        memset(once, 0, sizeof once); /* the array may die with the call, the bytes may not */
        if (result == STARTED)
            return turn;
        CHECK_EQUAL(send->error, 0);
        CHECK_EQUAL(send->bytes, LARGE);
    }
    FAIL("%d sends of %d bytes were taken at once", turn - 1, LARGE);
    return 0;
}

void gathered_send_of_many_buffers(void)
{
    enum { BUFFERS = 300 };
    WSABUF buffers[BUFFERS];
    struct operation *send;
    SOCKET here;
    peer_t there;
    char *block;
    size_t size = 0, position = 0;
    int i;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    for (i = 0; i < BUFFERS; i++)
        size += (size_t)(i * 13 % 40); /* some are empty */
    block = numbered_block(size, 3);
    for (i = 0; i < BUFFERS; i++) {
        buffers[i].buf = block + position;
        buffers[i].len = (ULONG)(i * 13 % 40);
        position += buffers[i].len;
    }
    send = operation_new(SEND, here);
    if (start_send(send, buffers, BUFFERS) == STARTED)
        wait_for(send);
    CHECK_EQUAL(send->error, 0);
    CHECK_EQUAL(send->bytes, size);
    read_numbered(there, size, 3);
    operation_free(send);
    free(block);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void send_of_no_bytes(void)
{
    struct operation *send;
    WSABUF buffer = {0, NULL};
    SOCKET here;
    peer_t there;
    char bytes[2];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    send = operation_new(SEND, here);
    if (start_send(send, &buffer, 1) == STARTED)
        wait_for(send);
    CHECK_EQUAL(send->error, 0);
    CHECK_EQUAL(send->bytes, 0);
    send_all(here, "ok", 2);
    peer_receive_all(there, bytes, 2);
    operation_free(send);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

/* The peer does not read, so the system takes a part only; then it reads, and everything comes in order, once. */
void partial_send_under_back_pressure(void)
{
    enum { BUFFERS = 9 };
    WSABUF buffers[BUFFERS];
    struct operation *send;
    struct reader job;
    thread_t thread;
    SOCKET here;
    char *block;
    int i;

    open_port(1);
    open_slow_pair(&here, &job.peer);
    block = numbered_block(LARGE, 4);
    for (i = 0; i < BUFFERS; i++) {
        size_t from = (size_t)LARGE * (size_t)i / BUFFERS, to = (size_t)LARGE * (size_t)(i + 1) / BUFFERS;
        buffers[i].buf = block + from;
        buffers[i].len = (ULONG)(to - from);
    }
    send = operation_new(SEND, here);
    job.times = start_until_stuck(send, buffers, BUFFERS);
    expect_quiet();
    job.size = LARGE;
    job.salt = 4;
    thread = thread_start(reader, &job);
    wait_for(send);
    thread_join(thread);
    CHECK_EQUAL(send->error, 0);
    CHECK_EQUAL(send->bytes, LARGE);
    operation_free(send);
    free(block);
    close_socket_now(here);
    peer_close(job.peer);
    close_port();
}

/* As many sends outstanding as the port allows, to a peer that reads on its own time. */
void several_sends_in_flight(void)
{
    enum { SENDS = 48, MOST = 16 };
    struct operation *sends[MOST];
    struct reader job;
    thread_t thread = 0;
    SOCKET here;
    char *block;
    int most, next = 0, i, deepest = 0;
    size_t size = (size_t)SENDS * CHUNK;

    open_port(1);
    most = port_sends_in_flight(the_port);
    CHECK(most >= 1 && most <= MOST);
    open_slow_pair(&here, &job.peer);
    block = numbered_block(size, 5);
    job.size = size;
    job.salt = 5;
    job.times = 1;
    for (i = 0; i < most; i++)
        sends[i] = operation_new(SEND, here);
    while (next < SENDS) {
        /* In a ring: the oldest must be complete before its operation starts again, so at most `most` are out. */
        struct operation *send = sends[next % most];
        WSABUF buffer;
        if (next == most) /* not before: a peer that reads faster than we send would leave nothing in flight */
            thread = thread_start(reader, &job);
        if (next >= most && !is_complete(send))
            wait_for(send);
        CHECK_EQUAL(send->error, 0);
        if (next >= most)
            CHECK_EQUAL(send->bytes, CHUNK);
        buffer.buf = block + (size_t)next * CHUNK;
        buffer.len = CHUNK;
        if (start_send(send, &buffer, 1) == REFUSED)
            FAIL("send %d: error %d", next, send->error);
        next++;
        if ((int)counter_get(&in_flight) > deepest)
            deepest = (int)counter_get(&in_flight);
    }
    wait_for_all();
    thread_join(thread);
    CHECK(deepest <= most);
    CHECK(most == 1 || deepest > 1); /* the peer's buffer was small enough to see it */
    for (i = 0; i < most; i++) {
        CHECK_EQUAL(sends[i]->error, 0);
        operation_free(sends[i]);
    }
    free(block);
    close_socket_now(here);
    peer_close(job.peer);
    close_port();
}

/* A send that the peer holds up; what becomes of it is the test's business. */
static struct operation *start_stuck_send(SOCKET here, char *block)
{
    struct operation *send = operation_new(SEND, here);
    WSABUF buffer;
    buffer.buf = block;
    buffer.len = LARGE;
    start_until_stuck(send, &buffer, 1);
    return send;
}

void cancel_of_a_send_that_is_held_up(void)
{
    struct operation *send;
    SOCKET here;
    peer_t there;
    char *block = numbered_block(LARGE, 6);

    open_port(1);
    open_slow_pair(&here, &there);
    send = start_stuck_send(here, block);
    CHECK(cancel(here, send));
    wait_for(send);
    CHECK(port_is_cancelled(send->error));
    CHECK(send->bytes < LARGE);
    CHECK(!cancel(here, send));
    operation_free(send);
    free(block);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void cancel_of_everything_on_a_socket(void)
{
    struct operation *send, *receive;
    SOCKET here;
    peer_t there;
    char *block = numbered_block(LARGE, 6);

    open_port(1);
    open_slow_pair(&here, &there);
    send = start_stuck_send(here, block);
    receive = operation_new(RECEIVE, here);
    CHECK(start_receive(receive) == STARTED);
    CHECK(cancel(here, NULL));
    wait_for_all();
    CHECK(port_is_cancelled(send->error));
    /* On Windows the end of a send before its last byte is the connection's, and the receive may hear of that first. */
    CHECK(port_is_cancelled(receive->error) || port_is_reset(receive->error));
    operation_free(send);
    operation_free(receive);
    free(block);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void peer_resets_while_a_send_is_held_up(void)
{
    struct operation *send;
    SOCKET here;
    peer_t there;
    char *block = numbered_block(LARGE, 6);

    open_port(1);
    open_slow_pair(&here, &there);
    send = start_stuck_send(here, block);
    peer_reset(there);
    wait_for(send);
    CHECK(port_is_reset(send->error));
    operation_free(send);
    free(block);
    close_socket_now(here);
    close_port();
}

void socket_closed_while_a_send_is_held_up(void)
{
    struct operation *send;
    SOCKET here;
    peer_t there;
    char *block = numbered_block(LARGE, 6);

    open_port(1);
    open_slow_pair(&here, &there);
    send = start_stuck_send(here, block);
    port_reset_on_close(here);
    close_socket_now(here);
    wait_for(send);
    CHECK(send->error != 0);
    CHECK_EQUAL(send->key, 7);
    operation_free(send);
    free(block);
    peer_close(there);
    close_port();
}

/* The first send may still go out into the void; soon one tells, by an error and not by a signal. */
void send_to_a_peer_that_is_gone(void)
{
    struct operation *send;
    SOCKET here;
    peer_t there;
    char byte;
    int error = 0, i, result;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    peer_reset(there);
    result = receive_some(here, &byte, 1); /* so that the reset has arrived */
    CHECK(result < 0 || (is_wine() && result == 0)); /* see reset_before_the_receive */
    send = operation_new(SEND, here);
    for (i = 0; i < 100 && error == 0; i++) {
        WSABUF buffer;
        buffer.buf = &byte;
        buffer.len = 1;
        if (start_send(send, &buffer, 1) == STARTED)
            wait_for(send);
        error = send->error;
    }
    if (!port_is_reset(error))
        FAIL("sending to a peer that has reset gave error %d", error);
    operation_free(send);
    close_socket_now(here);
    close_port();
}

void finish_lets_the_peer_read_to_the_end(void)
{
    SOCKET here;
    peer_t there;
    char bytes[8];

    open_port(1);
    open_pair(&here, &there, 7, 0);
    send_all(here, "the end.", 8);
    CHECK_EQUAL(port_finish(here), 0);
    peer_receive_all(there, bytes, 8);
    CHECK(memcmp(bytes, "the end.", 8) == 0);
    CHECK_EQUAL(peer_receive(there, bytes, 8), 0);
    /* The other direction is still open. */
    peer_send(there, "yes", 3);
    receive_all(here, bytes, 3);
    close_socket_now(here);
    peer_close(there);
    close_port();
}

void reset_on_close_is_seen_by_the_peer(void)
{
    SOCKET here;
    peer_t there;
    long got;
    char byte;

    open_port(1);
    open_pair(&here, &there, 7, 0);
    port_reset_on_close(here);
    close_socket_now(here);
    got = peer_receive(there, &byte, 1);
    CHECK(got == -1 || (is_wine() && got == 0)); /* see reset_before_the_receive */
    peer_close(there);
    close_port();
}
