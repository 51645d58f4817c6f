/* overlapped_callback: Windows does the receive and the send, then calls a routine in the thread that started it.
 *
 *   x86_64-w64-mingw32-gcc -O2 -Wall -o overlapped_callback.exe overlapped_callback.c -lws2_32
 *   overlapped_callback PORT echo
 *
 * It calls when that thread waits so that it can be called ("alertable"): SleepEx() here. There is no limit, but no second thread
 * can help either. AcceptEx() knows no such routine: the main thread accepts, and queues a call to the one that serves.
 */
#include "overlapped.h"

static void CALLBACK receive_done(DWORD code, DWORD count, LPWSAOVERLAPPED operation, DWORD flags)
{
    (void)flags;
    received(CONTAINING_RECORD(operation, struct session, receiving), code == 0, count);
}

static void CALLBACK send_done(DWORD code, DWORD count, LPWSAOVERLAPPED operation, DWORD flags)
{
    (void)count, (void)flags;
    sent(CONTAINING_RECORD(operation, struct session, sending), code == 0);
}

static void CALLBACK accepted(ULONG_PTR fd)
{
    struct session *s = new_session((SOCKET)fd, NULL);
    if (!start_receiving(s))
        end(s);
}

static DWORD WINAPI serve(void *argument)
{
    (void)argument;
    for (;;)
        SleepEx(INFINITE, TRUE);
    return 0;
}

int main(int argc, char **argv)
{
    SOCKET listener = start_listening("overlapped_callback", argc, argv, NULL);
    on_received = receive_done;
    on_sent = send_done;
    HANDLE thread = checked(CreateThread(NULL, 0, serve, NULL, 0, NULL));
    for (;;) {
        SOCKET fd = accept(listener, NULL, NULL);
        if (fd != INVALID_SOCKET)
            QueueUserAPC(accepted, thread, (ULONG_PTR)fd);
    }
}
