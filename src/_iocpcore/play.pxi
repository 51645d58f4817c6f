# A load generator's players: whole packets go to C and not to a handler, and what a schedule says is sent without one.
#
# The sends go through the same queue, operations and pools as a program's (sendqueue.pxi, settle.pxi), so what is measured is the
# server and not a second way to send. A generator has one worker, which owns all that src/load/ keeps.

cdef enum:
    # What one enqueue takes: large enough for a window of small packets.
    PLAY_ROOM = 4096


# Queue all that `p` is to send now.
cdef void send_play(Connection *c, player *p) noexcept nogil:
    cdef unsigned char[PLAY_ROOM] room
    cdef unsigned char *bytes = room
    cdef unsigned char *larger = NULL
    cdef size_t size, capacity = PLAY_ROOM
    if c.state != OPEN:         # it ends: what would not be sent is not to be counted as sent
        return
    if c.core.play_room > PLAY_ROOM:
        larger = <unsigned char *>malloc(c.core.play_room)
        if larger == NULL:
            cut(c, OUT_OF_MEMORY, 0, ENDING)
            return
        bytes = larger
        capacity = c.core.play_room
    while True:
        size = player_send(p, bytes, capacity, port_now())
        if size == 0 or not enqueue(c, <const char *>bytes, size, NULL):
            break
    free(larger)


# ... if that is anything: what no schedule will ask for.
cdef inline void send_wanted(player *p) noexcept nogil:
    if player_wants_to_send(p):
        send_play(<Connection *>p.connection, p)


# Whole packets for the player of `c`, which this worker owns.
cdef void play(Worker *w, Connection *c, const char *data, size_t size) noexcept nogil:
    cdef FramingRules *rules = &c.core.framing
    cdef const char *end = data + size
    cdef int64_t now = port_now()   # and not the turn's: of 256 completions the last one is handled much later than the first
    cdef size_t length
    while data < end:
        length = <size_t>packet_size(rules, data)
        if not player_receive(c.player, <const unsigned char *>data, length, now):
            cut(c, PROTOCOL, 0, ENDING)
            return
        data += length
    send_wanted(c.player)


# Send for all players who are due. The turn then settles their connections: one WSASend each.
cdef void send_due(Worker *w) noexcept nogil:
    cdef player *p
    cdef Connection *c
    cdef int64_t now = port_now()
    p = crowd_take_due(w.core.crowd, now)
    while p != NULL:
        c = <Connection *>p.connection
        # One whose end is about to be told leaves the schedule: it could not send, would stay due, and be taken again for ever.
        if c.state == OPEN:
            send_play(c, p)
            player_reschedule(p)
        p = crowd_take_due(w.core.crowd, now)
