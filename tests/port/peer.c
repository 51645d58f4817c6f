/* Plain blocking sockets: see peer.h. */
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <winsock2.h>
#include <ws2tcpip.h>
typedef int length_t;
#define close_socket closesocket
#define last_error() WSAGetLastError()
#else
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
typedef int SOCKET;
typedef socklen_t length_t;
#define INVALID_SOCKET (-1)
#define SD_SEND SHUT_WR
#define close_socket close
#define last_error() errno
#endif

#include <string.h>

#include "check.h"
#include "peer.h"

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static length_t loopback(union address *address, int version, int port)
{
    memset(address, 0, sizeof *address);
    if (version == PEER_IPV4) {
        address->v4.sin_family = AF_INET;
        address->v4.sin_port = htons((unsigned short)port);
        address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return (length_t)sizeof address->v4;
    }
    address->v6.sin6_family = AF_INET6;
    address->v6.sin6_port = htons((unsigned short)port);
    address->v6.sin6_addr = in6addr_loopback;
    return (length_t)sizeof address->v6;
}

static void set_deadline(SOCKET s)
{
#ifdef _WIN32
    DWORD limit = (DWORD)deadline_milliseconds();
#else
    struct timeval limit = {.tv_sec = deadline_milliseconds() / 1000, .tv_usec = 0};
#endif
    setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, (const char *)&limit, sizeof limit);
    setsockopt(s, SOL_SOCKET, SO_SNDTIMEO, (const char *)&limit, sizeof limit);
}

peer_t peer_socket(int version, int buffer)
{
    SOCKET s = socket(version == PEER_IPV4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
    int on = 1;
    if (s == INVALID_SOCKET)
        FAIL("the peer got no socket: error %d", last_error());
    set_deadline(s);
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, (const char *)&on, sizeof on);
    if (buffer)
        setsockopt(s, SOL_SOCKET, SO_RCVBUF, (const char *)&buffer, sizeof buffer);
    return (peer_t)s;
}

/* A call with a deadline is not started again by the kernel, and a ring's work for this thread interrupts it like a signal. */
static int interrupted(void)
{
#ifdef _WIN32
    return 0;
#else
    return errno == EINTR;
#endif
}

int peer_connect(peer_t peer, int version, int port)
{
    union address address;
    length_t length = loopback(&address, version, port);
    if (connect((SOCKET)peer, &address.any, length) == 0)
        return 1;
#ifndef _WIN32
    if (interrupted()) { /* it goes on without us: see connect(2) */
        struct pollfd wait = {.fd = (SOCKET)peer, .events = POLLOUT, .revents = 0};
        int error = 0;
        socklen_t size = sizeof error;
        while (poll(&wait, 1, deadline_milliseconds()) < 0 && interrupted())
            continue;
        return getsockopt((SOCKET)peer, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0 && wait.revents != 0;
    }
#endif
    return 0;
}

peer_t peer_open(int version, int port)
{
    peer_t peer = peer_socket(version, 0);
    if (!peer_connect(peer, version, port))
        FAIL("the peer could not connect: error %d", last_error());
    return peer;
}

void peer_send(peer_t peer, const void *bytes, size_t size)
{
    const char *from = bytes;
    while (size > 0) {
        long sent = (long)send((SOCKET)peer, from, (int)(size < 65536 ? size : 65536), 0);
        if (sent < 0 && interrupted())
            continue;
        if (sent <= 0)
            FAIL("the peer could not send: error %d", last_error());
        from += sent;
        size -= (size_t)sent;
    }
}

long peer_receive(peer_t peer, void *bytes, size_t size)
{
    long got;
    do
        got = (long)recv((SOCKET)peer, bytes, (int)(size < 65536 ? size : 65536), 0);
    while (got < 0 && interrupted());
    if (got < 0) {
        int code = last_error();
#ifdef _WIN32
        if (code == WSAETIMEDOUT)
#else
        if (code == EAGAIN)
#endif
            FAIL("the peer waited %d ms and received nothing", deadline_milliseconds());
        return -1;
    }
    return got;
}

void peer_receive_all(peer_t peer, void *bytes, size_t size)
{
    char *to = bytes;
    while (size > 0) {
        long got = peer_receive(peer, to, size);
        if (got <= 0)
            FAIL("the peer saw the %s with %lu bytes to come", got == 0 ? "end of the stream" : "connection break",
                 (unsigned long)size);
        to += got;
        size -= (size_t)got;
    }
}

void peer_finish(peer_t peer)
{
    shutdown((SOCKET)peer, SD_SEND);
}

void peer_close(peer_t peer)
{
    close_socket((SOCKET)peer);
}

void peer_reset(peer_t peer)
{
    struct linger at_once;
    memset(&at_once, 0, sizeof at_once);
    at_once.l_onoff = 1;
    setsockopt((SOCKET)peer, SOL_SOCKET, SO_LINGER, (const char *)&at_once, sizeof at_once);
    close_socket((SOCKET)peer);
}

int peer_port(peer_t peer)
{
    union address address;
    length_t length = (length_t)sizeof address;
    if (getsockname((SOCKET)peer, &address.any, &length) != 0)
        FAIL("the peer does not know its address: error %d", last_error());
    return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

peer_t peer_bind(int version)
{
    peer_t peer = peer_socket(version, 0);
    union address address;
    length_t length = loopback(&address, version, 0);
    if (bind((SOCKET)peer, &address.any, length) != 0)
        FAIL("the peer got no port number: error %d", last_error());
    return peer;
}

peer_t peer_listen(int version, int backlog)
{
    peer_t peer = peer_bind(version);
    if (listen((SOCKET)peer, backlog) != 0)
        FAIL("the peer could not listen: error %d", last_error());
    return peer;
}

peer_t peer_accept(peer_t listener)
{
    SOCKET s;
    do
        s = accept((SOCKET)listener, NULL, NULL);
    while (s == INVALID_SOCKET && interrupted());
    if (s == INVALID_SOCKET)
        FAIL("nobody connected to the peer: error %d", last_error());
    set_deadline(s);
    return (peer_t)s;
}
