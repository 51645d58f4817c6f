"""Let players wander, leave and come back for a long time, while the oracle compares all that they are told with the true world.

The server, its clients and the oracle run in this one process, over real sockets. Players walk, teleport, fight, log
out, reset their connections, break the protocol, come back, and log in under a name that is online. Everything each client
receives is compared, to the byte and in order, with what follows from where everything stands (tests/game/oracle.py);
what has been compared is dropped, so memory must not grow.
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT / "tests" / "game"))

from stage import shipped_kinds  # noqa: E402
from wanderers import Trial  # noqa: E402

import iocp  # noqa: E402
from iocp._iocpcore import raise_open_files  # noqa: E402
from iocp.game.terrain import Terrain  # noqa: E402
from iocp.game.world import World  # noqa: E402

EPILOG = """\
examples:
  python tools/soak.py                                     ten minutes, 1,000 players
  python tools/soak.py --minutes 2 --world 150             nearer together: far more is seen
  python tools/soak.py --minutes 1 --players 200 --world 40 --rate 10 --backend epoll

Exit codes: 0 nothing found, 1 something found or memory grew steadily, 2 wrong usage, 130 interrupted.
"""
WARM_UP = 0.25
"""Part of the time in which memory may grow: until all players have come, and everything was used once."""
GROWTH = 1.05
"""Growth of memory from then to the end that is called steady, when each quarter of that time took more than the one before."""
LEAST_GROWTH = 4.0
"""Megabytes that it must be."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code."""
    options = parse(arguments)
    logging.getLogger("iocp.game").setLevel(logging.ERROR)
    world = World(
        options.world,
        options.seed,
        terrain=Terrain.seeded(options.world, options.seed, options.obstacles),
        view=options.view,
        # No plan against crowds: so every packet is determined.
        crowd=0,
    )
    if options.monsters:
        world.populate(options.monsters, shipped_kinds())
    raise_open_files()
    try:
        trial = Trial(world, options.players, options.rate, seed=options.seed, backend=options.backend)
    except RuntimeError as error:
        print(f"soak.py: {error}", file=sys.stderr)
        return 2
    with trial:
        print(
            f"{options.players:,} players and {options.monsters:,} monsters on {options.world} x {options.world} tiles,"
            f" view {options.view}, {options.rate:g} actions per second and player, {trial.server.backend},"
            f" for {options.minutes:g} minutes",
            flush=True,
        )
        soak = Soak(trial)
        try:
            soak.run(options.minutes * 60.0, options.every)
            soak.finish()
        except KeyboardInterrupt:
            print("interrupted", flush=True)
            soak.summary()
            return 130
    return soak.summary()


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="soak.py", description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=10.0, help="(default %(default)g)")
    parser.add_argument("--players", type=int, default=1000, help="(default %(default)s)")
    parser.add_argument("--monsters", type=int, default=2000, help="(default %(default)s)")
    parser.add_argument("--world", type=int, default=400, metavar="N", help="tiles along a side (default %(default)s)")
    parser.add_argument("--view", type=int, default=7, help="tiles that a player sees (default %(default)s)")
    parser.add_argument("--obstacles", type=int, default=10, help="percent of the tiles (default %(default)s)")
    parser.add_argument("--rate", type=float, default=1.0, help="actions per second and player (default %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="(default %(default)s)")
    parser.add_argument("--backend", choices=iocp.available_backends(), help="default: the best that works here")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two lines (default %(default)g)")
    options = parser.parse_args(arguments)
    for name, least in (("minutes", 0.01), ("players", 1), ("monsters", 0), ("rate", 0.01), ("every", 0.1)):
        if not getattr(options, name) >= least:
            parser.error(f"argument --{name}: must be at least {least}")
    for name, least, most in (("world", 1, 32_767), ("view", 1, 100), ("obstacles", 0, 50)):
        if not least <= getattr(options, name) <= most:
            parser.error(f"argument --{name}: must be from {least} to {most}")
    return options


def memory() -> float | None:
    """Megabytes of this process in memory; None where the system has no such file."""
    if sys.platform != "linux":
        return None
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def steady_growth(samples: Sequence[float]) -> float:
    """By how many times memory grew, if it grew steadily, else 1.0. samples: megabytes, at regular times."""
    rest = samples[int(len(samples) * WARM_UP) :]
    if len(rest) < 8:
        return 1.0
    cuts = [len(rest) * part // 4 for part in range(5)]
    quarters = [statistics.median(rest[start:end]) for start, end in zip(cuts, cuts[1:], strict=False)]
    first, last = quarters[0], quarters[-1]
    grew = all(later > earlier for earlier, later in zip(quarters, quarters[1:], strict=False))
    return last / first if grew and last > first * GROWTH and last - first > LEAST_GROWTH else 1.0


class Soak:
    """A trial that is looked at every few seconds."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial
        self.samples: list[float] = []
        self._began = time.monotonic()
        self._cpu = time.process_time()
        self._shown = 0

    def run(self, seconds: float, every: float) -> None:
        """Print a line every so many seconds."""
        end = self._began + seconds
        moves = checked = 0
        then = self._began
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(every, left))
            now = time.monotonic()
            players, moves_now, checked_now, late = self.trial.ask(self._look)
            took = memory()
            if took is not None:
                self.samples.append(took)
            print(
                f"{now - self._began:5.0f} s  {players:5,} players  {(moves_now - moves) / (now - then):7,.0f} moves/s"
                f"  {checked_now:13,} packets checked, {(checked_now - checked) / (now - then):8,.0f}/s"
                f"  {late:3.0f} ms late  {self.trial.journal.found} violations"
                + (f"  {took:,.0f} MB" if took is not None else ""),
                flush=True,
            )
            moves, checked, then = moves_now, checked_now, now
            self._show_findings()

    def _look(self) -> tuple[int, int, int, float]:
        counts = self.trial.handler.counts
        late, counts.most_tick_lag = counts.most_tick_lag, 0.0
        return len(self.trial.handler.world.players), counts.moves, self.trial.journal.checked, late * 1000

    def _show_findings(self) -> None:
        for finding in self.trial.findings[self._shown :]:
            print(f"       VIOLATION: {finding}", flush=True)
        self._shown = len(self.trial.findings)

    def finish(self) -> None:
        """All stand still, all is compared, all leave, and nothing must be left."""
        try:
            compared = self.trial.finish(timeout=60.0)
            print(f"all stand still: {compared:,} players see exactly what there is, and all have left", flush=True)
        except TimeoutError as error:
            self.trial.journal.find(f"the end: {error}")
        self._show_findings()

    def summary(self) -> int:
        """Print it; the exit code."""
        journal, counts, wanderers = self.trial.journal, self.trial.handler.counts, self.trial.wanderers
        growth = steady_growth(self.samples)
        left = ", ".join(f"{number:,} {way}" for way, number in sorted(wanderers.counts.items()))
        monsters = self.trial.handler.world.monsters
        print(
            f"after {time.monotonic() - self._began:,.0f} s on {self.trial.server.backend}\n"
            f"  players     {counts.logins:,} logged in, {counts.most_online:,} at once; {left}\n"
            f"  the world   {journal.events:,} events, {counts.moves:,} moves, {monsters.steps:,} steps of monsters,"
            f" {monsters.kills:,} killed\n"
            f"  compared    {journal.checked:,} packets, each to the byte and in its place\n"
            f"  CPU         {time.process_time() - self._cpu:,.0f} s"
        )
        if self.samples:
            settled = self.samples[int(len(self.samples) * WARM_UP) :]
            print(
                f"  memory      {settled[0]:,.0f} MB after the warm-up, {settled[-1]:,.0f} MB at the end, {max(settled):,.0f} MB"
                f" at most: {'GROWS STEADILY' if growth > 1 else 'does not grow steadily'}"
            )
        print(f"  violations  {journal.found or 'none'}", flush=True)
        return 1 if journal.found or growth > 1 else 0


if __name__ == "__main__":
    sys.exit(main())
