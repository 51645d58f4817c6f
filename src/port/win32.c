/*
 * The completion port on Windows: start-up, probe, the port itself, and what its errors mean.
 *
 * How the system facility works, in five sentences. A completion port is a queue in the kernel. A socket associated with it
 * (CreateIoCompletionPort with a key) puts a packet there for each operation that ends: key, OVERLAPPED, bytes, status.
 * Threads wait in GetQueuedCompletionStatusEx and take up to `count` packets at once; the kernel lets at most
 * NumberOfConcurrentThreads of them run, and wakes the one that came last, whose caches are warm. PostQueuedCompletionStatus
 * puts a packet there by hand. With FILE_SKIP_COMPLETION_PORT_ON_SUCCESS an operation that is done at once brings no packet.
 *
 * Traps kept in mind, here and by the callers: a failed GetQueuedCompletionStatusEx leaves the count undefined (Wine: 1);
 * OVERLAPPED.Internal holds an NTSTATUS, not a Win32 error; the port must not be closed while threads wait on it.
 */
#include "port.h"

#include <stdio.h>
#include <string.h>

LPFN_ACCEPTEX port_accept_ex;
LPFN_CONNECTEX port_connect_ex;
LPFN_DISCONNECTEX port_disconnect_ex;
LPFN_GETACCEPTEXSOCKADDRS port_get_accept_ex_sockaddrs;

/* The conversion Winsock itself uses lives in ntdll, which has no import library in every tool chain. */
typedef ULONG(WINAPI *status_to_error_function)(LONG status);
static status_to_error_function status_to_error;

/* Set once by start_up: a provider that cannot honour FILE_SKIP_COMPLETION_PORT_ON_SUCCESS stands between us and TCP. */
static int layered_provider;

/* ---- start-up ---- */

/* `function` points to a function pointer; WSAIoctl writes it as bytes. */
static int fetch_extension(SOCKET s, GUID id, void *function, DWORD size)
{
    DWORD bytes = 0;
    if (WSAIoctl(s, SIO_GET_EXTENSION_FUNCTION_POINTER, &id, (DWORD)sizeof id, function, size, &bytes, NULL, NULL) != 0)
        return WSAGetLastError();
    return 0;
}

static int fetch_extensions(SOCKET s)
{
    const GUID accept_ex = WSAID_ACCEPTEX, connect_ex = WSAID_CONNECTEX, disconnect_ex = WSAID_DISCONNECTEX;
    const GUID sockaddrs = WSAID_GETACCEPTEXSOCKADDRS;
    int code = fetch_extension(s, accept_ex, &port_accept_ex, (DWORD)sizeof port_accept_ex);
    if (code == 0)
        code = fetch_extension(s, connect_ex, &port_connect_ex, (DWORD)sizeof port_connect_ex);
    if (code == 0)
        code = fetch_extension(s, disconnect_ex, &port_disconnect_ex, (DWORD)sizeof port_disconnect_ex);
    if (code == 0)
        code = fetch_extension(s, sockaddrs, &port_get_accept_ex_sockaddrs, (DWORD)sizeof port_get_accept_ex_sockaddrs);
    return code;
}

static BOOL CALLBACK start_up(PINIT_ONCE once, PVOID code, PVOID *context)
{
    WSADATA data;
    WSAPROTOCOL_INFOW provider;
    int size = (int)sizeof provider;
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");
    SOCKET s;
    int result;

    (void)once;
    (void)context;
    if (ntdll != NULL)
        status_to_error = (status_to_error_function)(void (*)(void))GetProcAddress(ntdll, "RtlNtStatusToDosError");

    result = WSAStartup(MAKEWORD(2, 2), &data);
    if (result == 0) {
        /* One provider serves both families, so the pointers do for both; a system may have only one of them. */
        s = port_socket(AF_INET);
        if (s == INVALID_SOCKET)
            s = port_socket(AF_INET6);
        if (s == INVALID_SOCKET) {
            result = WSAGetLastError();
        } else {
            result = fetch_extensions(s);
            if (getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&provider, &size) == 0)
                layered_provider = (provider.dwServiceFlags1 & XP1_IFS_HANDLES) == 0;
            closesocket(s);
        }
        if (result != 0)
            WSACleanup();
    }
    *(int *)code = result;
    /* FALSE leaves the door open: the next call of port_startup tries again. */
    return result == 0;
}

int port_startup(void)
{
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    int code = 0;
    if (!InitOnceExecuteOnce(&once, start_up, &code, NULL) && code == 0)
        code = (int)GetLastError();
    return code;
}

/* ---- the port ---- */

int port_probe(int backend, char *reason)
{
    char text[PORT_REASON_SIZE / 2];
    const char *step = "Winsock cannot be started";
    HANDLE port;
    int code;

    if (backend != PORT_IOCP) {
        snprintf(reason, PORT_REASON_SIZE, "%s: not on Windows",
                 backend == PORT_IO_URING ? "io_uring" : backend == PORT_EPOLL ? "epoll" : "unknown backend");
        return 0;
    }
    code = port_startup();
    if (code == 0 && layered_provider) {
        snprintf(reason, PORT_REASON_SIZE, "a layered service provider (some security or filter software) stands before TCP "
                 "and gives out handles that are not the system's own, so completions would be lost; "
                 "'netsh winsock show catalog' names it");
        return 0;
    }
    if (code == 0) {
        step = "no completion port can be created";
        port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 0);
        if (port != NULL) {
            CloseHandle(port);
            snprintf(reason, PORT_REASON_SIZE, "a completion port was created and the extension functions are there");
            return 1;
        }
        code = (int)GetLastError();
    }
    port_error_text(code, text, (int)sizeof text);
    snprintf(reason, PORT_REASON_SIZE, "%s: error %d, %s", step, code, text);
    return 0;
}

HANDLE port_create(int backend, DWORD threads)
{
    int code;
    if (backend != PORT_IOCP) {
        WSASetLastError(ERROR_NOT_SUPPORTED);
        return NULL;
    }
    code = port_startup();
    if (code != 0) {
        WSASetLastError(code);
        return NULL;
    }
    return CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, threads);
}

/* A send that begins while SO_SNDBUF bytes wait already, whatever its own size, completes when the peer has acknowledged it. With
 * one in flight the wire would then lie idle for a round trip after each; four cover a link on which one gathered send takes a
 * quarter of a round trip. More would only pin more memory for a peer that reads slowly. */
int port_sends_in_flight(HANDLE port)
{
    (void)port;
    return 4;
}

/* ---- errors ---- */

int port_result(SOCKET s, OVERLAPPED *overlapped)
{
    DWORD bytes = 0, flags = 0;
    int code;

    if (overlapped->Internal == 0) /* STATUS_SUCCESS, by far the most frequent: no call needed */
        return 0;
    if (WSAGetOverlappedResult(s, overlapped, &bytes, FALSE, &flags))
        return 0;
    code = WSAGetLastError();
    /* The socket was closed before its last packet was dequeued. The status in the OVERLAPPED is what is left to ask. */
    if (code == WSAENOTSOCK && status_to_error != NULL)
        code = (int)status_to_error((LONG)overlapped->Internal);
    return code;
}

int port_error_text(int code, char *text, int size)
{
    /* A message of n UTF-16 units needs at most 3n bytes of UTF-8. */
    wchar_t wide[512];
    char narrow[3 * 512 + 1];
    DWORD units;
    int length = 0;

    if (size <= 0)
        return 0;
    units = FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, (DWORD)code, 0, wide, 512, NULL);
    while (units > 0 && (wide[units - 1] == L'\r' || wide[units - 1] == L'\n' || wide[units - 1] == L' '))
        units--;
    if (units > 0)
        length = WideCharToMultiByte(CP_UTF8, 0, wide, (int)units, narrow, (int)sizeof narrow - 1, NULL, NULL);
    if (length <= 0)
        length = snprintf(narrow, sizeof narrow, "error %d", code);

    if (length > size - 1) {
        /* Cut between characters: bytes 10xxxxxx continue one. */
        length = size - 1;
        while (length > 0 && ((unsigned char)narrow[length] & 0xC0) == 0x80)
            length--;
    }
    memcpy(text, narrow, (size_t)length);
    text[length] = '\0';
    return length;
}

int port_is_reset(int code)
{
    switch (code) {
    case WSAECONNRESET:
    case WSAECONNABORTED: /* also: the peer did not acknowledge in time */
    case WSAENETRESET:    /* keep-alive found it gone */
    case WSAETIMEDOUT:    /* ... or nobody answers any more, or no way leads there */
    case WSAEHOSTUNREACH:
    case WSAENETUNREACH:
    case WSAENETDOWN:
    case ERROR_NETNAME_DELETED: /* what these are called where Winsock has not translated them */
    case ERROR_CONNECTION_ABORTED:
    case ERROR_SEM_TIMEOUT:
    case ERROR_HOST_UNREACHABLE:
    case ERROR_NETWORK_UNREACHABLE:
        return 1;
    default:
        return 0;
    }
}

int port_is_cancelled(int code)
{
    return code == ERROR_OPERATION_ABORTED;
}

int port_is_exhaustion(int code)
{
    switch (code) {
    case WSAEMFILE:
    case WSAENOBUFS:
    case WSA_NOT_ENOUGH_MEMORY: /* = ERROR_NOT_ENOUGH_MEMORY */
    case ERROR_OUTOFMEMORY:
    case ERROR_TOO_MANY_OPEN_FILES:
    case ERROR_NO_SYSTEM_RESOURCES:
    case ERROR_NONPAGED_SYSTEM_RESOURCES:
    case ERROR_PAGED_SYSTEM_RESOURCES:
    case ERROR_WORKING_SET_QUOTA: /* the pages of a buffer could not be locked */
    case ERROR_PAGEFILE_QUOTA:
    case ERROR_COMMITMENT_LIMIT:
    case ERROR_NOT_ENOUGH_QUOTA:
        return 1;
    default:
        return 0;
    }
}

int port_is_listener_lost(int code)
{
    return code == WSAEINVAL || code == WSAENOTSOCK || code == WSAEOPNOTSUPP;
}

int port_is_would_block(int code)
{
    return code == WSAEWOULDBLOCK;
}
