# What waits to be sent to a connection: a list of segments, each a stretch of a buffer.
#
# A packet is copied behind the last one as long as that buffer belongs to this queue alone and has room. A thousand sends in
# one callback fill a few buffers, which leave in one gathered WSASend (settle.pxi). A packet for many receivers lies in one
# buffer, which the segments of all of them point to.


# Put `c` on the list of those to be settled. With its lock held; whoever owns it settles it anyway.
cdef inline bint must_schedule(Connection *c) noexcept nogil:
    if c.scheduled or (c.owner != NULL and c.owner == <Worker *>worker_of_thread):
        return False
    c.scheduled = 1
    return True


# After must_schedule() said yes, and with no lock held.
cdef void schedule(Connection *c) noexcept nogil:
    cdef Core *core = c.core
    cdef Worker *w = <Worker *>worker_of_thread
    if w != NULL and w.core == core:
        c.next = w.dirty
        w.dirty = c
        return
    mutex_lock(&core.attention_lock)
    c.next = core.attention
    core.attention = c
    mutex_unlock(&core.attention_lock)
    wake_once(core, &core.attention_wake, KEY_ATTENTION)


# Leave the states in which the program uses the connection. With its lock held; schedule it afterwards if this says so: what
# has gone that far before is settled already, and a connection given up must not get into a list again.
cdef bint begin_end(Connection *c, int reason, int error, int state) noexcept nogil:
    if c.state >= state:
        return False
    if c.state <= OPEN:
        c.reason = <uint8_t>reason
        c.error = error
    elif c.state == FLUSHING and is_abuse(reason) and not c.told:
        c.reason = <uint8_t>reason
    # Not from the reason that was told: a session that the program closed may be cut while it flushes, and one closed with the reason
    # of a guard flushes like any other.
    if state == ENDING and is_abuse(reason):
        c.reset = 1
    c.state = <uint8_t>state
    return True


cdef void cut(Connection *c, int reason, int error, int state) noexcept nogil:
    cdef bint must
    spin_lock(&c.lock)
    must = begin_end(c, reason, error, state) and must_schedule(c)
    spin_unlock(&c.lock)
    if must:
        schedule(c)


cdef inline void append_segment(Connection *c, Segment *s) noexcept nogil:
    s.next = NULL
    if c.last != NULL:
        c.last.next = s
    else:
        c.first = s
    c.last = s


# Room for `size` bytes at the end of the queue, in one buffer; NULL: no memory. With the lock held.
cdef char *reserve(Connection *c, size_t size) noexcept nogil:
    cdef Segment *s = c.last
    cdef Buffer *b
    cdef char *place
    if s != NULL and not s.own and s.length < SHARE_FROM and size < SHARE_FROM:
        # A second small packet behind a shared small one: both in a buffer of its own. Gathering two buffers costs the kernel more
        # than one does: without this a fan-out of 4 packets to 200 reached 0.86 of C on libuv, with it 0.96.
        b = buffer_take(&c.core.pool, s.length + size)
        if b == NULL:
            return NULL
        memcpy(b.data, s.start, s.length)
        b.used = s.length
        buffer_release(&c.core.pool, s.buffer)
        s.buffer = b
        s.start = b.data
        s.own = 1
    if s == NULL or not s.own or s.buffer.capacity - s.buffer.used < size:
        # A second buffer shows that this connection sends a lot at once: give it a larger one.
        b = buffer_take(&c.core.pool, size if s == NULL or size > CLASS_SIZES[1] else CLASS_SIZES[1])
        s = segment_take(&c.core.pool)
        if b == NULL or s == NULL:
            if b != NULL:
                buffer_release(&c.core.pool, b)
            free(s)
            return NULL
        s.buffer = b
        s.start = b.data
        s.length = 0
        s.own = 1
        append_segment(c, s)
    place = s.start + s.length
    s.length += <uint32_t>size
    s.buffer.used += <uint32_t>size
    return place


# What follows a packet that could not be queued. With the lock held. NO_REASON: it may be queued.
cdef inline int judge_queue(Connection *c, size_t size) noexcept nogil:
    if c.core.rules.queued_bytes and c.queued + <int64_t>size > c.core.rules.queued_bytes:
        return SLOW_RECEIVER
    if size > 0x7FFFFFFF:
        return OUT_OF_MEMORY
    return NO_REASON


# Queue a packet: a reference to it if it lies in `shared` alone and is worth one, or a copy (`shared` NULL: always). Whether it
# was queued; if not, the connection has ended or ends now.
cdef bint enqueue(Connection *c, const char *data, size_t size, Buffer *shared) noexcept nogil:
    cdef char *place
    cdef Segment *s
    cdef bint must = False, queued = False
    cdef int verdict
    spin_lock(&c.lock)
    if c.state <= OPEN:
        verdict = judge_queue(c, size)
        if verdict == NO_REASON:
            if shared == NULL or (c.last != NULL and size < SHARE_FROM):
                place = reserve(c, size)
                if place != NULL:
                    memcpy(place, data, size)
                    queued = True
            else:
                s = segment_take(&c.core.pool)
                if s != NULL:
                    counter_add(&shared.references, 1)
                    s.buffer = shared
                    s.start = shared.data
                    s.length = <uint32_t>size
                    s.own = 0
                    append_segment(c, s)
                    queued = True
            if not queued:
                verdict = OUT_OF_MEMORY
        if queued:
            c.queued += size
        else:
            begin_end(c, verdict, 0, ENDING)
        must = must_schedule(c)
    spin_unlock(&c.lock)
    if must:
        schedule(c)
    return queued


# Throw away what is queued. With the lock held.
cdef void drop_queue(Connection *c) noexcept nogil:
    cdef Segment *s = c.first
    while s != NULL:
        c.queued -= s.length
        s = s.next
    segments_release(&c.core.pool, c.first)
    c.first = NULL
    c.last = NULL


# Leave GATHER_BYTES in the first segment: a large packet goes out in parts, so that Limits.send_timeout sees each of them taken.
cdef void split_segment(Connection *c, Segment *s) noexcept nogil:
    cdef Segment *rest = segment_take(&c.core.pool)
    if rest == NULL:        # then it goes out whole
        return
    counter_add(&s.buffer.references, 1)
    rest.buffer = s.buffer
    rest.start = s.start + GATHER_BYTES
    rest.length = s.length - GATHER_BYTES
    rest.own = 0
    rest.next = s.next
    s.length = GATHER_BYTES
    s.next = rest
    if c.last == s:
        c.last = rest


# Take up to GATHER segments and GATHER_BYTES off the queue into a send operation; the WSABUFs are filled too. With the lock held.
cdef SendOperation *gather(Connection *c, WSABUF *buffers, DWORD *count) noexcept nogil:
    cdef SendOperation *op = send_operation_take(&c.core.pool)
    cdef Segment *s = c.first
    cdef Segment *previous = NULL
    cdef uint32_t bytes = 0
    cdef DWORD n = 0
    if op == NULL:
        return NULL
    if s.length > GATHER_BYTES:
        split_segment(c, s)
    while s != NULL and n < GATHER and (n == 0 or bytes + s.length <= GATHER_BYTES):
        buffers[n].buf = s.start
        buffers[n].len = s.length
        bytes += s.length
        n += 1
        previous = s
        s = s.next
    op.first = c.first
    previous.next = NULL
    c.first = s
    if s == NULL:
        c.last = NULL
    op.bytes = bytes
    op.operation.connection = c
    count[0] = n
    return op
