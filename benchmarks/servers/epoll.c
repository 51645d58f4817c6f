/* epoll: the fastest plain server we know how to write for this job, as the mark to measure others against.
 *
 *   gcc -O2 -Wall -o epoll epoll.c
 *   epoll PORT echo|fanout          (port 0 takes a free one; prints "listening on 127.0.0.1:PORT")
 *
 * Raw C on edge-triggered epoll, one thread. In fan-out each packet is appended to every connection's output, and what one turn
 * of the loop has gathered leaves in one send per connection. No limits, no time-outs, no statistics: it is a yardstick.
 */
#include "readiness.h"

#include <sys/epoll.h>

enum { EVENTS = 512 };

static int epoll_fd;
static struct connection **connections;
static uint32_t connection_count, connection_capacity;

static bool watch(struct connection *c)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = c};
    c->position = connection_count;
    push(&connections, &connection_count, &connection_capacity, c);
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) == 0)
        return true;
    connection_count--;
    return false;
}

static void unwatch(struct connection *c) /* closing the socket does the kernel's part */
{
    connections[c->position] = connections[--connection_count];
    connections[c->position]->position = c->position;
}

static void watch_writes(struct connection *c, bool on)
{
    (void)c, (void)on; /* edges are told from the beginning */
}

static void broadcast(struct connection *c, const unsigned char *packet, uint32_t length)
{
    (void)c;
    for (uint32_t i = 0; i < connection_count; i++)
        append(connections[i], packet, length);
    output_held = true;
}

static void turn(SOCKET listener)
{
    struct epoll_event events[EVENTS];
    int count = epoll_wait(epoll_fd, events, EVENTS, -1);
    for (int i = 0; i < count; i++) {
        struct connection *c = events[i].data.ptr;
        if (!c) {
            accept_all(listener);
            continue;
        }
        if (!c->closed && events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            receive(c);
        if (!c->closed && c->output && !output_held && events[i].events & EPOLLOUT)
            flush(c);
    }
    if (output_held) {
        output_held = false;
        for (uint32_t i = connection_count; i-- > 0;) /* downwards: closing one moves the last into its place */
            if (connections[i]->output)
                flush(connections[i]);
    }
    end_turn();
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("epoll", argc, argv, broadcast);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event) < 0) {
        fprintf(stderr, "epoll: %s\n", strerror(errno));
        return 1;
    }
    for (;;)
        turn(listener);
}
