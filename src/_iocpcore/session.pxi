# class Session: what a program sees of a connection. The connection is a part of the object, so that one allocation serves
# both; the core keeps the object alive until nothing of its own mentions the connection any more.

import socket as _socket

from iocp.reason import Reason as _Reason


cdef tuple address_tuple(const uint8_t *address, int family, uint16_t port, uint32_t scope):
    cdef str host
    if family == 4:
        host = f"{address[0]}.{address[1]}.{address[2]}.{address[3]}"
    else:
        host = _socket.inet_ntop(_socket.AF_INET6, PyBytes_FromStringAndSize(<const char *>address, 16))
        if scope:
            host = f"{host}%{scope}"
    return host, port


cdef object error_of(int code):
    """The OSError of a system error code, with the system's own text."""
    cdef char text[512]
    cdef int length
    if code == 0:
        return None
    length = port_error_text(code, text, sizeof(text))
    message = PyBytes_FromStringAndSize(text, length).decode("utf-8", "replace")
    if _IS_WINDOWS:
        return OSError(0, message, None, code)     # the fourth is winerror, which sets errno as well
    return OSError(code, message)


@cython.final
cdef class Session:
    """One connection. See the stub for what each name does; all of it may be used on any thread."""
    cdef Connection c
    cdef object _data
    cdef readonly Engine engine
    cdef object __weakref__

    def __cinit__(self):
        self.c.state = GONE     # until new_session() has made it one

    def __init__(self):
        raise TypeError("sessions are made by a server's accept or by Engine.connect()")

    @property
    def id(self):
        return self.c.id

    @property
    def data(self):
        with cython.critical_section(self):
            return self._data

    @data.setter
    def data(self, value):
        with cython.critical_section(self):
            self._data = value

    @property
    def address(self):
        return address_tuple(self.c.address, self.c.family, self.c.port, self.c.scope)

    @property
    def local_address(self):
        cdef sockaddr_storage found
        cdef uint8_t address[16]
        cdef uint8_t family
        cdef uint16_t port
        cdef uint32_t scope
        cdef int length = sizeof(found), result = SOCKET_ERROR
        spin_lock(&self.c.lock)
        if self.c.state < GONE:
            result = port_local_address(self.c.socket, <sockaddr *>&found, &length)
        spin_unlock(&self.c.lock)
        if result == SOCKET_ERROR:
            raise OSError("the session's socket is closed")
        read_address(&found, address, &family, &port, &scope)
        return address_tuple(address, family, port, scope)

    @property
    def closed(self):
        return self.c.state > OPEN

    @property
    def error(self):
        cdef int error
        spin_lock(&self.c.lock)
        error = self.c.error
        spin_unlock(&self.c.lock)
        return error_of(error)

    @property
    def logged_in(self):
        return bool(self.c.logged_in)

    @property
    def queued(self):
        return queued_of(&self.c)

    def send(self, packet, /):
        cdef Py_buffer view
        if PyBytes_CheckExact(packet):
            if PyBytes_GET_SIZE(packet) and enqueue(&self.c, PyBytes_AS_STRING(packet), PyBytes_GET_SIZE(packet), NULL):
                counter_add(&self.c.core.packets_queued, 1)
            return
        PyObject_GetBuffer(packet, &view, PyBUF_SIMPLE)
        try:
            if view.len and enqueue(&self.c, <const char *>view.buf, view.len, NULL):
                counter_add(&self.c.core.packets_queued, 1)
        finally:
            PyBuffer_Release(&view)

    def close(self, reason=_Reason.CLOSED):
        cdef int why = check_reason(reason)
        cdef int state
        cdef bint must
        spin_lock(&self.c.lock)
        state = ENDING if self.c.state == CONNECTING else FLUSHING
        must = begin_end(&self.c, why, 0, state) and must_schedule(&self.c)
        spin_unlock(&self.c.lock)
        if must:
            schedule(&self.c)

    def abort(self, reason=_Reason.PROTOCOL):
        cut(&self.c, check_reason(reason), 0, ENDING)

    def __repr__(self):
        cdef int state = self.c.state   # read once: as an index itself gcc would not read it atomically
        host, port = self.address
        name = ("connecting", "open", "flushing", "finishing", "ending", "gone")[state]
        return f"<iocp.Session {self.c.id} {host}:{port} {name}>"


cdef int check_reason(object reason) except -1:
    try:
        return int(_Reason(reason))
    except ValueError:
        raise ValueError(f"reason must be an iocp.Reason, not {reason!r}") from None


cdef extern from *:
    """
    /* Free-threaded Python counts the references that the thread which made an object holds apart from the others', and leaves it
       to that thread to find out that the last one is gone. A worker that waits for completions would find out nothing: what it
       accepted and others ended would stay. So a session's references are counted together from the beginning. Only for an object
       that no other thread knows yet. */
    static inline void count_references_together(PyObject *o)
    {
    #ifdef Py_GIL_DISABLED
        Py_ssize_t count = Py_REFCNT(o);
        o->ob_tid = 0;
        Py_SET_REFCNT(o, count);    /* of an object that is not this thread's: as merged */
    #else
        (void)o;
    #endif
    }
    """
    void count_references_together(object o)


cdef Session new_session(Engine engine):
    """A session with a reference held by the core, which reap_sessions() gives up."""
    cdef Session s = Session.__new__(Session)
    # What the only worker has made it lets go of itself, as a rule, and its own references are cheaper.
    if engine.core.worker_count > 1 or not on_worker_of(engine.core):
        count_references_together(s)
    s.engine = engine
    s._data = None
    s.c.core = engine.core
    s.c.session = <PyObject *>s
    s.c.id = <uint64_t>counter_add(&engine.core.ids, 1)
    s.c.receive.kind = RECEIVE
    s.c.receive.connection = &s.c
    s.c.timer.connection = &s.c
    s.c.tokens = max(2 * engine.core.rules.packets_per_second, 1.0)
    s.c.tokens_at = port_now()
    s.c.connected_at = s.c.tokens_at
    counter_put(&s.c.last_packet, s.c.tokens_at)
    s.c.state = CONNECTING
    Py_INCREF(s)
    counter_add(&engine.core.alive, 1)
    return s
