"""The client's connection: login, the server's packets for the thread that draws, and back again when it ends.

The engine's worker puts what happens into a queue; `poll()` takes it from there on the thread that draws, which owns the
model. So nothing is shared but the queue.

A connection that ends is made again by itself, sooner at first, then every few seconds; but not when somebody else has logged in under the
name, because two clients would take the piece from each other for ever: then only `again()` connects.
"""

from __future__ import annotations

import errno
import math
import time
from collections import deque
from enum import Enum
from typing import TYPE_CHECKING, Final, TypeAlias

import iocp
from iocp import Reason

from ..names import encode_name
from ..protocol import LoginFail, pack_login, pack_logout
from ..server import FRAMING
from .lookup import Lookup
from .model import KNOWS, NOWHERE, Model

if TYPE_CHECKING:
    from iocp._iocpcore import Backend

CONNECT_TIMEOUT: Final = 10.0
LOGIN_TIMEOUT: Final = 5.0
"""Seconds beyond `CONNECT_TIMEOUT` after which whoever took the connection is not waited for any longer."""
SILENCE: Final = 15.0
"""Seconds without a packet, while a move is unanswered for as long, after which the server or the network is taken for dead."""
RETRY_AFTER: Final = (0.5, 1.0, 2.0, 3.0, 5.0)
"""Seconds before the first, second ... new attempt; the last one for all that follow."""
STEADY: Final = 5.0
"""Seconds on line after which attempts count from the first again."""
PING_EVERY: Final = 5.0
"""Seconds without a move of one's own, after which the round trip is measured by one that leads nowhere; it also tells the server that
somebody is still there."""
POLL_SECONDS: Final = 0.01
"""How long one `poll` takes in what came, at most: a flood must not hold up frames, nor Ctrl-C."""
MOST_WAITING: Final = 50_000
"""Packets that may wait to be taken in, seconds of the busiest board; beyond that the connection is given up, or memory would fill."""
_REFUSED: Final = (errno.ECONNREFUSED, 1225, 10061)

Event: TypeAlias = "tuple[iocp.Session, float, bytes | Reason | None]"
"""When a session got a packet, ended (its reason), or was made (None)."""


class State(Enum):
    """How things are with the server."""

    CONNECTING = "connecting"
    ONLINE = "on line"
    LOST = "lost"
    """It will be tried again."""
    TAKEN = "taken"
    """Somebody else has logged in under the name: nothing is tried again."""
    REFUSED = "refused"
    """The first attempt failed, or the server refuses for good."""


class Connection(iocp.Handler):
    """One client of the server at `host`:`port`, as `name`. `start`, then `poll` often, `stop` at the end; all on one thread.

    Raises ProtocolError for a wrong name, RuntimeError for a backend that does not work here.
    """

    def __init__(
        self, model: Model, host: str, port: int, name: str, *, name_encoding: str = "utf-8", backend: Backend | None = None
    ) -> None:
        self.model = model
        self.name = name
        self.where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.state = State.CONNECTING
        self.why = ""
        """Why it is not on line, in words that say what to do."""
        self.retry_at = 0.0
        self.logins = 0
        self.client = iocp.Client(self, backend=backend, framing=FRAMING, limits=iocp.Limits.none())
        self._host, self._port = host, port
        self._name_encoding = name_encoding
        self._login = pack_login(encode_name(name, name_encoding), KNOWS)
        self._session: iocp.Session | None = None
        self._events: deque[Event] = deque()
        self._flooding: iocp.Session | None = None
        """The session of which more came than may wait; set on the engine's worker."""
        self._lookup: Lookup | None = None
        """Under way, before there is a session."""
        self._attempts = 0
        self._began = 0.0
        """When the last attempt began."""
        self._heard_at = 0.0
        self._online_since = 0.0
        self._last_move = 0.0

    # On the engine's worker

    def on_connect(self, session: iocp.Session) -> None:
        """Log in at once."""
        session.send(self._login)
        self._events.append((session, time.perf_counter(), None))

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        """Keep it for `poll`, if there is room."""
        if len(self._events) < MOST_WAITING:
            self._events.append((session, time.perf_counter(), packet))
        else:
            self._flooding = session
            session.abort()

    def on_disconnect(self, session: iocp.Session, reason: Reason) -> None:
        """Keep it for `poll`."""
        self._events.append((session, time.perf_counter(), reason))

    # On the thread that draws

    def start(self) -> None:
        """Begin to connect."""
        self.client.start()
        self._connect()

    def stop(self) -> None:
        """Log out and end."""
        if self._session is not None:
            self._session.send(pack_logout())
        self.client.stop()

    @property
    def online(self) -> bool:
        """Whether the player is on the board."""
        return self.state is State.ONLINE

    def again(self) -> None:
        """Connect now: the player wants it."""
        if self.state in (State.LOST, State.TAKEN):
            self._connect()

    def send(self, packet: bytes) -> None:
        """Send it if the player is on the board."""
        if self._session is not None and self.online:
            self._session.send(packet)

    def step(self, direction: int, now: float) -> None:
        """A move, of which the answer will come."""
        if self.online:
            self._last_move = now
            self.send(self.model.step(direction, now))

    def poll(self, now: float) -> None:
        """Tell the model all that came, and do what is due. `now`: `time.perf_counter()`."""
        if self._lookup is not None:
            self._open(self._lookup)
        if self._session is not None and self._flooding is self._session:
            self._events.clear()
            self._give_up(self._session, f"{self.where} sends more than can be drawn")
        # The rest is for the next frame.
        end = time.perf_counter() + POLL_SECONDS
        while self._events and time.perf_counter() < end:
            self._take(*self._events.popleft(), now)
        self._watch(now)
        if self.state is State.LOST and now >= self.retry_at:
            self._connect()
        elif self.online and now - self._last_move >= PING_EVERY:
            self.step(NOWHERE, now)

    def _take(self, session: iocp.Session, at: float, news: bytes | Reason | None, now: float) -> None:
        if session is not self._session:
            return
        if news is None:
            self.model.forget()
        elif isinstance(news, bytes):
            self._heard_at = at
            self.model.told(news, at)
            if self.state is State.CONNECTING and self.model.me is not None:
                self._arrived(at)
        else:
            self._ended(session, news, now)

    def _watch(self, now: float) -> None:
        """Give up a connection on which nothing comes."""
        session, unanswered = self._session, self.model.unanswered
        if session is None:
            return
        if self.state is State.CONNECTING and now - self._began >= CONNECT_TIMEOUT + LOGIN_TIMEOUT:
            why = f"{self.where} does not answer the login: is a chess server there?"
        elif self.online and unanswered and now - max(unanswered[0][1], self._heard_at) >= SILENCE:
            why = f"nothing came from {self.where} for {SILENCE:g} s: the server hangs, or the network is down"
        else:
            return
        self._give_up(session, why)

    def _give_up(self, session: iocp.Session, why: str) -> None:
        # What else comes of that session is no longer asked for.
        self._session = None
        self._lose(why)
        session.abort()

    def _connect(self) -> None:
        self.state = State.CONNECTING
        self.model.failed = None
        self._attempts += 1
        self._lookup = Lookup(self._host)
        self._open(self._lookup)

    def _open(self, lookup: Lookup) -> None:
        """Go on to connect once the address is known."""
        try:
            address = lookup.address()
        except OSError as error:
            self._lookup = None
            # A name that was known before is no wrong argument: the network is down, or its resolver.
            now = f"cannot look up host {self._host!r} now ({error})"
            self._lose(now if self.logins else f"host {self._host!r} is not known: name another with --host")
            return
        if address is None:
            return
        self._lookup = None
        self._began = time.perf_counter()
        try:
            self._session = self.client.connect(address, self._port, timeout=CONNECT_TIMEOUT)
        except OSError as error:
            self._lose(f"cannot connect to {self.where}: {error}")
        except RuntimeError:
            # Ctrl-C has come: whoever waits for the client will see that it stops.
            self.state, self.retry_at = State.LOST, math.inf

    def _arrived(self, now: float) -> None:
        assert self.model.me is not None
        self.state = State.ONLINE
        self.why = ""
        self.logins += 1
        self._online_since = self._last_move = now
        self.model.me.name = self.name
        if self.logins > 1:
            self.model.note("connected again", now)
        # The first look at the round trip.
        self.step(NOWHERE, now)

    def _ended(self, session: iocp.Session, reason: Reason, now: float) -> None:
        was_online = self.online
        self._session = None
        failed = self.model.failed
        if failed is not None and failed.reason == LoginFail.NAME_TAKEN:
            self.state = State.TAKEN
            self.why = f"somebody else has logged in as {self.name}, and the piece is theirs now"
        elif failed is not None and failed.reason == LoginFail.WORLD_FULL:
            self._lose(f"the server at {self.where} is full ({failed.text}): try again later")
            self.retry_at = now + RETRY_AFTER[-1]
        elif failed is not None and not self.name.isascii() and "is not valid" in failed.text:
            self.state = State.REFUSED
            other = "cp949" if self._name_encoding == "utf-8" else "utf-8"
            self.why = f"the server has names in another encoding than {self.name!r} was sent in ({failed.text}): try --name-encoding {other}"
        elif failed is not None:
            self.state = State.REFUSED
            self.why = f"the server refuses the name {self.name!r} ({failed.text}): choose another with --name"
        elif reason is Reason.CONNECT_TIMEOUT:
            self._lose(f"no answer from {self.where} within {CONNECT_TIMEOUT:g} s: is the address right, does a firewall let it through?")
        elif reason is Reason.CONNECT_FAILED:
            self._lose(_unreachable(self.where, self._port, session.error))
        elif was_online:
            self._lose(f"the connection to {self.where} ended ({_ending(reason, session.error)})")
        else:
            self._lose(f"{self.where} ended the connection before the login was answered: is a chess server there?")

    def _lose(self, why: str) -> None:
        now = time.perf_counter()
        if self.online and now - self._online_since >= STEADY:
            self._attempts = 0
        self.why = why
        # Where they are now nobody tells.
        self.model.others.clear()
        self.model.cells.clear()
        if not self.logins:
            self.state = State.REFUSED
            return
        self.state = State.LOST
        self.retry_at = now + RETRY_AFTER[min(self._attempts, len(RETRY_AFTER) - 1)]

    def notice(self, now: float) -> str:
        """What the player must be told of the connection, or nothing."""
        if self.state is State.CONNECTING:
            return f"connecting to {self.where} ..." if not self.why else f"{self.why}; connecting again ..."
        if self.state is State.LOST:
            return f"{self.why}; trying again in {max(0.0, self.retry_at - now):.0f} s"
        return self.why


def _ending(reason: Reason, error: OSError | None) -> str:
    if reason is Reason.PEER_CLOSED:
        return "the server closed it"
    if reason is Reason.PEER_RESET:
        return "the server cut it, or is gone"
    return reason.name.lower().replace("_", " ") + (f": {error}" if error else "")


def _unreachable(where: str, port: int, error: OSError | None) -> str:
    code = None if error is None else (getattr(error, "winerror", None) or error.errno)
    if code in _REFUSED:
        return f"no server at {where}: start one with iocp-chess serve --port {port}, or name another with --host and --port"
    return f"cannot connect to {where}: {error or 'no reason given'}"
