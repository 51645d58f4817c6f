# From a completed receive to whole packets.
#
# The receive itself was of zero bytes; now recv() puts what is there into the worker's arena, behind the beginning of a packet
# that was left over last time. Whole packets stay in the arena until the handlers have run; a new leftover goes into a
# buffer of the connection's. A packet larger than the budget of one turn is collected in a buffer of its own, which grows with
# what has arrived and not with what its length field promises.


# Keep the beginning of a packet for the next receive. False: no memory.
cdef bint keep_partial(Connection *c, const char *data, size_t size) noexcept nogil:
    cdef Pool *pool = &c.core.pool
    if c.partial != NULL and c.partial.capacity < size:
        buffer_release(pool, c.partial)
        c.partial = NULL
    if size == 0:
        if c.partial != NULL:
            buffer_release(pool, c.partial)
            c.partial = NULL
        return True
    if c.partial == NULL:
        c.partial = buffer_take(pool, size)
        if c.partial == NULL:
            return False
    memcpy(c.partial.data, data, size)
    c.partial.used = <uint32_t>size
    return True


# Make the buffer of a large packet larger, up to what the packet needs. False: no memory.
cdef bint grow_partial(Connection *c, uint64_t needed) noexcept nogil:
    cdef uint64_t size = <uint64_t>c.partial.capacity * 2
    cdef Buffer *larger
    if size > needed:
        size = needed
    larger = buffer_take(&c.core.pool, <size_t>size)
    if larger == NULL:
        return False
    memcpy(larger.data, c.partial.data, c.partial.used)
    larger.used = c.partial.used
    buffer_release(&c.core.pool, c.partial)
    c.partial = larger
    return True


# Account for `size` bytes with `packets` whole packets. A reason to cut, or NO_REASON.
cdef inline int note_received(Worker *w, Connection *c, int64_t packets) noexcept nogil:
    if packets:
        counter_put(&c.last_packet, w.now)
        counter_own(&w.packets_received, packets)
        if not within_rate(c, packets, w.now):
            return PACKET_RATE
    return NO_REASON


# What a recv() that brought no bytes means.
cdef void receive_nothing(Worker *w, Connection *c, int got, int error) noexcept nogil:
    if got < 0 and port_is_would_block(error):
        return              # an edge without bytes behind it: the next receive is armed
    spin_lock(&c.lock)
    if c.state == FINISHING:
        begin_end(c, CLOSED, 0, ENDING)
    elif got == 0:
        begin_end(c, PEER_CLOSED, 0, FLUSHING)
    else:
        fail(c, error)
    spin_unlock(&c.lock)


cdef void packets_arrived(Worker *w, Connection *c, char *data, size_t size, Buffer *buffer) noexcept nogil:
    cdef Event *e = add_event(w, EVENT_PACKETS, c)
    e.data = data
    e.size = size
    e.buffer = buffer


# Collect more of a large packet. Returns whether the worker has to keep the connection for its handlers.
cdef bint receive_large(Worker *w, Connection *c, uint64_t needed) noexcept nogil:
    cdef Buffer *b = c.partial
    cdef int got, verdict
    cdef uint64_t room
    if b.used == b.capacity and not grow_partial(c, needed):
        cut(c, OUT_OF_MEMORY, 0, ENDING)
        return False
    b = c.partial
    room = b.capacity if b.capacity < needed else needed
    room -= b.used
    if room > 4 * RECEIVE_BUDGET:
        room = 4 * RECEIVE_BUDGET
    got = recv(c.socket, b.data + b.used, <int>room, 0)
    counter_own(&w.receives, 1)
    if got <= 0:
        receive_nothing(w, c, got, WSAGetLastError() if got < 0 else 0)
        return False
    counter_own(&w.bytes_received, got)
    b.used += <uint32_t>got
    if b.used < needed:
        return False
    c.partial = NULL
    verdict = note_received(w, c, 1)
    if verdict != NO_REASON:
        buffer_release(&c.core.pool, b)
        cut(c, verdict, 0, ENDING)
        return False
    if c.player != NULL:
        play(w, c, b.data, b.used)
        buffer_release(&c.core.pool, b)
        return False
    packets_arrived(w, c, b.data, b.used, b)
    return True


# Receive from `c`, which this worker owns. Returns whether its handlers have something to do.
cdef bint receive_packets(Worker *w, Connection *c) noexcept nogil:
    cdef FramingRules *rules = &c.core.framing
    cdef char *start = w.arena + w.arena_used
    cdef size_t size = 0, whole
    cdef int64_t packets
    cdef uint64_t needed
    cdef int got, verdict
    if c.partial != NULL:
        size = c.partial.used
        if size >= <size_t>rules.header:
            needed = packet_size(rules, c.partial.data)
            if needed > RECEIVE_BUDGET:
                return receive_large(w, c, needed)
        memcpy(start, c.partial.data, size)
    got = recv(c.socket, start + size, RECEIVE_BUDGET, 0)
    counter_own(&w.receives, 1)
    if got <= 0:
        receive_nothing(w, c, got, WSAGetLastError() if got < 0 else 0)
        return False
    counter_own(&w.bytes_received, got)
    if c.state == FINISHING:
        return False        # the program has ended it: thrown away
    size += got
    verdict = scan_packets(rules, start, size, &whole, &packets)
    if verdict == NO_REASON and not keep_partial(c, start + whole, size - whole):
        verdict = OUT_OF_MEMORY
    if note_received(w, c, packets) == PACKET_RATE:
        cut(c, PACKET_RATE, 0, ENDING)
        return False
    if c.player != NULL and whole:
        play(w, c, start, whole)
        whole = 0           # nobody else will read them
    if whole == 0:
        if verdict != NO_REASON:
            cut(c, verdict, 0, ENDING)
        return False
    # The handlers still get the good packets in front of a bad one.
    packets_arrived(w, c, start, whole, NULL)
    w.events[w.event_count - 1].after = verdict
    w.arena_used += whole
    return True


# The receive of `c` has completed, or can be done without waiting.
cdef void receive_completed(Worker *w, Connection *c, int error) noexcept nogil:
    cdef bint read
    spin_lock(&c.lock)
    c.receiving = 0
    counter_add(&c.core.ops_in_flight, -1)
    read = c.state == OPEN or c.state == FINISHING
    if read and error:
        if c.state == FINISHING:
            begin_end(c, CLOSED, 0, ENDING)
        else:
            fail(c, error)
        read = False
    if not read or c.owner != NULL:
        settle_locked(w, c)
        return
    own(w, c)
    spin_unlock(&c.lock)
    if not receive_packets(w, c):
        settle(w, c, True, False)
