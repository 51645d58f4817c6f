# What the end of the process, and a fork of it, mean to its engines.

import atexit as _atexit
import os as _os
import weakref as _weakref

_engines = _weakref.WeakSet()   # those that have not stopped


cdef inherit(Engine engine):
    """In a forked child: what has only been made is both processes', the rest is the parent's."""
    cdef Core *core = engine.core
    # A thread that is not here may have held them.
    engine.starting = _threading.RLock()
    mutex_init(&core.attention_lock)
    if engine.routed:       # or a Ctrl-C here would be told to the parent's port
        port_route_console(NULL, 0, False)
        engine.routed = False
    if engine.life == NEW and core.listener == INVALID_SOCKET and counter_get(&core.sessions) == 0:
        engine.inherited = True
    else:
        disown(engine)


cdef disown(Engine engine):
    """All that runs is the parent's. It is left alone, open as it is, and here the engine has stopped."""
    cdef Core *core = engine.core
    cdef int i
    core.port = NULL
    core.listener = INVALID_SOCKET
    for i in range(core.worker_count):
        core.workers[i].quit = True     # if the child comes from a handler and returns to its worker
    engine.calls.clear()
    engine.asked.set()
    engine.life = STOPPED
    _engines.discard(engine)


def _inherit_engines():
    for engine in list(_engines):
        inherit(engine)


def _before_fork():
    port_before_fork()


if hasattr(_os, "register_at_fork"):
    _os.register_at_fork(before=_before_fork, after_in_child=_inherit_engines)


@_atexit.register
def _stop_engines():
    cdef Engine engine
    for engine in list(_engines):
        if engine.life != RUNNING:
            continue
        try:
            engine.stop(1.0)
        except TimeoutError as stuck:
            _log.warning("%s", stuck)
