/*
 * Win32 itself: the vocabulary of port.h on Windows.
 *
 * Nothing is emulated here. This header brings in the system's headers in the one order that works (winsock2.h before
 * windows.h, which otherwise drags in the old winsock.h), and turns four names into function pointers: AcceptEx, ConnectEx,
 * DisconnectEx and GetAcceptExSockaddrs are not exported like other functions. They belong to the transport provider, which
 * hands them out through WSAIoctl; port_startup fetches each once. (mswsock.lib does export AcceptEx and
 * GetAcceptExSockaddrs, as a detour that looks the pointer up again on every call.)
 *
 * Reading order: win32.c (start-up, probe, the port, errors), win32_socket.c (sockets), win32_process.c (clock, processors,
 * threads, console).
 */
#ifndef IOCP_WIN32_H
#define IOCP_WIN32_H

#if defined(_WINSOCKAPI_) && !defined(_WINSOCK2API_)
#error "windows.h was included first and brought winsock.h with it: include port.h before it, or define WIN32_LEAN_AND_MEAN"
#endif

/* Windows 10. What is newer than that, or may be missing (SetThreadDescription), is looked up while running. */
#ifndef _WIN32_WINNT
#define _WIN32_WINNT 0x0A00
#endif
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif

#include <winsock2.h>
#include <ws2tcpip.h>
#include <mswsock.h>
#include <windows.h>

#ifdef __cplusplus
extern "C" {
#endif

/* NULL until port_startup has returned 0, never written after it. */
extern LPFN_ACCEPTEX port_accept_ex;
extern LPFN_CONNECTEX port_connect_ex;
extern LPFN_DISCONNECTEX port_disconnect_ex;
extern LPFN_GETACCEPTEXSOCKADDRS port_get_accept_ex_sockaddrs;

#ifdef __cplusplus
}
#endif

#define AcceptEx port_accept_ex
#define ConnectEx port_connect_ex
#define DisconnectEx port_disconnect_ex
#define GetAcceptExSockaddrs port_get_accept_ex_sockaddrs

#endif
