/* connection: the connections of the load generator and the loop that serves them; included by load.c alone.
 *
 * Non-blocking from the connect on. What came in is handed to `on_packets` as a count of whole packets at the start of
 * `buffer`; what it sends goes out in one system call, and what the socket does not take waits in the connection.
 */
#ifndef CONNECTION_H
#define CONNECTION_H

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER_SIZE = 10,         /* length, type, sequence, connection */
    MAXIMUM_SIZE = 255,       /* what one length byte can say */
    BUFFER_SIZE = 256 * 1024, /* one receive; more than any window in use, so that a burst is one system call */
    BURST_SIZE = 16 * 1024,
    EVENTS = 512,
    CONNECTING_AT_ONCE = 64,    /* more would overflow a listener's backlog, and a dropped SYN costs a second */
    PORTS_PER_ADDRESS = 20000,  /* Linux gives 28,232 ephemeral ports to one address by default */
    MAXIMUM_PIDS = 16,
    CONNECT_TIMEOUT_SECONDS = 30,
    ANSWER_TIMEOUT_SECONDS = 5,
};

enum state { UNUSED, CONNECTING, OPEN, CLOSED };

struct connection {
    int fd;
    enum state state;
    bool wants_write;              /* EPOLLOUT is on */
    bool has_answer;               /* something came back at least once */
    uint32_t index;
    uint32_t expected;             /* echo: the sequence number due next; fanout: the next to be sent */
    uint32_t partial_length;       /* the head of a packet whose tail has not come yet */
    uint32_t pending_length;       /* bytes the socket did not take; they go before anything newer */
    uint32_t pending_capacity;
    unsigned char *pending;
    unsigned char partial[MAXIMUM_SIZE];
};

static struct {
    const char *mode;
    struct sockaddr_in address;
    uint32_t connections, active, senders, window, size;
    double seconds, warmup;
    bool touch;
    pid_t pids[MAXIMUM_PIDS];
    int pid_count;
} options = {.connections = 0, .senders = 1, .window = 0, .size = 16, .seconds = 2, .warmup = 0.5};

static int epoll_fd;
static struct connection *connections;
static uint32_t started, in_progress, opened;
static uint64_t packets, broadcasts, errors, answered;
static char first_error[160];
static unsigned char buffer[BUFFER_SIZE];
static unsigned char filling[MAXIMUM_SIZE];
static uint32_t *due;              /* fanout: due[receiver * senders + sender], 0 = nothing seen yet */
static void (*on_packets)(struct connection *, uint32_t count);

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void error(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (errors++ == 0)
        vsnprintf(first_error, sizeof first_error, format, arguments);
    va_end(arguments);
}

/* ---- one connection ---- */

static void close_connection(struct connection *c, const char *why, int code)
{
    if (c->state == CONNECTING)
        in_progress--;
    else if (c->state == OPEN)
        opened--;
    error("connection %u %s%s%s", c->index, why, code ? ": " : "", code ? strerror(code) : "");
    close(c->fd);
    c->fd = -1;
    c->state = CLOSED;
}

static void watch(struct connection *c, bool for_write)
{
    struct epoll_event event = {.events = EPOLLIN | (for_write ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &event) < 0)
        error("epoll_ctl: %s", strerror(errno));
    c->wants_write = for_write;
}

static void keep(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    if (c->pending_length + length > c->pending_capacity) {
        c->pending_capacity = 2 * (c->pending_length + length);
        c->pending = realloc(c->pending, c->pending_capacity);
        if (!c->pending) {
            fprintf(stderr, "load: out of memory\n");
            exit(1);
        }
    }
    memcpy(c->pending + c->pending_length, bytes, length);
    c->pending_length += length;
    if (!c->wants_write)
        watch(c, true);
}

static void send_bytes(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    if (c->pending_length) {
        keep(c, bytes, length);
        return;
    }
    ssize_t sent = send(c->fd, bytes, length, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            close_connection(c, "could not send", errno);
            return;
        }
        sent = 0;
    }
    if (sent < length)
        keep(c, bytes + sent, length - (uint32_t)sent);
}

static void send_pending(struct connection *c)
{
    ssize_t sent = send(c->fd, c->pending, c->pending_length, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN && errno != EINTR)
            close_connection(c, "could not send", errno);
        return;
    }
    c->pending_length -= (uint32_t)sent;
    memmove(c->pending, c->pending + sent, c->pending_length);
    if (!c->pending_length)
        watch(c, false);
}

static void receive(struct connection *c)
{
    memcpy(buffer, c->partial, c->partial_length);
    ssize_t received = recv(c->fd, buffer + c->partial_length, BUFFER_SIZE - c->partial_length, 0);
    if (received <= 0) {
        if (received == 0)
            close_connection(c, "was closed by the server", 0);
        else if (errno != EAGAIN && errno != EINTR)
            close_connection(c, "could not receive", errno);
        return;
    }
    uint32_t length = c->partial_length + (uint32_t)received;
    uint32_t count = length / options.size;
    uint32_t whole = count * options.size;
    c->partial_length = length - whole;
    memcpy(c->partial, buffer + whole, c->partial_length);
    if (count) {
        if (!c->has_answer) {
            c->has_answer = true;
            answered++;
        }
        on_packets(c, count);
    }
}

/* ---- the loop ---- */

static void start_connection(struct connection *c)
{
    int one = 1;
    c->index = (uint32_t)(c - connections);
    c->state = CONNECTING;
    in_progress++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) {
        close_connection(c, "has no socket", errno);
        return;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (options.connections > PORTS_PER_ADDRESS) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + c->index / PORTS_PER_ADDRESS);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        if (bind(c->fd, (struct sockaddr *)&source, sizeof source) < 0) {
            close_connection(c, "could not bind its source address", errno);
            return;
        }
    }
    if (connect(c->fd, (struct sockaddr *)&options.address, sizeof options.address) < 0 && errno != EINPROGRESS) {
        close_connection(c, "could not connect", errno);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
        close_connection(c, "could not be watched", errno);
}

static void finish_connect(struct connection *c)
{
    int code = 0;
    socklen_t length = sizeof code;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &code, &length);
    if (code) {
        close_connection(c, "could not connect", code);
        return;
    }
    c->state = OPEN;
    in_progress--;
    opened++;
    watch(c, false);
}

static void turn(double until)
{
    struct epoll_event events[EVENTS];
    double left = until - now();
    int count = epoll_wait(epoll_fd, events, EVENTS, left <= 0 ? 0 : (int)(left * 1000) + 1);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (c->state == CONNECTING)
            finish_connect(c);
        if (c->state == OPEN && events[i].events & EPOLLOUT && c->pending_length)
            send_pending(c);
        if (c->state == OPEN && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            receive(c);
    }
}

static void connect_all(void)
{
    double deadline = now() + CONNECT_TIMEOUT_SECONDS;
    while ((started < options.connections || in_progress) && now() < deadline) {
        while (started < options.connections && in_progress < CONNECTING_AT_ONCE)
            start_connection(&connections[started++]);
        if (in_progress)
            turn(deadline);
    }
    for (uint32_t i = 0; i < started; i++)
        if (connections[i].state == CONNECTING)
            close_connection(&connections[i], "could not connect", ETIMEDOUT);
}

#endif
