/* Sockets for the tests, and bytes whose order can be checked: see harness.h. */
#include "harness.h"

#include <string.h>

#ifndef _WIN32
#include <arpa/inet.h>
#endif

struct address loopback_address(int family, int port)
{
    struct address address;
    memset(&address, 0, sizeof address);
    if (family == AF_INET) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)&address.storage;
        v4->sin_family = AF_INET;
        v4->sin_port = htons((unsigned short)port);
        v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.length = (int)sizeof *v4;
    } else {
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address.storage;
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((unsigned short)port);
        v6->sin6_addr = in6addr_loopback;
        address.length = (int)sizeof *v6;
    }
    return address;
}

int port_number(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)address)->sin_port);
    CHECK_EQUAL(address->sa_family, AF_INET6);
    return ntohs(((const struct sockaddr_in6 *)address)->sin6_port);
}

void associate(SOCKET s, ULONG_PTR key)
{
    if (CreateIoCompletionPort((HANDLE)s, the_port, key, 0) != the_port)
        FAIL("CreateIoCompletionPort for a socket failed with error %d", WSAGetLastError());
    if (skip_wanted &&
        !SetFileCompletionNotificationModes((HANDLE)s, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE))
        FAIL("SetFileCompletionNotificationModes failed with error %d", WSAGetLastError());
}

SOCKET open_listener(int family)
{
    struct address address = loopback_address(family, 0);
    SOCKET listener = port_listen((struct sockaddr *)&address.storage, address.length, 128, 1);
    if (listener == INVALID_SOCKET)
        FAIL("port_listen failed with error %d", WSAGetLastError());
    associate(listener, 1);
    return listener;
}

int listener_port(SOCKET listener)
{
    struct address address;
    address.length = (int)sizeof address.storage;
    CHECK_EQUAL(port_local_address(listener, (struct sockaddr *)&address.storage, &address.length), 0);
    return port_number((struct sockaddr *)&address.storage);
}

SOCKET accept_peer(SOCKET listener, int family, ULONG_PTR key)
{
    struct operation *accept = operation_new(ACCEPT, listener);
    SOCKET s;
    if (start_accept(accept, family) == STARTED)
        wait_for(accept);
    if (accept->error)
        FAIL("AcceptEx failed with error %d", accept->error);
    s = accept->accepted;
    if (port_adopt(s, listener) != 0)
        FAIL("port_adopt failed with error %d", WSAGetLastError());
    associate(s, key);
    operation_free(accept);
    return s;
}

void open_pair(SOCKET *here, peer_t *there, ULONG_PTR key, int buffer)
{
    SOCKET listener = open_listener(AF_INET);
    *there = peer_socket(PEER_IPV4, buffer);
    CHECK(peer_connect(*there, PEER_IPV4, listener_port(listener)));
    *here = accept_peer(listener, AF_INET, key);
    close_socket_now(listener);
}

void close_socket_now(SOCKET s)
{
    CHECK_EQUAL(closesocket(s), 0);
}

int receive_some(SOCKET s, char *bytes, int size)
{
    struct operation *receive = operation_new(RECEIVE, s);
    int result = 0, code;
    for (;;) {
        enum start start = start_receive(receive);
        if (start == STARTED)
            wait_for(receive);
        if (start == REFUSED || receive->error) {
            result = -receive->error;
            break;
        }
        result = recv(s, bytes, size, 0);
        if (result >= 0)
            break;
        code = WSAGetLastError();
        if (!port_is_would_block(code)) {
            result = -code;
            break;
        }
    }
    operation_free(receive);
    return result;
}

void receive_all(SOCKET s, char *bytes, int size)
{
    while (size > 0) {
        int got = receive_some(s, bytes, size);
        if (got <= 0)
            FAIL("%d bytes were to come, but receiving gave %d", size, got);
        bytes += got;
        size -= got;
    }
}

void send_all(SOCKET s, const char *bytes, int size)
{
    struct operation *send = operation_new(SEND, s);
    WSABUF buffer;
    buffer.buf = (char *)bytes;
    buffer.len = (ULONG)size;
    if (start_send(send, &buffer, 1) == STARTED)
        wait_for(send);
    if (send->error)
        FAIL("WSASend failed with error %d", send->error);
    CHECK_EQUAL(send->bytes, size);
    operation_free(send);
}

static unsigned char numbered(size_t position, unsigned salt)
{
    /* 251 is prime: a lost or repeated block of a power of two changes every byte after it. */
    return (unsigned char)((position * 7 + position / 251 + salt * 31) & 0xFF);
}

void number_bytes(char *bytes, size_t size, size_t position, unsigned salt)
{
    size_t i;
    for (i = 0; i < size; i++)
        bytes[i] = (char)numbered(position + i, salt);
}

void check_numbered(const char *bytes, size_t size, size_t position, unsigned salt)
{
    size_t i;
    for (i = 0; i < size; i++)
        if ((unsigned char)bytes[i] != numbered(position + i, salt))
            FAIL("byte %lu of stream %u is %u, not %u", (unsigned long)(position + i), salt, (unsigned char)bytes[i],
                 numbered(position + i, salt));
}
