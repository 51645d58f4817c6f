/* overlapped: Windows servers that start a receive or a send and are told when it is done.
 *
 * One receive at a time for each connection, into its own buffer, and one send at a time; answers gather meanwhile. How they are
 * told is what tells the models apart: an event, a routine called by the thread that waits, or a packet in a completion port.
 */
#ifndef OVERLAPPED_H
#define OVERLAPPED_H

#include "packets.h"

enum { BUFFER_SIZE = 4096 + LONGEST_PACKET };

struct session {
    struct connection c;
    WSAOVERLAPPED receiving, sending;
    struct output *leaving;        /* the system's while a send is under way */
    bool receives;                 /* a receive is under way */
    unsigned char buffer[BUFFER_SIZE]; /* first what was left of the packets before */
};

/* The server's: NULL, or what the system is to call. */
static LPWSAOVERLAPPED_COMPLETION_ROUTINE on_received, on_sent;
/* Whether what is done at once is not told of, so that the caller has to go on by itself. */
static bool silent_at_once;

static inline struct session *new_session(SOCKET fd, WSAEVENT event)
{
    struct session *s = checked(calloc(1, sizeof *s));
    s->c.fd = fd;
    s->receiving.hEvent = s->sending.hEvent = event;
    no_delay(fd);
    return s;
}

/* Hang up. True once the system has given back what it has of the connection, which then is no more. */
static inline bool end(struct session *s)
{
    if (!s->c.closed) {
        s->c.closed = true;
        closesocket(s->c.fd); /* cancels what is under way; its completion still comes */
    }
    if (s->receives || s->leaving)
        return false;
    drop(&s->c.output);
    free(s);
    return true;
}

static inline bool start_sending(struct session *s)
{
    while (s->c.output && !s->leaving) {
        s->leaving = s->c.output;
        s->c.output = NULL;
        WSABUF bytes = {.len = s->leaving->length, .buf = (char *)s->leaving->bytes};
        int code = WSASend(s->c.fd, &bytes, 1, NULL, 0, &s->sending, on_sent);
        if (code != 0 && WSAGetLastError() != WSA_IO_PENDING) {
            drop(&s->leaving);
            return false;
        }
        if (code == 0 && silent_at_once)
            drop(&s->leaving); /* the system takes all of a send or none of it */
    }
    return true;
}

static inline bool process(struct session *s, uint32_t count)
{
    uint32_t length = s->c.partial_length + count, used;
    if (!count || !cut_packets(&s->c, s->buffer, length, &used))
        return false;
    s->c.partial_length = length - used;
    memmove(s->buffer, s->buffer + used, length - used);
    return start_sending(s);
}

static inline bool start_receiving(struct session *s)
{
    for (;;) {
        DWORD flags = 0, count = 0;
        uint32_t kept = s->c.partial_length;
        WSABUF room = {.len = BUFFER_SIZE - kept, .buf = (char *)s->buffer + kept};
        s->receives = true;
        int code = WSARecv(s->c.fd, &room, 1, silent_at_once ? &count : NULL, &flags, &s->receiving, on_received);
        if (code != 0 && WSAGetLastError() != WSA_IO_PENDING) {
            s->receives = false;
            return false;
        }
        if (code != 0 || !silent_at_once)
            return true;
        s->receives = false;
        if (!process(s, count))
            return false;
    }
}

/* What to do when told. False if the connection is no more. */
static inline bool received(struct session *s, bool good, uint32_t count)
{
    s->receives = false;
    return (good && !s->c.closed && process(s, count) && start_receiving(s)) || !end(s);
}

static inline bool sent(struct session *s, bool good)
{
    drop(&s->leaving);
    return (good && !s->c.closed && start_sending(s)) || !end(s);
}

static inline void end_turn(void)
{
}

#endif
