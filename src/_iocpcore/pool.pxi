# Buffers, segments and operations, used again and again: in steady state nothing is taken from the system, which
# `Stats.buffers_allocated` shows by standing still.
#
# Sizes: 512 bytes hold what one callback usually sends to one session (32 packets of 16 bytes), or the beginning of a packet;
# 4 KiB what a busy one does; 64 KiB are what one gathered send takes. A larger packet gets memory of its own.

cdef enum:
    POOL_KEEPS = 8 << 20    # bytes of each size kept for the next time: 1,000 connections with 8 KiB waiting

cdef uint32_t[SIZE_CLASSES] CLASS_SIZES
CLASS_SIZES[0] = 512
CLASS_SIZES[1] = 4096
CLASS_SIZES[2] = 65536


# A buffer of at least `size` bytes with one reference, NULL if there is no memory.
cdef Buffer *buffer_take(Pool *pool, size_t size) noexcept nogil:
    cdef Buffer *b
    cdef int size_class = 0
    while size_class < SIZE_CLASSES and CLASS_SIZES[size_class] < size:
        size_class += 1
    if size_class < SIZE_CLASSES:
        spin_lock(&pool.lock)
        b = pool.buffers[size_class]
        if b != NULL:
            pool.buffers[size_class] = b.next
            pool.idle[size_class] -= 1
        spin_unlock(&pool.lock)
        size = CLASS_SIZES[size_class]
    else:
        b = NULL
    if b == NULL:
        b = <Buffer *>malloc(sizeof(Buffer) + size)
        if b == NULL:
            return NULL
        counter_add(&pool.allocated, 1)
        b.capacity = <uint32_t>size
        b.size_class = <uint8_t>size_class
    b.next = NULL
    b.used = 0
    counter_set(&b.references, 1)
    counter_add(&pool.in_use, 1)
    return b


# Give up one reference; the last one gives the buffer back.
cdef void buffer_release(Pool *pool, Buffer *b) noexcept nogil:
    cdef bint keep = False
    if counter_add(&b.references, -1) > 0:
        return
    counter_add(&pool.in_use, -1)
    if b.size_class < SIZE_CLASSES:
        spin_lock(&pool.lock)
        keep = pool.idle[b.size_class] * CLASS_SIZES[b.size_class] < POOL_KEEPS
        if keep:
            b.next = pool.buffers[b.size_class]
            pool.buffers[b.size_class] = b
            pool.idle[b.size_class] += 1
        spin_unlock(&pool.lock)
    if not keep:
        free(b)


cdef Segment *segment_take(Pool *pool) noexcept nogil:
    cdef Segment *s
    spin_lock(&pool.lock)
    s = pool.segments
    if s != NULL:
        pool.segments = s.next
    spin_unlock(&pool.lock)
    if s == NULL:
        s = <Segment *>malloc(sizeof(Segment))
    return s


# Give back a list of segments and their references to buffers.
cdef void segments_release(Pool *pool, Segment *first) noexcept nogil:
    cdef Segment *s = first
    if first == NULL:
        return
    while True:
        buffer_release(pool, s.buffer)
        if s.next == NULL:
            break
        s = s.next
    spin_lock(&pool.lock)
    s.next = pool.segments
    pool.segments = first
    spin_unlock(&pool.lock)


cdef SendOperation *send_operation_take(Pool *pool) noexcept nogil:
    cdef SendOperation *op
    spin_lock(&pool.lock)
    op = pool.sends
    if op != NULL:
        pool.sends = op.next
    spin_unlock(&pool.lock)
    if op == NULL:
        op = <SendOperation *>malloc(sizeof(SendOperation))
        if op == NULL:
            return NULL
    memset(&op.operation, 0, sizeof(Operation))
    op.operation.kind = SEND
    return op


cdef void send_operation_release(Pool *pool, SendOperation *op) noexcept nogil:
    spin_lock(&pool.lock)
    op.next = pool.sends
    pool.sends = op
    spin_unlock(&pool.lock)


cdef void pool_free(Pool *pool) noexcept nogil:
    cdef Buffer *b
    cdef Segment *s
    cdef SendOperation *op
    cdef int i
    for i in range(SIZE_CLASSES):
        while pool.buffers[i] != NULL:
            b = pool.buffers[i]
            pool.buffers[i] = b.next
            free(b)
    while pool.segments != NULL:
        s = pool.segments
        pool.segments = s.next
        free(s)
    while pool.sends != NULL:
        op = pool.sends
        pool.sends = op.next
        free(op)
