# class Engine: a port with its workers. Server and Client (server.pxi) are engines.

import collections as _collections
import sys as _sys
import threading as _threading
import time as _time

from iocp.framing import Framing as _Framing
from iocp.handler import Handler as _Handler
from iocp.limits import Limits as _Limits
from iocp.stats import Stats as _Stats

cdef bint _IS_WINDOWS = _sys.platform == "win32"
cdef dict _REASONS = {int(reason): reason for reason in _Reason}

cdef int _startup_error = port_startup()

cdef enum:
    NEW = 0
    RUNNING = 1
    STOPPED = 2

cdef enum:
    MOST_WORKERS = 256
    FLUSH_SECONDS = 2       # that a stop leaves to what is queued, or less if stop() is to be over sooner


# Wake a worker for what `key` says. The lock is for engines that are being closed at the same time.
cdef bint wake(Core *core, int key) noexcept nogil:
    cdef bint posted = True
    mutex_lock(&core.attention_lock)
    if core.port != NULL:
        posted = PostQueuedCompletionStatus(core.port, 0, key, NULL) != 0
    mutex_unlock(&core.attention_lock)
    return posted


# Unless somebody has and `asked` shows that the packet is on its way. If there is no memory for it, whoever asks next tries again.
cdef void wake_once(Core *core, counter_t *asked, int key) noexcept nogil:
    if counter_swap(asked, 1) == 0 and not wake(core, key):
        counter_set(asked, 0)


cdef class Engine:
    """A completion port with its workers, timers and outgoing connections. See the stub."""
    cdef Core *core
    cdef readonly object handler
    cdef readonly str backend
    cdef readonly str backend_reason
    cdef readonly object framing
    cdef readonly object limits
    cdef flag_t life            # NEW, RUNNING, STOPPED
    cdef object starting        # a lock: start and stop from several threads
    cdef Latch asked            # to stop
    cdef object calls           # a deque of what post() left
    cdef list threads
    cdef object joining         # a lock: of those who wait for them
    cdef object gate            # an Event: all threads are there, or will not come
    cdef bint gate_is_closed
    cdef object runs_in         # the thread that is inside run()
    cdef object interrupted     # the KeyboardInterrupt or SystemExit that ended it, or the port's error
    cdef bint routed            # the console's signals go to its port
    cdef bint inherited         # its port was made before a fork, in the parent
    cdef bint ours_to_choose    # nobody asked for a backend
    cdef object crowd           # its Crowd, if it is a load generator
    # The handler's methods, looked up once
    cdef PyObject *packet_function
    cdef PyObject *packet_self
    cdef object packet_callable
    cdef bint batch_packets
    cdef object on_connect
    cdef object on_disconnect
    cdef object logged_in
    cdef object __weakref__

    def __cinit__(self):
        cdef Core *core = <Core *>calloc(1, sizeof(Core))
        if core == NULL:
            raise MemoryError()
        self.core = core
        core.began = port_now()
        core.listener = INVALID_SOCKET
        counter_set(&core.waited_for, NO_TICK)
        wheel_init(&core.wheel)
        mutex_init(&core.baton)
        mutex_init(&core.attention_lock)
        mutex_init(&core.group_lock)
        mutex_init(&core.address_lock)
        self.starting = _threading.RLock()
        self.asked = Latch.__new__(Latch)
        self.calls = _collections.deque()
        self.threads = []
        self.joining = _threading.RLock()

    def __init__(self):
        raise TypeError("an engine is made as a Server or a Client")

    cdef prepare(self, object handler, object workers, object backend, object framing, object limits, object concurrent,
                 object coalesce):
        cdef Core *core = self.core
        cdef int i, number
        if self.handler is not None:
            raise RuntimeError("__init__ was called before")
        if _startup_error:
            raise error_of(_startup_error)
        if not isinstance(handler, _Handler):
            raise TypeError(f"handler must be an instance of iocp.Handler, not {handler!r}")
        if not isinstance(framing, _Framing):
            raise TypeError(f"framing must be an iocp.Framing, not {framing!r}")
        if not isinstance(limits, _Limits):
            raise TypeError(f"limits must be an iocp.Limits, not {limits!r}")
        count = check_int(workers, "workers", 0, MOST_WORKERS) or min(port_cpu_count(), MOST_WORKERS)
        number, self.backend_reason, self.ours_to_choose = choose_backend(backend)
        self.backend = _BACKENDS[number]
        self.handler = handler
        self.framing = framing
        self.limits = limits
        self.read_handler()
        core.backend = number
        core.worker_count = count
        core.concurrent = bool(concurrent)
        core.coalesce = <int64_t>(check_seconds(coalesce, "coalesce", 1.0) * 1e9)
        core.framing.header = framing.length_bytes
        core.framing.big_endian = framing.byteorder == "big"
        core.framing.counts_header = framing.counts_header
        core.framing.max_size = framing.max_size
        read_rules(&core.rules, limits)
        counter_set(&core.flush_time, <int64_t>(FLUSH_SECONDS * 1e9))
        core.address_slots = ADDRESS_SLOTS
        core.addresses = <AddressCount **>calloc(ADDRESS_SLOTS, sizeof(AddressCount *))
        core.workers = <Worker *>calloc(count, sizeof(Worker))
        if core.addresses == NULL or core.workers == NULL:
            raise MemoryError()
        for i in range(count):
            core.workers[i].core = core
            core.workers[i].number = i
            counter_set(&core.workers[i].waits_until, NO_TICK)
        self.open_port()
        core.sends_in_flight = port_sends_in_flight(core.port)
        _engines.add(self)

    def __dealloc__(self):
        cdef Core *core = self.core
        cdef int i
        if core == NULL:
            return
        if core.port != NULL:
            self.close_port()
        pool_free(&core.pool)
        if core.workers != NULL:
            for i in range(core.worker_count):
                free(core.workers[i].arena)
        free(core.workers)
        free(core.addresses)
        free(core.accepts)
        free(core.everyone.list)
        mutex_destroy(&core.wheel.lock)
        mutex_destroy(&core.baton)
        mutex_destroy(&core.attention_lock)
        mutex_destroy(&core.group_lock)
        mutex_destroy(&core.address_lock)
        free(core)

    cdef read_handler(self):
        handler = self.handler
        self.batch_packets = hasattr(handler, "on_packets")
        self.packet_callable = handler.on_packets if self.batch_packets else handler.on_packet
        self.on_connect = handler.on_connect
        self.on_disconnect = handler.on_disconnect
        # Asking the default, which says yes to all, would cost a call for nothing.
        asks = getattr(type(handler), "logged_in", None) is not _Handler.logged_in or "logged_in" in vars(handler)
        self.logged_in = handler.logged_in if asks else None
        if PyMethod_Check(self.packet_callable):
            self.packet_function = PyMethod_GET_FUNCTION(self.packet_callable)
            self.packet_self = PyMethod_GET_SELF(self.packet_callable)
        else:
            self.packet_function = <PyObject *>self.packet_callable
            self.packet_self = NULL

    # An attribute that one thread may change while another reads it: without the interpreter lock the object might be gone between
    # the look at it and the reference to it.
    cdef set_runner(self, object thread):
        with cython.critical_section(self):
            self.runs_in = thread

    cdef object runner(self):
        with cython.critical_section(self):
            return self.runs_in

    cdef open(self):
        """What a kind of engine does before its workers run."""

    cdef begin(self):
        """... and after."""

    cdef check_new(self):
        if self.life == RUNNING:
            raise RuntimeError("this engine runs already")
        if self.life == STOPPED:
            raise RuntimeError("this engine has stopped; make a new one")

    cdef allocate(self):
        cdef int i
        for i in range(self.core.worker_count):
            if self.core.workers[i].arena == NULL:
                self.core.workers[i].arena = <char *>malloc(ARENA)
                if self.core.workers[i].arena == NULL:
                    raise MemoryError("no memory for the workers' arenas")

    cdef launch(self):
        """Listen, tell the handler, let the workers in."""
        self.check_new()
        self.own_port()
        self.allocate()
        self.open()
        self.life = RUNNING
        try:
            self.set_runner(_threading.current_thread())    # where stop() only asks
            self.handler.on_start(self)
        except BaseException:
            abandon(self, _time.monotonic() + ABANDON_TIME, ABANDON_TIME)
            raise
        if self.life == STOPPED:
            raise RuntimeError("a forked child cannot go on with its parent's engine")
        self.set_runner(None)

    def start(self):
        with self.starting:
            self.launch()
            try:
                self.start_threads()
            except BaseException:       # RuntimeError: no more threads are to be had
                self.gate_is_closed = True
                self.gate.set()
                for thread in self.threads:
                    thread.join()
                self.threads = []
                self.gate_is_closed = False
                abandon(self, _time.monotonic() + ABANDON_TIME, ABANDON_TIME)
                raise
            # Before the workers go: if on_start asked to stop, they would leave before there is anything to accept with.
            self.begin()
            self.gate.set()

    cdef start_threads(self):
        """They wait at the gate."""
        self.gate = _threading.Event()
        for i in range(self.core.worker_count):
            # Daemons, so that a program that forgets to stop can end: the atexit hook stops them properly.
            thread = _threading.Thread(target=self._work, args=(i,), name=f"iocp-worker-{i}", daemon=True)
            thread.start()
            self.threads.append(thread)

    def _work(self, int number):
        if self.life != RUNNING or not 0 <= number < self.core.worker_count:
            raise RuntimeError("_work() is for the engine's own threads")
        self.gate.wait()
        if self.gate_is_closed:
            return
        name = f"iocp-worker-{number}".encode()
        port_name_thread(name)
        run_worker(self, &self.core.workers[number])

    def run(self):
        with self.starting:
            if self.core.worker_count != 1:
                raise RuntimeError(f"run() makes the calling thread the only worker: use workers=1, not {self.core.worker_count}")
            self.launch()
            self.set_runner(_threading.current_thread())
            self.begin()
            self.route_signals()
        try:
            run_worker(self, &self.core.workers[0])
        finally:
            self.set_runner(None)
            finish(self)
        if self.interrupted is not None:
            raise self.interrupted

    def request_stop(self):
        self.asked.set()
        wake_once(self.core, &self.core.stop_asked, KEY_STOP)

    def wait(self, timeout=None):
        return self.asked.wait(timeout)

    def stop(self, timeout=5.0):
        cdef double seconds = nanoseconds_of(timeout, "timeout") / 1e9
        cdef double deadline = _time.monotonic() + seconds
        cdef bint on_worker = on_worker_of(self.core)
        if not on_worker and stop_unstarted(self, deadline, seconds):   # on a worker: the lock's holder may wait for it
            return
        if self.life == STOPPED:
            return
        counter_set(&self.core.flush_time, <int64_t>(min(seconds / 2, FLUSH_SECONDS) * 1e9))
        self.request_stop()
        current = _threading.current_thread()
        runs_in = self.runner()
        if on_worker or current is runs_in or current in self.threads:      # in a handler, in on_start, or in a handler of another engine that runs in one of ours
            return
        if runs_in is not None:
            while self.life == RUNNING and _time.monotonic() < deadline:
                _time.sleep(0.005)
            if self.life == RUNNING:
                raise TimeoutError(f"the engine did not stop within {seconds} s: a handler still runs")
            return
        join_workers(self, deadline, seconds)
        finish(self)

    cdef route_signals(self):
        """Where run() is all there is, a signal ends its wait: on Windows nothing else would, elsewhere one that comes just before
        the wait begins."""
        if self.routed or port_is_routed() or _threading.current_thread() is not _threading.main_thread():
            return
        mutex_lock(&self.core.attention_lock)
        port_route_console(self.core.port, KEY_SIGNAL, True)
        self.routed = True
        mutex_unlock(&self.core.attention_lock)

    cdef open_port(self):
        cdef Core *core = self.core
        cdef int error = 0
        with nogil:     # it may wait a while for memory
            core.port = port_create(core.backend, core.worker_count)
            if core.port == NULL:
                error = WSAGetLastError()
        if error and self.ours_to_choose and lacks_room_for_rings(core.backend, error):
            self.backend, core.backend = "epoll", PORT_EPOLL
            self.backend_reason = f"the best that works here; io_uring is not available: {NO_ROOM.format(core.worker_count)}"
            self.open_port()
        elif error:
            raise port_error(core.backend, error, core.worker_count)

    cdef own_port(self):
        """An inherited port is the parent's, which may start its engine too: this process needs another one, with what was posted."""
        cdef Core *core = self.core
        if not self.inherited:
            return
        self.close_port()
        self.open_port()
        self.inherited = False
        counter_set(&core.timer_wake, 0)
        counter_set(&core.calls_wake, 0)
        if self.calls:
            wake_once(core, &core.calls_wake, KEY_CALLS)
        if counter_get(&core.stop_asked):
            wake(core, KEY_STOP)

    cdef close_port(self):
        cdef Core *core = self.core
        mutex_lock(&core.attention_lock)
        if self.routed:         # a signal that comes later must not find a port that is gone
            port_route_console(NULL, 0, False)
            self.routed = False
        if core.listener != INVALID_SOCKET:
            closesocket(core.listener)
            core.listener = INVALID_SOCKET
        if core.port != NULL:
            CloseHandle(core.port)
            core.port = NULL
        mutex_unlock(&core.attention_lock)

    @property
    def workers(self):
        return self.core.worker_count

    @property
    def concurrent(self):
        return bool(self.core.concurrent)

    @property
    def running(self):
        return self.life == RUNNING and not counter_get(&self.asked.is_set)

    def broadcast(self, packet, exclude=None):
        cdef Connection *without = connection_or_null(exclude)
        cdef Buffer *shared = share(self.core, packet)
        return members_send(self.core, &self.core.everyone, shared, without)

    def multicast(self, sessions, packet, exclude=None):
        cdef Buffer *shared = share(self.core, packet)
        cdef int64_t sent = 0
        cdef Session s
        try:
            for session in sessions:
                s = session
                if s is None or s.engine is not self:
                    raise ValueError(f"sessions must be of this engine, not {session!r}")
                if s is not exclude and shared.used and enqueue(&s.c, shared.data, shared.used, shared):
                    sent += 1
        finally:
            counter_add(&self.core.packets_queued, sent)
            buffer_release(&self.core.pool, shared)
        return sent

    def group(self):
        return Group(self)

    def sessions(self):
        return members_sessions(self.core, &self.core.everyone)

    def post(self, fn, *args):
        if not callable(fn):
            raise TypeError(f"fn must be callable, not {fn!r}")
        if self.life == STOPPED:
            return
        self.calls.append((fn, args))
        counter_add(&self.core.posted, 1)
        wake_once(self.core, &self.core.calls_wake, KEY_CALLS)

    def call_later(self, delay, fn, *args):
        cdef int64_t after = nanoseconds_of(delay, "delay")
        self.check_open("call_later")
        return start_timer(self, after, 0, fn, args)

    def call_every(self, interval, fn, *args):
        cdef int64_t every = nanoseconds_of(interval, "interval")
        if every < 1000000:
            raise ValueError(f"interval must be at least 0.001 seconds, not {interval!r}")
        self.check_open("call_every")
        return start_timer(self, every, every, fn, args)

    cdef check_open(self, str what):
        if self.handler is None:
            raise RuntimeError(f"{what}: __init__ of this engine was never called")
        if self.life == STOPPED or (self.life == RUNNING and self.core.port == NULL):
            raise RuntimeError(f"{what}: this engine has stopped")

    def connect(self, host, port, *, timeout=10.0, data=None, source=None):
        self.check_open("connect")
        if counter_get(&self.core.stop_asked):
            raise RuntimeError("connect: this engine is stopping")
        if self.inherited:
            with self.starting:
                self.own_port()
        return start_connect(self, host, port, timeout, data, source)

    def stats(self):
        return snapshot(self)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, kind, value, trace):
        self.stop()

    def __repr__(self):
        state = ("new", "running", "stopped")[self.life]
        return f"<{type(self).__name__} {self.backend}, {self.core.worker_count} workers, {state}>"
