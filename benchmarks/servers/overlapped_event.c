/* overlapped_event: Windows does the receive and the send, then signals the event of the connection; a thread waits for 63.
 *
 *   x86_64-w64-mingw32-gcc -O2 -Wall -o overlapped_event.exe overlapped_event.c -lws2_32
 *   overlapped_event PORT echo
 *
 * The two operations of a connection share its event, so that a thread has room for 63 connections and not for 31. To start an
 * operation resets the event.
 */
#include "groups.h"

static bool done(struct session *s, WSAOVERLAPPED *operation, bool *good, DWORD *count)
{
    DWORD flags;
    if (!HasOverlappedIoCompleted(operation))
        return false;
    *good = WSAGetOverlappedResult(s->c.fd, operation, count, FALSE, &flags);
    return true;
}

static struct connection *join(SOCKET fd, WSAEVENT event)
{
    struct session *s = new_session(fd, event);
    if (start_receiving(s) || !end(s))
        return &s->c;
    return NULL;
}

static bool signalled(struct connection *c, WSAEVENT event)
{
    struct session *s = (struct session *)c;
    bool good;
    DWORD count;
    WSAResetEvent(event);
    for (;;) { /* to start one operation may have reset what the end of the other one has set, so both are looked at again */
        if (s->receives && done(s, &s->receiving, &good, &count)) {
            if (!received(s, good, count))
                return false;
        } else if (s->leaving && done(s, &s->sending, &good, &count)) {
            if (!sent(s, good))
                return false;
        } else {
            return true;
        }
    }
}

int main(int argc, char **argv)
{
    serve(start_listening("overlapped_event", argc, argv, NULL));
}
