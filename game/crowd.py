"""How sight degrades in a crowd, by plan (lecture rows 21 and 24), in this order:

1. Packets are shared: a move is packed once, its bytes are the same for all who see it. That is so always.
2. Moves are coalesced: a player who has been told of `TICKED_FROM` pieces or more hears of their moves at ticks, ten
   times a second, in one send: where each of them stands by then. Enter and leave are told at once, as always.
3. Neighbours are capped: a player is told of `--crowd N` pieces at most. Whoever comes into sight of one who has no room,
   or near a sector with more than `CROWDED` pieces, is not compared with each piece there. Instead those concerned are
   *ranked* at the next tick: the nearest N are told, and whoever has been told already stays before others as near, so that nobody
   flickers. A player with more in sight than it may be told of is ranked again every second.

So a step costs the same in a crowd as elsewhere, and a tick is bounded: at most `BUDGET` pieces are looked at for
rankings, and at most N moves sent to each player. What does not fit waits its turn, first come first served: in the worst crowd the
choice of neighbours is late, while positions are as fresh as ever, and a leave is never late.
"""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from .piece import MONSTER_IDS, Ears, Piece, Player
from .protocol import pack_move, pack_move_timed

if TYPE_CHECKING:
    from .view import View

TICKED_FROM: Final = 64
"""Pieces told of, from which on moves are coalesced."""
CROWDED: Final = 256
"""Pieces of one sector."""
BUDGET: Final = 20_000
"""Pieces looked at in the rankings of one tick: about 4 ms."""
RANK_EVERY: Final = 1.0
"""Seconds between two rankings of a player with too many in sight."""


class Crowd:
    """The pieces whose sight is settled at ticks, for one `View`."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._new: dict[int, Piece] = {}
        """Pieces to be ranked at the next tick."""
        self._standing: dict[int, Player] = {}
        """Players with more in sight than they are told of, the one ranked longest ago first."""
        self._ticked: dict[int, Player] = {}
        self.moved: dict[int, Piece] = {}
        """Pieces that moved since the last tick and are seen by players who hear at ticks."""
        self.looked_at = 0
        """Pieces looked at in rankings since the start."""

    @property
    def waiting(self) -> bool:
        """Whether a tick would find anything to do."""
        return bool(self._new or self._standing or self.moved)

    def add(self, piece: Piece) -> None:
        """What `piece` sees, and who sees it, is to be settled at the next tick."""
        if piece.id not in self._standing:
            self._new[piece.id] = piece

    def discard(self, piece: Piece) -> None:
        """`piece` has left the board."""
        self._new.pop(piece.id, None)
        self._standing.pop(piece.id, None)
        self._ticked.pop(piece.id, None)
        self.moved.pop(piece.id, None)

    # Coalescing

    def hear_at_ticks(self, player: Player) -> None:
        """`player` sees so many that from now on it hears of their moves at ticks."""
        if player.ears is not Ears.TICKED:
            player.hear(Ears.TICKED)
            self._ticked[player.id] = player

    def thinned(self, player: Player) -> None:
        """A player who hears at ticks sees one less."""
        if len(player.told) < self._view.ticked_until:
            self._tell(player, {})
            del self._ticked[player.id]
            player.hear(Ears.TIMED if player.timed else Ears.UNTIMED)

    def flush(self) -> None:
        """Tell those who hear at ticks where the others stand now."""
        if self.moved:
            packed: dict[tuple[int, bool], bytes] = {}
            for player in self._ticked.values():
                self._tell(player, packed)
            self.moved.clear()

    def _tell(self, player: Player, packed: dict[tuple[int, bool], bytes]) -> None:
        moved, told, timed = self.moved, player.told, player.timed
        # In the order of the shorter one, which does not depend on hashes: a replay gives the same bytes.
        few, many = (moved, told) if len(moved) < len(told) else (told, moved)
        news = []
        for id in few:
            if id in many:
                packet = packed.get((id, timed))
                if packet is None:
                    piece = moved[id]
                    packet = pack_move_timed(id, piece.x, piece.y, 0) if timed else pack_move(id, piece.x, piece.y)
                    packed[id, timed] = packet
                news.append(packet)
        if news:
            player.session.send(b"".join(news))

    # Ranking

    def rank(self, now: float) -> None:
        """Settle the sight of those who wait for it, as many as the budget allows. `now` in seconds."""
        budget = BUDGET
        while self._new and budget > 0:
            id = next(iter(self._new))
            budget -= self._rank(self._new.pop(id), now)
        while self._standing and budget > 0:
            id, player = next(iter(self._standing.items()))
            if now - player.ranked_at < RANK_EVERY:
                break
            del self._standing[id]
            budget -= self._rank(player, now)
        self.looked_at += BUDGET - budget

    def _rank(self, piece: Piece, now: float) -> int:
        """Settle who sees `piece` and, if it is a player, whom it sees. How many pieces were looked at, at least 1."""
        view = self._view
        x, y, radius, most = piece.x, piece.y, view.radius, view.most
        player = piece if isinstance(piece, Player) else None
        looked_at = 1
        seen: dict[int, Piece | int] = {}
        for sector in view.sectors.around(x, y, radius):
            looked_at += sector.population
            for other in sector.players.values():
                if other is piece or abs(other.x - x) > radius or abs(other.y - y) > radius:
                    continue
                seen[other.id] = other
                if piece.id not in other.told and len(other.told) < most:
                    view.show(piece, other)
            if player is not None:
                awake, asleep = view.monsters_in_sight(sector, x, y)
                for monster in awake:
                    seen[monster.id] = monster
                for number in asleep:
                    seen[MONSTER_IDS + number] = number
        if player is None:
            return looked_at
        told = player.told
        if len(seen) > most:
            near = [(view.distance(other, x, y), id not in told, id) for id, other in seen.items()]
            seen = {id: seen[id] for _, _, id in nsmallest(most, near)}
            player.ranked_at = now
            self._standing[player.id] = player
        news: list[bytes] = []
        view.forget(player, [other for id, other in told.items() if id not in seen], news)
        for id, found in seen.items():
            if id not in told:
                view.look_at(view.wake(found) if isinstance(found, int) else found, player, news)
        if news:
            player.session.send(b"".join(news))
        return looked_at
