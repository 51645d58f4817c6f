# class Group, and fan-out: one packet, encoded once and copied once, queued to many connections in a loop without Python.
#
# A group is an array of connections; each connection knows its place in each of its groups, so that joining and leaving
# cost O(1). All of that is guarded by the core's group lock, which is held while a packet is queued to a group (not while it
# is sent: that is settle's).


cdef extern from "Python.h":
    void take_reference "Py_INCREF"(PyObject *o)
    void give_reference "Py_DECREF"(PyObject *o)


cdef Membership *find_membership(Connection *c, GroupMembers *members) noexcept nogil:
    cdef int i
    if c.in_one.members == members:
        return &c.in_one
    for i in range(c.in_more_count):
        if c.in_more[i].members == members:
            return &c.in_more[i]
    return NULL


# Make `c` a member. False: no memory. With the group lock held.
cdef bint members_add(GroupMembers *members, Connection *c) noexcept nogil:
    cdef Membership *m = NULL
    cdef void *larger
    if find_membership(c, members) != NULL:
        return True
    if members.count == members.capacity:
        larger = realloc(members.list, (2 * members.capacity + 8) * sizeof(Connection *))
        if larger == NULL:
            return False
        members.list = <Connection **>larger
        members.capacity = 2 * members.capacity + 8
    if c.in_one.members == NULL:
        m = &c.in_one
    else:
        if c.in_more_count == c.in_more_capacity:
            if c.in_more_capacity >= 0x7FFF:
                return False
            larger = realloc(c.in_more, (2 * c.in_more_capacity + 2) * sizeof(Membership))
            if larger == NULL:
                return False
            c.in_more = <Membership *>larger
            c.in_more_capacity = 2 * c.in_more_capacity + 2
        m = &c.in_more[c.in_more_count]
        c.in_more_count += 1
    m.members = members
    m.index = members.count
    members.list[members.count] = c
    members.count += 1
    return True


# With the group lock held.
cdef bint members_discard(GroupMembers *members, Connection *c) noexcept nogil:
    cdef Membership *m = find_membership(c, members)
    cdef Connection *moved
    if m == NULL:
        return False
    members.count -= 1
    moved = members.list[members.count]
    members.list[m.index] = moved
    find_membership(moved, members).index = m.index
    if m == &c.in_one:
        m.members = NULL
    else:
        c.in_more_count -= 1
        m[0] = c.in_more[c.in_more_count]
    return True


# `c` has ended: out of all groups but that of everyone, where it stays until its object is given up.
cdef void leave_groups(Connection *c) noexcept nogil:
    cdef GroupMembers *everyone = &c.core.everyone
    cdef int i
    mutex_lock(&c.core.group_lock)
    if c.in_one.members != NULL and c.in_one.members != everyone:
        members_discard(c.in_one.members, c)
    i = c.in_more_count - 1
    while i >= 0:
        if c.in_more[i].members != everyone:
            members_discard(c.in_more[i].members, c)
        i -= 1
    mutex_unlock(&c.core.group_lock)


# A packet in a buffer of its own, to be shared. NULL with MemoryError set.
cdef Buffer *share(Core *core, object packet) except NULL:
    cdef Py_buffer view
    cdef Buffer *b = NULL
    PyObject_GetBuffer(packet, &view, PyBUF_SIMPLE)
    try:
        if view.len < 0x7FFFFFFF:
            b = buffer_take(&core.pool, view.len)
        if b == NULL:
            raise MemoryError(f"no buffer for a packet of {view.len} bytes")
        memcpy(b.data, view.buf, view.len)
        b.used = <uint32_t>view.len
    finally:
        PyBuffer_Release(&view)
    return b


cdef int64_t members_send(Core *core, GroupMembers *members, Buffer *shared, Connection *exclude) noexcept nogil:
    cdef int64_t sent = 0
    cdef uint32_t i
    mutex_lock(&core.group_lock)
    if shared.used:
        for i in range(members.count):
            if (members.list[i] != exclude and members.list[i].introduced
                    and enqueue(members.list[i], shared.data, shared.used, shared)):
                sent += 1
    mutex_unlock(&core.group_lock)
    counter_add(&core.packets_queued, sent)
    buffer_release(&core.pool, shared)
    return sent


cdef Connection *connection_or_null(Session session) noexcept:
    return &session.c if session is not None else NULL


cdef list members_sessions(Core *core, GroupMembers *members):
    """The open sessions of a group. Only references are taken under the lock, which keeps the objects from being given up; the list
    is made afterwards, since making it may run other code, or wait for other threads."""
    cdef PyObject **found
    cdef uint32_t i, count = 0
    mutex_lock(&core.group_lock)
    found = <PyObject **>malloc((members.count + 1) * sizeof(PyObject *))
    if found != NULL:
        for i in range(members.count):
            if members.list[i].state == OPEN and members.list[i].introduced:
                found[count] = members.list[i].session
                take_reference(found[count])
                count += 1
    mutex_unlock(&core.group_lock)
    if found == NULL:
        raise MemoryError("no memory for the sessions of a group")
    try:
        return [<Session>found[i] for i in range(count)]
    finally:
        for i in range(count):
            give_reference(found[i])
        free(found)


@cython.final
@cython.no_gc_clear     # __dealloc__ needs the engine; cycles through a group end at the engine or its handler
cdef class Group:
    """A set of sessions that are sent the same packets. See the stub."""
    cdef GroupMembers *members
    cdef readonly Engine engine
    cdef object __weakref__

    def __cinit__(self, Engine engine not None):
        self.engine = engine
        self.members = <GroupMembers *>calloc(1, sizeof(GroupMembers))
        if self.members == NULL:
            raise MemoryError()

    def __dealloc__(self):
        cdef Core *core
        if self.members == NULL:
            return
        core = self.engine.core
        mutex_lock(&core.group_lock)
        while self.members.count:
            members_discard(self.members, self.members.list[self.members.count - 1])
        mutex_unlock(&core.group_lock)
        free(self.members.list)
        free(self.members)

    def add(self, Session session not None):
        cdef bint done = True
        if session.engine is not self.engine:
            raise ValueError("session belongs to another engine than the group")
        mutex_lock(&self.engine.core.group_lock)
        if session.c.state <= OPEN:
            done = members_add(self.members, &session.c)
        mutex_unlock(&self.engine.core.group_lock)
        if not done:
            raise MemoryError("no memory for another member of the group")

    def discard(self, Session session not None):
        if session.engine is not self.engine:
            return
        mutex_lock(&self.engine.core.group_lock)
        members_discard(self.members, &session.c)
        mutex_unlock(&self.engine.core.group_lock)

    def send(self, packet, exclude=None):
        cdef Connection *without = connection_or_null(exclude)
        cdef Buffer *shared = share(self.engine.core, packet)
        return members_send(self.engine.core, self.members, shared, without)

    def sessions(self):
        return members_sessions(self.engine.core, self.members)

    def __len__(self):
        cdef uint32_t count
        mutex_lock(&self.engine.core.group_lock)
        count = self.members.count
        mutex_unlock(&self.engine.core.group_lock)
        return count

    def __contains__(self, session):
        cdef bint found
        if not isinstance(session, Session) or (<Session>session).engine is not self.engine:
            return False
        mutex_lock(&self.engine.core.group_lock)
        found = find_membership(&(<Session>session).c, self.members) != NULL
        mutex_unlock(&self.engine.core.group_lock)
        return found
