"""The board and all that happens on it (lecture rows 18 and 19, slide "chess board"; rows 24 to 26).

No network, no clock, no thread of its own: a world is changed by calls, one at a time, is told what time it is, and the
same seed, calls and times give the same world and the same packets. That is what lets it be tested without
sockets and replayed from a recording. Of a session it uses `send` alone, of an engine `multicast`.

Positions are tiles, 0 at the top left, x to the right, y downwards. Several pieces may stand on one tile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Final

from .agenda import TICK, Agenda, ticks
from .combat import MOST_LEVEL, Combat, most_health
from .monster import STEPS
from .monsters import Monsters
from .piece import Limits, Piece, Player
from .protocol import pack_chat
from .rescue import Record
from .terrain import MAX_SIZE, Terrain
from .view import Sender, View

if TYPE_CHECKING:
    from .kinds import Kind

log = logging.getLogger("iocp.game")

MAX_VIEW: Final = 100
PACE_SLACK: Final = 0.5
"""Seconds by which moves may come earlier than their interval allows: the network delivers them in bunches."""
TELEPORT_EVERY: Final = 1.0
"""Seconds between two teleports of a player."""
CHAT_EVERY: Final = 0.5
SAVE_TICKS: Final = ticks(10.0)
"""Between two times that a player's record is given to the storage."""
_LIMITS_TICKS: Final = ticks(60.0)
"""For so long the limits of a player who left are remembered."""
_FLUSH_TICKS: Final = 4
"""A crowd hears of moves at every so many ticks: 0.1 s."""


class Refusal(StrEnum):
    """Why a player's wish was not granted."""

    OFF_THE_BOARD = "off the board"
    NO_DIRECTION = "no direction"
    OBSTACLE = "obstacle"
    TOO_FAST = "too fast"


class World:
    """A square board.

    size: tiles along a side, when `terrain` is not given (then without obstacles). seed: decides all that is random.
    view: how far a player sees, in tiles. crowd: the most pieces a player is told of, 0 for no limit. move_interval:
    seconds that one tile takes at least, 0 for no limit. Not thread-safe: the server calls it where its handlers run.
    Raises ValueError naming the argument.
    """

    def __init__(
        self,
        size: int = 400,
        seed: int = 1,
        *,
        terrain: Terrain | None = None,
        view: int = 7,
        crowd: int = 200,
        move_interval: float = 0.0,
    ) -> None:
        if not 1 <= size <= MAX_SIZE:
            raise ValueError(f"size must be between 1 and {MAX_SIZE}, not {size!r}")
        if not 1 <= view <= MAX_VIEW:
            raise ValueError(f"view must be between 1 and {MAX_VIEW}, not {view!r}")
        if crowd < 0:
            raise ValueError(f"crowd must be 0 (no limit) or more, not {crowd!r}")
        if not move_interval >= 0:
            raise ValueError(f"move_interval must be 0 (no limit) or more, not {move_interval!r}")
        self.terrain: Final = terrain if terrain is not None else Terrain.open_board(size)
        self.blocked: Final = self.terrain.blocked
        self.stride: Final = self.terrain.stride
        self.size: Final = self.terrain.size
        self.seed: Final = seed
        self.move_interval: Final = move_interval
        self.generator: Final = Random(seed)
        self.random: Final = self.generator.random
        self.now = 0.0
        """Seconds on the caller's clock; set it before each call."""
        self.agenda: Final = Agenda()
        self.combat: Final = Combat(self)
        self.monsters: Final = Monsters(self)
        self.view: Final = View(self.size, view, crowd, _Nobody(), self.monsters.wake, (self.monsters.x, self.monsters.y))
        self.players: Final[dict[int, Player]] = {}
        """Who is on the board, by id."""
        self.names: Final[dict[str, Player]] = {}
        self._limits: dict[str, tuple[str, Limits]] = {}
        """Of those who left a moment ago, by name: a pair of its own for each time that somebody leaves."""
        self.records: dict[str, Record] = {}
        """What is kept of all players, online or not; given at the start."""
        self.keep: Callable[[Record], object] = lambda record: None
        """Called with what is to be kept of a player: now and then, and when it leaves."""

    def attach(self, sender: Sender) -> None:
        """Where packets for many go."""
        self.view.sender = sender

    def populate(self, count: int, kinds: list[Kind], progress: Callable[[float], object] = lambda done: None) -> None:
        """Put `count` sleeping monsters of these kinds on the board; see `Monsters.populate`."""
        self.monsters.populate(count, kinds, progress)

    # Players

    def enter(self, player: Player, name: str, packed_name: bytes, hello: Callable[[], bytes]) -> None:
        """`player` comes to stand where it was last, or on a tile of the seed's choice, as it was last.

        It is sent `hello()`, called when it has its place, and behind that an `enter` for all it sees, in one send.
        Raises ValueError if the name is online.
        """
        if name in self.names:
            raise ValueError(f"player {name!a} is on the board already")
        player.text_name, player.name = name, packed_name
        _, player.limits = self._limits.pop(name, (name, player.limits))
        if not self.busy:
            self.agenda.tick = int(self.now / TICK)
        x, y = self._recall(player)
        player.online = True
        self.players[player.id] = self.names[name] = player
        # The order matters: `hello` tells the place, and comes before all that is seen.
        player.x, player.y = x, y
        news = [hello()]
        self.view.appear(player, x, y, news)
        player.session.send(b"".join(news))
        self.combat.heal_later(player)
        self.agenda.after(1 + int(self.random() * SAVE_TICKS), self._keep_later, player)

    def _recall(self, player: Player) -> tuple[int, int]:
        record = self.records.get(player.text_name)
        if record is None:
            player.health = player.most_health = most_health(1)
            return self.terrain.random_open(self.generator)
        player.level, player.exp = min(record.level, MOST_LEVEL), record.exp
        player.most_health = most_health(player.level)
        player.health = min(max(1, record.hp), player.most_health)
        if self.terrain.is_open(record.x, record.y):
            return record.x, record.y
        return self.terrain.random_open(self.generator)

    def leave(self, player: Player) -> None:
        """`player` is off the board; those who saw it are told."""
        player.online = False
        self.view.disappear(player)
        del self.players[player.id]
        del self.names[player.text_name]
        self._keep(player)
        # Whoever comes back at once has no other limits than before.
        left = self._limits[player.text_name] = (player.text_name, player.limits)
        self.agenda.after(_LIMITS_TICKS, self._forget_limits, left)

    def _keep(self, player: Player) -> None:
        name = player.text_name
        try:
            record = Record(name, player.x, player.y, player.health, player.level, player.exp)
        except ValueError as error:
            log.error("player %a cannot be kept: %s", name, error)
            return
        if self.records.get(name) != record:
            self.records[name] = record
            self.keep(record)

    def _forget_limits(self, left: tuple[str, Limits]) -> None:
        name, _ = left
        # A player who came back and left again has the same limits, which are then remembered for longer.
        if self._limits.get(name) is left:
            del self._limits[name]

    def _keep_later(self, player: Player) -> None:
        if player.online:
            self._keep(player)
            self.agenda.after(SAVE_TICKS, self._keep_later, player)

    def keep_all(self) -> None:
        """Give the records of all who are on the board to the storage: before the end."""
        for player in list(self.players.values()):
            self._keep(player)

    # What players do

    def move(self, player: Player, direction: int, news: list[bytes]) -> Refusal | None:
        """One tile in `direction`. What the mover is to be told of others is added to `news`. None: it is done."""
        if not 0 <= direction < 4:
            return Refusal.NO_DIRECTION
        if self.move_interval:
            now = self.now
            limits = player.limits
            if limits.next_move > now + PACE_SLACK:
                return Refusal.TOO_FAST
        dx, dy = STEPS[direction]
        x, y = player.x + dx, player.y + dy
        if self.blocked[(y + 1) * self.stride + x + 1]:
            return Refusal.OBSTACLE if 0 <= x < self.size and 0 <= y < self.size else Refusal.OFF_THE_BOARD
        if self.move_interval:
            limits.next_move = (limits.next_move if limits.next_move > now else now) + self.move_interval
        self.view.step(player, x, y, news)
        return None

    def teleport(self, player: Player, x: int | None, y: int | None, news: list[bytes]) -> Refusal | None:
        """To tile x, y, or without them to an open tile of the seed's choice. None: it is done."""
        if self.now < player.limits.next_teleport:
            return Refusal.TOO_FAST
        if x is None or y is None:
            x, y = self.terrain.random_open(self.generator)
        elif not (0 <= x < self.size and 0 <= y < self.size):
            return Refusal.OFF_THE_BOARD
        elif not self.terrain.is_open(x, y):
            return Refusal.OBSTACLE
        player.limits.next_teleport = self.now + TELEPORT_EVERY
        self.view.jump(player, x, y, news)
        return None

    def carry_off(self, player: Player) -> None:
        """Put `player`, who died, on an open tile of the seed's choice, and tell it so."""
        news: list[bytes] = []
        self.view.jump(player, *self.terrain.random_open(self.generator), news)
        news.append(player.moved(player.timed))
        player.session.send(b"".join(news))

    def chat(self, player: Player, text: str) -> Refusal | None:
        """`player` says `text` to those who see it, and hears itself. None: it is done."""
        limits = player.limits
        if self.now < limits.next_chat - 4 * CHAT_EVERY:
            return Refusal.TOO_FAST
        limits.next_chat = max(limits.next_chat, self.now) + CHAT_EVERY
        player.session.send(pack_chat(player.id, text))
        self.say(player, text)
        return None

    def say(self, piece: Piece, text: str) -> None:
        """`piece` says `text` to those who see it and whose clients know chat."""
        packet = pack_chat(piece.id, text)
        self.view.sender.multicast([player.session for player in piece.watchers() if player.knows], packet)

    def whisper(self, player: Player, text: str) -> None:
        """The server says `text` to one player, if its client knows chat."""
        if player.knows:
            player.session.send(pack_chat(0, text))

    # Time

    @property
    def busy(self) -> bool:
        """Whether ticks are needed: something is to be done later."""
        return bool(self.agenda) or self.view.crowd.waiting or bool(self.combat.changed)

    def run(self) -> None:
        """A tick: do all that is due at `now`. To be called every `TICK` seconds or so, while `busy`."""
        tick = int(self.now / TICK)
        agenda, crowd = self.agenda, self.view.crowd
        flush = tick // _FLUSH_TICKS > agenda.tick // _FLUSH_TICKS
        agenda.run(tick)
        self.combat.flush()
        if crowd.waiting:
            crowd.rank(self.now)
            if flush:
                crowd.flush()


class _Nobody:
    """Where packets go before an engine is attached."""

    def multicast(self, sessions: object, packet: bytes) -> None:
        raise RuntimeError("World.attach() comes first")
