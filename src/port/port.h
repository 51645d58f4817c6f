/*
 * The completion port: Win32's vocabulary on every system.
 *
 * On Windows these names are Win32 itself: this header includes winsock2.h and mswsock.h and adds nothing to them but
 * the function pointers of the extension functions. On Linux the same names, with the same meaning, stand over io_uring
 * and over epoll (port_linux.c, endpoint.c, acceptor.c and posted.c have what both share, poller_uring.c and poller_epoll.c the rest).
 *
 * THE CONTRACT. tests/port/ checks each point on every backend.
 *
 *  1. One completion for every operation that was started, exactly one, whatever becomes of it: success, error, cancel,
 *     close, reset. The OVERLAPPED and the bytes an operation points to belong to the port from the call until its
 *     completion was dequeued. An operation has started when the call returned success or WSA_IO_PENDING; any other error
 *     means that nothing started and no completion will come.
 *  2. The one exception is asked for: on a socket with FILE_SKIP_COMPLETION_PORT_ON_SUCCESS (SetFileCompletionNotification-
 *     Modes) a call that returns success at once is complete, and no packet comes. Whoever calls must handle both answers.
 *  3. A completion may be dequeued on another thread before the call that started the operation has returned: write
 *     everything before the call, touch nothing after it.
 *  4. A zero-byte WSARecv completes when there is something to receive, an end of stream or an error, and pins no buffer
 *     while it waits. recv() then takes the bytes without blocking. At most one WSARecv may be outstanding per socket.
 *     recv() belongs to the thread that dequeued the completion, until it has called WSARecv again. It may still find nothing
 *     (port_is_would_block): after a recv() that filled its buffer to the last byte, the next receive completes at once.
 *     ioctlsocket() with FIONREAD tells any thread how many bytes lie there, also behind a completion nobody has dequeued.
 *  5. WSASend with several WSABUF sends them in order and completes when the system has taken all of them or failed; it is
 *     never interleaved with another one on the same socket. At most port_sends_in_flight() may be outstanding; the caller counts.
 *  6. CancelIoEx asks for an operation (or, with NULL, all operations of the socket) to end soon, with
 *     ERROR_OPERATION_ABORTED unless it was complete already. ERROR_NOT_FOUND: its packet is on its way.
 *  7. closesocket() cancels what is pending; the completions still come. The core only closes sockets with nothing pending.
 *  8. PostQueuedCompletionStatus from any thread, any time between creation and CloseHandle; each packet is dequeued once,
 *     by any one of the waiting threads.
 *  9. GetQueuedCompletionStatusEx dequeues up to `count` packets at once and waits at most `milliseconds`. FALSE with
 *     WAIT_TIMEOUT: nothing came (never read the count then). On Linux FALSE with EINTR: a signal came, so that Python may run
 *     its handlers. Another error that comes again and again says that the port is broken. At most NumberOfConcurrentThreads
 *     threads may wait on one port (Linux: each has a lane, that is a ring or an epoll descriptor, of its own; a socket belongs to
 *     one lane, so its packets never overlap and never reorder). All of them have to: the sockets of a lane are served by its
 *     thread, for as long as the port lives, and by no other.
 * 10. A listener survives every failed accept; an AcceptEx that finds the system out of descriptors completes with that error
 *     (port_is_exhaustion) and the listener stays quiet until AcceptEx is called again.
 * 11. CloseHandle(port) after the threads have left: wake them with posted packets, one each (Wine, and no Linux either,
 *     knows no ERROR_ABANDONED_WAIT_0), after they have drained what is theirs, and after all sockets were closed.
 *
 * Any function may be called on any thread unless it says otherwise. None calls Python or takes a Python lock.
 */
#ifndef IOCP_PORT_H
#define IOCP_PORT_H

#include <stddef.h>
#include <stdint.h>

#ifdef _WIN32
#include "win32.h"
#else
#include "names.h"
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what Win32 has no name for; the same on all systems ---- */

enum port_backend { PORT_IOCP = 0, PORT_IO_URING = 1, PORT_EPOLL = 2 };

enum { PORT_REASON_SIZE = 320 };

/* Whether `backend` works here; `reason` (PORT_REASON_SIZE bytes) says why, or why not and what is likely behind it. */
int port_probe(int backend, char *reason);

/* CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, threads) on a given backend. NULL: see WSAGetLastError(). */
HANDLE port_create(int backend, DWORD threads);

/* Once per process, before anything else: WSAStartup, the extension functions. 0 or an error code. */
int port_startup(void);

/* A stream socket made for overlapped operation, not bound to anything (an accept socket, or the start of ConnectEx:
 * on Linux its descriptor is made then). INVALID_SOCKET: see WSAGetLastError(). */
SOCKET port_socket(int family);

/* A listening socket: SO_EXCLUSIVEADDRUSE on Windows, SO_REUSEADDR elsewhere (where it means another thing: that old
 * connections in TIME_WAIT do not block the port), dual-stack if it is an IPv6 one and `v6only` is 0.
 * INVALID_SOCKET: see WSAGetLastError(). */
SOCKET port_listen(const struct sockaddr *address, int length, int backlog, int v6only);

/* Bind before ConnectEx, which wants a bound socket; `source` NULL: any address. 0, or SOCKET_ERROR. */
int port_bind(SOCKET s, const struct sockaddr *source, int length);

/* Get an accepted or connected socket ready: SO_UPDATE_ACCEPT_CONTEXT (listener given) or SO_UPDATE_CONNECT_CONTEXT
 * (INVALID_SOCKET given), TCP_NODELAY, no SIGPIPE. 0, or SOCKET_ERROR. */
int port_adopt(SOCKET s, SOCKET listener);

/* Let closesocket() reset the connection instead of lingering over what was not sent. */
void port_reset_on_close(SOCKET s);

/* SO_SNDBUF, SO_RCVBUF in bytes, 0 = leave it. For tests of back-pressure. */
void port_buffers(SOCKET s, int send_bytes, int receive_bytes);

/* shutdown(SD_SEND): the peer sees the end of the stream after what was sent. 0, or SOCKET_ERROR. */
int port_finish(SOCKET s);

/* The address the socket is bound to, and that of its peer. `length` in and out as in getsockname. 0, or SOCKET_ERROR. */
int port_local_address(SOCKET s, struct sockaddr *address, int *length);
int port_peer_address(SOCKET s, struct sockaddr *address, int *length);

/* The error code of a dequeued operation, 0 for success. */
int port_result(SOCKET s, OVERLAPPED *overlapped);

/* Text of a system error code in UTF-8, without a line end; returns its length. */
int port_error_text(int code, char *text, int size);

/* What an error code means to the core: the peer reset the connection, or vanished; the operation was cancelled; the system is out of
 * descriptors or buffers (try again later); the call would block; an AcceptEx failed because its socket listens no more. */
int port_is_reset(int code);
int port_is_cancelled(int code);
int port_is_exhaustion(int code);
int port_is_listener_lost(int code);
int port_is_would_block(int code);

/* WSASends that may be outstanding on one socket of this port. Windows completes a send that did not fit into the
 * socket's buffer only on acknowledgement, so one more keeps the wire busy; on Linux the socket's own buffer does that. */
int port_sends_in_flight(HANDLE port);

/* Monotonic time in nanoseconds. */
int64_t port_now(void);

/* The calling thread's next GetQueuedCompletionStatusEx ends when port_now() says `when`, if that is before its own time-out, which
 * counts in milliseconds. A hint: Windows' clock is no finer than that, and there it does nothing. */
void port_wait_until(int64_t when);

/* Have waits end to the millisecond, from the first `wanted` of the process until as many 0 have been asked for. Windows' clock ticks
 * 64 times a second otherwise; Linux' is as fine as that anyway. */
void port_fine_clock(int wanted);

/* Processors this process may run on. */
int port_cpu_count(void);

/* Raise the limit of open files to what it may be; returns the limit now in force, -1 where there is none. */
int64_t port_raise_open_files(void);

/* Name the calling thread for debuggers (SetThreadDescription, pthread_setname_np). */
void port_name_thread(const char *name);

/* Route Ctrl-C, Ctrl-Break and the closing of the console (Windows), SIGINT and SIGTERM (Linux) to a packet with `key` and no
 * OVERLAPPED, or stop doing so (port NULL). One port of a process at a time. With `passes_on`, and always on Linux, the handlers
 * installed before are called too: on Linux before the packet, on Windows after it; a signal that has none on Linux is left
 * alone, whether it ends the process or is ignored. Without, on Windows, the packet is all that becomes of it, and a second Ctrl-C
 * or Ctrl-Break ends the process, since nothing else could end a callback that never returns. */
void port_route_console(HANDLE port, ULONG_PTR key, int passes_on);

/* Whether some port has them. */
int port_is_routed(void);

/* The process is about to fork. A child that is not another program has the sockets too, which then outlive a close: from now on
 * closesocket() ends connections by a call of its own. Nothing on Windows, where no process is a copy of another one. */
void port_before_fork(void);

#ifdef __cplusplus
}
#endif
#endif
