"""Types of the compiled core (src/_iocpcore.pyx)."""

from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from .framing import Framing
from .handler import Handler
from .limits import Limits
from .reason import Reason
from .stats import Stats

Backend: TypeAlias = Literal["iocp", "io_uring", "epoll"]
Buffer: TypeAlias = bytes | bytearray | memoryview

class Session:
    """One connection, accepted or made by `connect`. Everything but `data` is safe to use on any thread.

    Made by the engine, never by a program. It may be kept after its end; it then holds no more than its numbers.
    """

    @property
    def id(self) -> int:
        """Number of the session, counted up from 1; never used again while the engine lives."""
    @property
    def address(self) -> tuple[str, int]:
        """The peer's (host, port). IPv4 peers of a dual-stack listener appear as IPv4."""
    @property
    def local_address(self) -> tuple[str, int]:
        """Our (host, port) of this connection. Raises OSError once its socket is closed."""
    @property
    def closed(self) -> bool:
        """Whether the session has begun to end: what is sent to it now is dropped."""
    @property
    def error(self) -> OSError | None:
        """The system's error that ended the session, if one did."""
    @property
    def logged_in(self) -> bool:
        """Whether `Handler.logged_in` has said so; `Limits.login_timeout` no longer counts then."""
    @property
    def queued(self) -> int:
        """Bytes waiting to be sent, not counting what the system has taken; see `Limits.queued_bytes`."""
    @property
    def engine(self) -> Engine:
        """The server or client that the session belongs to."""
    data: Any
    """The program's own, None at first (or what `connect` was given). Use it in callbacks, where no other thread does."""
    def send(self, packet: Buffer) -> None:
        """Queue a packet and return at once. On any thread. To a closed session: dropped without an error.

        All that is queued for a session during one batch of callbacks leaves in one gathered WSASend. The bytes are copied,
        and sent as they are: `Framing.pack` makes a packet of a body. Raises TypeError for what is no buffer, BufferError for
        one that is not contiguous.
        """
    def close(self, reason: Reason = ...) -> None:
        """End the session after what is queued has been sent, whatever the reason; it counts as `reason` (default CLOSED).

        `on_disconnect` follows at once; what is queued leaves meanwhile, for as long as the peer takes it
        (`Limits.send_timeout`). On any thread; only the first of several calls counts. Raises ValueError for what is no Reason.
        """
    def abort(self, reason: Reason = ...) -> None:
        """Cut the session now, dropping what is queued (default reason PROTOCOL), also while it is being closed.

        Packets of it that were received already are dropped too. On any thread. Raises ValueError for what is no Reason.
        """

class Timer:
    """A call to come. Made by `Engine.call_later` and `Engine.call_every`; nothing has to keep it."""

    def cancel(self) -> None:
        """Never call the function again. On any thread, more than once."""
    @property
    def active(self) -> bool:
        """Whether there is a call to come: False after `cancel`, and from the only call of `call_later` on."""

class Group:
    """A set of sessions that are sent the same packets, made by `Engine.group`. All of it may be used on any thread.

    A session that ends leaves its groups by itself, before its `on_disconnect`. A group that nobody refers to is gone.
    """

    @property
    def engine(self) -> Engine:
        """The server or client whose sessions it takes."""
    def add(self, session: Session) -> None:
        """Make the session a member; no effect if it is one, or has begun to end.

        Raises ValueError if the session is another engine's.
        """
    def discard(self, session: Session) -> None:
        """Take the session out; no effect if it is no member."""
    def send(self, packet: Buffer, exclude: Session | None = None) -> int:
        """Queue one packet to every member but `exclude`; copied once, its bytes shared. Returns how many were queued to."""
    def __len__(self) -> int:
        """The number of members."""
    def __contains__(self, session: object) -> bool: ...
    def sessions(self) -> list[Session]:
        """The members now, in no order: a new list."""

class Engine:
    """A completion port with its workers, timers and outgoing connections: what Server and Client share.

    Its life: made, started once, stopped once. `with engine:` starts it, and stops it at the end of the block. Where not said
    otherwise a method may be called on any thread.

    An engine that runs, or has begun to connect, is of one process: in a child of `os.fork()` it has stopped, and what it owns is left
    to the parent (fork(2)); if a handler forks, none is called in the child after it. A child may make engines of its own, and start
    those that the parent had only made, as the parent may: each process has then an engine of its own, with the calls and timers that
    were waiting at the fork.
    """

    @property
    def handler(self) -> Handler:
        """The program's callbacks."""
    @property
    def framing(self) -> Framing:
        """How all sessions' streams are cut into packets."""
    @property
    def limits(self) -> Limits:
        """The guards in force."""
    @property
    def backend(self) -> Backend:
        """What the port is made of here."""
    @property
    def backend_reason(self) -> str:
        """Why it is that one, and why not a better one, in a sentence for logs."""
    @property
    def workers(self) -> int:
        """The number of worker threads; never 0."""
    @property
    def concurrent(self) -> bool:
        """Whether handlers of different sessions, timers and posted calls may run at the same time."""
    @property
    def running(self) -> bool:
        """Whether it was started and has not stopped."""
    def start(self) -> None:
        """Listen (a server), call `on_start`, start the worker threads.

        Raises OSError if it cannot listen, with what to do about it; RuntimeError if it ran before; what `on_start` raises.
        """
    def run(self) -> None:
        """Run with the calling thread as the only worker until `stop()` (the lecture's single-thread mode).

        Signals keep the effect that the program gave them (`iocp.run` is what stops on SIGTERM): their handlers run at once, in the
        middle of a callback too, and one that has none ends the process. KeyboardInterrupt and SystemExit, from a signal
        handler or a callback, end the run.

        Raises RuntimeError unless `workers=1`; what `start` raises; after a clean stop, the KeyboardInterrupt or SystemExit that ended it;
        OSError if the completion port fails, which should never happen.
        """
    def stop(self, timeout: float = 5.0) -> None:
        """Stop: accept no more, send what is queued, cut the rest, join the workers; bounded by `timeout` seconds.

        What is queued has half of that, 2 seconds at most, to leave; of these peers have 0.2 seconds to end their side, as most do at once, so
        that none is reset over what it has not read yet. On any thread except inside a callback, where it only asks (see
        `request_stop`). More than once. Raises TimeoutError if a handler, or `on_start` on another thread, still runs after `timeout`; it
        was asked to stop then.
        """
    def request_stop(self) -> None:
        """Ask the engine to stop and return at once. On any thread, in callbacks, in signal handlers."""
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the engine was asked to stop, or its completion port has failed. Returns whether that was so.

        Signal handlers run within half a second.
        """
    def broadcast(self, packet: Buffer, exclude: Session | None = None) -> int:
        """Queue one packet to every open session; encoded once, its bytes shared. Returns how many were queued to."""
    def multicast(self, sessions: Iterable[Session], packet: Buffer, exclude: Session | None = None) -> int:
        """The same for any iterable of sessions. Raises ValueError for a session of another engine."""
    def group(self) -> Group:
        """A new, empty group."""
    def sessions(self) -> list[Session]:
        """The open sessions now, in no order: a new list."""
    def post(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn(*args)` where handlers run. On any thread; before start it waits, after stop it is dropped.

        Calls of one thread are made in their order. What `fn` raises is logged and counted (`Stats.handler_errors`).
        """
    def call_later(self, delay: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Call `fn(*args)` where handlers run, `delay` seconds from now (1 ms resolution, never early). On any thread.

        Raises ValueError for a delay below 0 or above 3e8 seconds, RuntimeError after the stop. What `fn` raises is logged and counted.
        """
    def call_every(self, interval: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Call it every `interval` seconds without drift; calls missed while the server was busy are skipped.

        The first call is one interval from now. It goes on after a call that raised. Raises ValueError for less than 0.001 seconds. Otherwise like `call_later`.
        """
    def connect(
        self, host: str, port: int, *, timeout: float | None = 10.0, data: object = None, source: str | None = None
    ) -> Session:
        """Start an outgoing connection (ConnectEx) and return its session at once.

        `on_connect` follows, or `on_disconnect` with CONNECT_FAILED or CONNECT_TIMEOUT. `session.close()` cancels it.
        `host` must be an IP address or resolve at once (names are resolved by the calling thread). `timeout`: seconds, None for the
        system's own; Windows takes a refusal for a mistake, and tries again for 2 seconds before it is CONNECT_FAILED. `data`: the
        session's. `source`: an address of this machine to connect from. On any thread, before `start` too.
        Raises OSError for a name that is not known, RuntimeError after the stop.
        """
    def stats(self) -> Stats:
        """The counters now, without stopping anybody."""
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class Server(Engine):
    """An engine that listens, on `host` and `port`; port 0 takes a free one (see `address`). Nothing is opened before `start`."""

    def __init__(
        self,
        handler: Handler,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        workers: int = 0,
        backend: Backend | None = None,
        framing: Framing | None = None,
        limits: Limits | None = None,
        concurrent: bool = False,
        accepts: int = 64,
        backlog: int = 4096,
        coalesce: float = 0.01,
    ) -> None:
        """Raises TypeError or ValueError naming a wrong argument, RuntimeError for a backend that does not work here.

        Args:
            handler: the program's callbacks.
            host: an address of this machine, or a name of it; "0.0.0.0" or "::" for all.
            port: 0 for a free one.
            workers: threads, 0 for one per processor that this process may use.
            backend: None for the best that works here, or what the environment variable IOCP_BACKEND says.
            framing: None for the lecture's, one byte of length.
            limits: None for the defaults.
            concurrent: whether handlers of different sessions, timers and posted calls may run at the same time, which helps on
                free-threaded Python alone; the default holds on every Python. Those of one session never do.
            accepts: AcceptEx calls outstanding.
            backlog: connections that the system keeps until they are accepted; it may have a lower limit of its own.
            coalesce: seconds (0 to 1) for which what handlers send to other sessions may wait while the worker has more to
                receive, so that several packets to one session leave in one send; never waited for when nothing else is
                to be done, nor by the answer to the session that sent.
        """
    @property
    def address(self) -> tuple[str, int]:
        """The (host, port) that it listens on, with the real port where 0 was asked for. Raises RuntimeError before `start`."""

class Client(Engine):
    """An engine that only connects: bots, links between servers. The arguments are those of `Server`."""

    def __init__(
        self,
        handler: Handler,
        *,
        workers: int = 1,
        backend: Backend | None = None,
        framing: Framing | None = None,
        limits: Limits | None = None,
        concurrent: bool = False,
        coalesce: float = 0.0,
    ) -> None: ...

Field: TypeAlias = tuple[int, int]
"""(offset, size) of an integer in a packet."""

class Crowd:
    """The players of a load generator, in native code: they send on schedule, match answers, check and measure.

    `iocp.load` is its one user, and says what the parts of a protocol mean (`iocp.load.protocol`). A crowd has one engine
    with one worker; its methods are called on that worker (in handlers, or through `post`), or while none runs.
    """

    def __init__(
        self,
        *,
        big_endian: bool,
        type: Field | None,
        rules: Sequence[tuple[int, str, int, int, Field | None, Field | None, Field | None, Field | None]],
        login: bytes,
        number: Field | None,
        teleport: bytes,
        move: bytes,
        direction: Field | None,
        stamp: Field | None,
        steps: Sequence[tuple[int, int, int]],
        spot: tuple[int, int] | None,
        seed: int,
        interval: float,
        window: int,
    ) -> None:
        """`interval`: seconds between a player's sends; `window`: sends kept under way instead, 0 for a schedule.

        rules: (type, role, least size, most size, id, x, y, stamp) of each packet of the server.
        """
    def attach(self, engine: Engine) -> None:
        """Before the engine starts. Raises ValueError if it has more than one worker, or a crowd."""
    def join(self, session: Session, number: int) -> None:
        """From `on_connect`: the session is player `number` (from 0), logs in, and gets its packets from now on.

        Raises ValueError if that player has a session, if the session is a player's already, or has ended.
        """
    def part(self, session: Session, broken: bool) -> None:
        """From `on_disconnect`. `broken`: what the player waits for counts as unanswered."""
    def playing(self, number: int) -> bool:
        """Whether that player is logged in."""
    def refused(self, number: int) -> bool:
        """Whether the server has refused its login, in words."""
    def leave(self, number: int) -> None:
        """It sends no more. End its connection when it no longer `waits`, and what it has sent is answered or counted."""
    def stay(self, number: int) -> None:
        """It goes on after all."""
    def waits(self, number: int) -> bool:
        """Whether anything it has sent is unanswered."""
    def measure(self, begin: float, until: float) -> None:
        """Measure what is planned from `begin` on and before `until`: seconds of `clock()`."""
    def end(self, at: float) -> None:
        """Plan nothing from `at` on: seconds of `clock()`."""
    def waiting(self) -> tuple[int, int, float]:
        """Sends that are unanswered, how many of them were planned inside the window of `measure`, and seconds since the oldest's plan."""
    def settle(self, final: bool) -> int:
        """Close the window while players go on; what is unanswered in it counts with its age. Returns how many that were.

        `final`: whatever is unanswered is counted as that instead, also of before the window.
        """
    def resume(self) -> None:
        """Plan sends again after `end`: each player where its schedule would be by now."""
    def stale(self, accuse: bool) -> int:
        """How many in sight of players are not where those were told last; for when nothing is under way any more.

        Only of pairs of this crowd's players who have all their answers and are not about to end. `accuse`: count them as violations.
        """
    def give_up(self) -> None:
        """Count what is unanswered as that, with the time it has waited."""
    def counts(self) -> dict[str, Any]:
        """Counters since the crowd was made."""
    def positions(self, most: int) -> bytes:
        """Where players stand: pairs x, y of 16 bits each, signed, in the machine's byte order, of `most` players at most.

        Of more players it is each second, third ... by number. Empty if the protocol has no positions.
        """
    def take_figures(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What was measured since the last call: inside the window of `measure`, and outside."""
    def examples(self) -> dict[str, dict[str, Any]]:
        """The first violation of each kind, with the packet that made it."""

def histogram_of(times: Iterable[int]) -> dict[str, Any]:
    """What the native histogram makes of times in nanoseconds: its counts as (microseconds, count) pairs."""

def clock() -> float:
    """Seconds of the monotonic clock that the core plans and measures with."""

def available_backends() -> list[Backend]:
    """Backends that work on this machine, the one taken by default first."""

def backend_report() -> list[tuple[Backend, bool, str]]:
    """(name, works, why or why not) for every backend this build knows, best first."""

def raise_open_files() -> int:
    """Raise this process's limit of open files to what it may be; the limit now in force, -1 for none (Windows)."""

def route_console(engine: Engine, on: bool) -> None:
    """Windows: let Ctrl-C, Ctrl-Break and the closing of the console stop `engine` at once. No effect elsewhere."""
