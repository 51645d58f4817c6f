/* epoll: the fastest plain server we know how to write for this job, as the mark to measure others against.
 *
 *   gcc -O2 -Wall -o epoll epoll.c
 *   epoll PORT echo|fanout          (port 0 takes a free one; prints "listening on 127.0.0.1:PORT")
 *
 * Raw C on edge-triggered epoll, one thread. Packets carry their length in byte 0, itself included. One receive into one
 * large shared buffer; a function call per packet, through a pointer, as a library would call its user; one send for all
 * answers of that receive. In fan-out each packet is appended to every connection's output, and what one turn of the
 * loop has gathered leaves in one send per connection. No limits, no time-outs, no statistics: it is a yardstick.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RECEIVE_SIZE = 256 * 1024, EVENTS = 512, OUTPUT_SIZE = 4096, BACKLOG = 4096 };

struct output {
    struct output *next_free;
    uint32_t length, capacity;
    unsigned char *bytes;
};

struct connection {
    int fd;
    uint32_t position;             /* in `connections`, for removal without a search */
    struct output *output;         /* only while something waits to be sent, so that an idle connection holds no buffer */
    unsigned char *partial;        /* only while a packet is incomplete */
    uint32_t partial_length;
    bool closed;
};

static int epoll_fd, listener;
static struct connection **connections;
static uint32_t connection_count, connection_capacity;
static struct connection **closed; /* freed after the turn: its events may still be in the batch */
static uint32_t closed_count, closed_capacity;
static struct output *free_outputs;
static unsigned char buffer[RECEIVE_SIZE];
static bool broadcast_waits;
static void (*on_packet)(struct connection *, const unsigned char *packet, uint32_t length);

static void *checked(void *memory)
{
    if (!memory) {
        fprintf(stderr, "epoll: out of memory\n");
        exit(1);
    }
    return memory;
}

static void push(struct connection ***list, uint32_t *count, uint32_t *capacity, struct connection *c)
{
    if (*count == *capacity) {
        *capacity = *capacity ? 2 * *capacity : 64;
        *list = checked(realloc(*list, *capacity * sizeof **list));
    }
    (*list)[(*count)++] = c;
}

/* ---- sending ---- */

static void append(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    struct output *o = c->output;
    if (!o) {
        o = free_outputs;
        if (o) {
            free_outputs = o->next_free;
        } else {
            o = checked(malloc(sizeof *o));
            o->capacity = OUTPUT_SIZE;
            o->bytes = checked(malloc(OUTPUT_SIZE));
        }
        o->length = 0;
        c->output = o;
    }
    if (o->length + length > o->capacity) {
        o->capacity = 2 * (o->length + length);
        o->bytes = checked(realloc(o->bytes, o->capacity));
    }
    memcpy(o->bytes + o->length, bytes, length);
    o->length += length;
}

static void drop_output(struct connection *c)
{
    c->output->next_free = free_outputs;
    free_outputs = c->output;
    c->output = NULL;
}

static void close_connection(struct connection *c)
{
    if (c->closed)
        return;
    c->closed = true;
    close(c->fd);
    if (c->output)
        drop_output(c);
    connections[c->position] = connections[--connection_count];
    connections[c->position]->position = c->position;
    push(&closed, &closed_count, &closed_capacity, c);
}

static void flush(struct connection *c)
{
    struct output *o = c->output;
    ssize_t sent = send(c->fd, o->bytes, o->length, MSG_NOSIGNAL);
    if (sent == o->length) {
        drop_output(c);
    } else if (sent >= 0) {
        o->length -= (uint32_t)sent;
        memmove(o->bytes, o->bytes + sent, o->length);
    } else if (errno != EAGAIN && errno != EINTR) {
        close_connection(c);
    }
}

/* ---- what the server does with a packet ---- */

static void echo(struct connection *c, const unsigned char *packet, uint32_t length)
{
    append(c, packet, length);
}

static void broadcast(struct connection *c, const unsigned char *packet, uint32_t length)
{
    (void)c;
    for (uint32_t i = 0; i < connection_count; i++)
        append(connections[i], packet, length);
    broadcast_waits = true;
}

/* ---- receiving ---- */

static void keep_partial(struct connection *c, const unsigned char *bytes, uint32_t length)
{
    if (length && !c->partial)
        c->partial = checked(malloc(256));
    if (length) {
        memcpy(c->partial, bytes, length);
    } else {
        free(c->partial);
        c->partial = NULL;
    }
    c->partial_length = length;
}

static void receive(struct connection *c)
{
    uint32_t room;
    ssize_t received;
    do { /* edge-triggered: only a receive that left the buffer unfilled has emptied the socket */
        if (c->partial_length)
            memcpy(buffer, c->partial, c->partial_length);
        room = RECEIVE_SIZE - c->partial_length;
        received = recv(c->fd, buffer + c->partial_length, room, 0);
        if (received <= 0) {
            if (received == 0 || (errno != EAGAIN && errno != EINTR))
                close_connection(c);
            return;
        }
        uint32_t length = c->partial_length + (uint32_t)received, at = 0;
        while (at < length && at + buffer[at] <= length) {
            if (!buffer[at]) { /* a packet that does not even hold its length */
                close_connection(c);
                return;
            }
            on_packet(c, buffer + at, buffer[at]);
            at += buffer[at];
        }
        if (at < length || c->partial)
            keep_partial(c, buffer + at, length - at);
        if (c->output && !broadcast_waits)
            flush(c);
    } while (received == room && !c->closed);
}

static void accept_all(void)
{
    for (;;) {
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = checked(calloc(1, sizeof *c));
        c->fd = fd;
        c->position = connection_count;
        push(&connections, &connection_count, &connection_capacity, c);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
        if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
            close_connection(c);
    }
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) {
            accept_all();
            continue;
        }
        if (!c->closed && events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            receive(c);
        if (!c->closed && c->output && !broadcast_waits && events[i].events & EPOLLOUT)
            flush(c);
    }
    if (broadcast_waits) {
        broadcast_waits = false;
        for (uint32_t i = connection_count; i-- > 0;) /* downwards: closing one moves the last into its place */
            if (connections[i]->output)
                flush(connections[i]);
    }
    while (closed_count) {
        struct connection *c = closed[--closed_count];
        free(c->partial);
        free(c);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 || (strcmp(argv[2], "echo") && strcmp(argv[2], "fanout"))) {
        fprintf(stderr, "usage: epoll PORT echo|fanout\n");
        return 2;
    }
    on_packet = strcmp(argv[2], "echo") == 0 ? echo : broadcast;
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, BACKLOG) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &length) < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
        fprintf(stderr, "epoll: cannot listen on port %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    printf("listening on 127.0.0.1:%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;)
        turn();
}
