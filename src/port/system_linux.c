/*
 * What the core needs of Linux besides the port: sockets made ready for it, errors with their text, processors, threads, limits.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int port_startup(void)
{
    return 0;
}

int port_probe(int backend, char *reason)
{
    if (backend == PORT_IO_URING)
        return io_uring_probe(reason);
    if (backend == PORT_EPOLL)
        return epoll_probe(reason);
    snprintf(reason, PORT_REASON_SIZE, "I/O completion ports of the system's own are Windows'");
    return 0;
}

/* ---- sockets ---- */

static SOCKET fail(int code)
{
    WSASetLastError(code);
    return INVALID_SOCKET;
}

static int switch_on(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

SOCKET port_socket(int family)
{
    struct endpoint *e = endpoint_new(-1, family);
    return e ? (SOCKET)e : fail(WSAENOBUFS);
}

SOCKET port_listen(const struct sockaddr *address, int length, int backlog, int v6only)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct endpoint *e = NULL;
    int error = 0;

    if (fd < 0)
        return fail(errno);
    if (switch_on(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 ||
        (address->sa_family == AF_INET6 && switch_on(fd, IPPROTO_IPV6, IPV6_V6ONLY, v6only) < 0) ||
        bind(fd, address, (socklen_t)length) < 0 || listen(fd, backlog) < 0)
        error = errno;
    else if (!(e = endpoint_new(fd, address->sa_family)))
        error = ENOMEM;
    if (error) {
        close(fd);
        return fail(error);
    }
    e->listening = 1;
    return (SOCKET)e;
}

int port_bind(SOCKET s, const struct sockaddr *source, int length)
{
    struct endpoint *e = endpoint_of(s);

    e->fd = socket(e->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (e->fd < 0) {
        WSASetLastError(errno);
        return SOCKET_ERROR;
    }
    if (!source)
        return 0; /* Linux binds when it connects, and can then use one local port for many peers */
    switch_on(e->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(e->fd, source, (socklen_t)length) < 0) {
        WSASetLastError(errno);
        return SOCKET_ERROR;
    }
    return 0;
}

int port_adopt(SOCKET s, SOCKET listener)
{
    (void)listener; /* Windows must be told whose child an accepted socket is; Linux knows */
    if (switch_on(endpoint_of(s)->fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0) {
        WSASetLastError(errno);
        return SOCKET_ERROR;
    }
    return 0;
}

void port_reset_on_close(SOCKET s)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(endpoint_of(s)->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    endpoint_of(s)->resets = 1;
}

void port_buffers(SOCKET s, int send_bytes, int receive_bytes)
{
    if (send_bytes)
        switch_on(endpoint_of(s)->fd, SOL_SOCKET, SO_SNDBUF, send_bytes);
    if (receive_bytes)
        switch_on(endpoint_of(s)->fd, SOL_SOCKET, SO_RCVBUF, receive_bytes);
}

int port_finish(SOCKET s)
{
    if (shutdown(endpoint_of(s)->fd, SHUT_WR) < 0) {
        WSASetLastError(errno);
        return SOCKET_ERROR;
    }
    return 0;
}

static int address_of(int result, socklen_t size, int *length)
{
    if (result < 0) {
        WSASetLastError(errno);
        return SOCKET_ERROR;
    }
    *length = (int)size;
    return 0;
}

int port_local_address(SOCKET s, struct sockaddr *address, int *length)
{
    socklen_t size = (socklen_t)*length;
    int result = getsockname(endpoint_of(s)->fd, address, &size);
    return address_of(result, size, length);
}

int port_peer_address(SOCKET s, struct sockaddr *address, int *length)
{
    socklen_t size = (socklen_t)*length;
    int result = getpeername(endpoint_of(s)->fd, address, &size);
    return address_of(result, size, length);
}

/* ---- errors ---- */

int port_result(SOCKET s, OVERLAPPED *overlapped)
{
    (void)s;
    return (int)overlapped->Internal;
}

int port_error_text(int code, char *text, int size)
{
    char scratch[256];
#ifdef __GLIBC__
    const char *found = strerror_r(code, scratch, sizeof scratch); /* GNU's returns the text */
#else
    const char *found = strerror_r(code, scratch, sizeof scratch) == 0 ? scratch : "unknown error";
#endif
    int length = snprintf(text, (size_t)size, "%s", found);
    return length < size ? length : size - 1;
}

int port_is_reset(int code)
{
    return code == ECONNRESET || code == EPIPE || code == ECONNABORTED || code == ENETRESET || code == ETIMEDOUT ||
           code == EHOSTUNREACH || code == ENETDOWN || code == ENETUNREACH;
}

int port_is_cancelled(int code)
{
    return code == ECANCELED;
}

int port_is_exhaustion(int code)
{
    return code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM;
}

int port_is_listener_lost(int code)
{
    return code == EINVAL || code == EBADF || code == ENOTSOCK;
}

int port_is_would_block(int code)
{
    return code == EAGAIN || code == EWOULDBLOCK;
}

int port_sends_in_flight(HANDLE port)
{
    (void)port;
    return 1;
}

/* ---- the machine ---- */

int64_t port_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

void port_fine_clock(int wanted)
{
    (void)wanted;
}

int port_cpu_count(void)
{
    cpu_set_t mine;
    long online;

    if (sched_getaffinity(0, sizeof mine, &mine) == 0)
        return CPU_COUNT(&mine);
    online = sysconf(_SC_NPROCESSORS_ONLN); /* more processors than a cpu_set_t has room for */
    return online > 0 ? (int)online : 1;
}

int64_t port_raise_open_files(void)
{
    struct rlimit limit, wanted;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    wanted = limit;
    wanted.rlim_cur = limit.rlim_max;
    if (limit.rlim_cur < limit.rlim_max && setrlimit(RLIMIT_NOFILE, &wanted) == 0)
        limit = wanted;
    return limit.rlim_cur == RLIM_INFINITY ? -1 : (int64_t)limit.rlim_cur;
}

void port_name_thread(const char *name)
{
    char short_name[16]; /* the kernel keeps no more */
    snprintf(short_name, sizeof short_name, "%s", name);
    pthread_setname_np(pthread_self(), short_name);
}

/* A handler in front of the one that was there (Python's). Python runs its own only when its main thread next executes Python,
 * and a signal that comes just before that thread begins to wait does not end the wait. This one ends it. */
static _Atomic(struct port *) routed;
static atomic_int inside; /* handlers that may be about to use it */
static struct sigaction before[2];
static const int routed_signals[2] = {SIGINT, SIGTERM};

static void on_signal(int number, siginfo_t *info, void *context)
{
    int error = errno;
    struct sigaction *old = &before[number == SIGTERM];
    struct port *port;

    /* Python's first: who dequeues the packet asks Python what has come. */
    if (old->sa_flags & SA_SIGINFO)
        old->sa_sigaction(number, info, context);
    else
        old->sa_handler(number);
    atomic_fetch_add(&inside, 1);
    port = atomic_load(&routed);
    if (port)
        port_signal(port);
    atomic_fetch_sub(&inside, 1);
    errno = error;
}

/* A signal that nobody handles keeps its effect: it ends the process, or is ignored. Ours in its place would swallow it. */
static void go_in_front(void)
{
    for (int i = 0; i < 2; i++) {
        struct sigaction now, ours = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
        sigemptyset(&ours.sa_mask);
        if (sigaction(routed_signals[i], NULL, &now) < 0 || now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN)
            continue;
        if (now.sa_sigaction == on_signal)
            continue; /* somebody who had it from us has put it back */
        before[i] = now;
        sigaction(routed_signals[i], &ours, NULL);
    }
}

static void step_back(void)
{
    for (int i = 0; i < 2; i++) {
        struct sigaction now;
        if (sigaction(routed_signals[i], NULL, &now) == 0 && now.sa_sigaction == on_signal)
            sigaction(routed_signals[i], &before[i], NULL); /* unless it was left alone, or somebody took our place meanwhile */
    }
}

void port_route_console(HANDLE handle, ULONG_PTR key, int passes_on)
{
    struct port *port = handle;
    int was_routed = atomic_load(&routed) != NULL;

    (void)passes_on;

    if (port)
        port->routed_key = key;
    if (!port && was_routed)
        step_back();
    atomic_store(&routed, port);
    if (port && !was_routed)
        go_in_front();
    while (!port && atomic_load(&inside))
        sched_yield(); /* the port may be closed once this returns */
}

int port_is_routed(void)
{
    return atomic_load(&routed) != NULL;
}
