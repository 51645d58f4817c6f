# Limits: sessions open, sessions per address, packets per second, time-outs. The cut itself is settle.pxi's.

cdef enum:
    ADDRESS_SLOTS = 4096
    # A peer that may have spoken in time: nanoseconds until the next look, and how many more it gets.
    LOOK_AGAIN = 100000000
    MOST_LOOKS = 8


cdef inline bint is_loopback(const uint8_t *address, int family) noexcept nogil:
    cdef int i
    if family == 4:
        return address[0] == 127
    for i in range(15):
        if address[i]:
            return False
    return address[15] == 1


# The peer's address as 16 bytes: IPv4 in the first four, also when a dual-stack listener shows it as ::ffff:a.b.c.d.
cdef void read_address(const sockaddr_storage *peer, uint8_t *address, uint8_t *family, uint16_t *port,
                       uint32_t *scope) noexcept nogil:
    cdef const uint8_t *raw = <const uint8_t *>peer
    cdef int i
    memset(address, 0, 16)
    scope[0] = 0
    # sockaddr_in and sockaddr_in6 both have the port at 2, in network order; then address at 4, and flow and address at 4 and 8.
    port[0] = <uint16_t>(raw[2] << 8 | raw[3])
    if peer.ss_family != AF_INET6:
        family[0] = 4
        memcpy(address, raw + 4, 4)
        return
    family[0] = 6
    memcpy(address, raw + 8, 16)
    for i in range(10):
        if address[i]:
            break
    else:
        if address[10] == 0xFF and address[11] == 0xFF:
            family[0] = 4
            memcpy(address, raw + 20, 4)
            memset(address + 4, 0, 12)
            return
    scope[0] = (<const sockaddr_in6 *>peer).sin6_scope_id


# Where the table keeps the counts of `key` (FNV-1a). With the address lock held.
cdef AddressCount **address_slot(Core *core, const uint8_t *key) noexcept nogil:
    cdef uint64_t mixed = 14695981039346656037u
    cdef int i
    for i in range(16):
        mixed = (mixed ^ key[i]) * 1099511628211u
    return &core.addresses[(mixed ^ mixed >> 32) % core.address_slots]


# The count of one address: an IPv6 household has 2^64 addresses, its /64 is what counts. NULL: no memory, or not counted.
cdef AddressCount *count_address(Core *core, const uint8_t *address, int family, bint *allowed) noexcept nogil:
    cdef uint8_t key[16]
    cdef AddressCount *entry
    cdef AddressCount **slot
    memset(key, 0, 16)
    memcpy(key, address, 4 if family == 4 else 8)
    key[15] = <uint8_t>family
    allowed[0] = True
    mutex_lock(&core.address_lock)
    slot = address_slot(core, key)
    entry = slot[0]
    while entry != NULL and memcmp(entry.address, key, 16) != 0:
        entry = entry.next
    if entry == NULL:
        entry = <AddressCount *>calloc(1, sizeof(AddressCount))
        if entry != NULL:
            memcpy(entry.address, key, 16)
            entry.next = slot[0]
            slot[0] = entry
    if entry != NULL:
        if entry.sessions >= core.rules.sessions_per_address:
            allowed[0] = False
            entry = NULL
        else:
            entry.sessions += 1
    mutex_unlock(&core.address_lock)
    return entry


cdef void uncount_address(Core *core, AddressCount *entry) noexcept nogil:
    cdef AddressCount **link
    if entry == NULL:
        return
    mutex_lock(&core.address_lock)
    entry.sessions -= 1
    if entry.sessions == 0:
        link = address_slot(core, entry.address)
        while link[0] != entry:
            link = &link[0].next
        link[0] = entry.next
        free(entry)
    mutex_unlock(&core.address_lock)


# Whether a connection from `address` may stay: NO_REASON, and then it counts as a session; or why not. `counted` is what
# uncount_address wants in the end. Counted before it is judged, since several workers may accept at once.
cdef int admit(Core *core, const uint8_t *address, int family, AddressCount **counted) noexcept nogil:
    cdef bint allowed
    counted[0] = NULL
    if counter_add(&core.sessions, 1) > core.rules.sessions and core.rules.sessions:
        counter_add(&core.sessions, -1)
        return TOO_MANY_SESSIONS
    if core.rules.sessions_per_address and not (core.rules.spare_loopback_addresses and is_loopback(address, family)):
        counted[0] = count_address(core, address, family, &allowed)
        if not allowed:
            counter_add(&core.sessions, -1)
            return TOO_MANY_FROM_ADDRESS
    return NO_REASON


# A token bucket that holds two seconds' worth, and at least one packet, or a slow limit could never pass any. Whether `packets` more are within the limit.
cdef inline bint within_rate(Connection *c, int64_t packets, int64_t now) noexcept nogil:
    cdef double rate = c.core.rules.packets_per_second
    if rate == 0 or (c.spared and c.core.rules.spare_loopback_rate):
        return True
    c.tokens += <double>(now - c.tokens_at) * 1e-9 * rate
    c.tokens_at = now
    if c.tokens > max(2 * rate, 1.0):
        c.tokens = max(2 * rate, 1.0)
    c.tokens -= <double>packets
    return c.tokens >= 0


# When the connection's guard has to look next: the earliest of its deadlines, 0 for never. With the lock held.
cdef int64_t guard_deadline(Connection *c) noexcept nogil:
    cdef Rules *rules = &c.core.rules
    cdef int64_t best = 0, other
    if c.deadline and (c.state == CONNECTING or c.state == FINISHING):
        best = c.deadline
    if c.state == OPEN and not c.outgoing and rules.login_timeout and not c.logged_in:
        other = c.connected_at + rules.login_timeout
        if best == 0 or other < best:
            best = other
    if c.state == OPEN and rules.idle_timeout:
        other = counter_get(&c.last_packet) + rules.idle_timeout
        if best == 0 or other < best:
            best = other
    if c.sends and rules.send_timeout:
        other = c.send_began + rules.send_timeout
        if best == 0 or other < best:
            best = other
    return best


# Which limit is over at `now`; NO_REASON: none. With the lock held.
cdef int guard_verdict(Connection *c, int64_t now) noexcept nogil:
    cdef Rules *rules = &c.core.rules
    if c.state == CONNECTING and c.deadline and now >= c.deadline:
        return CONNECT_TIMEOUT
    if c.state == FINISHING and now >= c.deadline:
        return CLOSED
    if c.sends and rules.send_timeout and now >= c.send_began + rules.send_timeout:
        return SLOW_RECEIVER
    if c.state == OPEN:
        if not c.outgoing and rules.login_timeout and not c.logged_in and now >= c.connected_at + rules.login_timeout:
            return LOGIN_TIMEOUT
        if rules.idle_timeout and now >= counter_get(&c.last_packet) + rules.idle_timeout:
            return IDLE_TIMEOUT
    return NO_REASON


# Whether the peer may have kept the limit that seems to be over, by a packet that its worker has not come to: one of its
# batch whose turn has not come while an earlier handler takes its time, or bytes that nobody has received yet. That worker may take as
# long as it likes, but a peer whose bytes make no packet, or never the login, is not waited for: each time somebody has seen to
# the connection counts. Who is paused does not read what we send, and is not read from. With the lock held.
cdef bint may_have_spoken(Connection *c) noexcept nogil:
    cdef unsigned long unread = 0
    if c.owner == NULL and (not c.receiving or ioctlsocket(c.socket, FIONREAD, &unread) != 0 or unread == 0):
        return False
    if c.seen_to:
        c.seen_to = 0
        c.overdue += 1
    return c.overdue <= MOST_LOOKS


# See to it that the guard looks when it has to. With the connection's lock held; a guard that looks too early looks again.
cdef void guard_arm(Connection *c) noexcept nogil:
    cdef int64_t deadline = guard_deadline(c)
    cdef int64_t due = due_in(c.core, deadline, 0)
    if deadline == 0:
        return
    timer_start(c.core, &c.timer, due, True)
