"""What a client knows of the game: its own piece, the pieces in sight, chat, obstacles, the round trip, the overview.

Fed with the server's packets one at a time, in order. No network, no window, no thread, no clock of its own: times are seconds
of whoever calls. Lenient where a player of a test would complain: a packet that makes no sense is counted and changes nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from ..combat import MOST_LEVEL, most_health, next_level
from ..layout import MAX_NAME
from ..names import plain
from ..protocol import (
    O_PLAYER,
    Enter,
    Leave,
    LoginFailed,
    LoginOk,
    Moved,
    Overview,
    Said,
    Spectating,
    StatChange,
    WorldInfo,
    pack_step,
    parse_server,
)
from ..survey import cell_shift
from ..terrain import MAX_SIZE, Terrain
from ..violation import ProtocolError
from .explored import Explored

KNOWS: Final = 3
"""What the client's login says that it knows: all there is."""
DEFAULT_VIEW: Final = 7
"""Tiles that the player sees, of a server that does not say."""
FROM_A_FILE: Final = 255
"""`percent` of a world whose obstacles no seed makes."""
NOWHERE: Final = -1
"""A direction that there is not: the answer tells where one stands, and how long the way there and back takes."""
_MOST_LINES: Final = 200
_STAMP_MASK: Final = 0xFFFF_FFFF


@dataclass(slots=True)
class Sighted:
    """A piece that the client was told of. x, y in tiles; times in seconds, -inf for never."""

    id: int
    name: str
    o_type: int
    x: int
    y: int
    health: int | None = None
    """None until the server tells: it tells changes only."""
    most_health: int = 0
    level: int = 0
    said: str = ""
    said_at: float = -math.inf
    hit_at: float = -math.inf
    """When it lost hit points last."""


class Line(NamedTuple):
    """One line of the log: who says it ("" for the server or the client itself), and when."""

    who: str
    text: str
    at: float


class Model:
    """What one client knows. `name_encoding`: how names lie in packets; those that don't fit are tried as code page 949.

    Not thread-safe: it belongs to the thread that draws.
    """

    def __init__(self, name_encoding: str = "utf-8") -> None:
        self._encodings = dict.fromkeys((name_encoding, "utf-8", "cp949"))
        self.log: deque[Line] = deque(maxlen=_MOST_LINES)
        self.world: WorldInfo | None = None
        self.terrain: Terrain | None = None
        """The obstacles, once somebody has made them from `world`; see `adopt`."""
        self.explored: Explored | None = None
        self.round_trip: float | None = None
        """Seconds from the last answered move to its answer."""
        self.odd = 0
        """Packets that made no sense."""
        self.failed: LoginFailed | None = None
        """Why the server ended the login, if it did."""
        self.deaths = 0
        self.attacked_at = -math.inf
        self.answers = 0
        """Answers to own moves."""
        self.forget()

    def forget(self) -> None:
        """A new connection: nothing is known but the log, the obstacles, and where one has been."""
        self.me: Sighted | None = None
        self.others: dict[int, Sighted] = {}
        self.exp = 0
        self.unanswered: deque[tuple[int, float]] = deque()
        """Own moves under way: (stamp, when sent)."""
        self.failed = None
        self.spectating = False
        self.spectate_refusal = ""
        self.cells: dict[int, tuple[int, int]] = {}
        """The overview: (players, monsters) of each cell with anybody on it, which is `1 << cell_shift(size)` tiles a side; 255 for
        that many or more."""

    # What others ask

    @property
    def view(self) -> int:
        """How far one sees, in tiles."""
        return DEFAULT_VIEW if self.world is None else self.world.view

    @property
    def size(self) -> int | None:
        """Tiles along a side of the board, if the server told."""
        return None if self.world is None else self.world.size

    @property
    def needs_terrain(self) -> bool:
        """Whether the server's obstacles are others than those that are known."""
        return self.world is not None and (self.terrain is None or self.terrain.checksum != self.world.checksum)

    def adopt(self, terrain: Terrain) -> bool:
        """Take these obstacles, if they are the server's."""
        if self.world is None or terrain.checksum != self.world.checksum:
            return False
        self.terrain = terrain
        return True

    def is_open(self, x: int, y: int) -> bool:
        """Whether a piece can stand there, as far as one knows."""
        if self.terrain is not None and not self.needs_terrain:
            return self.terrain.is_open(x, y)
        return min(x, y) >= 0 and (self.size is None or max(x, y) < self.size)

    def count(self, players: bool) -> int:
        """Others in sight: players, or else monsters."""
        return sum((piece.o_type == O_PLAYER) is players for piece in self.others.values())

    @property
    def level_progress(self) -> float:
        """The part of the own level that is done, 0 to 1."""
        if self.me is None:
            return 0.0
        level = max(1, self.me.level)
        begin = 0 if level == 1 else next_level(level - 1)
        return min(1.0, max(0.0, (self.exp - begin) / (next_level(level) - begin)))

    # What one does

    def step(self, direction: int, now: float) -> bytes:
        """The packet of a move that is sent now."""
        # Microseconds; 0 is what the moves of others carry.
        stamp = int(now * 1_000_000) & _STAMP_MASK or 1
        self.unanswered.append((stamp, now))
        return pack_step(direction, stamp)

    def note(self, text: str, now: float) -> None:
        """Add a line of the client's own to the log."""
        self.log.append(Line("", text, now))

    # What one is told

    def told(self, packet: bytes, now: float) -> None:
        """Take one packet of the server, which came at `now`."""
        try:
            news = parse_server(packet)
        except ProtocolError:
            self.odd += 1
            return
        if isinstance(news, Moved):
            self._moved(news, now)
        elif isinstance(news, Enter):
            self.others[news.id] = Sighted(news.id, self.decode(news.name), news.o_type, news.x, news.y)
        elif isinstance(news, Leave):
            if self.others.pop(news.id, None) is None:
                self.odd += 1
        elif isinstance(news, LoginOk):
            level = min(news.level, MOST_LEVEL)
            self.me = Sighted(news.id, "", O_PLAYER, news.x, news.y, news.hp, most_health(max(1, level)), level)
            self.exp = news.exp
        elif isinstance(news, WorldInfo):
            self._learned(news)
        elif isinstance(news, Said):
            self._heard(news._replace(text=plain(news.text)), now)
        elif isinstance(news, StatChange):
            self._changed(news, now)
        elif isinstance(news, LoginFailed):
            self.failed = news._replace(text=plain(news.text))
        elif isinstance(news, Spectating):
            self.spectating, self.spectate_refusal = news.on, plain(news.text)
            if not news.on:
                self.cells.clear()
        else:
            self._surveyed(news)

    def decode(self, field: bytes) -> str:
        """The text of a name field, for people: never an error."""
        raw = field[:MAX_NAME].partition(b"\0")[0]
        for encoding in self._encodings:
            try:
                return plain(raw.decode(encoding))
            except UnicodeDecodeError:
                continue
        return plain(raw.decode("ascii", "replace"))

    def _learned(self, news: WorldInfo) -> None:
        if not 1 <= news.size <= MAX_SIZE:
            self.odd += 1
            return
        if self.world != news or self.explored is None:
            self.explored = Explored(news.size)
            self.cells.clear()
        self.world = news
        self._look()

    def _moved(self, news: Moved, now: float) -> None:
        if self.me is None or news.id != self.me.id:
            piece = self.others.get(news.id)
            if piece is None:
                self.odd += 1
            else:
                piece.x, piece.y = news.x, news.y
            return
        if news.move_time:
            while self.unanswered:
                stamp, sent = self.unanswered.popleft()
                if stamp == news.move_time:
                    self.round_trip = max(0.0, now - sent)
                    break
            self.answers += 1
        self.me.x, self.me.y = news.x, news.y
        self._look()

    def _look(self) -> None:
        if self.explored is not None and self.me is not None:
            self.explored.look(self.me.x, self.me.y, self.view)

    def _heard(self, news: Said, now: float) -> None:
        mine = self.me is not None and news.id == self.me.id
        piece = self.me if mine else self.others.get(news.id)
        if piece is not None:
            piece.said, piece.said_at = news.text, now
        who = "" if piece is None else ("you" if mine else piece.name)
        self.log.append(Line(who, news.text, now))
        if news.id == 0 and "has killed you" in news.text:
            self.deaths += 1

    def _changed(self, news: StatChange, now: float) -> None:
        mine = self.me is not None and news.id == self.me.id
        piece = self.me if mine else self.others.get(news.id)
        if piece is None:
            self.odd += 1
            return
        before = piece.most_health if piece.health is None else piece.health
        if news.hp < (before or news.max_hp):
            piece.hit_at = now
        level = min(news.level, MOST_LEVEL)
        if mine and level > piece.level:
            self.note(f"level {level}!", now)
        piece.health, piece.most_health, piece.level = news.hp, news.max_hp, level
        if mine:
            self.exp = news.exp

    def _surveyed(self, news: Overview) -> None:
        if self.size is None or news.shift != cell_shift(self.size):
            self.odd += 1
            return
        # No farther than the board, however far the server says.
        across = ((self.size - 1) >> news.shift) + 1
        for cell in range(news.first, min(news.last + 1, across**2)):
            self.cells.pop(cell, None)
        for cell, players, monsters in news.cells:
            self.cells[cell] = (players, monsters)
