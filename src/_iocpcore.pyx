# cython: language_level=3, binding=False, boundscheck=False, wraparound=False, initializedcheck=False
# cython: cdivision=True, freethreading_compatible=True, embedsignature=False
"""The core of pyiocp: sessions on a completion port. The only unit that meets Python.

A table of contents, in reading order. Everything from `port` to `receive` runs without the interpreter lock; `dispatch` is
the one place where handlers are called; the classes at the end are what Python sees.
"""

cimport cython

include "_iocpcore/port.pxi"        # what the C port offers
include "_iocpcore/reason.pxi"      # why a session ended
include "_iocpcore/load.pxi"        # what the load generator's C files offer
include "_iocpcore/structs.pxi"     # the core's data: buffer, segment, operation, connection, worker, core
include "_iocpcore/pool.pxi"        # buffers, segments and operations, used again and again
include "_iocpcore/framing.pxi"     # where packets begin and end
include "_iocpcore/wheel.pxi"       # timers, O(1) each
include "_iocpcore/guard.pxi"       # limits: addresses, packets per second, time-outs
include "_iocpcore/sendqueue.pxi"   # what waits to be sent
include "_iocpcore/settle.pxi"      # the life of a connection: one function that moves it on
include "_iocpcore/play.pxi"        # a load generator's players: packets in, sends on schedule out
include "_iocpcore/receive.pxi"     # from a completed receive to whole packets
include "_iocpcore/accept.pxi"      # the accept pool
include "_iocpcore/worker.pxi"      # one turn of a worker without the interpreter lock
include "_iocpcore/session.pxi"     # class Session
include "_iocpcore/group.pxi"       # class Group, and fan-out
include "_iocpcore/timer.pxi"       # class Timer
include "_iocpcore/dispatch.pxi"    # the worker's turn with the interpreter lock: handlers are called here
include "_iocpcore/address.pxi"     # hosts and ports from Python
include "_iocpcore/connect.pxi"     # outgoing connections
include "_iocpcore/stats.pxi"       # a snapshot of the counters
include "_iocpcore/backend.pxi"     # which port works here, and which was asked for
include "_iocpcore/settings.pxi"    # what the program asked for, checked
include "_iocpcore/latch.pxi"       # what a signal handler may set
include "_iocpcore/engine.pxi"      # class Engine
include "_iocpcore/stop.pxi"        # the ends of a worker and of an engine
include "_iocpcore/process.pxi"     # what the end of the process and a fork mean to engines
include "_iocpcore/server.pxi"      # class Server, class Client
include "_iocpcore/profile.pxi"     # a protocol for the load generator, from Python
include "_iocpcore/crowd.pxi"       # class Crowd: the load generator's players
