"""Who is told of whom: the area of interest (lecture row 24, "view").

A piece is in sight of a player when neither coordinate differs by more than the radius. `View` moves pieces about and
tells the players, at once and to the byte: `enter` when a piece comes into sight, `move` while it stays there, `leave`
when it goes out of sight; also when it is the player itself that moved, appeared, jumped or vanished. A client is never
told of anything it cannot see.

A step looks only at the two lines of tiles where sight can change: at the far edge behind, among those the player had
been told of; at the far edge ahead, in two or three sectors. What a player is told by its own step is joined into one
send; a move is packed once for all who see it.

A crowd degrades by plan (`crowd.py`): a player is told of no more than `crowd` pieces, and with very many in sight
it hears of their moves at ticks.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from .crowd import CROWDED, TICKED_FROM, Crowd
from .monster import Monster
from .piece import Piece, Player
from .sectors import Sector, Sectors

if TYPE_CHECKING:
    from iocp import Session


class Sender(Protocol):
    """What the view needs of an engine."""

    def multicast(self, sessions: Iterable[Session], packet: bytes) -> object:
        """Queue one packet to each of these sessions."""


Places: TypeAlias = "tuple[array[int], array[int]]"
"""x and y of sleeping monsters, by their number."""


class View:
    """Sight on a board of `size` tiles, as far as `radius` tiles.

    crowd: the most pieces that a player is told of; 0 for no limit, and no plan against crowds. wake: makes an awake
    monster of a sleeping one's number, in its sector. Not thread-safe.
    """

    def __init__(
        self, size: int, radius: int, crowd: int, sender: Sender, wake: Callable[[int], Monster], asleep: Places
    ) -> None:
        self.radius = radius
        self.sectors: Final = Sectors(size, radius)
        self.most: Final = crowd or sys.maxsize
        """The most pieces that a player is told of."""
        self.crowded: Final = CROWDED if crowd else sys.maxsize
        """Pieces in a sector above which a step does not look at each of them, but leaves it to the ranking."""
        self.ticked_from: Final = min(TICKED_FROM, crowd) if crowd else sys.maxsize
        self.ticked_until: Final = max(1, self.ticked_from * 3 // 4)
        self.crowd: Final = Crowd(self)
        self.sender = sender
        self.wake = wake
        self.asleep_x, self.asleep_y = asleep

    # Changes of place

    def step(self, piece: Piece, x: int, y: int, news: list[bytes] | None) -> None:
        """`piece` goes one tile, to x, y. What a player is told by its own step is added to `news`; a monster has None."""
        radius = self.radius
        old_x, old_y = piece.x, piece.y
        piece.x, piece.y = x, y
        sectors = self.sectors
        shift, columns, grid = sectors.shift, sectors.columns, sectors.grid
        sector = grid[(y >> shift) * columns + (x >> shift) + sectors.origin]
        if sector is not piece.sector:
            self._change_sector(piece, sector)
        # Those behind whom it leaves, and who leave it behind.
        lost: list[Player] = []
        if x != old_x:
            vertical = True
            behind, ahead = (old_x - radius, x + radius) if x > old_x else (old_x + radius, x - radius)
            low, high = y - radius, y + radius
            start = (low >> shift) * columns + (ahead >> shift) + sectors.origin
            line = grid[start : (high >> shift) * columns + (ahead >> shift) + sectors.origin + 1 : columns]
            for audience in piece.audience:
                if audience:
                    for player in audience.values():
                        if player.x == behind:
                            lost.append(player)
        else:
            vertical = False
            behind, ahead = (old_y - radius, y + radius) if y > old_y else (old_y + radius, y - radius)
            low, high = x - radius, x + radius
            start = (ahead >> shift) * columns + sectors.origin
            line = grid[start + (low >> shift) : start + (high >> shift) + 1]
            for audience in piece.audience:
                if audience:
                    for player in audience.values():
                        if player.y == behind:
                            lost.append(player)
        if lost:
            self._vanish(piece, lost)
        self._tell_moved(piece)
        if news is not None:
            told: dict[int, Piece] = piece.told  # type: ignore[attr-defined]
            if vertical:
                unseen = [other for other in told.values() if other.x == behind]
            else:
                unseen = [other for other in told.values() if other.y == behind]
            if unseen:
                self.forget(piece, unseen, news)  # type: ignore[arg-type]
        # Those at the edge ahead.
        crowded = self.crowded
        for sector in line:
            players = sector.players
            if players:
                if len(players) > crowded:
                    self.crowd.add(piece)
                else:
                    if vertical:
                        met = [player for player in players.values() if player.x == ahead and low <= player.y <= high]
                    else:
                        met = [player for player in players.values() if player.y == ahead and low <= player.x <= high]
                    for player in met:
                        self.show(piece, player)
                        if news is not None:
                            self.look_at(player, piece, news)  # type: ignore[arg-type]
            if news is not None and (sector.awake or sector.asleep):
                self._meet_monsters(piece, sector, vertical, ahead, low, high, news)  # type: ignore[arg-type]

    def _meet_monsters(
        self, player: Player, sector: Sector, vertical: bool, ahead: int, low: int, high: int, news: list[bytes]
    ) -> None:
        """`player` stepped: monsters of `sector` on the line `ahead`, from `low` to `high`, come into its sight."""
        awake, asleep = sector.awake, sector.asleep
        if len(awake) > self.crowded or (asleep and len(asleep) > self.crowded):
            self.crowd.add(player)
            return
        if awake:
            if vertical:
                met = [other for other in awake.values() if other.x == ahead and low <= other.y <= high]
            else:
                met = [other for other in awake.values() if other.y == ahead and low <= other.x <= high]
            for other in met:
                self.look_at(other, player, news)
        if asleep:
            along, across = (self.asleep_x, self.asleep_y) if vertical else (self.asleep_y, self.asleep_x)
            for number in [n for n in asleep if along[n] == ahead and low <= across[n] <= high]:
                if len(player.told) >= self.most:
                    self.crowd.add(player)
                    break
                self.look_at(self.wake(number), player, news)

    def appear(self, piece: Piece, x: int, y: int, news: list[bytes] | None) -> None:
        """`piece`, which is not on the board, comes to stand on x, y."""
        piece.x, piece.y = x, y
        self._change_sector(piece, self.sectors.at(x, y))
        self.look_round(piece, news)

    def jump(self, piece: Piece, x: int, y: int, news: list[bytes] | None) -> None:
        """`piece` is at once on x, y, anywhere on the board. The same tile: nothing happens."""
        if (x, y) == (piece.x, piece.y):
            return
        radius = self.radius
        lost = [player for player in piece.watchers() if player.distance(x, y) > radius]
        if lost:
            self._vanish(piece, lost)
        if isinstance(piece, Player) and news is not None:
            self.forget(piece, [other for other in piece.told.values() if other.distance(x, y) > radius], news)
        piece.x, piece.y = x, y
        sector = self.sectors.at(x, y)
        if sector is not piece.sector:
            self._change_sector(piece, sector)
        self._tell_moved(piece)
        self.look_round(piece, news)

    def disappear(self, piece: Piece) -> None:
        """`piece` leaves the board. It is told nothing."""
        watchers = piece.watchers()
        if watchers:
            self._vanish(piece, watchers)
        if isinstance(piece, Player):
            for other in piece.told.values():
                del other.audience[piece.ears][piece.session]
            piece.told.clear()
        self.crowd.discard(piece)
        self._change_sector(piece, None)

    # What the above is made of

    def _change_sector(self, piece: Piece, sector: Sector | None) -> None:
        if isinstance(piece, Player):
            if piece.sector is not None:
                del piece.sector.players[piece.id]
            if sector is not None:
                sector.players[piece.id] = piece
        elif isinstance(piece, Monster):
            if piece.sector is not None:
                del piece.sector.awake[piece.id]
            if sector is not None:
                sector.awake[piece.id] = piece
        piece.sector = sector

    def _tell_moved(self, piece: Piece) -> None:
        timed, untimed, ticked_timed, ticked_untimed = piece.audience
        if timed:
            self.sender.multicast(timed, piece.moved(True))
        if untimed:
            self.sender.multicast(untimed, piece.moved(False))
        if ticked_timed or ticked_untimed:
            self.crowd.moved[piece.id] = piece

    def look_round(self, piece: Piece, news: list[bytes] | None) -> None:
        """Show `piece` to all in whose sight it stands, and if it is a player show it all that it sees."""
        x, y, radius = piece.x, piece.y, self.radius
        sectors = list(self.sectors.around(x, y, radius))
        if any(sector.population > self.crowded for sector in sectors):
            self.crowd.add_newcomer(piece)
            return
        seen: list[Piece] = []
        for sector in sectors:
            for player in sector.players.values():
                if player is not piece and abs(player.x - x) <= radius and abs(player.y - y) <= radius:
                    seen.append(player)
                    if piece.id not in player.told:
                        self.show(piece, player)
            if news is not None:
                awake, asleep = self.monsters_in_sight(sector, x, y)
                seen += awake
                seen += [self.wake(number) for number in asleep]
        if news is None:
            return
        told: dict[int, Piece] = piece.told  # type: ignore[attr-defined]
        if len(seen) > self.most:
            # Not all of them can be told: the ranking finds the nearest, at the next tick.
            self.crowd.add_newcomer(piece)
            return
        for other in seen:
            if other.id not in told:
                self.look_at(other, piece, news)  # type: ignore[arg-type]

    def monsters_in_sight(self, sector: Sector, x: int, y: int) -> tuple[list[Monster], list[int]]:
        """The monsters of `sector` in sight of x, y: those awake, and the numbers of those asleep."""
        radius = self.radius
        awake = [
            monster for monster in sector.awake.values() if abs(monster.x - x) <= radius and abs(monster.y - y) <= radius
        ]
        return awake, self.asleep_in_sight(sector, x, y) if sector.asleep else []

    def asleep_in_sight(self, sector: Sector, x: int, y: int) -> list[int]:
        """The numbers of the monsters asleep in `sector` in sight of x, y."""
        xs, ys, radius = self.asleep_x, self.asleep_y, self.radius
        return [n for n in sector.asleep or () if abs(xs[n] - x) <= radius and abs(ys[n] - y) <= radius]

    def distance(self, piece: Piece | int, x: int, y: int) -> int:
        """Tiles to x, y of a piece or of the sleeping monster of this number."""
        if isinstance(piece, int):
            return max(abs(self.asleep_x[piece] - x), abs(self.asleep_y[piece] - y))
        return piece.distance(x, y)

    def look_at(self, other: Piece, player: Player, news: list[bytes]) -> None:
        """Tell `player`, through its `news`, that `other` is there, if it has room for one more."""
        told = player.told
        if len(told) >= self.most:
            self.crowd.add(player)
            return
        told[other.id] = other
        other.watched_by(player)
        news.append(other.enter)
        if len(told) == self.ticked_from:
            self.crowd.hear_at_ticks(player)

    def show(self, piece: Piece, player: Player) -> None:
        """Tell `player` that `piece` is there, if it has room for one more."""
        told = player.told
        if len(told) >= self.most:
            self.crowd.add(player)
            return
        told[piece.id] = piece
        piece.watched_by(player)
        player.session.send(piece.enter)
        if len(told) == self.ticked_from:
            self.crowd.hear_at_ticks(player)

    def _vanish(self, piece: Piece, players: list[Player]) -> None:
        """Tell these, who have been told of it, that `piece` is no longer in sight."""
        audience, id, leave = piece.audience, piece.id, piece.leave
        for player in players:
            del player.told[id]
            del audience[player.ears][player.session]
            player.session.send(leave)
            if player.ticked:
                self.crowd.thinned(player)

    def forget(self, player: Player, others: list[Piece], news: list[bytes]) -> None:
        """Tell `player`, through its `news`, that these are no longer in sight."""
        told, session = player.told, player.session
        for other in others:
            del told[other.id]
            del other.audience[player.ears][session]
            news.append(other.leave)
        if player.ticked:
            self.crowd.thinned(player)
