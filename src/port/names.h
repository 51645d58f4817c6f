/*
 * Win32's names on Linux: the types and functions the core uses, with Win32's signatures.
 *
 * Error codes keep Win32's names but have this system's own numbers (WSAECONNRESET is ECONNRESET), so that what reaches a
 * person is the number and text their system knows.
 */
#ifndef IOCP_NAMES_H
#define IOCP_NAMES_H

#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

typedef int BOOL;
typedef uint32_t DWORD;
typedef uint32_t ULONG;
typedef unsigned char UCHAR;
typedef uintptr_t ULONG_PTR;
typedef void *HANDLE;
typedef DWORD *LPDWORD;
typedef ULONG *PULONG;

/* A socket is a pointer to its endpoint (port_linux.h), not a descriptor: a number that the system gives out again at once
 * would let a late completion reach a stranger. */
typedef uintptr_t SOCKET;

#define TRUE 1
#define FALSE 0
#define INFINITE 0xFFFFFFFFu
#define INVALID_SOCKET ((SOCKET)0)
#define INVALID_HANDLE_VALUE ((HANDLE)(intptr_t)-1)
#define SOCKET_ERROR (-1)
#define FILE_SKIP_COMPLETION_PORT_ON_SUCCESS 1
#define FILE_SKIP_SET_EVENT_ON_HANDLE 2

#define WSA_IO_PENDING EINPROGRESS
#define WAIT_TIMEOUT ETIMEDOUT
#define ERROR_OPERATION_ABORTED ECANCELED
#define ERROR_NOT_FOUND ENOENT
#define WSAEWOULDBLOCK EAGAIN
#define WSAECONNRESET ECONNRESET
#define WSAETIMEDOUT ETIMEDOUT
#define WSAENOBUFS ENOBUFS
#define WSAEMFILE EMFILE
#define WSAEINVAL EINVAL

/* `Internal` is the operation's result (an error code, 0 for success) once it was dequeued, `InternalHigh` its bytes. `next`
 * and `key` are the port's own: a complete operation carries its socket's key, since the socket may be gone by then. */
typedef struct _OVERLAPPED {
    ULONG_PTR Internal;
    ULONG_PTR InternalHigh;
    struct _OVERLAPPED *next;
    ULONG_PTR key;
} OVERLAPPED, *LPOVERLAPPED;

typedef struct _OVERLAPPED_ENTRY {
    ULONG_PTR lpCompletionKey;
    LPOVERLAPPED lpOverlapped;
    ULONG_PTR Internal;
    DWORD dwNumberOfBytesTransferred;
} OVERLAPPED_ENTRY, *LPOVERLAPPED_ENTRY;

typedef struct _WSABUF {
    ULONG len;
    char *buf;
} WSABUF, *LPWSABUF;

int WSAGetLastError(void);
void WSASetLastError(int code);
HANDLE CreateIoCompletionPort(HANDLE file, HANDLE port, ULONG_PTR key, DWORD threads);
BOOL CloseHandle(HANDLE port);
BOOL GetQueuedCompletionStatusEx(HANDLE port, LPOVERLAPPED_ENTRY entries, ULONG count, PULONG removed, DWORD milliseconds,
                                 BOOL alertable);
BOOL PostQueuedCompletionStatus(HANDLE port, DWORD bytes, ULONG_PTR key, LPOVERLAPPED overlapped);
BOOL SetFileCompletionNotificationModes(HANDLE file, UCHAR modes);
BOOL AcceptEx(SOCKET listener, SOCKET accepted, void *addresses, DWORD receive_length, DWORD local_length,
              DWORD remote_length, LPDWORD received, LPOVERLAPPED overlapped);
void GetAcceptExSockaddrs(void *addresses, DWORD receive_length, DWORD local_length, DWORD remote_length,
                          struct sockaddr **local, int *local_size, struct sockaddr **remote, int *remote_size);
BOOL ConnectEx(SOCKET s, const struct sockaddr *address, int length, void *data, DWORD data_length, LPDWORD sent,
               LPOVERLAPPED overlapped);
int WSARecv(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD received, LPDWORD flags, LPOVERLAPPED overlapped, void *routine);
int WSASend(SOCKET s, LPWSABUF buffers, DWORD count, LPDWORD sent, DWORD flags, LPOVERLAPPED overlapped, void *routine);
BOOL CancelIoEx(HANDLE file, LPOVERLAPPED overlapped);
int ioctlsocket(SOCKET s, long command, unsigned long *argument);
int closesocket(SOCKET s);

/* libc's recv takes a descriptor. The port's own files, which need both, define PORT_INSIDE. */
int port_recv(SOCKET s, char *buffer, int size, int flags);
#ifndef PORT_INSIDE
#define recv port_recv
#endif

#endif
