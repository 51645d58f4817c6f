/* readiness: servers that are told when a socket can be read or written, and then call recv() and send() themselves.
 *
 * One receive into one large buffer that all connections share, and one send for all answers of that receive. The server
 * that includes this says how it watches: `watch`, `unwatch`, `watch_writes`.
 */
#ifndef READINESS_H
#define READINESS_H

#include "packets.h"

#ifdef _WIN32
#define SEND_FLAGS 0
static inline bool would_block(void)
{
    return WSAGetLastError() == WSAEWOULDBLOCK;
}
#else
#define SEND_FLAGS MSG_NOSIGNAL
static inline bool would_block(void)
{
    return errno == EAGAIN || errno == EINTR;
}
#endif

enum { RECEIVE_SIZE = 256 * 1024 };

LOCAL unsigned char buffer[RECEIVE_SIZE];
static bool output_held;           /* fan-out: what is gathered leaves at the end of the turn */
LOCAL struct connection **closed;  /* freed after the turn: its events may still be in the batch */
LOCAL uint32_t closed_count, closed_capacity;

/* The server's: false if it cannot watch one more. */
static bool watch(struct connection *c);
static void unwatch(struct connection *c);
static void watch_writes(struct connection *c, bool on);

static inline void push(struct connection ***list, uint32_t *count, uint32_t *capacity, struct connection *c)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *list = checked(realloc(*list, *capacity * sizeof **list));
    }
    (*list)[(*count)++] = c;
}

static inline void close_connection(struct connection *c)
{
    if (c->closed)
        return;
    c->closed = true;
    unwatch(c);
    closesocket(c->fd);
    drop(&c->output);
    push(&closed, &closed_count, &closed_capacity, c);
}

/* Connections that were closed are gone after this. */
static inline void end_turn(void)
{
    while (closed_count) {
        struct connection *c = closed[--closed_count];
        free(c->partial);
        free(c);
    }
}

static inline void flush(struct connection *c)
{
    struct output *o = c->output;
    int sent = (int)send(c->fd, (const char *)o->bytes, o->length, SEND_FLAGS);
    if (sent < 0 && !would_block()) {
        close_connection(c);
        return;
    }
    bool all = sent >= 0 && (uint32_t)sent == o->length;
    if (all) {
        drop(&c->output);
    } else if (sent > 0) {
        o->length -= (uint32_t)sent;
        memmove(o->bytes, o->bytes + sent, o->length);
    }
    if (c->blocked == all) {
        c->blocked = !all;
        watch_writes(c, !all);
    }
}

static inline void receive(struct connection *c)
{
    uint32_t room;
    int received;
    do { /* only a receive that left the buffer unfilled has emptied the socket, which who is told of edges must know */
        if (c->partial_length)
            memcpy(buffer, c->partial, c->partial_length);
        room = RECEIVE_SIZE - c->partial_length;
        received = (int)recv(c->fd, (char *)buffer + c->partial_length, room, 0);
        if (received <= 0) {
            if (received == 0 || !would_block())
                close_connection(c);
            return;
        }
        uint32_t length = c->partial_length + (uint32_t)received, used;
        if (!cut_packets(c, buffer, length, &used)) {
            close_connection(c);
            return;
        }
        if (used < length || c->partial)
            keep_partial(c, buffer + used, length - used);
        if (c->output && !output_held)
            flush(c);
    } while ((uint32_t)received == room && !c->closed);
}

/* A connection for an accepted socket, watched; closed at once where the server cannot watch one more. */
static inline void add_connection(SOCKET fd)
{
    struct connection *c = checked(calloc(1, sizeof *c));
    no_delay(fd);
    c->fd = fd;
    if (!watch(c)) {
        closesocket(fd);
        free(c);
    }
}

/* All that wait; the listener must not block. */
static inline void accept_all(SOCKET listener)
{
    for (;;) {
#ifdef _WIN32
        SOCKET fd = accept(listener, NULL, NULL);
#else
        SOCKET fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
#endif
        if (fd == INVALID_SOCKET)
            return;
        add_connection(fd);
    }
}

#endif
