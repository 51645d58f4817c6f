# class Latch: how a program waits for the end of its engine.

import threading as _threading
import time as _time

cdef double LATCH_STEP = 0.5     # seconds between two looks for signals


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
        # In steps: the lock's wait is not ended by a signal that came just before it, or that another thread got, and on Windows by none.
        cdef double left = LATCH_STEP
        cdef object deadline = None
        if timeout is not None:
            left = max(0, timeout)
            deadline = _time.monotonic() + left
        while True:
            PyErr_CheckSignals()
            if counter_get(&self.is_set):
                return True
            if self.lock.acquire(True, min(left, LATCH_STEP)):
                self.lock.release()     # for the next who waits
                return True
            if deadline is not None:
                left = deadline - _time.monotonic()
                if left <= 0:
                    return counter_get(&self.is_set) != 0
