# class Latch: how a program waits for the end of its engine.

import threading as _threading


cdef class Latch:
    """An event that a signal handler may set: the thread it interrupts may be inside wait() or set() itself, and would hold the
    lock of a threading.Event there for ever."""
    cdef object lock            # held until the latch is set
    cdef counter_t is_set

    def __cinit__(self):
        self.lock = _threading.Lock()
        self.lock.acquire()

    cdef set(self):
        if counter_swap(&self.is_set, 1) == 0:
            self.lock.release()

    cdef bint wait(self, object timeout) except -1:
        # A signal that came since the interpreter last looked, as while start() made the threads, ends no wait that begins after it.
        PyErr_CheckSignals()
        if not counter_get(&self.is_set) and self.lock.acquire(True, -1 if timeout is None else max(0, timeout)):
            self.lock.release()     # for the next who waits
        return counter_get(&self.is_set) != 0
