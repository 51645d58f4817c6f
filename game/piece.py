"""What stands on the board: players, and what they share with monsters (lecture row 13, "session object")."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final, TypeAlias

from .protocol import O_PLAYER, pack_enter, pack_leave, pack_move, pack_move_timed

if TYPE_CHECKING:
    import iocp

    from .sectors import Sector


MONSTER_IDS: Final = 1_000_000_000
"""The id of monster number 0. Players' ids are those of sessions, which count from 1; behind the last one below this they begin again."""


class Ears(IntEnum):
    """How a player is told of the moves of others; the index of its dictionary in `Piece.audience`."""

    TIMED = 0
    """At once, in 14 bytes."""
    UNTIMED = 1
    """At once, in 10 bytes."""
    TICKED_TIMED = 2
    """It sees a crowd: at ticks, where each of the others stands by then; in 14 bytes."""
    TICKED_UNTIMED = 3
    """The same in 10 bytes."""

    @classmethod
    def of(cls, timed: bool, ticked: bool) -> Ears:
        """The one for such a player."""
        return _EARS[timed][ticked]


_EARS: Final = ((Ears.UNTIMED, Ears.TICKED_UNTIMED), (Ears.TIMED, Ears.TICKED_TIMED))
Audience: TypeAlias = "dict[iocp.Session, Player]"
NOBODY: Final[Audience] = {}
"""The audience of all who have none, always empty: one object for all stays in the processor's cache."""


class Piece:
    """One piece. x and y in tiles, 0 at the top left."""

    __slots__ = (
        "__weakref__", "audience", "health", "id", "leave", "level", "most_health", "name", "o_type", "sector", "x", "y",
    )  # fmt: skip

    def __init__(self, id: int, name: bytes, o_type: int) -> None:
        self.id = id
        self.name = name
        """The name field, packed."""
        self.o_type = o_type
        self.leave: Final = pack_leave(id)
        """The packet that tells of its leave, packed once."""
        self.x = self.y = 0
        self.health = self.most_health = 1
        self.level = 1
        self.sector: Sector | None = None
        """Where it stands; None when not on the board."""
        self.audience: Final[list[Audience]] = [NOBODY, NOBODY, NOBODY, NOBODY]
        """Players who have been told that it is there, by their session and by how they want to hear of its moves."""

    @property
    def enter(self) -> bytes:
        """The packet that tells that it is there, where it stands now."""
        return pack_enter(self.id, self.name, self.o_type, self.x, self.y)

    @property
    def text(self) -> str:
        """Its name, for people."""
        raise NotImplementedError

    def moved(self, timed: bool, move_time: int = 0) -> bytes:
        """The packet that tells where it stands now; `move_time` is left out of the untimed one."""
        return pack_move_timed(self.id, self.x, self.y, move_time) if timed else pack_move(self.id, self.x, self.y)

    def watched_by(self, player: Player) -> None:
        """`player` is told that it is there, and of its moves from now on."""
        audience = self.audience[player.ears]
        if audience is NOBODY:
            audience = self.audience[player.ears] = {}
        audience[player.session] = player

    def watchers(self) -> list[Player]:
        """The players who have been told that it is there."""
        return [player for audience in self.audience for player in audience.values()]

    def distance(self, x: int, y: int) -> int:
        """Tiles to x, y, as views measure: the larger of the two differences."""
        return max(abs(self.x - x), abs(self.y - y))


@dataclass(slots=True)
class Limits:
    """When a player may do something again, in seconds of the world's clock, and how much it cheated lately."""

    next_move: float = 0.0
    next_attack: float = 0.0
    next_chat: float = 0.0
    next_teleport: float = 0.0
    next_spectate: float = 0.0
    cheats: float = 0.0
    """As of `cheats_at`."""
    cheats_at: float = 0.0


class Player(Piece):
    """A player's piece, from its connection's begin. Its id is the session's, used again only after a thousand million others."""

    __slots__ = (
        "ears", "exp", "gone", "healing", "knows", "limits", "online", "ranked_at", "session", "text_name", "ticked",
        "timed", "told",
    )  # fmt: skip

    def __init__(self, session: iocp.Session, timed: bool) -> None:
        super().__init__((session.id - 1) % (MONSTER_IDS - 1) + 1, b"", O_PLAYER)
        self.session = session
        self.text_name = ""
        self.exp = 0
        self.told: Final[dict[int, Piece]] = {}
        """Those it has been told of and not been told that they left, by id: what it sees."""
        self.timed = timed
        """Whether it gets 14-byte moves: as the server was told, until its first move shows its kind."""
        self.ticked = False
        """Whether it hears of moves at ticks."""
        self.ears = Ears.of(timed, False)
        self.knows = 0
        """The highest level of extended packets that it has shown to know (the login's `knows`)."""
        self.online = False
        """On the board: from its login until it leaves."""
        self.gone = False
        """It left or was cut: packets that were received with the last ones are ignored."""
        self.limits = Limits()
        self.ranked_at = 0.0
        """When its crowd was ranked last."""
        self.healing = False
        """Whether it waits in the world's list of those who heal."""

    @property
    def text(self) -> str:
        """Its name, for people."""
        return self.text_name

    def hear(self, timed: bool, ticked: bool) -> None:
        """From now on be told of moves in another way."""
        self.timed, self.ticked = timed, ticked
        before, self.ears = self.ears, Ears.of(timed, ticked)
        for piece in self.told.values():
            del piece.audience[before][self.session]
            piece.watched_by(self)
