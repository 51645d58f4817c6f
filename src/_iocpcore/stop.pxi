# The ends of a worker and of an engine: stop accepting, flush, cancel, drain, join.

cdef enum:
    STOP_STEP = 20          # milliseconds between the looks of a stop that waits for slow peers
    ABANDON_TIME = 5        # seconds that connections begun before a start that failed have to end
    SIGNAL_STEP = 10        # milliseconds between the looks for a signal that is on its way


cdef void run_worker(Engine engine, Worker *w):
    """A worker's life. The interpreter lock is held at its beginning and end, and for `dispatch` in between."""
    global worker_of_thread
    cdef Core *core = engine.core
    cdef void *outer = worker_of_thread     # a handler of one engine may run or abandon another
    worker_of_thread = w
    port_fine_clock(True)       # timers promise milliseconds
    while not w.quit:
        with nogil:
            turn(w)
            enter_handlers(w)
        dispatch(engine, w)
        leave_handlers(w)
        if w.signal_came:
            w.signal_came = False
            try:
                PyErr_CheckSignals()
            except BaseException as error:  # KeyboardInterrupt, or what a signal handler of the program's raises
                engine.interrupted = error
                engine.request_stop()
            else:
                look_again(w)
    port_fine_clock(False)
    worker_of_thread = outer
    if w.error:
        port_failed(engine, w)
    # The next one, if there is one. A worker could dequeue two quits at once, so they come one at a time.
    if counter_add(&core.quit_posted, 1) <= core.worker_count:
        wake(core, KEY_QUIT)


cdef void port_failed(Engine engine, Worker *w) noexcept:
    """The engine ends: without its worker nothing more comes of a connection."""
    error = error_of(w.error)
    if engine.core.worker_count == 1:   # it may be run()'s, which raises it
        engine.interrupted = error
    engine.asked.set()
    _log.critical("the engine ends, since its completion port has failed: %s", error)


# On Windows the packet is posted before Python's own handler runs, on another thread.
cdef void look_again(Worker *w) noexcept nogil:
    if w.signal_looks:
        w.signal_looks -= 1
        timer_start(w.core, &w.core.signal_timer, due_in(w.core, port_now(), SIGNAL_STEP * <int64_t>1000000), False)


cdef void stop_step(Engine engine, Worker *w):
    """Stop accepting, flush, cancel, drain: as far as it goes now. Called again until all is done."""
    cdef Core *core = engine.core
    cdef int64_t step
    counter_set(&core.stop_asked, 1)        # the console asks without request_stop()
    engine.asked.set()
    if counter_swap(&core.stop_begun, 1) == 0:
        counter_set(&core.stop_deadline, port_now() + counter_get(&core.flush_time))
        counter_set(&core.stopping, 2)
        try:
            engine.handler.on_stop(engine)
        except BaseException:
            failed(engine, w, "on_stop failed", ())
        if is_disowned(engine):
            return
        counter_set(&core.stop_deadline, port_now() + counter_get(&core.flush_time))
        end_all(core, FLUSHING)
    elif counter_get(&core.stopping) == 2 and port_now() >= counter_get(&core.stop_deadline):
        counter_set(&core.stopping, 3)
    if counter_get(&core.stopping) == 3:    # also those that came into the list meanwhile
        end_all(core, ENDING)
    # Again and again, since a worker may have issued another one while the others were being cancelled.
    if core.listener != INVALID_SOCKET and counter_get(&core.accepts_in_flight):
        CancelIoEx(<HANDLE>core.listener, NULL)
    step = STOP_STEP * <int64_t>1000000
    if counter_get(&core.stopping) == 2:
        step = max(0, min(step, counter_get(&core.stop_deadline) - port_now()))
    timer_start(core, &core.stop_timer, due_in(core, port_now(), step), False)


# A connection that waits for its peer's end already waits no longer than the stop lets others.
cdef void hurry(Connection *c) noexcept nogil:
    cdef int64_t latest = port_now() + STOP_LINGER
    spin_lock(&c.lock)
    if c.state == FINISHING and c.deadline > latest:
        c.deadline = latest
        guard_arm(c)
    spin_unlock(&c.lock)


cdef void end_all(Core *core, int state) noexcept nogil:
    cdef Connection *c
    cdef uint32_t i
    cdef int to
    mutex_lock(&core.group_lock)
    for i in range(core.everyone.count):
        c = core.everyone.list[i]
        # Who is not connected yet has nothing to flush.
        to = ENDING if c.state == CONNECTING else state
        cut(c, SERVER_STOPPED, 0, to)
        if to == FLUSHING:
            hurry(c)
    mutex_unlock(&core.group_lock)


cdef void quit_if_done(Engine engine) noexcept:
    cdef Core *core = engine.core
    if (counter_get(&core.stopping) >= 2 and counter_get(&core.alive) == 0 and counter_get(&core.sessions) == 0
            and counter_get(&core.accepts_in_flight) == 0 and counter_get(&core.ops_in_flight) == 0
            and counter_swap(&core.quit_posted, 1) == 0 and not wake(core, KEY_QUIT)):
        counter_set(&core.quit_posted, 0)       # no memory: the stop's next step tries again


cdef double left_until(double deadline):
    """Seconds, no more than Python's locks can wait."""
    return min(max(0.0, deadline - _time.monotonic()), _threading.TIMEOUT_MAX)


cdef bint stop_unstarted(Engine engine, double deadline, double seconds) except -1:
    """Whether it was never started; then it is stopped now. A start that is under way holds the lock for as long as on_start runs."""
    lock = engine.starting
    if not lock.acquire(True, left_until(deadline)):
        engine.request_stop()
        raise TimeoutError(f"the engine did not stop within {seconds} s: its start, or another thread's stop before it, is not over yet")
    try:
        if engine.life != NEW:
            return False
        abandon(engine, deadline, seconds)
        return True
    finally:
        lock.release()


cdef join_workers(Engine engine, double deadline, double seconds):
    """Wait for their ends until `deadline`, which is `seconds` after the stop was asked for."""
    # One at a time: below 3.13 a Thread's join() fails an assertion when two are in it as the thread ends (so does is_alive()).
    if engine.joining.acquire(True, left_until(deadline)):
        try:
            for thread in engine.threads:
                thread.join(left_until(deadline))
            stuck = [thread.name for thread in engine.threads if thread.is_alive()]
        finally:
            engine.joining.release()
    else:
        stuck = [thread.name for thread in engine.threads]
    if stuck:
        raise TimeoutError(f"the engine did not stop within {seconds} s: a handler still runs on {', '.join(stuck)}")


cdef finish(Engine engine):
    """After the workers have left."""
    with engine.starting:
        if engine.life == STOPPED:
            return
        engine.life = STOPPED
        engine.calls.clear()
        drop_timers(engine)
        engine.close_port()
        _engines.discard(engine)


cdef abandon(Engine engine, double deadline, double seconds):
    """It will never start: let go of all that waits for a worker. Raises TimeoutError if a handler still runs at `deadline`, which is
    `seconds` after the stop was asked for; then stop() may be called again."""
    cdef Core *core = engine.core
    engine.asked.set()
    # `stopping` is past on_stop, since nothing was started, and past its deadline. Set before the sessions are counted: a
    # connect() on another thread counts its own first and looks at this afterwards, so that one of the two sees the other.
    counter_set(&core.stop_asked, 1)
    counter_set(&core.stop_begun, 1)
    counter_set(&core.stopping, 2)
    engine.calls.clear()
    drop_timers(engine)
    engine.set_runner(None)
    if counter_get(&core.sessions):
        # Connections begun before start still have to end, each on its own worker.
        engine.life = RUNNING
        engine.allocate()
        wake(core, KEY_STOP)
        try:
            engine.start_threads()
        finally:
            engine.gate.set()
        join_workers(engine, deadline, seconds)
    finish(engine)


cdef drop_timers(Engine engine):
    """Give up the references of timers that will never fire."""
    cdef Wheel *wheel = &engine.core.wheel
    cdef TimerNode *node
    cdef int level, slot
    mutex_lock(&wheel.lock)
    node = wheel.fired          # due, but the workers left before they came to them
    wheel.fired = NULL
    mutex_unlock(&wheel.lock)
    drop_list(node)
    for level in range(WHEEL_LEVELS):
        for slot in range(WHEEL_SLOTS):
            mutex_lock(&wheel.lock)
            node = wheel_empty(wheel, level, slot)
            mutex_unlock(&wheel.lock)
            drop_list(node)


cdef drop_list(TimerNode *node):
    cdef TimerNode *next
    cdef Timer t
    while node != NULL:
        next = node.next
        if node.timer != NULL:
            t = <Timer>node.timer
            counter_set(&t.ended, 1)
            t.fn = None
            t.args = None
            Py_DECREF(t)
        node = next
