# Which completion port: what works on this machine, and what was asked for.

import errno as _errno
import os as _os

cdef tuple _BACKENDS = ("iocp", "io_uring", "epoll")    # by the port's numbers; best first


def backend_report():
    """(name, works, why or why not) for every backend this build knows, best first."""
    cdef char reason[512]
    cdef list found = []
    cdef int number, works
    for number, name in enumerate(_BACKENDS):
        if (name == "iocp") == bool(_IS_WINDOWS):
            works = port_probe(number, reason)
            found.append((name, bool(works), (<bytes>reason).decode("utf-8", "replace")))
    return found


def available_backends():
    """Backends that work on this machine, the one taken by default first."""
    return [name for name, works, _ in backend_report() if works]


def raise_open_files():
    """Raise this process's limit of open files to what it may be; the limit now in force, -1 for none (Windows)."""
    return port_raise_open_files()


cdef str NO_ROOM = "{} workers' rings are more memory than this user may lock (ulimit -l)"


cdef bint lacks_room_for_rings(int backend, int error):
    return backend == PORT_IO_URING and error == _errno.ENOMEM


cdef object port_error(int backend, int code, int workers):
    """The system's error, with what to do about it."""
    cdef object error = error_of(code)
    if not lacks_room_for_rings(backend, code):
        return error
    advice = "raise the limit (systemd: LimitMEMLOCK), use fewer workers, or backend='epoll'"
    return OSError(code, f"{error.strerror}: {NO_ROOM.format(workers)}: {advice}")


cdef tuple choose_backend(object wanted):
    """(number, reason, whether nobody asked for it). A wanted one that does not work is an error, never a silent change."""
    cdef str source = "backend"
    if wanted is None:
        wanted = _os.environ.get("IOCP_BACKEND") or None
        source = "IOCP_BACKEND"
    report = backend_report()
    if wanted is None:
        refused = ""
        for name, works, reason in report:
            if works:
                return _BACKENDS.index(name), f"the best that works here: {reason}" + refused, True
            refused += f"; {name} is not available: {reason}"
        raise RuntimeError("no backend works on this machine" + refused)
    for name, works, reason in report:
        if name == wanted:
            if works:
                return _BACKENDS.index(name), f"asked for with {source}: {reason}", False
            raise RuntimeError(f"{source}={wanted!r} does not work here: {reason}")
    if wanted in _BACKENDS:
        raise RuntimeError(f"{source}={wanted!r} is another system's; this one has {', '.join(name for name, _, _ in report)}")
    raise ValueError(f"{source} must be one of {', '.join(_BACKENDS)}, not {wanted!r}")
