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

from .piece import MONSTER_IDS, Piece, Player

if TYPE_CHECKING:
    from .sectors import Sector
    from .view import View

TICKED_FROM: Final = 64
"""Pieces told of, from which on moves are coalesced."""
CROWDED: Final = 256
"""Pieces of one sector."""
BUDGET: Final = 10_000
"""Pieces looked at in the rankings of one tick: about 3 ms."""
_POSITIVE: Final = 0x7FFF_FFFF
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

    def add_newcomer(self, piece: Piece) -> None:
        """The same for a piece that comes from elsewhere: it does not wait for its turn among those who stand in a crowd."""
        self._standing.pop(piece.id, None)
        self._new[piece.id] = piece

    def is_new(self, piece: Piece) -> bool:
        """Whether it waits to be ranked: those who will be told of it then do not know of it yet."""
        return piece.id in self._new

    def discard(self, piece: Piece) -> None:
        """`piece` has left the board."""
        self._new.pop(piece.id, None)
        self._standing.pop(piece.id, None)
        self.moved.pop(piece.id, None)

    # Coalescing

    def hear_at_ticks(self, player: Player) -> None:
        """`player` sees so many that from now on it hears of their moves at ticks."""
        if not player.ticked:
            player.hear(player.timed, True)

    def thinned(self, player: Player) -> None:
        """A player who hears at ticks sees one less."""
        if len(player.told) < self._view.ticked_until:
            # What it would have heard at the next tick.
            news = [piece.moved(player.timed) for id, piece in self.moved.items() if id in player.told]
            if news:
                player.session.send(b"".join(news))
            player.hear(player.timed, False)

    def flush(self) -> None:
        """Tell those who hear at ticks where the others stand now.

        Each packet is queued to all who hear it at once, and what one session gets in this call leaves in one send.
        """
        multicast = self._view.sender.multicast
        for piece in self.moved.values():
            _, _, timed, untimed = piece.audience
            if timed:
                multicast(timed, piece.moved(True))
            if untimed:
                multicast(untimed, piece.moved(False))
        self.moved.clear()

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
        x, y, radius, most, id = piece.x, piece.y, view.radius, view.most, piece.id
        left, right, top, bottom = x - radius, x + radius, y - radius, y + radius
        near = list(view.sectors.around(x, y, radius))
        looked_at = 1 + sum(sector.population for sector in near)
        standing = self._standing
        for sector in near:
            # Those who have room are shown it, those who have none must choose anew; all others will, within a second.
            concerned = [
                other for other in sector.players.values()
                if (len(other.told) < most or other.id not in standing)
                and left <= other.x <= right and top <= other.y <= bottom
            ]  # fmt: skip
            for other in concerned:
                if other is not piece and id not in other.told:
                    view.show(piece, other)
        if isinstance(piece, Player):
            self._choose(piece, near, now)
        return looked_at

    def _choose(self, player: Player, near: list[Sector], now: float) -> None:
        """Tell `player` of the nearest of those in sight, as many as it may be told of."""
        view, told = self._view, player.told
        x, y, radius, most, me = player.x, player.y, view.radius, view.most, player.id
        left, right, top, bottom = x - radius, x + radius, y - radius, y + radius
        # Of several as near those whose ids follow the player's own: so all of a crowd on one tile are seen, each by about as many.
        others: list[tuple[int, int, Piece | int]] = []
        for sector in near:
            for pieces in (sector.players, sector.awake):
                others += [
                    (max(abs(other.x - x), abs(other.y - y)), (id - me) & _POSITIVE, other) for id, other in pieces.items()
                    if id not in told and left <= other.x <= right and top <= other.y <= bottom and other is not player
                ]  # fmt: skip
            if sector.asleep:
                for number in view.asleep_in_sight(sector, x, y):
                    others.append((view.distance(number, x, y), (MONSTER_IDS + number - me) & _POSITIVE, number))
        news: list[bytes] = []
        room = most - len(told)
        if len(others) > room:
            player.ranked_at = now
            self._standing[player.id] = player
            # Whoever was told already gives way only to somebody nearer.
            known = sorted(((piece.distance(x, y), piece.id, piece) for piece in told.values()), reverse=True)
            others = nsmallest(most, others)
            far = []
            for (distance, _, piece), (nearer, _, _) in zip(known, others[max(0, room) :], strict=False):
                if nearer >= distance:
                    break
                far.append(piece)
            view.forget(player, far, news)
            others = others[: most - len(told)]
        for _, _, found in others:
            view.look_at(view.wake(found) if isinstance(found, int) else found, player, news)
        if news:
            player.session.send(b"".join(news))
