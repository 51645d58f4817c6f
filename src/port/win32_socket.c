/*
 * Sockets on Windows, as the port wants them.
 *
 * Every socket is overlapped (its operations go through the port), not inherited by child processes, and non-blocking: the
 * core waits with a zero-byte WSARecv and then takes the bytes with plain recv(), which must answer WSAEWOULDBLOCK and never
 * wait. The mode has no effect on overlapped calls; they never block. The listener has it too, so that it stays whatever
 * SO_UPDATE_ACCEPT_CONTEXT carries over to the accepted socket.
 *
 * FILE_SKIP_COMPLETION_PORT_ON_SUCCESS is not set here: it can be set only once per handle and belongs to the association
 * with a port, which is the core's step.
 */
#include "port.h"

#include <string.h>

#ifndef SO_REUSE_UNICASTPORT
#define SO_REUSE_UNICASTPORT 0x3007 /* Windows 10; older SDK headers lack it */
#endif
#ifndef SOMAXCONN_HINT
#define SOMAXCONN_HINT(backlog) (-(backlog))
#endif

/* A longer queue than this is given only to those who ask for it as SOMAXCONN_HINT. */
enum { PLAIN_BACKLOG = 200 };

static int set_flag(SOCKET s, int level, int option, int value)
{
    return setsockopt(s, level, option, (const char *)&value, (int)sizeof value);
}

/* closesocket() may change the last error, which the caller is about to ask for. */
static SOCKET give_up(SOCKET s)
{
    int code = WSAGetLastError();
    closesocket(s);
    WSASetLastError(code);
    return INVALID_SOCKET;
}

SOCKET port_socket(int family)
{
    u_long non_blocking = 1;
    SOCKET s = WSASocketW(family, SOCK_STREAM, IPPROTO_TCP, NULL, 0, WSA_FLAG_OVERLAPPED | WSA_FLAG_NO_HANDLE_INHERIT);
    if (s == INVALID_SOCKET)
        return INVALID_SOCKET;
    if (ioctlsocket(s, (long)FIONBIO, &non_blocking) != 0)
        return give_up(s);
    /* As on Linux an IPv6 socket may reach IPv4 (as ::ffff:a.b.c.d). Where there is no IPv4 this fails, and need not work. */
    if (family == AF_INET6)
        (void)set_flag(s, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    return s;
}

SOCKET port_listen(const struct sockaddr *address, int length, int backlog, int v6only)
{
    SOCKET s = port_socket(address->sa_family);
    if (s == INVALID_SOCKET)
        return INVALID_SOCKET;
    /* Without it another process with SO_REUSEADDR could bind the same port and steal the connections. */
    if (set_flag(s, SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1) != 0)
        return give_up(s);
    if (address->sa_family == AF_INET6 && set_flag(s, IPPROTO_IPV6, IPV6_V6ONLY, v6only != 0) != 0)
        return give_up(s);
    if (bind(s, address, length) != 0)
        return give_up(s);
    if (listen(s, backlog > PLAIN_BACKLOG ? SOMAXCONN_HINT(backlog) : backlog) != 0)
        return give_up(s);
    return s;
}

/* getsockname() says nothing about a socket that is not bound yet; the provider's description does. */
static int family_of(SOCKET s)
{
    WSAPROTOCOL_INFOW info;
    int size = (int)sizeof info;
    if (getsockopt(s, SOL_SOCKET, SO_PROTOCOL_INFOW, (char *)&info, &size) != 0)
        return AF_UNSPEC;
    return info.iAddressFamily;
}

int port_bind(SOCKET s, const struct sockaddr *source, int length)
{
    struct sockaddr_in any4;
    struct sockaddr_in6 any6;

    /* Let the port be chosen when the destination is known: then one local port serves many destinations, and many sources of a
     * load tool, which is not limited to the 16,384 ephemeral ports in all. Where the option is unknown the old limit holds. */
    (void)set_flag(s, SOL_SOCKET, SO_REUSE_UNICASTPORT, 1);
    if (source != NULL)
        return bind(s, source, length);
    switch (family_of(s)) {
    case AF_INET:
        memset(&any4, 0, sizeof any4);
        any4.sin_family = AF_INET;
        any4.sin_addr.s_addr = htonl(INADDR_ANY);
        return bind(s, (const struct sockaddr *)&any4, (int)sizeof any4);
    case AF_INET6:
        memset(&any6, 0, sizeof any6);
        any6.sin6_family = AF_INET6;
        any6.sin6_addr = in6addr_any;
        return bind(s, (const struct sockaddr *)&any6, (int)sizeof any6);
    default:
        return SOCKET_ERROR; /* the error is getsockopt's: not a socket */
    }
}

int port_adopt(SOCKET s, SOCKET listener)
{
    int result;
    /* Until then the socket does not know that it is connected: shutdown(), getpeername() and getsockname() fail. The option's
     * value is the listener's handle, so its size is that of a pointer. */
    if (listener != INVALID_SOCKET)
        result = setsockopt(s, SOL_SOCKET, SO_UPDATE_ACCEPT_CONTEXT, (const char *)&listener, (int)sizeof listener);
    else
        result = setsockopt(s, SOL_SOCKET, SO_UPDATE_CONNECT_CONTEXT, NULL, 0);
    if (result != 0) {
        /* It was connected: a peer that is gone since has reset it. */
        if (WSAGetLastError() == WSAENOTCONN)
            WSASetLastError(WSAECONNRESET);
        return SOCKET_ERROR;
    }
    /* A game packet is small and wanted now. Gathering packets is the core's business, which knows when the batch ends. */
    return set_flag(s, IPPROTO_TCP, TCP_NODELAY, 1);
}

void port_reset_on_close(SOCKET s)
{
    struct linger at_once;
    at_once.l_onoff = 1;
    at_once.l_linger = 0;
    (void)setsockopt(s, SOL_SOCKET, SO_LINGER, (const char *)&at_once, (int)sizeof at_once);
}

void port_buffers(SOCKET s, int send_bytes, int receive_bytes)
{
    if (send_bytes > 0)
        (void)set_flag(s, SOL_SOCKET, SO_SNDBUF, send_bytes);
    if (receive_bytes > 0)
        (void)set_flag(s, SOL_SOCKET, SO_RCVBUF, receive_bytes);
}

int port_finish(SOCKET s)
{
    return shutdown(s, SD_SEND);
}

int port_local_address(SOCKET s, struct sockaddr *address, int *length)
{
    return getsockname(s, address, length);
}

int port_peer_address(SOCKET s, struct sockaddr *address, int *length)
{
    return getpeername(s, address, length);
}
