# One turn of a worker without the interpreter lock: wait for completions, receive, frame, send. It comes back when there is
# something for Python to do, with the baton if handlers of different sessions must not overlap.


cdef enum:
    DRAIN = 256     # sessions settled between two looks at the port: about 2 ms of sends over loopback
    FAILED_WAITS = 100      # in a row, that show that the port is broken


cdef void completed(Worker *w, OVERLAPPED_ENTRY *entry) noexcept nogil:
    """What the lecture's worker does with each completion: by the kind of its operation."""
    cdef Core *core = w.core
    cdef Operation *op = <Operation *>entry.lpOverlapped
    cdef SendOperation *send
    cdef Connection *c
    cdef uint32_t bytes
    cdef int error
    if op == NULL:
        posted(w, <int>entry.lpCompletionKey)
    elif op.kind == RECEIVE:
        c = op.connection
        receive_completed(w, c, port_result(c.socket, &op.overlapped))
    elif op.kind == SEND:
        send = <SendOperation *>op
        c = op.connection
        error = port_result(c.socket, &op.overlapped)
        counter_add(&core.ops_in_flight, -1)
        if not error:
            counter_own(&w.bytes_sent, send.bytes)
        bytes = send.bytes
        segments_release(&core.pool, send.first)
        send_operation_release(&core.pool, send)
        spin_lock(&c.lock)
        c.sends -= 1
        c.queued -= bytes
        c.send_began = w.now
        if error:
            fail(c, error)
        settle_locked(w, c)
    elif op.kind == ACCEPT:
        accept_completed(w, <AcceptOperation *>op)
    else:
        connect_completed(w, op.connection)


cdef void connect_completed(Worker *w, Connection *c) noexcept nogil:
    cdef int error = port_result(c.socket, &c.receive.overlapped)
    cdef bint made = False
    if error == 0 and port_adopt(c.socket, INVALID_SOCKET) != 0:
        error = WSAGetLastError()
    # Not before: a ConnectEx that succeeded at once would have posted no packet.
    skip_successes(c)
    spin_lock(&c.lock)
    c.connecting = 0
    c.receive.kind = RECEIVE        # the operation serves the receives from now on
    counter_add(&c.core.ops_in_flight, -1)
    if c.state == CONNECTING:
        if error:
            begin_end(c, CONNECT_FAILED, error, ENDING)
        else:
            made = True
            c.state = OPEN
            c.connected_at = w.now
            counter_put(&c.last_packet, w.now)
            c.deadline = 0
            own(w, c)
            guard_arm(c)
    if not made:
        settle_locked(w, c)
        return
    spin_unlock(&c.lock)
    counter_own(&w.connected, 1)
    add_event(w, EVENT_CONNECTED, c)


# A packet of PostQueuedCompletionStatus: anything that is not I/O becomes an event of the same loop.
cdef void posted(Worker *w, int key) noexcept nogil:
    cdef Core *core = w.core
    cdef Connection *first
    if key == KEY_QUIT:
        w.quit = True
    elif key == KEY_CALLS:
        counter_set(&core.calls_wake, 0)
        w.has_calls = True
    elif key == KEY_STOP:
        w.must_stop = True
    elif key == KEY_TIMERS:
        counter_set(&core.timer_wake, 0)
    elif key == KEY_SIGNAL:
        w.signal_came = True
        w.signal_looks = SIGNAL_LOOKS
    elif key == KEY_ATTENTION:
        counter_set(&core.attention_wake, 0)
        mutex_lock(&core.attention_lock)
        first = core.attention
        core.attention = NULL
        mutex_unlock(&core.attention_lock)
        settle_list(w, first)


# Timers that are due: guards are looked at here, the program's are left for the turn with the interpreter lock.
cdef void fire_timers(Worker *w) noexcept nogil:
    cdef Core *core = w.core
    cdef TimerNode *node
    cdef TimerNode *next
    cdef TimerNode *others = NULL
    cdef Wheel *wheel = &core.wheel
    mutex_lock(&wheel.lock)
    node = wheel_advance(wheel, tick_of(core, w.now))
    while node != NULL:
        next = node.next
        if node.timer == NULL:
            node.next = others
            others = node
        else:
            node.next = NULL
            if wheel.fired == NULL:
                wheel.fired = node
            else:
                wheel.fired_last.next = node
            wheel.fired_last = node
            w.has_fired = True
        node = next
    mutex_unlock(&wheel.lock)
    while others != NULL:
        node = others
        others = node.next
        if node.connection != NULL:
            guard_fired(w, node.connection)
        elif node == &core.accept_timer:
            accept_retry(w)
        else:
            timer_hand_back(core, node)
            if node == &core.signal_timer:
                w.signal_came = True
            else:           # the stop's
                w.must_stop = True


# Milliseconds until the next timer, and say what is waited for.
cdef DWORD time_to_wait(Worker *w) noexcept nogil:
    cdef Core *core = w.core
    cdef int64_t tick, left, due = crowd_next_due(core.crowd) if core.crowd != NULL else -1
    mutex_lock(&core.wheel.lock)
    tick = wheel_next(&core.wheel)
    counter_set(&core.waited_for, tick if tick >= 0 else NO_TICK)
    counter_set(&w.waits_until, tick if tick >= 0 else NO_TICK)
    mutex_unlock(&core.wheel.lock)
    left = tick * 1000000 + core.began if tick >= 0 else -1
    if due >= 0 and (left < 0 or due < left):
        left = due
        port_wait_until(due)
    if left < 0:
        return INFINITE
    left -= port_now()
    if left <= 0:
        return 0
    left = (left + 999999) // 1000000
    return <DWORD>left if left < 0x7FFFFFFF else 0x7FFFFFFF


cdef inline bint has_work_for_python(Worker *w) noexcept nogil:
    return (w.event_count or w.has_fired or w.reaped != NULL or w.has_calls or w.must_stop or w.must_look or w.signal_came or w.quit)


cdef inline bint has_room(Worker *w) noexcept nogil:
    return not events_full(w) and w.arena_used <= ARENA - 2 * RECEIVE_BUDGET


# Each once: one that is ready again at once takes its turn behind the others, and behind what the port has.
cdef void handle_ready(Worker *w) noexcept nogil:
    cdef Connection *last = w.ready_last
    cdef Connection *c = NULL
    while w.ready != NULL and c != last and has_room(w):
        c = w.ready
        w.ready = c.next_held
        receive_completed(w, c, 0)


# Handle what was dequeued, as long as there is room for events and bytes.
cdef void handle_entries(Worker *w) noexcept nogil:
    w.ready_first = not w.ready_first
    if w.ready_first:
        handle_ready(w)
    while w.entry_next < w.entry_count and has_room(w):
        w.entry_next += 1
        completed(w, &w.entries[w.entry_next - 1])
    if not w.ready_first:
        handle_ready(w)


# Settle those who were sent to, as far as their time has come. While there is more to receive they wait for company: what the
# next batches send them leaves with it. And of those whose time has come only so many at once, so that the answers to what
# is received meanwhile need not wait behind thousands of sends. Not so for posted calls, one of which may wait for what was sent.
cdef void drain(Worker *w, int64_t began, bint idle) noexcept nogil:
    cdef bint hurry = w.has_calls or w.must_stop
    cdef Connection *c
    cdef int left = DRAIN
    while not events_full(w):
        if w.draining == NULL:
            if w.dirty == NULL:
                w.dirty_since = 0
                return
            if w.dirty_since == 0:
                w.dirty_since = began
            if not (idle or hurry or w.now - w.dirty_since >= w.core.coalesce):
                return
            while w.dirty != NULL:
                c = w.dirty
                w.dirty = c.next
                c.next = w.draining
                w.draining = c
            w.dirty_since = 0
        while w.draining != NULL and not events_full(w):
            if left == 0 and not hurry:
                return
            left -= 1
            c = w.draining
            w.draining = c.next
            settle(w, c, False, True)


# Why a wait brought nothing: its time was over, a signal came, or the port is broken, which waiting on would not mend.
cdef void nothing_came(Worker *w, int error) noexcept nogil:
    if error == WAIT_TIMEOUT:
        w.failed_waits = 0
    elif SIGNAL_CAME and error == SIGNAL_CAME:
        w.signal_came = True
    elif not port_is_exhaustion(error):
        w.failed_waits += 1
        if w.failed_waits >= FAILED_WAITS:
            w.error = error
            w.quit = True


cdef void turn(Worker *w) noexcept nogil:
    cdef Core *core = w.core
    cdef ULONG removed
    cdef DWORD wait
    cdef int i
    cdef bint idle = False
    cdef int64_t began = w.now
    # What the handlers of the last turn left: their own connections, then all those they sent to or closed.
    for i in range(w.event_count):
        if w.events[i].buffer != NULL:
            buffer_release(&core.pool, w.events[i].buffer)
        w.events[i].buffer = NULL
    i = w.event_count
    w.event_count = 0
    w.arena_used = 0
    w.now = port_now()      # the handlers took their time
    settle_events(w, i)
    while True:
        if w.dirty != NULL or w.draining != NULL:
            drain(w, began, idle)
        if w.entry_next < w.entry_count:
            handle_entries(w)
        if has_work_for_python(w):
            return
        if w.entry_next < w.entry_count:
            continue
        # Those ready at once wait for what the port has: a connection that always has something must not keep it from the others.
        wait = 0 if w.ready != NULL or w.dirty != NULL or w.draining != NULL else time_to_wait(w)
        if GetQueuedCompletionStatusEx(core.port, w.entries, BATCH, &removed, wait, False):
            w.entry_count = removed
            w.failed_waits = 0
            counter_own(&w.batches, 1)
            counter_own(&w.completions, removed)
            if removed > <ULONG>counter_get(&w.largest_batch):
                counter_set(&w.largest_batch, removed)
        else:               # never read the count then
            w.entry_count = 0
            idle = w.ready == NULL
            nothing_came(w, WSAGetLastError())
        w.entry_next = 0
        w.now = port_now()
        if core.concurrent:     # this worker may be busy for long now: who starts a timer meanwhile has to tell the others
            counter_set(&core.waited_for, NO_TICK)
            counter_set(&w.waits_until, NO_TICK)
        handle_entries(w)       # before the timers: a packet that is here already is in time
        fire_timers(w)
        if core.crowd != NULL:
            send_due(w)


# After the handlers: settle the connections of `count` events, whose array is free to be used again from its beginning.
cdef void settle_events(Worker *w, int count) noexcept nogil:
    cdef Connection *c
    cdef int i
    for i in range(count):
        c = w.events[i].connection
        # A settle may add an event (on_disconnect) at the front: never more of them than were read already.
        if c != NULL:
            settle(w, c, True, False)


# Where the handlers of several workers may overlap, this one's may run for long: if nobody else waits for the next timer, somebody is
# to look at the wheel.
cdef void hand_over_timers(Worker *w) noexcept nogil:
    cdef Core *core = w.core
    cdef int64_t tick
    cdef int i
    mutex_lock(&core.wheel.lock)
    tick = wheel_next(&core.wheel)
    mutex_unlock(&core.wheel.lock)
    if tick < 0:
        return
    for i in range(core.worker_count):
        if counter_get(&core.workers[i].waits_until) <= tick:
            return
    wake_once(core, &core.timer_wake, KEY_TIMERS)


cdef void enter_handlers(Worker *w) noexcept nogil:
    if w.core.worker_count == 1:
        return
    if not w.core.concurrent:
        mutex_lock(&w.core.baton)
    elif w.event_count or w.has_calls or w.has_fired:
        hand_over_timers(w)


cdef void leave_handlers(Worker *w) noexcept nogil:
    if not w.core.concurrent and w.core.worker_count > 1:
        mutex_unlock(&w.core.baton)
