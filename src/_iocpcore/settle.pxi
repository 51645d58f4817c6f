# The life of a connection: one function that moves it on as far as it can go.
#
# settle() is called whenever something about a connection has changed: after handlers ran for it, after one of its operations
# completed, after another thread sent to it or closed it, when its guard's timer fired. Everything it decides, it decides
# under the connection's lock from the connection's state alone, so that it does not matter who calls it, how often, or in
# which order. The only things it does outside the lock are the WSASend itself (`flushing` keeps others out meanwhile) and
# what nobody else can see any more.


cdef enum:
    LINGER = 1000000000     # nanoseconds that the peer has to end its side, so that closing does not reset what it has not read
    STOP_LINGER = 200000000     # the same at a stop, which many peers may hold up


# Take `c` for this worker: until settle() is called with `owned`, nobody else calls handlers for it. With the lock held.
cdef inline void own(Worker *w, Connection *c) noexcept nogil:
    c.owner = w


cdef Event *add_event(Worker *w, int kind, Connection *c) noexcept nogil:
    cdef Event *e = &w.events[w.event_count]
    w.event_count += 1
    e.kind = kind
    e.connection = c
    e.data = NULL
    e.size = 0
    e.buffer = NULL
    e.after = NO_REASON
    e.counted = NULL
    return e


# Room for the events of one more completion.
cdef inline bint events_full(Worker *w) noexcept nogil:
    return w.event_count >= BATCH


# Send what is queued. With the lock held, which it gives up and takes again around each WSASend.
cdef void flush(Worker *w, Connection *c) noexcept nogil:
    cdef WSABUF buffers[GATHER]
    cdef DWORD count, sent
    cdef SendOperation *op
    cdef uint32_t bytes
    cdef int result, error
    while (c.first != NULL and not c.flushing and c.sends < c.core.sends_in_flight
           and (c.state == OPEN or c.state == FLUSHING)):
        op = gather(c, buffers, &count)
        if op == NULL:
            begin_end(c, OUT_OF_MEMORY, 0, ENDING)
            return
        bytes = op.bytes
        if c.sends == 0:
            c.send_began = w.now
        c.sends += 1
        c.flushing = 1
        counter_add(&c.core.ops_in_flight, 1)
        spin_unlock(&c.lock)
        # Once this returns with "pending", another worker may have dequeued the completion and freed `op`.
        result = WSASend(c.socket, buffers, count, &sent, 0, &op.operation.overlapped, NULL)
        error = WSAGetLastError() if result == SOCKET_ERROR else 0 if c.skips else WSA_IO_PENDING
        if error != WSA_IO_PENDING:
            counter_add(&c.core.ops_in_flight, -1)
            segments_release(&c.core.pool, op.first)
            send_operation_release(&c.core.pool, op)
        counter_own(&w.sends, 1)
        spin_lock(&c.lock)
        c.flushing = 0
        if error == 0:
            c.sends -= 1
            c.queued -= bytes
            counter_own(&w.bytes_sent, bytes)
        elif error == WSA_IO_PENDING:
            c.cancelled = 0     # if it was cut meanwhile, this one was started too late to be cancelled with the others
            guard_arm(c)
        else:
            c.sends -= 1
            c.queued -= bytes
            fail(c, error)


# The system reported an error on this connection. With the lock held.
cdef void fail(Connection *c, int error) noexcept nogil:
    if port_is_reset(error):
        begin_end(c, PEER_RESET, error, ENDING)
    elif port_is_exhaustion(error):
        begin_end(c, OUT_OF_MEMORY, error, ENDING)
    else:
        begin_end(c, SYSTEM_ERROR, error, ENDING)


cdef inline bint wants_to_receive(Connection *c) noexcept nogil:
    if c.receiving or c.owner != NULL:
        return False
    return (c.state == OPEN and c.introduced) or c.state == FINISHING


# Ask that what succeeds at once post no packet. Where the system will not have it, as below a Windows filter that is no file
# system's, every success posts one, and is waited for.
cdef void skip_successes(Connection *c) noexcept nogil:
    c.skips = SetFileCompletionNotificationModes(
        <HANDLE>c.socket, FILE_SKIP_COMPLETION_PORT_ON_SUCCESS | FILE_SKIP_SET_EVENT_ON_HANDLE) != 0


# Issue the one receive: zero bytes, so that an idle connection pins no memory. With the lock held, so that whoever cuts the
# connection afterwards finds it issued and cancels it.
cdef void arm_receive(Worker *w, Connection *c) noexcept nogil:
    cdef WSABUF nothing
    cdef DWORD received, flags = 0
    cdef int result, error
    nothing.len = 0
    nothing.buf = NULL
    memset(&c.receive.overlapped, 0, sizeof(OVERLAPPED))
    c.receiving = 1
    counter_add(&c.core.ops_in_flight, 1)
    result = WSARecv(c.socket, &nothing, 1, &received, &flags, &c.receive.overlapped, NULL)
    error = WSAGetLastError() if result == SOCKET_ERROR else 0 if c.skips else WSA_IO_PENDING
    if error == WSA_IO_PENDING:
        return
    if error == 0:
        # Something is there already (FILE_SKIP_COMPLETION_PORT_ON_SUCCESS: no packet comes). Its turn comes with the others'.
        c.next_held = NULL
        if w.ready == NULL:
            w.ready = c
        else:
            w.ready_last.next_held = c
        w.ready_last = c
        return
    c.receiving = 0
    counter_add(&c.core.ops_in_flight, -1)
    fail(c, error)


cdef void settle(Worker *w, Connection *c, bint owned, bint listed) noexcept nogil:
    """Move `c` on. `owned`: this worker's handlers for it are done. `listed`: it was taken off a list."""
    spin_lock(&c.lock)
    if owned:
        c.owner = NULL
        c.seen_to = 1
    if listed:
        c.scheduled = 0
    settle_locked(w, c)


# With the lock held, which it gives up in the end; `c` may be freed by then. Whoever takes something off the connection that
# kept it alive (an operation, a timer in hands) must not give up the lock before it calls this.
cdef void settle_locked(Worker *w, Connection *c) noexcept nogil:
    cdef Core *core = c.core
    cdef bint gone = False, again
    cdef int64_t pause_above
    while True:
        again = False
        if c.state == OPEN or c.state == FLUSHING:
            if c.first != NULL:
                flush(w, c)

        # Tell the program, as soon as no handler runs for the connection.
        if c.state > OPEN and not c.told and c.owner == NULL:
            c.told = 1
            if c.introduced or c.outgoing:
                if events_full(w):      # another turn
                    c.told = 0
                    if must_schedule(c):
                        c.next = w.dirty
                        w.dirty = c
                else:
                    own(w, c)
                    add_event(w, EVENT_ENDED, c)

        if c.state == FLUSHING and c.first == NULL and c.sends == 0 and not c.flushing:
            # A socket closed over unread bytes, or sent to after that, resets the connection, and what the peer has not read yet is
            # lost to it (on Windows; Linux still gives it what came before the reset).
            if c.reason != PEER_CLOSED and port_finish(c.socket) == 0:
                c.state = FINISHING
                c.deadline = w.now + (STOP_LINGER if c.reason == SERVER_STOPPED or counter_get(&core.stopping) else LINGER)
                guard_arm(c)
            else:
                c.state = ENDING
            again = True

        if c.state == ENDING:
            if c.first != NULL:
                drop_queue(c)
            if not c.cancelled:
                c.cancelled = 1
                if c.receiving or c.sends or c.connecting:
                    CancelIoEx(<HANDLE>c.socket, NULL)  # ERROR_NOT_FOUND: their packets are on their way
            if (c.told and c.owner == NULL and not c.receiving and not c.sends and not c.connecting and not c.flushing):
                c.state = GONE
                if c.paused:
                    c.paused = 0
                    counter_add(&core.paused, -1)
                gone = True

        if wants_to_receive(c):
            pause_above = core.rules.pause_above
            if c.state == OPEN and c.queued > pause_above:
                if not c.paused:
                    c.paused = 1
                    counter_add(&core.paused, 1)
            else:
                if c.paused:
                    c.paused = 0
                    counter_add(&core.paused, -1)
                arm_receive(w, c)
                again = c.state == ENDING
        if not again:
            break
    if gone:
        spin_unlock(&c.lock)
        forget_connection(w, c)
        spin_lock(&c.lock)
        c.forgotten = 1
    if c.state == GONE:
        reap_if_unmentioned(w, c)
    spin_unlock(&c.lock)


# A socket closed over unread bytes resets the connection, and a peer may lose what it has not read yet.
cdef void discard_input(Connection *c) noexcept nogil:
    cdef char scratch[4096]
    cdef int i
    for i in range(16):
        if recv(c.socket, scratch, sizeof(scratch), 0) < <int>sizeof(scratch):
            break


# The socket has no operation outstanding: give back all that the connection holds. Only who moved it to GONE calls this.
cdef void forget_connection(Worker *w, Connection *c) noexcept nogil:
    cdef Core *core = c.core
    if c.reset:
        port_reset_on_close(c.socket)
    else:
        discard_input(c)
    closesocket(c.socket)
    timer_stop(core, &c.timer)
    if c.partial != NULL:
        buffer_release(&core.pool, c.partial)
        c.partial = NULL
    uncount_address(core, c.counted)
    # In this order, so that whoever sees no session any more finds each among those that have ended.
    counter_add(&core.ended[c.reason], 1)
    counter_add(&core.sessions, -1)


# If no list mentions the connection any more, give up its object with the next turn that has the interpreter lock. With the
# lock held.
cdef void reap_if_unmentioned(Worker *w, Connection *c) noexcept nogil:
    if c.forgotten and not c.scheduled and not c.reaped and not timer_in_hands(c.core, &c.timer):
        c.reaped = 1
        c.next_held = w.reaped
        w.reaped = c


# The guard's timer fired, and is in our hands.
cdef void guard_fired(Worker *w, Connection *c) noexcept nogil:
    cdef int verdict
    spin_lock(&c.lock)
    timer_hand_back(c.core, &c.timer)
    if c.state == GONE:
        reap_if_unmentioned(w, c)
        spin_unlock(&c.lock)
        return
    verdict = guard_verdict(c, w.now)
    if (verdict == LOGIN_TIMEOUT or verdict == IDLE_TIMEOUT) and may_have_spoken(c):
        timer_start(c.core, &c.timer, due_in(c.core, w.now, LOOK_AGAIN), True)
        spin_unlock(&c.lock)
        return
    if verdict != NO_REASON:
        begin_end(c, verdict, 0, ENDING)
        settle_locked(w, c)
        return
    c.overdue = 0
    guard_arm(c)
    spin_unlock(&c.lock)


# Settle all of a list; what that schedules again is left in w.dirty.
cdef void settle_list(Worker *w, Connection *first) noexcept nogil:
    cdef Connection *c
    while first != NULL:
        c = first
        first = c.next
        settle(w, c, False, True)
