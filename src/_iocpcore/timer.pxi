# class Timer: a call to come, on the wheel of the port's own wait.


@cython.final
cdef class Timer:
    """A call to come. Made by Engine.call_later and Engine.call_every; see the stub."""
    cdef TimerNode node
    cdef Engine engine
    cdef object fn
    cdef tuple args
    cdef int64_t due            # port_now() when it is due: the node's tick is rounded up, from which the next one must not count
    cdef int64_t interval       # in nanoseconds; 0: once
    cdef counter_t ended        # it will not be called again; any thread may have said so

    def __init__(self):
        raise TypeError("timers are made by Engine.call_later() and Engine.call_every()")

    def cancel(self):
        counter_set(&self.ended, 1)
        if self.engine is not None and timer_stop(self.engine.core, &self.node):
            self.fn = None
            self.args = None
            Py_DECREF(self)     # the wheel's reference, see start_timer

    @property
    def active(self):
        return not counter_get(&self.ended)


cdef int64_t nanoseconds_of(object seconds, str name) except -1:
    cdef double value
    try:
        value = seconds
    except TypeError:
        raise TypeError(f"{name} must be a number of seconds, not {seconds!r}") from None
    if not 0 <= value <= 3e8:
        raise ValueError(f"{name} must be between 0 and 3e8 seconds, not {seconds!r}")
    return <int64_t>(value * 1e9 + 0.5)


cdef Timer start_timer(Engine engine, int64_t delay, int64_t interval, object fn, tuple args):
    cdef Timer t = Timer.__new__(Timer)
    cdef Core *core = engine.core
    if not callable(fn):
        raise TypeError(f"fn must be callable, not {fn!r}")
    t.engine = engine
    t.fn = fn
    t.args = args
    t.due = port_now() + delay
    t.interval = interval
    t.node.timer = <PyObject *>t
    Py_INCREF(t)                # the wheel's; given up when it has fired for the last time, or was cancelled
    timer_start(core, &t.node, due_in(core, t.due, 0), False)
    if engine.life == STOPPED:  # meanwhile: making the object may run other code, and nobody empties the wheel again
        t.cancel()
    return t
