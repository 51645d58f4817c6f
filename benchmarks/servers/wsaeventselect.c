/* wsaeventselect: Windows signals an event when something can be done with a socket; a thread waits for 63 of them.
 *
 *   x86_64-w64-mingw32-gcc -O2 -Wall -o wsaeventselect.exe wsaeventselect.c -lws2_32
 *   wsaeventselect PORT echo
 *
 * Readiness, as with select, but the sockets are registered once. What happened is asked for by WSAEnumNetworkEvents(), which
 * also resets the event: a wait, a question and a receive for each socket that has something.
 */
#define GROUPS_OF_READINESS
#include "groups.h"

static bool watch(struct connection *c)
{
    (void)c;
    return true; /* WSAEventSelect() in join() has done it */
}

static void unwatch(struct connection *c)
{
    (void)c;
}

static void watch_writes(struct connection *c, bool on)
{
    (void)c, (void)on; /* FD_WRITE is told once after a send that would have blocked */
}

static struct connection *join(SOCKET fd, WSAEVENT event)
{
    struct connection *c = checked(calloc(1, sizeof *c));
    c->fd = fd;
    no_delay(fd);
    if (WSAEventSelect(fd, event, FD_READ | FD_WRITE | FD_CLOSE) == 0) /* makes it non-blocking, too */
        return c;
    closesocket(fd);
    free(c);
    return NULL;
}

static bool signalled(struct connection *c, WSAEVENT event)
{
    WSANETWORKEVENTS happened;
    if (WSAEnumNetworkEvents(c->fd, event, &happened) != 0)
        close_connection(c);
    else {
        if (happened.lNetworkEvents & (FD_READ | FD_CLOSE))
            receive(c);
        if (!c->closed && c->output && happened.lNetworkEvents & FD_WRITE)
            flush(c);
    }
    return !c->closed;
}

int main(int argc, char **argv)
{
    serve(start_listening("wsaeventselect", argc, argv, NULL));
}
