/*
 * AcceptEx on a listener: those that wait, in order, and the addresses they report.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <stdlib.h>
#include <string.h>

/* The layout of Win32's address block, as far as GetAcceptExSockaddrs reads it: each address, then its length. */
static void store_address(char *block, DWORD room, const struct sockaddr *address, socklen_t length)
{
    DWORD size = room > 16 ? room - 16 : 0;
    if (length < size)
        size = length;
    memcpy(block, address, size);
    memcpy(block + room - sizeof size, &size, sizeof size);
}

void GetAcceptExSockaddrs(void *addresses, DWORD receive_length, DWORD local_length, DWORD remote_length,
                          struct sockaddr **local, int *local_size, struct sockaddr **remote, int *remote_size)
{
    char *block = (char *)addresses + receive_length;
    DWORD size;

    *local = (struct sockaddr *)block;
    memcpy(&size, block + local_length - sizeof size, sizeof size);
    *local_size = (int)size;
    block += local_length;
    *remote = (struct sockaddr *)block;
    memcpy(&size, block + remote_length - sizeof size, sizeof size);
    *remote_size = (int)size;
}

/* Give waiting AcceptEx what is in the queue of the listener, until one of the two runs out. With the lock held. */
void acceptor_accept(struct endpoint *e)
{
    while (e->accepts && e->readable) {
        struct waiting_accept *a = e->accepts;
        struct sockaddr_storage local, remote;
        socklen_t local_size = sizeof local, remote_size = sizeof remote;
        int error = 0, fd = accept4(e->fd, (struct sockaddr *)&remote, &remote_size, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0) {
            error = errno;
            if (error == EAGAIN || error == EWOULDBLOCK) {
                e->readable = 0;
                return;
            }
            if (error == EINTR)
                continue;
        } else {
            if (getsockname(fd, (struct sockaddr *)&local, &local_size) < 0)
                local_size = 0;
            store_address(a->addresses, a->local_length, (struct sockaddr *)&local, local_size);
            store_address((char *)a->addresses + a->local_length, a->remote_length, (struct sockaddr *)&remote, remote_size);
            a->accepted->fd = fd;
            a->accepted->connected = 1;
        }
        e->accepts = a->next;
        if (!e->accepts)
            e->accepts_end = &e->accepts;
        lane_complete(e->lane, a->overlapped, e->key, error, 0);
        free(a);
        if (error && (port_is_exhaustion(error) || port_is_listener_lost(error)))
            return; /* asking again at once would spin; the next AcceptEx will, when its caller thinks it worth while */
    }
}

BOOL AcceptEx(SOCKET listener, SOCKET accepted, void *addresses, DWORD receive_length, DWORD local_length,
              DWORD remote_length, LPDWORD received, LPOVERLAPPED overlapped)
{
    struct endpoint *e = endpoint_of(listener);
    struct waiting_accept *a = malloc(sizeof *a);
    (void)received;

    if (!a) {
        WSASetLastError(WSAENOBUFS);
        return FALSE;
    }
    *a = (struct waiting_accept){NULL, overlapped, endpoint_of(accepted), addresses, local_length, remote_length};
    spin_lock(&e->lock);
    if (receive_length || e->closed || !e->lane || !e->listening) {
        spin_unlock(&e->lock);
        free(a);
        WSASetLastError(WSAEINVAL);
        return FALSE;
    }
    *e->accepts_end = a;
    e->accepts_end = &a->next;
    acceptor_accept(e);
    spin_unlock(&e->lock);
    WSASetLastError(WSA_IO_PENDING);
    return FALSE;
}

/* Complete the AcceptEx that `overlapped` names, or all, as cancelled. Returns how many. With the lock held. */
int acceptor_cancel(struct endpoint *e, OVERLAPPED *overlapped)
{
    struct waiting_accept **link = &e->accepts;
    int found = 0;

    while (*link) {
        struct waiting_accept *a = *link;
        if (overlapped && overlapped != a->overlapped) {
            link = &a->next;
            continue;
        }
        *link = a->next;
        lane_complete(e->lane, a->overlapped, e->key, ERROR_OPERATION_ABORTED, 0);
        free(a);
        found++;
    }
    e->accepts_end = link;
    return found;
}
