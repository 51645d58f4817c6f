/*
 * Packets posted to the port: a ring that grows, and the one packet that a signal handler may leave.
 *
 * They belong to no lane: whichever thread looks first takes them.
 */
#define _GNU_SOURCE
#include "linux.h"

#include <stdlib.h>
#include <unistd.h>

enum { FIRST_SIZE = 256 };

int posted_init(struct port *port)
{
    port->posted = malloc(FIRST_SIZE * sizeof *port->posted);
    port->posted_size = FIRST_SIZE;
    return port->posted ? 0 : ENOMEM;
}

/* Make room for one more. With the lock held. */
static int grow(struct port *port, size_t count)
{
    OVERLAPPED_ENTRY *larger;

    if (count < port->posted_size)
        return 1;
    larger = malloc(2 * port->posted_size * sizeof *larger);
    if (!larger)
        return 0;
    for (size_t i = 0; i < count; i++)
        larger[i] = port->posted[(port->posted_first + i) & (port->posted_size - 1)];
    free(port->posted);
    port->posted = larger;
    port->posted_first = 0;
    port->posted_size *= 2;
    return 1;
}

BOOL PostQueuedCompletionStatus(HANDLE handle, DWORD bytes, ULONG_PTR key, LPOVERLAPPED overlapped)
{
    struct port *port = handle;
    size_t count;

    mutex_lock(&port->lock);
    count = atomic_load(&port->posted_count);
    if (!grow(port, count)) {
        mutex_unlock(&port->lock);
        WSASetLastError(ENOMEM);
        return FALSE;
    }
    port->posted[(port->posted_first + count) & (port->posted_size - 1)] = (OVERLAPPED_ENTRY){key, overlapped, 0, bytes};
    atomic_store(&port->posted_count, count + 1);
    mutex_unlock(&port->lock);
    for (DWORD i = 0; i < port->lane_count; i++) {
        struct lane *lane = &port->lanes[i];
        if (atomic_load(&lane->state) == LANE_ASLEEP) {
            lane_wake(lane);
            break;
        }
    }
    return TRUE;
}

void port_signal(struct port *port)
{
    uint64_t one = 1;
    atomic_store(&port->signalled, 1);
    for (DWORD i = 0; i < port->lane_count; i++) {
        ssize_t written = write(port->lanes[i].wake, &one, sizeof one);
        (void)written;
    }
}

ULONG posted_take(struct port *port, LPOVERLAPPED_ENTRY entries, ULONG room)
{
    ULONG taken = 0;
    size_t count;

    if (room && atomic_load(&port->signalled) && atomic_exchange(&port->signalled, 0))
        entries[taken++] = (OVERLAPPED_ENTRY){port->routed_key, NULL, 0, 0};
    if (!atomic_load(&port->posted_count))
        return taken;
    mutex_lock(&port->lock);
    count = atomic_load(&port->posted_count);
    while (taken < room && count) {
        entries[taken++] = port->posted[port->posted_first];
        port->posted_first = (port->posted_first + 1) & (port->posted_size - 1);
        count--;
    }
    atomic_store(&port->posted_count, count);
    mutex_unlock(&port->lock);
    return taken;
}

int posted_any(const struct port *port)
{
    return atomic_load(&port->posted_count) || atomic_load(&port->signalled);
}
