/* iocp: Windows does the receive and the send, then puts a packet into the completion port; whoever waits there takes it.
 *
 *   x86_64-w64-mingw32-gcc -O2 -Wall -o iocp.exe iocp.c -lws2_32
 *   iocp PORT echo
 *
 * One thread, as the lecture begins: any number of sockets, 64 completions in one call. What is done at once puts no packet
 * into the port (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS). The main thread accepts, so that this is like the models beside it.
 */
#include "overlapped.h"

enum { COMPLETIONS = 64 };

static HANDLE port;

static DWORD WINAPI serve(void *argument)
{
    OVERLAPPED_ENTRY completions[COMPLETIONS];
    ULONG count;
    (void)argument;
    for (;;) {
        if (!GetQueuedCompletionStatusEx(port, completions, COMPLETIONS, &count, INFINITE, FALSE))
            continue;
        for (ULONG i = 0; i < count; i++) {
            struct session *s = (struct session *)completions[i].lpCompletionKey;
            WSAOVERLAPPED *operation = completions[i].lpOverlapped;
            bool good = operation && operation->Internal == 0; /* the status of the operation */
            if (!operation) { /* posted by the main thread: a new connection */
                if (!start_receiving(s))
                    end(s);
            } else if (operation == &s->receiving)
                received(s, good, completions[i].dwNumberOfBytesTransferred);
            else
                sent(s, good);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("iocp", argc, argv, NULL);
    silent_at_once = true;
    port = checked(CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0));
    CloseHandle(checked(CreateThread(NULL, 0, serve, NULL, 0, NULL)));
    for (;;) {
        SOCKET fd = accept(listener, NULL, NULL);
        if (fd == INVALID_SOCKET)
            continue;
        struct session *s = new_session(fd, NULL);
        if (CreateIoCompletionPort((HANDLE)fd, port, (ULONG_PTR)s, 0) &&
            SetFileCompletionNotificationModes((HANDLE)fd, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE))
            PostQueuedCompletionStatus(port, 0, (ULONG_PTR)s, NULL);
        else
            end(s);
    }
}
