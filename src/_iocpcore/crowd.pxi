# class Crowd: the players of a load generator. What it measures leaves it as plain numbers, which iocp.load adds up.

_VIOLATIONS = ("entered twice", "moved unseen", "left unseen", "entered itself", "left itself", "wrong position", "answered twice",
               "answer unasked", "answer out of order", "foreign stamp", "before the login", "welcomed twice", "id given twice",
               "wrong echo", "told elsewhere", "stale in sight")
assert len(_VIOLATIONS) == VIOLATIONS


cdef dict read_histogram(histogram *h):
    """What has been recorded: (value in microseconds, count) pairs, in order. Cleared then."""
    cdef int i
    cdef list pairs = []
    for i in range(h.first, h.last + 1):
        if h.counts[i]:
            pairs.append((histogram_value(i), h.counts[i]))
    result = {"pairs": pairs, "largest": h.largest}
    histogram_clear(h)
    return result


cdef dict read_figures(figures *f):
    cdef dict result = {
        "sent": f.sent, "answered": f.answered, "blocked": f.blocked, "unanswered": f.unanswered, "skipped": f.skipped,
        "planned": read_histogram(&f.planned), "raw": read_histogram(&f.raw),
        "fanout": read_histogram(&f.fanout), "lateness": read_histogram(&f.lateness),
    }
    f.sent = f.answered = f.blocked = f.unanswered = f.skipped = 0
    return result


cdef dict read_example(violation_example *e):
    cdef Py_ssize_t kept = e.size if e.size < <uint32_t>CROWD_PACKET else CROWD_PACKET
    return {"player": e.player, "own_id": e.own_id, "id": e.id, "x": e.x, "y": e.y, "from_x": e.from_x, "from_y": e.from_y,
            "size": e.size, "packet": PyBytes_FromStringAndSize(<const char *>e.packet, kept)}


@cython.final
cdef class Crowd:
    """The players of a load generator. See the stub."""
    cdef crowd *c
    cdef size_t move_size
    cdef Engine engine

    def __init__(self, *, big_endian, type, rules, login, number, teleport, move, direction, stamp, steps, spot,
                 seed, interval, window):
        cdef profile p
        cdef int64_t between = nanoseconds_of(interval, "interval")
        if self.c != NULL:
            raise RuntimeError("__init__ was called before")
        read_profile(&p, big_endian, type, rules, login, number, teleport, move, direction, stamp, steps, spot)
        self.move_size = max(p.move_size, p.teleport_size)
        self.c = crowd_new(&p, <uint64_t>(seed & 0xFFFFFFFFFFFFFFFF), between, <uint32_t>check_int(window, "window", 0, 4096))
        if self.c == NULL:
            raise MemoryError()

    def __dealloc__(self):
        crowd_free(self.c)

    def attach(self, Engine engine not None):
        if self.c == NULL or self.engine is not None:
            raise RuntimeError("this crowd has an engine already, or was never made")
        if engine.life != NEW or engine.core.worker_count != 1 or engine.crowd is not None:
            raise ValueError("engine must be new, with one worker, and without a crowd")
        self.engine = engine
        engine.crowd = self
        engine.core.crowd = self.c
        engine.core.play_room = self.move_size
        # Sends and receives wait for nothing here: a generator that stopped reading would measure itself.
        engine.core.rules.pause_above = <int64_t>1 << 62

    cdef check_thread(self):
        if self.engine is None:
            raise RuntimeError("the crowd has no engine: call attach() first")
        # The players are the worker's alone; before it runs and after it has left they are anybody's.
        if self.engine.life == RUNNING and not on_worker_of(self.engine.core) and self.engine.threads:
            raise RuntimeError("the players belong to the engine's worker: use post()")

    def join(self, Session session not None, number):
        cdef unsigned char[256] packet      # PROFILE_OPENING
        cdef uint32_t index = <uint32_t>check_int(number, "number", 0, 10_000_000)
        cdef player *p
        cdef size_t size
        self.check_thread()
        if session.engine is not self.engine:
            raise ValueError("session must be of the crowd's engine")
        # Nobody would part the first player of two, or one of a session that was parted already: it would outlive the connection.
        if session.c.player != NULL or session.c.told:
            raise ValueError("session is a player's already" if session.c.player != NULL else "session has ended")
        p = crowd_player(self.c, index)
        if p == NULL:
            raise MemoryError()
        if p.connection != NULL:
            raise ValueError(f"player {number} is there already")
        session.c.player = p
        size = player_join(p, &session.c, port_now(), packet)
        if size:
            enqueue(&session.c, <const char *>packet, size, NULL)
        else:
            send_wanted(p)

    def part(self, Session session not None, broken):
        self.check_thread()
        if session.c.player != NULL:
            player_part(session.c.player, port_now(), bool(broken))
            session.c.player = NULL

    # NULL: there has been none.
    cdef player *known(self, number) except? NULL:
        self.check_thread()
        return self.c.players[number] if 0 <= number < self.c.player_count else NULL

    def playing(self, number):
        cdef player *p = self.known(number)
        return p != NULL and p.phase == PLAYER_PLAYING

    def refused(self, number):
        cdef player *p = self.known(number)
        return p != NULL and p.refused

    def leave(self, number):
        cdef player *p = self.known(number)
        if p != NULL:
            player_leave(p)

    def stay(self, number):
        cdef player *p = self.known(number)
        if p != NULL and p.connection != NULL:
            player_stay(p, port_now())
            send_wanted(p)

    def waits(self, number):
        cdef player *p = self.known(number)
        return p != NULL and player_waits(p)

    def measure(self, begin, until):
        self.check_thread()
        crowd_measure(self.c, <int64_t>(begin * 1e9), <int64_t>(until * 1e9))

    def give_up(self):
        cdef uint32_t i
        self.check_thread()
        for i in range(self.c.player_count):
            if self.c.players[i] != NULL:
                player_give_up(self.c.players[i], port_now())

    def end(self, at):
        self.check_thread()
        crowd_end(self.c, <int64_t>(at * 1e9))

    def resume(self):
        cdef int64_t now = port_now()
        cdef uint32_t i
        cdef player *p
        self.check_thread()
        crowd_end(self.c, CROWD_ENDLESS)
        for i in range(self.c.player_count):
            p = self.c.players[i]
            if p != NULL and p.connection != NULL:
                player_resume(p, now)
                send_wanted(p)

    def stale(self, accuse):
        cdef uint32_t i
        cdef player *p
        self.check_thread()
        for i in range(self.c.player_count):
            p = self.c.players[i]
            if p != NULL and p.connection != NULL:
                p.ending = (<Connection *>p.connection).state != OPEN
        return claim_stale(self.c, accuse)

    def waiting(self):
        cdef unanswered found
        self.check_thread()
        found = crowd_unanswered(self.c)
        return found.all, found.measured, (port_now() - found.oldest) / 1e9 if found.all else 0.0

    def settle(self, final):
        self.check_thread()
        return crowd_settle(self.c, port_now(), final)

    def counts(self):
        self.check_thread()
        return {"playing": self.c.logged_in, "logins": self.c.logins, "received": self.c.received_after,
                "packets": self.c.packets, "bytes": self.c.bytes, "refused": self.c.refused, "malformed": self.c.malformed,
                "relocated": self.c.relocated, "fanout_unmatched": self.c.fanout_unmatched, "smoothed": self.c.smoothed,
                "violations": {name: self.c.violations[i] for i, name in enumerate(_VIOLATIONS) if self.c.violations[i]}}

    def positions(self, most):
        cdef uint32_t room = <uint32_t>check_int(most, "most", 1, 1_000_000)
        cdef int16_t *pairs
        self.check_thread()
        pairs = <int16_t *>malloc(room * 2 * sizeof(int16_t))
        if pairs == NULL:
            raise MemoryError()
        try:
            return PyBytes_FromStringAndSize(<const char *>pairs, crowd_positions(self.c, pairs, room) * 2 * sizeof(int16_t))
        finally:
            free(pairs)

    def take_figures(self):
        self.check_thread()
        return read_figures(&self.c.figures[1]), read_figures(&self.c.figures[0])

    def examples(self):
        cdef dict found
        self.check_thread()
        found = {name: read_example(&self.c.examples[i]) for i, name in enumerate(_VIOLATIONS) if self.c.violations[i]}
        if self.c.malformed:
            found["malformed"] = read_example(&self.c.malformed_example)
        if self.c.refused:
            found["refused"] = read_example(&self.c.refused_example)
        return found


def histogram_of(times):
    cdef histogram *h = <histogram *>calloc(1, sizeof(histogram))
    if h == NULL:
        raise MemoryError()
    try:
        h.last = -1
        histogram_clear(h)
        for nanoseconds in times:
            histogram_record(h, nanoseconds)
        return read_histogram(h)
    finally:
        free(h)


def clock():
    return port_now() / 1e9
