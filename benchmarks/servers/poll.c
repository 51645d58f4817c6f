/* poll: the whole list of sockets goes into the kernel for each wait, as with select, but it may be of any length.
 *
 *   gcc -O2 -Wall -o poll poll.c
 *   poll PORT echo
 */
#include "readiness.h"

#include <poll.h>

static struct pollfd *watched;     /* [0] is the listener */
static struct connection **connections; /* of the same places */
static uint32_t count = 1, capacity;

static void grow(void)
{
    if (count < capacity)
        return;
    capacity = capacity ? 2 * capacity : 64;
    watched = checked(realloc(watched, capacity * sizeof *watched));
    connections = checked(realloc(connections, capacity * sizeof *connections));
}

static bool watch(struct connection *c)
{
    grow();
    watched[count] = (struct pollfd){.fd = c->fd, .events = POLLIN};
    connections[count] = c;
    c->position = count++;
    return true;
}

static void unwatch(struct connection *c)
{
    count--;
    watched[c->position] = watched[count];
    connections[c->position] = connections[count];
    connections[c->position]->position = c->position;
}

static void watch_writes(struct connection *c, bool on)
{
    watched[c->position].events = on ? POLLIN | POLLOUT : POLLIN;
}

static void turn(SOCKET listener)
{
    int ready = poll(watched, count, -1);
    /* Downwards: closing one moves the last, which has had its turn, into its place. */
    for (uint32_t i = count; ready > 0 && i-- > 1;) {
        short events = watched[i].revents;
        struct connection *c = connections[i];
        if (!events)
            continue;
        ready--;
        if (events & ~POLLOUT)
            receive(c);
        if (!c->closed && c->output && events & POLLOUT)
            flush(c);
    }
    if (watched[0].revents)
        accept_all(listener);
    end_turn();
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("poll", argc, argv, NULL);
    grow();
    watched[0] = (struct pollfd){.fd = listener, .events = POLLIN};
    for (;;)
        turn(listener);
}
