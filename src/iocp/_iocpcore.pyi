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
    """One connection. `data` is the program's own; everything else is safe to use on any thread."""

    @property
    def id(self) -> int:
        """Number of the session, counted up from 1; never used again while the engine lives."""
    @property
    def address(self) -> tuple[str, int]:
        """The peer's (host, port). IPv4 peers of a dual-stack listener appear as IPv4."""
    @property
    def local_address(self) -> tuple[str, int]: ...
    @property
    def closed(self) -> bool:
        """Whether the session has begun to end: what is sent to it now is dropped."""
    @property
    def error(self) -> OSError | None:
        """The system's error that ended the session, if one did."""
    @property
    def logged_in(self) -> bool: ...
    @property
    def queued(self) -> int:
        """Bytes waiting to be sent."""
    @property
    def engine(self) -> Engine: ...
    data: Any
    def send(self, packet: Buffer) -> None:
        """Queue a packet and return at once. On any thread. To a closed session: dropped without an error.

        All that is queued for a session during one batch of callbacks leaves in one gathered WSASend.
        """
    def close(self, reason: Reason = ...) -> None:
        """End the session after what is queued has been sent; it counts as `reason` (default CLOSED).

        `on_disconnect` follows at once; what is queued leaves meanwhile. On any thread, more than once.
        """
    def abort(self, reason: Reason = ...) -> None:
        """Cut the session now, dropping what is queued (default reason PROTOCOL). On any thread."""

class Timer:
    """A call to come. Made by `Engine.call_later` and `Engine.call_every`."""

    def cancel(self) -> None:
        """Never call the function again. On any thread, more than once."""
    @property
    def active(self) -> bool: ...

class Group:
    """A set of sessions that are sent the same packets. A session that ends leaves its groups by itself."""

    @property
    def engine(self) -> Engine: ...
    def add(self, session: Session) -> None: ...
    def discard(self, session: Session) -> None: ...
    def send(self, packet: Buffer, exclude: Session | None = None) -> int:
        """Queue one packet to every member; its bytes are shared, not copied. Returns how many were queued to."""
    def __len__(self) -> int: ...
    def __contains__(self, session: object) -> bool: ...
    def sessions(self) -> list[Session]: ...

class Engine:
    """A completion port with its workers, timers and outgoing connections: what Server and Client share."""

    @property
    def handler(self) -> Handler: ...
    @property
    def framing(self) -> Framing: ...
    @property
    def limits(self) -> Limits: ...
    @property
    def backend(self) -> Backend: ...
    @property
    def backend_reason(self) -> str: ...
    @property
    def workers(self) -> int: ...
    @property
    def concurrent(self) -> bool:
        """Whether handlers of different sessions, timers and posted calls may run at the same time."""
    @property
    def running(self) -> bool: ...
    def start(self) -> None:
        """Listen (a server), call `on_start`, start the worker threads.

        Raises OSError if it cannot listen, with what to do about it; RuntimeError if it ran before; what `on_start` raises.
        """
    def run(self) -> None:
        """Run with the calling thread as the only worker until `stop()` (the lecture's single-thread mode)."""
    def stop(self, timeout: float = 5.0) -> None:
        """Stop: accept no more, send what is queued, cut the rest, join the workers; bounded by `timeout` seconds.

        On any thread except inside a callback, where it only asks (see `request_stop`). More than once.
        """
    def request_stop(self) -> None:
        """Ask the engine to stop and return at once. On any thread, in callbacks, in signal handlers."""
    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the engine was asked to stop. Ctrl-C interrupts it. Returns whether it was asked."""
    def broadcast(self, packet: Buffer, exclude: Session | None = None) -> int:
        """Queue one packet to every open session; encoded once, its bytes shared. Returns how many were queued to."""
    def multicast(self, sessions: Iterable[Session], packet: Buffer, exclude: Session | None = None) -> int:
        """The same for any sequence of sessions."""
    def group(self) -> Group: ...
    def sessions(self) -> list[Session]: ...
    def post(self, fn: Callable[..., object], *args: Any) -> None:
        """Call `fn(*args)` where handlers run. On any thread; before start it waits, after stop it is dropped."""
    def call_later(self, delay: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Call `fn(*args)` where handlers run, `delay` seconds from now (1 ms resolution)."""
    def call_every(self, interval: float, fn: Callable[..., object], *args: Any) -> Timer:
        """Call it every `interval` seconds without drift; calls missed while the server was busy are skipped."""
    def connect(
        self, host: str, port: int, *, timeout: float | None = 10.0, data: object = None, source: str | None = None
    ) -> Session:
        """Start an outgoing connection (ConnectEx) and return its session at once.

        `on_connect` follows, or `on_disconnect` with CONNECT_FAILED or CONNECT_TIMEOUT. `session.close()` cancels it.
        `host` must be an IP address or resolve at once (names are resolved by the calling thread).
        """
    def stats(self) -> Stats: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None: ...

class Server(Engine):
    """An engine that listens."""

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

        workers: threads, 0 for one per processor. concurrent: True lets handlers of different sessions, timers and posted calls run
        at the same time, which helps on free-threaded Python alone; the default holds on every Python. accepts: AcceptEx calls outstanding. coalesce: seconds (0 to 1) for which
        what handlers send to other sessions may wait while the worker has more to receive, so that several packets to one
        session leave in one send; never waited for when nothing else is to be done, nor by the answer to the session that sent.
        """
    @property
    def address(self) -> tuple[str, int]: ...

class Client(Engine):
    """An engine that only connects."""

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
        """From `on_connect`: the session is player `number` (from 0), logs in, and gets its packets from now on."""
    def part(self, session: Session, broken: bool) -> None:
        """From `on_disconnect`. `broken`: what the player waits for counts as unanswered."""
    def playing(self, number: int) -> bool:
        """Whether that player is logged in."""
    def measure(self, begin: float, until: float) -> None:
        """Measure what is planned from `begin` on and before `until`: seconds of `clock()`."""
    def end(self, at: float) -> None:
        """Plan nothing from `at` on: seconds of `clock()`."""
    def waiting(self) -> tuple[int, int, float]:
        """Sends that are unanswered, how many of them were planned inside the window of `measure`, and seconds since the oldest's plan."""
    def settle(self) -> int:
        """Close the window while players go on; what is unanswered in it counts with its age. Returns how many that were."""
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
