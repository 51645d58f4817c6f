# Outgoing connections: ConnectEx with a time-out and cancel. The load tool is built on them.


cdef Session start_connect(Engine engine, object host, object port, object timeout, object data, object source):
    """Start ConnectEx; what becomes of it is told to the handlers. Raises only for wrong arguments and lack of sockets."""
    cdef Core *core = engine.core
    cdef sockaddr_storage peer, local
    cdef int length, local_length = 0, error = 0
    cdef int64_t limit = 0 if timeout is None else max(1, nanoseconds_of(timeout, "timeout"))
    cdef DWORD sent
    cdef bint must = False
    number = check_port(port, "port", 1)
    family, packed, scope = resolve(host, number, False)
    length = write_address(&peer, family, packed, number, scope)
    if source is not None:
        source_family, source_packed, source_scope = resolve(source, 0, False, "source")
        if source_family != family:
            raise ValueError(f"source {source!r} and host {host!r} are of different address families")
        local_length = write_address(&local, family, source_packed, 0, source_scope)
    cdef SOCKET made = port_socket(peer.ss_family)
    if made == INVALID_SOCKET:
        raise error_of(WSAGetLastError())
    if port_bind(made, <sockaddr *>&local if local_length else NULL, local_length) != 0:
        error = WSAGetLastError()
        closesocket(made)
        if source is None:
            raise error_of(error)
        raise OSError(f"source {source!r} is no address that can be connected from: {error_of(error)}")
    # resolve() let other threads run. Counted first and looked afterwards: a stop either sees this session or is seen here.
    counter_add(&core.sessions, 1)
    if counter_get(&core.stopping) or engine.life == STOPPED:
        counter_add(&core.sessions, -1)
        closesocket(made)
        raise RuntimeError("connect: this engine is stopping")
    cdef Session s
    try:
        s = new_session(engine)
    except MemoryError:
        counter_add(&core.sessions, -1)
        closesocket(made)
        raise
    cdef Connection *c = &s.c
    s._data = data
    c.socket = made
    c.outgoing = 1
    c.logged_in = 1
    c.state = CONNECTING
    read_address(&peer, c.address, &c.family, &c.port, &c.scope)
    c.spared = <uint8_t>is_loopback(c.address, c.family)
    c.deadline = c.connected_at + limit if limit else 0
    mutex_lock(&core.group_lock)
    if not members_add(&core.everyone, c):
        error = -1
    mutex_unlock(&core.group_lock)
    spin_lock(&c.lock)
    if c.state != CONNECTING:       # a stop has ended it between the two locks, and may have closed its socket
        spin_unlock(&c.lock)
        return s
    if not error and CreateIoCompletionPort(<HANDLE>c.socket, core.port, <ULONG_PTR>c, 0) == NULL:
        error = WSAGetLastError()
    if not error:
        c.receive.kind = CONNECT    # no receive before it is connected: the operation serves both
        c.connecting = 1
        counter_add(&core.ops_in_flight, 1)
        if not ConnectEx(c.socket, <sockaddr *>&peer, length, NULL, 0, &sent, &c.receive.overlapped):
            error = WSAGetLastError()
            if error == WSA_IO_PENDING:
                error = 0
        if error:
            c.connecting = 0
            c.receive.kind = RECEIVE
            counter_add(&core.ops_in_flight, -1)
    if error:
        begin_end(c, CONNECT_FAILED, error, ENDING)
        must = must_schedule(c)
    else:
        guard_arm(c)
    spin_unlock(&c.lock)
    if must:
        schedule(c)
    return s
