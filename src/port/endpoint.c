/*
 * Operations on a connection, in terms of readiness. Accepting is in acceptor.c.
 *
 * The poller tells edges ("something changed"); an endpoint remembers what it was told until a system call shows otherwise,
 * and keeps the operations that wait for it. Each function takes the endpoint's lock for as long as it decides, so that an edge
 * which comes in the middle finds either the operation waiting or its flag read: no edge is lost.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { IOV_MOST = 64 }; /* buffers of one WSASend handed to the kernel in one call */

struct endpoint *endpoint_new(int fd, int family)
{
    struct endpoint *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->fd = fd;
    e->family = (sa_family_t)family;
    e->accepts_end = &e->accepts;
    return e;
}

void endpoint_free(struct endpoint *e)
{
    free(e);
}

static atomic_int has_forked;

void port_before_fork(void)
{
    atomic_store(&has_forked, 1);
}

/* What close() does to the connection only with the file's last descriptor. */
static void end_connection(struct endpoint *e)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};

    /* shutdown() knows no reset, whatever SO_LINGER says; to dissolve the association (connect(2)) is one. */
    if (!e->resets || connect(e->fd, &nobody, sizeof nobody) < 0)
        shutdown(e->fd, SHUT_RDWR);
}

void endpoint_close(struct endpoint *e)
{
    if (e->fd < 0)
        return;
    if (atomic_load(&has_forked))
        end_connection(e);
    close(e->fd);
}

static int fail(int code)
{
    WSASetLastError(code);
    return SOCKET_ERROR;
}

static void complete(struct endpoint *e, OVERLAPPED *overlapped, int error, size_t bytes)
{
    lane_complete(e->lane, overlapped, e->key, error, bytes);
}

/* ---- receiving ---- */

/* recv(), which tells a reset from the end of the stream also when a send has had the error before: the kernel reports it once. A
 * connection that we have not ended ourselves and that is closed on both sides was reset. */
static ssize_t receive_now(int fd, char *buffer, size_t size, int flags)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    ssize_t got = recv(fd, buffer, size, flags | MSG_DONTWAIT);

    if (got == 0 && size && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 && info.tcpi_state == TCP_CLOSE) {
        errno = ECONNRESET;
        return -1;
    }
    return got;
}

int port_recv(SOCKET s, char *buffer, int size, int flags)
{
    struct endpoint *e = endpoint_of(s);
    ssize_t got = receive_now(e->fd, buffer, (size_t)size, flags);

    if (got < 0) {
        int error = errno;
        if (error == EAGAIN || error == EWOULDBLOCK) {
            /* The next edge may come at any time from now on, but only to this thread: see point 4 of the contract. */
            if (!e->ended)
                e->readable = 0;
        }
        return fail(error);
    }
    if (got < size && got > 0 && !e->ended && !(flags & MSG_PEEK))
        e->readable = 0; /* a short receive left nothing behind */
    return (int)got;
}

int ioctlsocket(SOCKET s, long command, unsigned long *argument)
{
    int value = (int)*argument; /* as Linux has it, for FIONREAD and FIONBIO */

    if (ioctl(endpoint_of(s)->fd, (unsigned long)command, &value) < 0)
        return fail(errno);
    *argument = (unsigned long)value;
    return 0;
}

/* Take the waiting receive off and carry it out. With the lock held. */
static void finish_receive(struct endpoint *e)
{
    OVERLAPPED *overlapped = e->receive;
    ssize_t got = 0;

    e->receive = NULL;
    if (e->receive_size) { /* the lecture's receive with a buffer; the core's are of zero bytes */
        got = receive_now(e->fd, e->receive_buffer, e->receive_size, 0);
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && !e->ended) {
            e->readable = 0;
            e->receive = overlapped;
            return;
        }
        if (got > 0 && (ULONG)got < e->receive_size && !e->ended)
            e->readable = 0;
        if (got < 0) {
            complete(e, overlapped, errno, 0);
            return;
        }
    }
    complete(e, overlapped, 0, (size_t)got);
}

int WSARecv(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags, LPOVERLAPPED overlapped, void *routine)
{
    struct endpoint *e = endpoint_of(s);
    (void)received, (void)flags, (void)routine;

    spin_lock(&e->lock);
    if (e->receive || e->closed || e->listening || !e->lane || count > 1) {
        spin_unlock(&e->lock);
        return fail(WSAEINVAL);
    }
    e->receive_buffer = count ? buffers->buf : NULL;
    e->receive_size = count ? buffers->len : 0;
    e->receive = overlapped;
    if (e->readable)
        finish_receive(e); /* through the queue, so that a flood takes turns with the other sockets */
    spin_unlock(&e->lock);
    return fail(WSA_IO_PENDING);
}

/* ---- sending ---- */

/* Send what is left. 1: all gone; 0: the kernel takes no more now; < 0: an error code. */
static int send_left(int fd, struct unsent *u)
{
    while (u->first < u->count) {
        struct msghdr message = {.msg_iov = u->left + u->first, .msg_iovlen = u->count - u->first};
        ssize_t sent;
        if (message.msg_iovlen > IOV_MOST)
            message.msg_iovlen = IOV_MOST;
        sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        }
        u->sent += (size_t)sent;
        while (u->first < u->count && (size_t)sent >= u->left[u->first].iov_len) {
            sent -= (ssize_t)u->left[u->first].iov_len;
            u->first++;
        }
        if (sent) {
            u->left[u->first].iov_base = (char *)u->left[u->first].iov_base + sent;
            u->left[u->first].iov_len -= (size_t)sent;
        }
    }
    return 1;
}

/* With the lock held. */
static void continue_send(struct endpoint *e)
{
    struct unsent *u = e->send;
    int result = send_left(e->fd, u);

    if (!result)
        return;
    e->send = NULL;
    complete(e, u->overlapped, result < 0 ? -result : 0, u->sent);
    free(u);
}

static int sent_at_once(struct endpoint *e, LPDWORD sent, size_t bytes, OVERLAPPED *overlapped)
{
    if (sent)
        *sent = (DWORD)bytes;
    if (!e->skip)
        complete(e, overlapped, 0, bytes);
    return 0;
}

/* The kernel did not take it all in one call. Send the rest, or leave it with the endpoint. */
static int send_slowly(struct endpoint *e, LPWSABUF buffers, DWORD count, size_t taken, LPDWORD sent, OVERLAPPED *overlapped)
{
    struct unsent *u = malloc(sizeof *u + count * sizeof *u->left);
    int result;

    if (!u)
        return fail(WSAENOBUFS);
    u->overlapped = overlapped;
    u->sent = taken;
    u->first = 0;
    u->count = 0;
    for (DWORD i = 0; i < count; i++) {
        if (taken >= buffers[i].len) {
            taken -= buffers[i].len;
            continue;
        }
        u->left[u->count].iov_base = buffers[i].buf + taken;
        u->left[u->count].iov_len = buffers[i].len - taken;
        u->count++;
        taken = 0;
    }
    spin_lock(&e->lock);
    if (e->send || e->closed || !e->lane) {
        spin_unlock(&e->lock);
        free(u);
        return fail(WSAEINVAL);
    }
    result = send_left(e->fd, u); /* again, now that an edge would find us waiting */
    if (result == 0) {
        e->send = u;
        spin_unlock(&e->lock);
        return fail(WSA_IO_PENDING);
    }
    spin_unlock(&e->lock);
    taken = u->sent;
    free(u);
    return result < 0 ? fail(-result) : sent_at_once(e, sent, taken, overlapped);
}

int WSASend(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags, LPOVERLAPPED overlapped, void *routine)
{
    struct endpoint *e = endpoint_of(s);
    size_t size = 0;
    ssize_t taken;
    (void)flags, (void)routine;

    if (count == 1) {
        size = buffers->len;
        taken = send(e->fd, buffers->buf, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    } else {
        struct iovec iov[IOV_MOST];
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = count < IOV_MOST ? count : IOV_MOST};
        for (DWORD i = 0; i < count; i++) {
            if (i < IOV_MOST) {
                iov[i].iov_base = buffers[i].buf;
                iov[i].iov_len = buffers[i].len;
            }
            size += buffers[i].len;
        }
        taken = sendmsg(e->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if (taken >= 0 && (size_t)taken == size)
        return sent_at_once(e, sent, size, overlapped);
    if (taken < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            return fail(errno);
        taken = 0;
    }
    return send_slowly(e, buffers, count, (size_t)taken, sent, overlapped);
}

/* ---- connecting ---- */

/* With the lock held. */
static void finish_connect(struct endpoint *e)
{
    OVERLAPPED *overlapped = e->connect;
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(e->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        error = errno;
    e->connect = NULL;
    complete(e, overlapped, error, 0);
}

BOOL ConnectEx(SOCKET s, const struct sockaddr *address, int length, void *data, DWORD data_length, LPDWORD sent,
               LPOVERLAPPED overlapped)
{
    struct endpoint *e = endpoint_of(s);
    int error = 0;
    (void)data, (void)data_length, (void)sent;

    spin_lock(&e->lock);
    if (e->fd < 0 || e->closed || !e->lane || e->connect)
        error = WSAEINVAL;
    else if (connect(e->fd, address, (socklen_t)length) < 0 && errno != EINPROGRESS)
        error = errno;
    else {
        e->connect = overlapped;
        if (!e->watched) /* only now: an unconnected socket is ready with a hang-up at once */
            error = lane_watch(e);
        if (error)
            e->connect = NULL;
    }
    spin_unlock(&e->lock);
    WSASetLastError(error ? error : WSA_IO_PENDING);
    return FALSE;
}

/* ---- what the poller says, and the end ---- */

void endpoint_ready(struct endpoint *e, int what)
{
    spin_lock(&e->lock);
    if (e->closed) {
        spin_unlock(&e->lock);
        return;
    }
    if (what & ENDPOINT_READABLE)
        e->readable = 1;
    if (e->listening) {
        acceptor_accept(e);
        spin_unlock(&e->lock);
        return;
    }
    if ((what & ENDPOINT_WRITABLE) && e->connect)
        finish_connect(e);
    if (what & ENDPOINT_ENDED)
        e->ended = 1;
    if ((what & ENDPOINT_WRITABLE) && e->send)
        continue_send(e);
    if (e->readable && e->receive)
        finish_receive(e);
    spin_unlock(&e->lock);
}

/* Nobody will tell when it is ready. End the connection, and let the next system call on it say so. */
void endpoint_fail(struct endpoint *e)
{
    shutdown(e->fd, SHUT_RDWR);
    endpoint_ready(e, ENDPOINT_READABLE | ENDPOINT_WRITABLE | ENDPOINT_ENDED);
}

/* Complete what `overlapped` names, or all, as cancelled. Returns how many. With the lock held. */
static int cancel(struct endpoint *e, OVERLAPPED *overlapped)
{
    int found = 0;

    if (e->receive && (!overlapped || overlapped == e->receive)) {
        complete(e, e->receive, ERROR_OPERATION_ABORTED, 0);
        e->receive = NULL;
        found++;
    }
    if (e->connect && (!overlapped || overlapped == e->connect)) {
        complete(e, e->connect, ERROR_OPERATION_ABORTED, 0);
        e->connect = NULL;
        found++;
    }
    if (e->send && (!overlapped || overlapped == e->send->overlapped)) {
        complete(e, e->send->overlapped, ERROR_OPERATION_ABORTED, e->send->sent);
        free(e->send);
        e->send = NULL;
        found++;
    }
    return found + acceptor_cancel(e, overlapped);
}

void endpoint_cancel_all(struct endpoint *e)
{
    cancel(e, NULL);
}

BOOL CancelIoEx(HANDLE file, LPOVERLAPPED overlapped)
{
    struct endpoint *e = endpoint_of((SOCKET)file);
    int found;

    spin_lock(&e->lock);
    found = cancel(e, overlapped);
    spin_unlock(&e->lock);
    if (!found)
        WSASetLastError(ERROR_NOT_FOUND);
    return found > 0;
}
