"""How a chess server is: the numbers behind its status line, its metrics and its summary.

A snapshot, taken on any thread: each number is exact, but not all at the very same instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import iocp

if TYPE_CHECKING:
    from .server import ChessServer
    from .storage import Storage, StorageStatus


@dataclass(frozen=True, slots=True)
class Vitals:
    """Times in seconds. Counts are since the start, unless they say how many there are now."""

    players: int
    """On the board now."""
    monsters: int
    """Now, dead ones included."""
    awake: int
    """Monsters awake now."""
    dead: int
    """Monsters dead now."""
    late: int
    """Things that were due and wait for the next tick, now."""
    moves: int
    steps: int
    """Steps of monsters."""
    attacks: int
    kills: int
    deaths: int
    logins: int
    logouts: int
    taken_over: int
    turned_away: int
    refused: dict[str, int]
    """Wishes not granted, by cause."""
    violations: dict[str, int]
    """Connections cut for breaking the game's protocol, by kind."""
    ended: dict[iocp.Reason, int]
    """All connections that ended, by reason."""
    scripts_failed: tuple[str, ...]
    """Scripts that are disabled now."""
    ticks: int
    tick_lag: float
    most_tick_lag: float
    engine: iocp.Stats
    storage: StorageStatus | None

    @property
    def cuts(self) -> dict[str, int]:
        """Connections that the server cut, by reason in words."""
        unforced = (iocp.Reason.CLOSED, iocp.Reason.PEER_CLOSED, iocp.Reason.PEER_RESET, iocp.Reason.SERVER_STOPPED)
        return {
            reason.name.lower().replace("_", " "): count
            for reason, count in self.ended.items()
            if count and reason not in unforced
        }


def vitals(game: ChessServer, engine: iocp.Engine, storage: Storage | None) -> Vitals:
    """The numbers of now. On any thread."""
    world, counts, stats = game.world, game.counts, engine.stats()
    monsters, combat = world.monsters, world.combat
    return Vitals(
        players=len(world.players),
        monsters=len(monsters),
        awake=len(monsters.awake),
        dead=monsters.dead,
        late=world.agenda.late,
        moves=counts.moves,
        steps=monsters.steps,
        attacks=combat.attacks,
        kills=monsters.kills,
        deaths=combat.deaths,
        logins=counts.logins,
        logouts=counts.logouts,
        taken_over=counts.taken_over,
        turned_away=counts.turned_away,
        refused={str(cause): number for cause, number in dict(counts.refused).items()},
        violations={str(kind): number for kind, number in dict(counts.violations).items()},
        ended=stats.ended,
        scripts_failed=tuple(kind.script for kind in monsters.kinds if kind.failed),
        ticks=counts.ticks,
        tick_lag=counts.tick_lag,
        most_tick_lag=counts.most_tick_lag,
        engine=stats,
        storage=None if storage is None else storage.status(),
    )
