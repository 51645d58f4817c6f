"""Where everything stands, from the calls that the world makes to its view: what the oracles for sight go by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, Final

from iocp.game.piece import MONSTER_IDS, Piece, Player
from iocp.game.protocol import O_PLAYER, Move, Teleport
from iocp.game.world import World

Place = tuple[int, int]
MOST_KEPT: Final = 50
"""Findings whose text is kept; all are counted."""


class Columns:
    """Places by columns of tiles, so that all within a square can be found among many thousands."""

    def __init__(self) -> None:
        self._columns: defaultdict[int, dict[int, int]] = defaultdict(dict)

    def put(self, id: int, place: Place) -> None:
        self._columns[place[0]][id] = place[1]

    def take(self, id: int, place: Place) -> None:
        del self._columns[place[0]][id]

    def near(self, place: Place, radius: int) -> set[int]:
        x, y = place
        columns, found = self._columns, set()
        for column in range(x - radius, x + radius + 1):
            if column in columns:
                found.update([id for id, other in columns[column].items() if -radius <= other - y <= radius])
        return found


class Truth:
    """Where everything in `world` stands. To be made before the first player comes, after the monsters.

    timed: what the server sends a client until its first move shows its kind.
    """

    def __init__(self, world: World, timed: bool = True) -> None:
        self.world = world
        self.timed = timed
        self.radius: Final = world.view.radius
        self.at: dict[int, Place] = {}
        """Tiles of all players on the board and of all living monsters, asleep or awake, by id."""
        self.looks: dict[int, tuple[bytes, int]] = {}
        """Their packed names and o_types."""
        self.receive: Callable[[], object] = lambda: None
        """Fetches what the clients were told by now, for those who must judge it before anything else happens."""
        self.findings: list[str] = []
        self.found = 0
        self.events = 0
        self._players, self._monsters = Columns(), Columns()
        for number in range(len(world.monsters)):
            self._arrive(MONSTER_IDS + number, (world.monsters.x[number], world.monsters.y[number]))
        self._view: dict[str, Any] = {}
        for name in ("appear", "step", "jump", "disappear"):
            self._view[name] = getattr(world.view, name)
            setattr(world.view, name, getattr(self, f"_{name}"))
        self._world_carry_off, self._monsters_respawn = world.carry_off, world.monsters._respawn
        world.carry_off, world.monsters._respawn = self._carry_off, self._respawn

    # For those who know more

    def begins(self) -> None:
        """Something is about to change."""

    def changed(self, id: int, before: Place | None, after: Place | None) -> None:
        """The piece `id` came (before is None), moved, or went (after is None)."""

    def carried_off(self, player: Player) -> None:
        """`player` died and is told where it stands now."""

    def asked(self, player: Player, request: object) -> None:
        """A player on the board asks for something."""

    def answered(self, player: Player, request: Move | Teleport) -> None:
        """It has been done, or refused."""

    def take(self, id: int, packets: Iterable[bytes]) -> None:
        """The client of player `id` received these, after all before them."""

    def end(self, id: int, complete: bool) -> None:
        """The connection of player `id` has ended. complete: all that was sent to it must have been received."""

    def check(self) -> None:
        """Between two calls: look at everything."""
        self.check_board()

    def find(self, text: str) -> None:
        """Note a finding."""
        self.found += 1
        if len(self.findings) < MOST_KEPT:
            self.findings.append(text)

    def in_sight(self, id: int, place: Place | None = None) -> set[int]:
        """All pieces that `id` sees, where it stands or from another place."""
        place = place or self.at[id]
        return (self._players.near(place, self.radius) | self._monsters.near(place, self.radius)) - {id}

    def players_near(self, place: Place | None) -> set[int]:
        """The players within the radius."""
        return self._players.near(place, self.radius) if place else set()

    def name(self, id: int) -> str:
        """An id for people."""
        what = "player" if id < MONSTER_IDS else "monster"
        return f"{what} {id} {self.looks.get(id, (b'?', 0))[0].rstrip(bytes(1)).decode(errors='replace')}"

    # What the world tells its view

    def _arrive(self, id: int, place: Place) -> None:
        if id >= MONSTER_IDS:
            # There is no other way to know a sleeping monster's kind.
            kind = self.world.monsters.kinds[self.world.monsters._kind[id - MONSTER_IDS]]
            self.looks[id] = (kind.packed_name, kind.o_type)
        self.at[id] = place
        self._of(id).put(id, place)

    def _of(self, id: int) -> Columns:
        return self._players if id < MONSTER_IDS else self._monsters

    def _go(self, id: int, before: Place, place: Place) -> None:
        self._of(id).take(id, before)
        self._of(id).put(id, place)
        self.at[id] = place
        if not self.world.terrain.is_open(*place):
            self.find(f"{self.name(id)} stands on {place}, where nothing can stand")

    def _appear(self, piece: Piece, x: int, y: int, news: list[bytes] | None) -> None:
        self.begins()
        self._view["appear"](piece, x, y, news)
        if piece.id in self.at:
            self.find(f"{self.name(piece.id)} appeared twice")
        self.looks[piece.id] = (piece.name, O_PLAYER)
        self._arrive(piece.id, (x, y))
        self._happened(piece, None, (x, y))

    def _step(self, piece: Piece, x: int, y: int, news: list[bytes] | None) -> None:
        self.begins()
        before = self.at[piece.id]
        if abs(before[0] - x) + abs(before[1] - y) != 1:
            self.find(f"{self.name(piece.id)} stepped from {before} to {(x, y)}")
        self._view["step"](piece, x, y, news)
        self._go(piece.id, before, (x, y))
        self._happened(piece, before, (x, y))

    def _jump(self, piece: Piece, x: int, y: int, news: list[bytes] | None) -> None:
        self.begins()
        before = self.at[piece.id]
        self._view["jump"](piece, x, y, news)
        self._go(piece.id, before, (x, y))
        self._happened(piece, before, (x, y))

    def _disappear(self, piece: Piece) -> None:
        self.begins()
        self._view["disappear"](piece)
        before = self.at.pop(piece.id)
        self._of(piece.id).take(piece.id, before)
        self.changed(piece.id, before, None)
        if piece.id < MONSTER_IDS:
            del self.looks[piece.id]
        self.events += 1

    def _respawn(self, number: int) -> None:
        self.begins()
        self._monsters_respawn(number)
        id = MONSTER_IDS + number
        if id in self.at:
            self.find(f"{self.name(id)} came back to life without having died")
            return
        monsters = self.world.monsters
        awake = monsters.awake.get(number)
        place = (awake.x, awake.y) if awake is not None else (monsters.x[number], monsters.y[number])
        self._arrive(id, place)
        self.changed(id, None, place)
        self.events += 1

    def _carry_off(self, player: Player) -> None:
        self._world_carry_off(player)
        self.carried_off(player)

    def _happened(self, piece: Piece, before: Place | None, after: Place) -> None:
        if (piece.x, piece.y) != after:
            self.find(f"{self.name(piece.id)} is at {(piece.x, piece.y)} and should be at {after}")
        self.changed(piece.id, before, after)
        self.events += 1

    # The board itself

    def board(self) -> dict[int, Place]:
        """Where the world's own lists say that everything is: to be compared with `at`."""
        monsters = self.world.monsters
        places = {id: (player.x, player.y) for id, player in self.world.players.items()}
        for number in range(len(monsters)):
            if (awake := monsters.awake.get(number)) is not None:
                places[MONSTER_IDS + number] = (awake.x, awake.y)
            elif MONSTER_IDS + number in self.at:  # Nothing but `at` knows which of those not awake are dead.
                places[MONSTER_IDS + number] = (monsters.x[number], monsters.y[number])
        return places

    def check_board(self) -> None:
        """Compare `at` with the world's own lists."""
        if self.board() != self.at:
            self.find(f"the board differs from what happened on it: {set(self.board().items()) ^ set(self.at.items())}")
        if len(self.at) != len(self.world.players) + len(self.world.monsters) - self.world.monsters.dead:
            self.find("the dead are not counted right")
