/* handles: from a Windows socket to its connection. Handles are small multiples of four, so a table will do. */
#ifndef HANDLES_H
#define HANDLES_H

#include "packets.h"

static struct connection **by_handle;
static size_t handles;

static inline struct connection **find(SOCKET fd)
{
    size_t at = (size_t)fd / 4;
    if (at >= handles) {
        size_t before = handles;
        handles = 2 * at + 64;
        by_handle = checked(realloc(by_handle, handles * sizeof *by_handle));
        memset(by_handle + before, 0, (handles - before) * sizeof *by_handle);
    }
    return &by_handle[at];
}

#endif
