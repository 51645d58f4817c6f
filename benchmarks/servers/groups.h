/* groups: Windows threads that each wait for at most 64 events, the first of which tells of new connections.
 *
 * WSAWaitForMultipleEvents() takes no more than WSA_MAXIMUM_WAIT_EVENTS = 64, so each 63 connections need a thread. The main
 * thread accepts and gives each connection to the first thread that has room; from then on no other thread touches it. The
 * server that includes this says what a connection is: `join`, `signalled`.
 */
#ifndef GROUPS_H
#define GROUPS_H

#define MANY_THREADS

#ifdef GROUPS_OF_READINESS
#include "readiness.h"
#else
#include "overlapped.h"
#endif

enum { MEMBERS = WSA_MAXIMUM_WAIT_EVENTS };

struct group {
    struct group *next;
    CRITICAL_SECTION lock;         /* of `arrivals` and `arrived`, and of `count` towards the main thread */
    SOCKET arrivals[MEMBERS];
    int arrived;
    int count;                     /* of events; [0] is the group's own */
    WSAEVENT events[MEMBERS];
    struct connection *members[MEMBERS];
};

static struct group *groups;

/* The server's: a connection for this socket, which from now on signals `event`; NULL if it has gone already. */
static struct connection *join(SOCKET fd, WSAEVENT event);
/* The event of a connection was signalled. False if it is over: then it has been, or will be, freed. */
static bool signalled(struct connection *c, WSAEVENT event);

static void take_arrivals(struct group *g)
{
    EnterCriticalSection(&g->lock);
    WSAResetEvent(g->events[0]);
    while (g->arrived) {
        WSAEVENT event = WSACreateEvent();
        struct connection *c = join(g->arrivals[--g->arrived], event);
        if (c) {
            g->members[g->count] = c;
            g->events[g->count++] = event;
        } else {
            WSACloseEvent(event);
        }
    }
    LeaveCriticalSection(&g->lock);
}

static void leave(struct group *g, int at)
{
    EnterCriticalSection(&g->lock);
    WSACloseEvent(g->events[at]);
    g->count--;
    g->events[at] = g->events[g->count];
    g->members[at] = g->members[g->count];
    LeaveCriticalSection(&g->lock);
}

static DWORD WINAPI serve_group(void *argument)
{
    struct group *g = argument;
    for (;;) {
        /* The lowest event that is signalled is told of; those behind it are asked for next, so that all have their turn. */
        DWORD at = WSAWaitForMultipleEvents((DWORD)g->count, g->events, FALSE, WSA_INFINITE, FALSE) - WSA_WAIT_EVENT_0;
        while (at < (DWORD)g->count) {
            DWORD next = at + 1;
            if (at == 0)
                take_arrivals(g);
            else if (!signalled(g->members[at], g->events[at])) {
                leave(g, (int)at);
                next = at;
            }
            if (next >= (DWORD)g->count)
                break;
            at = WSAWaitForMultipleEvents((DWORD)g->count - next, g->events + next, FALSE, 0, FALSE);
            if (at == WSA_WAIT_TIMEOUT || at == WSA_WAIT_FAILED)
                break;
            at += next - WSA_WAIT_EVENT_0;
        }
        end_turn();
    }
    return 0;
}

static bool offer(struct group *g, SOCKET fd)
{
    EnterCriticalSection(&g->lock);
    bool room = g->count + g->arrived < MEMBERS;
    if (room) {
        g->arrivals[g->arrived++] = fd;
        WSASetEvent(g->events[0]);
    }
    LeaveCriticalSection(&g->lock);
    return room;
}

static void serve(SOCKET listener)
{
    for (;;) {
        SOCKET fd = accept(listener, NULL, NULL);
        struct group *g = groups;
        if (fd == INVALID_SOCKET)
            continue;
        while (g && !offer(g, fd))
            g = g->next;
        if (!g) {
            g = checked(calloc(1, sizeof *g));
            InitializeCriticalSection(&g->lock);
            g->events[0] = WSACreateEvent();
            g->count = 1;
            g->next = groups;
            groups = g;
            offer(g, fd);
            CloseHandle(checked(CreateThread(NULL, 0, serve_group, g, 0, NULL)));
        }
    }
}

#endif
