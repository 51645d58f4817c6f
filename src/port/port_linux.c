/*
 * The port itself: its lanes, and the wait.
 *
 * One lane for each thread that may wait. A completion belongs to the lane of its socket; a posted packet belongs to nobody and
 * is taken by whoever comes first. A thread that is about to sleep says so (LANE_ASLEEP) and then looks once more at both
 * queues; whoever queues something looks at that state afterwards. One of the two sees the other, so no wake-up is lost, and a
 * thread that is awake costs its friends no system call.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Threads and lanes have numbers that are never used again: a thread may outlive its port, and a new lane may get an old one's
 * address. */
static atomic_uint_fast64_t numbers;
static PORT_THREAD_LOCAL uint64_t my_number;
static PORT_THREAD_LOCAL uint64_t my_lane; /* the id of the lane this thread used last */
static PORT_THREAD_LOCAL int last_error;

int WSAGetLastError(void) { return last_error; }
void WSASetLastError(int code) { last_error = code; }

/* ---- lanes ---- */

static int lane_is_mine(const struct lane *lane)
{
    return my_lane == lane->id;
}

void lane_wake(struct lane *lane)
{
    int asleep = LANE_ASLEEP;
    if (atomic_compare_exchange_strong(&lane->state, &asleep, LANE_WOKEN)) {
        uint64_t one = 1;
        ssize_t written = write(lane->wake, &one, sizeof one);
        (void)written; /* it can only fail when 2^64 wake-ups were never taken */
    }
}

void lane_complete(struct lane *lane, OVERLAPPED *overlapped, ULONG_PTR key, int error, size_t bytes)
{
    overlapped->Internal = (ULONG_PTR)error;
    overlapped->InternalHigh = bytes;
    overlapped->key = key;
    overlapped->next = NULL;
    mutex_lock(&lane->lock);
    *lane->ready_end = overlapped;
    lane->ready_end = &overlapped->next;
    mutex_unlock(&lane->lock);
    if (!lane_is_mine(lane))
        lane_wake(lane);
}

/* The calling thread's lane: the one it had before, or one that no thread has yet. */
static struct lane *claim_lane(struct port *port)
{
    if (!my_number)
        my_number = atomic_fetch_add(&numbers, 1) + 1;
    for (DWORD i = 0; i < port->lane_count; i++) {
        struct lane *lane = &port->lanes[i];
        uint_fast64_t nobody = 0;
        int error;

        if (atomic_load(&lane->owner) == my_number) {
            my_lane = lane->id;
            return lane;
        }
        if (!atomic_compare_exchange_strong(&lane->owner, &nobody, my_number))
            continue;
        error = port->poller->claim(lane);
        if (error) {
            atomic_store(&lane->owner, 0);
            WSASetLastError(error);
            return NULL;
        }
        my_lane = lane->id;
        return lane;
    }
    WSASetLastError(WSAEINVAL); /* more threads than the port was made for */
    return NULL;
}

/* ---- making and closing a port ---- */

static void close_lanes(struct port *port, DWORD count)
{
    for (DWORD i = 0; i < count; i++) {
        struct lane *lane = &port->lanes[i];
        struct endpoint *e;
        port->poller->close(lane);
        while ((e = lane->close_mail) != NULL) {
            lane->close_mail = e->mail;
            endpoint_close(e);
            endpoint_free(e);
        }
        while ((e = lane->watch_mail) != NULL) { /* no thread ever waited here, so closesocket() left them to us */
            lane->watch_mail = e->mail;
            if (e->gone) {
                endpoint_close(e);
                endpoint_free(e);
            }
        }
        close(lane->wake);
        mutex_destroy(&lane->lock);
    }
}

HANDLE port_create(int backend, DWORD threads)
{
    DWORD count = threads ? threads : (DWORD)port_cpu_count();
    struct port *port = calloc(1, sizeof *port + count * sizeof *port->lanes);
    int error = 0;

    if (!port) {
        WSASetLastError(ENOMEM);
        return NULL;
    }
    port->backend = backend;
    port->lane_count = count;
#ifdef PORT_HAVE_LIBURING
    if (backend == PORT_IO_URING)
        port->poller = &io_uring_poller;
#endif
    if (backend == PORT_EPOLL)
        port->poller = &epoll_poller;
    error = !port->poller ? ENOSYS : posted_init(port);
    if (error) {
        WSASetLastError(error);
        free(port);
        return NULL;
    }
    mutex_init(&port->lock);
    for (DWORD i = 0; i < count; i++) {
        struct lane *lane = &port->lanes[i];
        lane->port = port;
        lane->id = atomic_fetch_add(&numbers, 1) + 1;
        lane->ready_end = &lane->ready;
        lane->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        error = lane->wake < 0 ? errno : port->poller->open(lane);
        if (error) {
            if (lane->wake >= 0)
                close(lane->wake);
            close_lanes(port, i);
            mutex_destroy(&port->lock);
            free(port->posted);
            free(port);
            WSASetLastError(error);
            return NULL;
        }
        mutex_init(&lane->lock);
    }
    return port;
}

BOOL CloseHandle(HANDLE handle)
{
    struct port *port = handle;
    close_lanes(port, port->lane_count);
    mutex_destroy(&port->lock);
    free(port->posted);
    free(port);
    return TRUE;
}

/* ---- associating sockets ---- */

int lane_watch(struct endpoint *e)
{
    struct lane *lane = e->lane;

    e->watched = 1;
    if (lane->port->poller->watches_from_any_thread || lane_is_mine(lane))
        return lane->port->poller->watch(lane, e);
    mutex_lock(&lane->lock);
    e->mail = lane->watch_mail;
    e->mailed = 1;
    lane->watch_mail = e;
    mutex_unlock(&lane->lock);
    lane_wake(lane);
    return 0;
}

HANDLE CreateIoCompletionPort(HANDLE file, HANDLE handle, ULONG_PTR key, DWORD threads)
{
    struct port *port = handle;
    struct endpoint *e;
    int error;

    if (file == INVALID_HANDLE_VALUE) {
        char reason[PORT_REASON_SIZE];
        return port_create(io_uring_probe(reason) ? PORT_IO_URING : PORT_EPOLL, threads);
    }
    e = endpoint_of((SOCKET)file);
    if (e->lane) {
        WSASetLastError(WSAEINVAL);
        return NULL;
    }
    e->key = key;
    e->lane = &port->lanes[atomic_fetch_add(&port->next_lane, 1) % port->lane_count];
    if (e->connected || e->listening) {
        error = lane_watch(e);
        if (error) {
            e->lane = NULL;
            e->watched = 0;
            WSASetLastError(error);
            return NULL;
        }
    }
    return handle;
}

BOOL SetFileCompletionNotificationModes(HANDLE file, UCHAR modes)
{
    endpoint_of((SOCKET)file)->skip = (modes & FILE_SKIP_COMPLETION_PORT_ON_SUCCESS) != 0;
    return TRUE;
}

int closesocket(SOCKET s)
{
    struct endpoint *e = endpoint_of(s);
    struct lane *lane = e->lane;

    spin_lock(&e->lock);
    e->closed = 1;
    endpoint_cancel_all(e);
    if (e->listening) /* the poller may hold the file a while longer, but a new server wants the port number now */
        shutdown(e->fd, SHUT_RDWR);
    spin_unlock(&e->lock);
    if (!lane || !e->watched) {
        endpoint_close(e);
        endpoint_free(e);
        return 0;
    }
    mutex_lock(&lane->lock);
    e->gone = 1;
    if (!e->mailed) { /* otherwise read_mail finds it gone */
        if (lane_is_mine(lane)) {
            mutex_unlock(&lane->lock);
            lane->port->poller->forget(lane, e);
            return 0;
        }
        e->mail = lane->close_mail;
        lane->close_mail = e;
    }
    mutex_unlock(&lane->lock);
    lane_wake(lane);
    return 0;
}

/* ---- waiting ---- */

static ULONG take_ready(struct lane *lane, LPOVERLAPPED_ENTRY entries, ULONG room)
{
    ULONG taken = 0;

    mutex_lock(&lane->lock);
    while (taken < room && lane->ready) {
        OVERLAPPED *overlapped = lane->ready;
        lane->ready = overlapped->next;
        entries[taken++] =
            (OVERLAPPED_ENTRY){overlapped->key, overlapped, overlapped->Internal, (DWORD)overlapped->InternalHigh};
    }
    if (!lane->ready)
        lane->ready_end = &lane->ready;
    mutex_unlock(&lane->lock);
    return taken;
}

/* What other threads asked of this lane's poller. One at a time: as soon as a socket is out of one list, another thread may put
 * it into the other. */
static void read_mail(struct lane *lane)
{
    const struct poller *poller = lane->port->poller;

    mutex_lock(&lane->lock);
    while (lane->watch_mail || lane->close_mail) {
        struct endpoint *e = lane->watch_mail;
        int error, closed;

        if (e) {
            lane->watch_mail = e->mail;
            e->mailed = 0;
        } else {
            e = lane->close_mail;
            lane->close_mail = e->mail;
        }
        closed = e->gone;
        mutex_unlock(&lane->lock);
        if (closed)
            poller->forget(lane, e);
        else {
            error = poller->watch(lane, e);
            if (error)
                endpoint_fail(e);
        }
        mutex_lock(&lane->lock);
    }
    mutex_unlock(&lane->lock);
}

static int nothing_queued(struct lane *lane)
{
    int nothing;
    mutex_lock(&lane->lock);
    nothing = !lane->ready && !lane->watch_mail && !lane->close_mail;
    mutex_unlock(&lane->lock);
    return nothing && !posted_any(lane->port);
}

static PORT_THREAD_LOCAL int64_t wait_until; /* 0: the next wait has no end but its own */

void port_wait_until(int64_t when)
{
    wait_until = when;
}

BOOL GetQueuedCompletionStatusEx(HANDLE handle, LPOVERLAPPED_ENTRY entries, ULONG count, PULONG removed, DWORD milliseconds,
                                 BOOL alertable)
{
    struct port *port = handle;
    struct lane *lane = claim_lane(port);
    int64_t deadline = milliseconds == INFINITE ? -1 : port_now() + (int64_t)milliseconds * 1000000;
    (void)alertable;

    if (wait_until && (deadline < 0 || wait_until < deadline))
        deadline = wait_until;
    wait_until = 0;
    *removed = 0;
    if (!lane)
        return FALSE;
    for (;;) {
        int64_t left = 0;
        int error;

        read_mail(lane);
        if (milliseconds && nothing_queued(lane)) {
            atomic_store(&lane->state, LANE_ASLEEP);
            if (nothing_queued(lane)) { /* still, now that they know that we sleep */
                left = -1;
                if (deadline >= 0) {
                    left = deadline - port_now();
                    if (left < 0)
                        left = 0;
                }
            }
        }
        error = port->poller->wait(lane, left);
        atomic_store(&lane->state, LANE_RUNNING);
        read_mail(lane);
        /* Neither queue can starve the other, not even when packets are taken one at a time. */
        *removed = posted_take(port, entries, count > 1 ? count / 2 : (lane->turn ^= 1));
        *removed += take_ready(lane, entries + *removed, count - *removed);
        if (*removed < count)
            *removed += posted_take(port, entries + *removed, count - *removed);
        if (*removed)
            return TRUE;
        if (error) {
            WSASetLastError(error);
            return FALSE;
        }
        if (deadline >= 0 && port_now() >= deadline) {
            WSASetLastError(WAIT_TIMEOUT);
            return FALSE;
        }
    }
}
