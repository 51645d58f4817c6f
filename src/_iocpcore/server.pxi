# class Server: an engine that listens. class Client: one that only connects.

cdef object listen_error(int code, str host, int port):
    """The system's error with what to do about it."""
    cdef object error = error_of(code)
    number = error.errno
    hint = ""
    if number in (_errno.EADDRINUSE, getattr(_errno, "WSAEADDRINUSE", -1)):
        hint = ": another program listens there; stop it, or choose another port (port 0 takes a free one)"
    elif number in (_errno.EACCES, getattr(_errno, "WSAEACCES", -1)):
        hint = (": ports below 1024 need special rights; choose a port from 1024 on" if port < 1024 and not _IS_WINDOWS
                else ": another program has the port to itself, or the system reserves it; choose another port")
    elif number in (_errno.EADDRNOTAVAIL, getattr(_errno, "WSAEADDRNOTAVAIL", -1)):
        hint = ": no network interface of this machine has that address; 127.0.0.1 is this machine alone, '' all its addresses"
    elif number in (_errno.EMFILE, _errno.ENFILE):
        hint = ": raise the limit of open files (ulimit -n)"
    text = f"cannot listen on {host or '*'}:{port}: {error.strerror}{hint}"
    if _IS_WINDOWS:
        return OSError(0, text, None, code)
    return OSError(code, text)


@cython.final
cdef class Server(Engine):
    """An engine that listens. See the stub."""
    cdef str host
    cdef int port
    cdef int depth
    cdef int backlog
    cdef tuple bound

    def __init__(self, handler, host="127.0.0.1", port=0, *, workers=0, backend=None, framing=None, limits=None,
                 concurrent=False, accepts=64, backlog=4096, coalesce=0.01):
        if not isinstance(host, str):
            raise TypeError(f"host must be a str, not {host!r}")
        self.host = host
        self.port = check_port(port, "port", 0)
        self.depth = check_int(accepts, "accepts", 1, 4096)
        self.backlog = check_int(backlog, "backlog", 1, 65535)
        self.prepare(handler, workers, backend, _Framing() if framing is None else framing,
                     _Limits() if limits is None else limits, concurrent, coalesce)

    @property
    def address(self):
        if self.bound is None:
            raise RuntimeError("the server has no address before it is started")
        return self.bound

    cdef allocate_accepts(self):
        cdef Core *core = self.core
        if core.accepts == NULL:
            core.accepts = <AcceptOperation *>calloc(self.depth, sizeof(AcceptOperation))
        if core.accepts == NULL:
            raise MemoryError("no memory for the accepts")
        core.accept_depth = self.depth

    cdef open(self):
        cdef Core *core = self.core
        cdef sockaddr_storage where
        cdef int length
        self.allocate_accepts()
        family, packed, scope = resolve(self.host, self.port, True)
        length = write_address(&where, family, packed, self.port, scope)
        core.accept_family = where.ss_family
        core.listener = port_listen(<sockaddr *>&where, length, self.backlog, 0)
        if core.listener == INVALID_SOCKET:
            raise listen_error(WSAGetLastError(), self.host, self.port)
        try:
            self.opened()
        except BaseException:       # start() may be called again
            closesocket(core.listener)
            core.listener = INVALID_SOCKET
            raise

    cdef opened(self):
        cdef Core *core = self.core
        cdef sockaddr_storage where
        cdef int size = sizeof(sockaddr_storage)
        cdef uint8_t address[16]
        cdef uint8_t family
        cdef uint16_t port
        cdef uint32_t scope
        if (port_local_address(core.listener, <sockaddr *>&where, &size) != 0
                or CreateIoCompletionPort(<HANDLE>core.listener, core.port, KEY_ACCEPT, 0) == NULL):
            raise listen_error(WSAGetLastError(), self.host, self.port)
        read_address(&where, address, &family, &port, &scope)
        self.bound = address_tuple(address, family, port, scope)

    cdef begin(self):
        cdef int i
        cdef int64_t now = port_now()
        for i in range(self.core.accept_depth):
            accept_issue(self.core, &self.core.accepts[i], now)


@cython.final
cdef class Client(Engine):
    """An engine that only connects. See the stub."""

    def __init__(self, handler, *, workers=1, backend=None, framing=None, limits=None, concurrent=False,
                 coalesce=0.0):
        self.prepare(handler, workers, backend, _Framing() if framing is None else framing,
                     _Limits.none() if limits is None else limits, concurrent, coalesce)


def route_console(Engine engine not None, bint on):
    """Windows: let Ctrl-C, Ctrl-Break and the closing of the console stop `engine` at once. No effect elsewhere."""
    mutex_lock(&engine.core.attention_lock)
    if on != engine.routed:
        port_route_console(engine.core.port if on else NULL, KEY_STOP, False)
    engine.routed = on and engine.core.port != NULL
    mutex_unlock(&engine.core.attention_lock)
