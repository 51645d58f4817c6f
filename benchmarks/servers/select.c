/* select: the oldest way to wait for many sockets; for Linux and for Windows (Winsock).
 *
 *   gcc -O2 -Wall -o select select.c
 *   select PORT echo
 *
 * The sets are kept and copied for each wait, because select() overwrites them. On Linux a set is a bitmap of FD_SETSIZE = 1024
 * descriptors, which is part of the binary interface: whoever has a higher descriptor cannot be watched, and is hung up on. On
 * Windows a set is a list of sockets, of 64 unless the program says otherwise before it includes Winsock.
 */
#ifdef _WIN32
#define FD_SETSIZE 16384
#endif
#include "readiness.h"

#ifdef _WIN32
#include "handles.h"
#else
#include <sys/select.h>
#endif

static fd_set reading, writing;    /* what is watched */
static fd_set readable, writable;  /* copies, which select() makes into what is ready */

#ifdef _WIN32

static bool watch(struct connection *c)
{
    if (reading.fd_count == FD_SETSIZE)
        return false;
    u_long on = 1;
    ioctlsocket(c->fd, FIONBIO, &on);
    c->position = reading.fd_count;
    reading.fd_array[reading.fd_count++] = c->fd; /* FD_SET() would search the list for it first */
    *find(c->fd) = c;
    return true;
}

static void unwatch(struct connection *c)
{
    SOCKET last = reading.fd_array[--reading.fd_count];
    reading.fd_array[c->position] = last;
    (*find(last))->position = c->position;
    *find(c->fd) = NULL;
    FD_CLR(c->fd, &writing);
}

static void copy_set(fd_set *to, const fd_set *from)
{
    memcpy(to, from, offsetof(fd_set, fd_array) + from->fd_count * sizeof(SOCKET));
}

static void turn(SOCKET listener)
{
    copy_set(&readable, &reading);
    copy_set(&writable, &writing);
    if (select(0, &readable, &writable, NULL, NULL) < 0)
        return;
    for (u_int i = 0; i < readable.fd_count; i++) {
        struct connection *c = *find(readable.fd_array[i]);
        if (c)
            receive(c);
        else if (readable.fd_array[i] == listener)
            accept_all(listener);
    }
    for (u_int i = 0; i < writable.fd_count; i++) {
        struct connection *c = *find(writable.fd_array[i]);
        if (c && c->output)
            flush(c);
    }
    end_turn();
}

#else

static struct connection *by_descriptor[FD_SETSIZE];
static int highest;

static bool watch(struct connection *c)
{
    if (c->fd >= FD_SETSIZE)
        return false;
    FD_SET(c->fd, &reading);
    by_descriptor[c->fd] = c;
    if (c->fd > highest)
        highest = c->fd;
    return true;
}

static void unwatch(struct connection *c)
{
    FD_CLR(c->fd, &reading);
    FD_CLR(c->fd, &writing);
    by_descriptor[c->fd] = NULL;
    while (highest && !FD_ISSET(highest, &reading))
        highest--;
}

static void turn(SOCKET listener)
{
    readable = reading;
    writable = writing;
    int ready = select(highest + 1, &readable, &writable, NULL, NULL), top = highest;
    for (int fd = 0; ready > 0 && fd <= top; fd++) {
        if (fd % NFDBITS == 0 && !readable.fds_bits[fd / NFDBITS] && !writable.fds_bits[fd / NFDBITS]) {
            fd += NFDBITS - 1; /* nothing in this word */
            continue;
        }
        struct connection *c = by_descriptor[fd];
        if (FD_ISSET(fd, &readable)) {
            ready--;
            if (c)
                receive(c);
            else if (fd == listener)
                accept_all(listener);
        }
        if (FD_ISSET(fd, &writable)) {
            ready--;
            if (c && !c->closed && c->output)
                flush(c);
        }
    }
    end_turn();
}

#endif

static void watch_writes(struct connection *c, bool on)
{
    if (on)
        FD_SET(c->fd, &writing);
    else
        FD_CLR(c->fd, &writing);
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("select", argc, argv, NULL);
    FD_SET(listener, &reading);
#ifdef _WIN32
    u_long on = 1;
    ioctlsocket(listener, FIONBIO, &on);
#else
    highest = listener;
#endif
    for (;;)
        turn(listener);
}
