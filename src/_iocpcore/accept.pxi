# The accept pool: `accept_depth` AcceptEx outstanding, each with its own socket and address buffer, each issued again after
# success and after any failure. Out of descriptors or buffers means waiting for a timer: not spinning, and not dying.

cdef enum:
    ACCEPT_RETRY = 100      # milliseconds


# Issue one AcceptEx. On failure it is marked as waiting and the timer is started.
cdef void accept_issue(Core *core, AcceptOperation *op, int64_t now) noexcept nogil:
    cdef DWORD received
    cdef int error = 0
    memset(&op.operation.overlapped, 0, sizeof(OVERLAPPED))
    op.operation.kind = ACCEPT
    op.accepted = port_socket(core.accept_family)
    if op.accepted == INVALID_SOCKET:
        error = WSAGetLastError()
    else:
        counter_add(&core.ops_in_flight, 1)
        counter_add(&core.accepts_in_flight, 1)
        if AcceptEx(core.listener, op.accepted, op.addresses, 0, ADDRESS_ROOM, ADDRESS_ROOM, &received, &op.operation.overlapped):
            return          # a listener's AcceptEx that succeeds at once still posts its packet: the mode is not set on it
        error = WSAGetLastError()
        if error == WSA_IO_PENDING:
            return
        counter_add(&core.ops_in_flight, -1)
        counter_add(&core.accepts_in_flight, -1)
        closesocket(op.accepted)
        op.accepted = INVALID_SOCKET
    accept_later(core, op, now)


cdef void accept_later(Core *core, AcceptOperation *op, int64_t now) noexcept nogil:
    counter_set(&op.waiting, 1)
    counter_add(&core.accept_retries, 1)
    timer_start(core, &core.accept_timer, due_in(core, now, ACCEPT_RETRY * <int64_t>1000000), False)


cdef void accept_retry(Worker *w) noexcept nogil:
    cdef Core *core = w.core
    cdef int i
    timer_hand_back(core, &core.accept_timer)
    # Counted as one in flight before the look at `stopping`: a stop either is seen here, or sees this and waits.
    counter_add(&core.accepts_in_flight, 1)
    if not counter_get(&core.stopping):
        for i in range(core.accept_depth):
            if counter_swap(&core.accepts[i].waiting, 0):   # two workers may be here
                accept_issue(core, &core.accepts[i], w.now)
    counter_add(&core.accepts_in_flight, -1)
    if counter_get(&core.stopping):
        w.must_look = True


# An AcceptEx has completed. Room for one event is there.
cdef void accept_completed(Worker *w, AcceptOperation *op) noexcept nogil:
    cdef Core *core = w.core
    cdef int error = port_result(core.listener, &op.operation.overlapped)
    cdef bint lasting = error != 0 and (port_is_exhaustion(error) or port_is_listener_lost(error))
    cdef SOCKET accepted = op.accepted
    cdef sockaddr *local
    cdef sockaddr *remote
    cdef sockaddr_storage peer
    cdef int local_size, remote_size
    op.accepted = INVALID_SOCKET
    memset(&peer, 0, sizeof(peer))
    if error == 0:
        GetAcceptExSockaddrs(op.addresses, 0, ADDRESS_ROOM, ADDRESS_ROOM, &local, &local_size, &remote, &remote_size)
        if 0 < remote_size <= <int>sizeof(peer):
            memcpy(&peer, remote, remote_size)
        if port_adopt(accepted, core.listener) != 0:
            error = WSAGetLastError()   # the peer has gone already
    counter_add(&core.ops_in_flight, -1)
    # Last of all, since a stop that sees no accept in flight frees what they lie in: the next one, or its timer.
    if counter_get(&core.stopping):
        counter_add(&core.accepts_in_flight, -1)
        w.must_look = True
        closesocket(accepted)
        return
    if lasting:
        accept_later(core, op, w.now)
    else:
        accept_issue(core, op, w.now)
    counter_add(&core.accepts_in_flight, -1)
    if error:
        closesocket(accepted)
        counter_own(&w.accept_errors, 1)
        return
    admit_accepted(w, accepted, &peer)


# Refuse it here, or have the handlers told of it.
cdef void admit_accepted(Worker *w, SOCKET accepted, sockaddr_storage *peer) noexcept nogil:
    cdef Core *core = w.core
    cdef uint8_t address[16]
    cdef uint8_t family
    cdef uint16_t port
    cdef uint32_t scope
    cdef AddressCount *counted
    cdef Event *e
    cdef int verdict
    read_address(peer, address, &family, &port, &scope)
    verdict = admit(core, address, family, &counted)
    if verdict != NO_REASON:
        port_reset_on_close(accepted)
        closesocket(accepted)
        counter_add(&core.ended[verdict], 1)
        return
    counter_own(&w.accepted, 1)
    e = add_event(w, EVENT_ACCEPTED, NULL)
    e.socket = accepted
    e.counted = counted
    e.peer = peer[0]
