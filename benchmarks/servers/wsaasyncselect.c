/* wsaasyncselect: Windows posts a message to a window when something can be done with a socket.
 *
 *   x86_64-w64-mingw32-gcc -O2 -Wall -o wsaasyncselect.exe wsaasyncselect.c -lws2_32 -luser32
 *   wsaasyncselect PORT echo
 *
 * Made for programs that have a window and a message loop anyway. Readiness, registered once; a message for each socket and each
 * thing that can be done with it, posted again only after that was done. The window is one for messages alone, never shown.
 */
#include "readiness.h"

#include "handles.h"

enum { SOCKET_MESSAGE = WM_USER };

static HWND window;

static bool watch(struct connection *c)
{
    if (WSAAsyncSelect(c->fd, window, SOCKET_MESSAGE, FD_READ | FD_WRITE | FD_CLOSE) != 0) /* makes it non-blocking, too */
        return false;
    *find(c->fd) = c;
    return true;
}

static void unwatch(struct connection *c)
{
    *find(c->fd) = NULL;
}

static void watch_writes(struct connection *c, bool on)
{
    (void)c, (void)on; /* FD_WRITE is told once after a send that would have blocked */
}

static void socket_message(SOCKET fd, int event)
{
    struct connection *c = *find(fd);
    if (event == FD_ACCEPT) {
        accept_all(fd); /* WSAAsyncSelect() has made the listener non-blocking, too */
    } else if (c && event & (FD_READ | FD_CLOSE)) {
        receive(c);
    } else if (c && c->output && event & FD_WRITE) {
        flush(c);
    }
    end_turn();
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("wsaasyncselect", argc, argv, NULL);
    MSG message;
    window = checked(CreateWindowExW(0, L"STATIC", NULL, 0, 0, 0, 0, 0, HWND_MESSAGE, NULL, NULL, NULL));
    if (WSAAsyncSelect(listener, window, SOCKET_MESSAGE, FD_ACCEPT) != 0)
        return 1;
    /* Taken from the queue and handled here: the window procedure would only be called with the same. */
    while (GetMessageW(&message, NULL, 0, 0) > 0)
        if (message.message == SOCKET_MESSAGE)
            socket_message((SOCKET)message.wParam, WSAGETSELECTEVENT(message.lParam));
}
