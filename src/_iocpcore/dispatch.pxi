# The worker's turn with the interpreter lock: the one place where a program's functions are called.
#
# The interpreter lock is taken once for all events of a turn. An exception ends the session it was raised for and nothing else.

import logging as _logging
import sys as _sys

from cpython.object cimport PyObject_IsTrue

cdef extern from "Python.h":
    object PyObject_Vectorcall(object callable, PyObject *const *args, size_t nargs, object kwnames)
    PyObject *PyMethod_GET_FUNCTION(object method)
    PyObject *PyMethod_GET_SELF(object method)
    bint PyMethod_Check(object o)

cdef extern from *:
    """
    /* Call a method with its self put in front, as a bound method would after checking more. */
    static inline PyObject *call_method2(PyObject *function, PyObject *self, PyObject *a, PyObject *b)
    {
        PyObject *args[4] = {NULL, self, a, b};
        return PyObject_Vectorcall(function, args + 1, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    static inline PyObject *call_bound2(PyObject *bound, PyObject *a, PyObject *b)
    {
        PyObject *args[3] = {NULL, a, b};
        return PyObject_Vectorcall(bound, args + 1, 2 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    }
    """
    object call_method2(PyObject *function, PyObject *self, object a, object b)
    object call_bound2(PyObject *bound, object a, object b)

_log = _logging.getLogger("iocp")


cdef object call2(PyObject *function, PyObject *self, object a, object b):
    if self != NULL:
        return call_method2(function, self, a, b)
    return call_bound2(function, a, b)


# Signal handlers run wherever this thread happens to be: in its wait or in the middle of a callback that has nothing to do with them.
cdef bint ends_run(Engine engine, object error):
    """Whether `error` is to end the run() that this thread is in: Ctrl-C or sys.exit(). Then it does."""
    if not isinstance(error, (KeyboardInterrupt, SystemExit)) or engine.runner() is not _threading.current_thread():
        return False
    engine.interrupted = error
    engine.request_stop()
    return True


cdef bint failed(Engine engine, Worker *w, str text, tuple arguments) noexcept:
    """Called in an except block: log and count what a handler raised. False: it ends run(), and is nobody's failure."""
    if ends_run(engine, _sys.exc_info()[1]):
        return False
    counter_own(&w.handler_errors, 1)
    log_exception(engine, text, arguments)
    return True


cdef void log_exception(Engine engine, str text, tuple arguments) noexcept:
    """`noexcept`: what a filter, a handler of logging or a __repr__ of the program's raises goes to sys.unraisablehook."""
    try:
        _log.exception(text, *arguments)
    except BaseException as error:
        if not ends_run(engine, error):
            raise


cdef inline bint is_disowned(Engine engine) noexcept:
    """A handler has forked, and this is the child: nothing more is called here or changed, since the engine is the parent's, and
    threads that are not here may have held its locks. (An engine that stops has STOPPED only after its workers.)"""
    return engine.life == STOPPED


cdef void handler_failed(Engine engine, Worker *w, Session s, str name):
    if failed(engine, w, "%s failed for %r", (name, s)) and not is_disowned(engine):
        cut(&s.c, HANDLER_ERROR, 0, ENDING)


cdef void after_packet(Engine engine, Worker *w, Session s) except *:
    """The session is not logged in yet: does it count as logged in now?"""
    if is_disowned(engine):
        return
    if engine.logged_in is None or PyObject_IsTrue(engine.logged_in(s)):
        s.c.logged_in = 1


cdef void call_packets(Engine engine, Worker *w, Event *e):
    cdef Connection *c = e.connection
    cdef Session s = <Session>c.session
    cdef FramingRules *rules = &engine.core.framing
    cdef const char *at = e.data
    cdef const char *end = e.data + e.size
    cdef PyObject *function = engine.packet_function
    cdef PyObject *self = engine.packet_self
    cdef size_t size
    cdef list packets
    try:
        if engine.batch_packets:
            packets = []
            while at < end:
                size = <size_t>packet_size(rules, at)
                packets.append(PyBytes_FromStringAndSize(at, size))
                at += size
            if c.state == OPEN:
                counter_own(&w.callbacks, 1)
                call2(function, self, s, packets)
                if not c.logged_in:
                    after_packet(engine, w, s)
        else:
            while at < end and c.state == OPEN and not is_disowned(engine):
                size = <size_t>packet_size(rules, at)
                counter_own(&w.callbacks, 1)
                call2(function, self, s, PyBytes_FromStringAndSize(at, size))
                at += size
                if not c.logged_in:
                    after_packet(engine, w, s)
    except BaseException:
        handler_failed(engine, w, s, "on_packets" if engine.batch_packets else "on_packet")
    # Whoever has closed it reads no more, and what was sent before still leaves.
    if e.after != NO_REASON and c.state == OPEN and not is_disowned(engine):
        cut(c, e.after, 0, ENDING)


cdef void call_connect(Engine engine, Worker *w, Session s):
    s.c.introduced = 1
    counter_own(&w.callbacks, 1)
    try:
        engine.on_connect(s)
    except BaseException:
        handler_failed(engine, w, s, "on_connect")


cdef void accepted(Engine engine, Worker *w, Event *e):
    """A connection was accepted: from here on it is a session."""
    cdef Core *core = engine.core
    cdef Session s
    cdef Connection *c
    cdef bint known
    try:
        s = new_session(engine)
    except MemoryError:
        closesocket(e.socket)
        uncount_address(core, e.counted)
        counter_add(&core.ended[OUT_OF_MEMORY], 1)
        counter_add(&core.sessions, -1)
        return
    c = &s.c
    e.connection = c
    c.socket = e.socket
    c.counted = e.counted
    read_address(&e.peer, c.address, &c.family, &c.port, &c.scope)
    c.spared = <uint8_t>is_loopback(c.address, c.family)
    c.state = OPEN
    c.owner = w
    mutex_lock(&core.group_lock)
    known = members_add(&core.everyone, c)
    mutex_unlock(&core.group_lock)
    skip_successes(c)
    if CreateIoCompletionPort(<HANDLE>c.socket, core.port, <ULONG_PTR>c, 0) == NULL or not known:
        cut(c, OUT_OF_MEMORY, WSAGetLastError(), ENDING)
        return
    if counter_get(&core.stopping):
        cut(c, SERVER_STOPPED, 0, ENDING)
        return
    spin_lock(&c.lock)
    guard_arm(c)
    spin_unlock(&c.lock)
    call_connect(engine, w, s)


cdef void ended(Engine engine, Worker *w, Connection *c):
    cdef Session s = <Session>c.session
    leave_groups(c)
    counter_own(&w.callbacks, 1)
    try:
        engine.on_disconnect(s, _REASONS[c.reason])
    except BaseException:
        failed(engine, w, "on_disconnect failed for %r", (s,))
    if c.player != NULL:        # its handler failed before it said so: no schedule may mention the connection from here on
        player_part(c.player, port_now(), True)
        c.player = NULL


cdef void call_posted(Engine engine, Worker *w):
    """The calls post() left. Those they post themselves wait for the next turn."""
    cdef Py_ssize_t count = len(engine.calls)
    w.has_calls = False
    while count > 0:
        count -= 1
        try:
            fn, args = engine.calls.popleft()
        except IndexError:      # another worker was faster
            return
        counter_own(&w.callbacks, 1)
        try:
            fn(*args)
        except BaseException:
            failed(engine, w, "a call made with post() failed: %r", (fn,))


cdef void call_fired(Engine engine, Worker *w):
    cdef Core *core = engine.core
    cdef TimerNode *node
    cdef TimerNode *next
    cdef Timer t
    cdef int64_t now
    w.has_fired = False
    mutex_lock(&core.wheel.lock)
    node = core.wheel.fired
    core.wheel.fired = NULL
    mutex_unlock(&core.wheel.lock)
    while node != NULL:
        next = node.next
        t = <Timer>node.timer
        timer_hand_back(core, node)
        if not counter_get(&t.ended):
            counter_own(&w.timers_fired, 1)
            counter_own(&w.callbacks, 1)
            if not t.interval:
                counter_set(&t.ended, 1)
            try:
                t.fn(*t.args)
            except BaseException:
                failed(engine, w, "a timer's function failed: %r", (t.fn,))
            if is_disowned(engine):
                return
        if counter_get(&t.ended):
            t.fn = None
            t.args = None
            Py_DECREF(t)        # the wheel's
        else:
            # From the time it was due and not from now: no drift. Calls missed meanwhile are left out.
            now = port_now()
            t.due += t.interval
            if t.due <= now:
                t.due += (now - t.due) // t.interval * t.interval + t.interval
            timer_start(core, &t.node, due_in(core, t.due, 0), False)
            if counter_get(&t.ended) and timer_stop(core, &t.node):   # cancelled on another thread in between
                Py_DECREF(t)
        node = next


cdef void reap_sessions(Engine engine, Worker *w):
    cdef Core *core = engine.core
    cdef Connection *c = w.reaped
    cdef Connection *next
    cdef Session s
    w.reaped = NULL
    while c != NULL:
        next = c.next_held
        mutex_lock(&core.group_lock)
        members_discard(&core.everyone, c)
        mutex_unlock(&core.group_lock)
        leave_groups(c)
        free(c.in_more)
        c.in_more = NULL
        s = <Session>c.session
        counter_add(&core.alive, -1)
        Py_DECREF(s)            # the core's, from new_session
        c = next


# `noexcept`: nothing should get here, but a worker that is lost would take its sessions and the baton along.
cdef void dispatch(Engine engine, Worker *w) noexcept:
    cdef int64_t began = port_now()
    cdef Event *e
    cdef int i
    for i in range(w.event_count):
        e = &w.events[i]
        if e.kind == EVENT_PACKETS:
            call_packets(engine, w, e)
        elif e.kind == EVENT_ACCEPTED:
            accepted(engine, w, e)
        elif e.kind == EVENT_CONNECTED:
            call_connect(engine, w, <Session>e.connection.session)
        else:
            ended(engine, w, e.connection)
        if is_disowned(engine):
            return
    if w.has_fired:
        call_fired(engine, w)
    if w.has_calls:
        call_posted(engine, w)
    if w.must_stop and not is_disowned(engine):
        w.must_stop = False
        stop_step(engine, w)
    if is_disowned(engine):
        return
    if w.reaped != NULL:
        reap_sessions(engine, w)
    w.must_look = False
    counter_own(&w.callback_time, port_now() - began)
    if counter_get(&engine.core.stopping):
        quit_if_done(engine)
