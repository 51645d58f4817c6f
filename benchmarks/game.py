"""Measure the chess game's Python without a network: microseconds per move, steps of monsters per CPU-second, crowds, memory.

The real server object is driven by packets, on sessions that throw away what they are sent: so what is measured is the game's
own Python and nothing of the port or the kernel. Time is simulated, each player moves once a second, and the world's
ticks that fall due are part of what is counted.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import report

from iocp.game.agenda import TICK
from iocp.game.collector import spare_the_world
from iocp.game.kinds import SCRIPTS, Kind, read_scripts
from iocp.game.names import encode_name
from iocp.game.protocol import pack_login, pack_step
from iocp.game.server import ChessServer
from iocp.game.world import World

EPILOG = """\
examples:
  python benchmarks/game.py                                all of it, about two minutes
  python benchmarks/game.py --only move --rounds 3
  python benchmarks/game.py --report docs/benchmarks.md    measure, then fill the document's block `game`

Exit codes: 0 measured, 2 wrong usage, 130 interrupted.
"""
MOVE_AIM = 25.0
STEP_AIM = 8.0
MEMORY_AIM = 120.0


class Session:
    """Throws away what it is sent."""

    __slots__ = ("data", "id")
    address = ("192.0.2.1", 1)

    def __init__(self, id: int) -> None:
        self.id = id
        self.data = None

    def send(self, packet: bytes) -> None: ...
    def close(self, *reason: object) -> None: ...
    def abort(self, *reason: object) -> None: ...


class Timer:
    """Never fires: time is simulated."""

    def cancel(self) -> None: ...


class Engine:
    """Throws away what is sent to many, and counts it."""

    def __init__(self) -> None:
        self.deliveries = 0

    def multicast(self, sessions: Iterable[Session], packet: bytes) -> None:
        self.deliveries += len(sessions)  # type: ignore[arg-type]

    def call_every(self, interval: float, function: Callable[[], object]) -> Timer:
        return Timer()


class Stage:
    """A game with players on it, and its clock."""

    def __init__(self, size: int, players: int, monsters: int = 0, crowd: int = 200, at: tuple[int, int] | None = None) -> None:
        self.now = 1000.0
        self.ticked_at = self.now
        self.world = World(size, 1, crowd=crowd)
        if monsters:
            self.world.populate(monsters, [Kind(name, text) for name, text in read_scripts(SCRIPTS).items()])
        self.server = ChessServer(self.world, clock=lambda: self.now)
        self.engine = Engine()
        self.server.on_start(self.engine)  # type: ignore[arg-type]
        self.sessions = [Session(number) for number in range(1, players + 1)]
        for session in self.sessions:
            self.server.on_connect(session)  # type: ignore[arg-type]
            self.server.on_packet(session, pack_login(encode_name(f"p{session.id}")))  # type: ignore[arg-type]
            if at is not None:
                self.world.view.jump(session.data, *at, [])  # type: ignore[arg-type]
        spare_the_world()
        self.steps = 0.0
        """Steps of monsters per move in the last `moves`."""
        # A crowd's neighbours are chosen over some ticks.
        self.pass_time(5.0)

    def pass_time(self, seconds: float) -> int:
        """Ticks that fall due within that time; how many."""
        end, count = self.now + seconds, 0
        while self.ticked_at + TICK <= end:
            self.ticked_at += TICK
            self.now = self.ticked_at
            self.server.tick(self.now)
            count += 1
        self.now = end
        return count

    def moves(self, count: int, seed: int) -> float:
        """`count` random moves, one player after another, each player one a second; microseconds of CPU for each."""
        random, players = Random(seed), len(self.sessions)
        plan = [(self.sessions[random.randrange(players)], pack_step(random.randrange(4), 5)) for _ in range(count)]
        on_packet, interval = self.server.on_packet, 1 / players
        steps = self.world.monsters.steps
        began = time.process_time()
        for session, packet in plan:
            self.now += interval
            if self.now - self.ticked_at >= TICK:
                self.pass_time(0.0)
            on_packet(session, packet)  # type: ignore[arg-type]
        cost = (time.process_time() - began) / count * 1e6
        self.steps = (self.world.monsters.steps - steps) / count
        return cost

    @property
    def told(self) -> float:
        """Pieces that a player has been told of, on average."""
        return sum(len(player.told) for player in self.world.players.values()) / len(self.sessions)


@dataclass(frozen=True, slots=True)
class Case:
    """Moves on a board: so many players that about `neighbours` are in sight."""

    neighbours: int
    size: int
    players: int
    monsters: int = 0


MOVES = (Case(0, 2000, 100), Case(14, 400, 10_000), Case(100, 150, 10_000), Case(12, 2000, 5_000, 200_000))
CROWDS = ((500, 100), (1000, 100), (2000, 100), (4000, 100), (500, 0), (1000, 0))


def measure_moves(case: Case, rounds: int, moves: int) -> dict[str, object]:
    """Microseconds per move, median and range."""
    stage = Stage(case.size, case.players, case.monsters)
    stage.moves(moves // 4, 1)
    values = [stage.moves(moves, seed) for seed in range(2, 2 + rounds)]
    return {
        "what": f"{case.players:,} players on {case.size} x {case.size}"
        + (f", {case.monsters:,} monsters, {stage.steps:.1f} of their steps per move included" if case.monsters else ""),
        "aimed": case.neighbours == 14,
        "told": stage.told, "median": statistics.median(values), "low": min(values), "high": max(values),
    }  # fmt: skip


def measure_steps(rounds: int, seconds: float) -> dict[str, object]:
    """Microseconds per step of a monster in a world where every player sees about eleven."""
    stage = Stage(2000, 5_000, 200_000)
    values = []
    for _ in range(rounds):
        steps, began = stage.world.monsters.steps, time.process_time()
        stage.pass_time(seconds)
        values.append((time.process_time() - began) / (stage.world.monsters.steps - steps) * 1e6)
    median = statistics.median(values)
    return {
        "awake": len(stage.world.monsters.awake), "median": median, "low": min(values), "high": max(values),
        "per_second": 1e6 / median,
    }  # fmt: skip


def measure_crowd(players: int, crowd: int, seconds: float) -> dict[str, object]:
    """All on one tile, stepping to and fro: what a move and a tick cost, and what they look at."""
    stage = Stage(200, players, crowd=crowd, at=(100, 100))
    random = Random(players)
    view = stage.world.view
    most_looked_at = ticks = 0
    move_time = tick_time = 0.0
    moves = 0
    told = stage.told
    for _ in range(round(seconds / TICK)):
        movers = [random.choice(stage.sessions) for _ in range(max(1, round(players * TICK)))]
        began = time.process_time()
        for session in movers:
            # Away from the tile and back, so that they stay together.
            direction = 3 if session.data.x <= 100 else 2  # type: ignore[attr-defined]
            stage.server.on_packet(session, pack_step(direction, 5))  # type: ignore[arg-type]
        move_time += time.process_time() - began
        moves += len(movers)
        looked_at, began = view.crowd.looked_at, time.process_time()
        ticks += stage.pass_time(TICK)
        tick_time += time.process_time() - began
        most_looked_at = max(most_looked_at, view.crowd.looked_at - looked_at)
    return {
        "players": players, "crowd": crowd, "told": told, "move": move_time / moves * 1e6, "tick": tick_time / max(1, ticks) * 1e3,
        "looked_at": most_looked_at, "cpu": (move_time + tick_time) / seconds,
    }  # fmt: skip


def measure_memory(monsters: int) -> dict[str, object]:
    """Resident megabytes that sleeping monsters add to a world, and seconds to make them, each in a fresh process."""
    program = (
        "import sys, time\n"
        "from iocp.game.kinds import SCRIPTS, Kind, read_scripts\n"
        "from iocp.game.world import World\n"
        "def resident():\n"
        "    return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmRSS')) / 1024\n"
        "world = World(2000, 1)\n"
        "before, began = resident(), time.perf_counter()\n"
        f"world.populate({monsters}, [Kind(name, text) for name, text in read_scripts(SCRIPTS).items()])\n"
        "print(resident() - before, time.perf_counter() - began)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    megabytes, seconds = map(float, done.stdout.split())
    return {"monsters": monsters, "megabytes": megabytes, "seconds": seconds}


def table(results: dict[str, list[dict[str, object]]]) -> str:
    """All that was measured, as Markdown."""
    facts = report.conditions(sys.executable, Path("."), [0])
    lines = ["; ".join(f"{name} {facts[name]}" for name in ("date", "cpu", "kernel") if name in facts) + f"; Python {platform.python_version()}.", ""]
    if results.get("move"):
        lines += ["| a move | told of | us, median | min-max | aim |", "|---|---:|---:|---:|---|"]
        for row in results["move"]:
            aim = f"under {MOVE_AIM:g}: {'met' if row['median'] < MOVE_AIM else 'MISSED'}" if row["aimed"] else ""  # type: ignore[operator]
            lines.append(f"| {row['what']} | {row['told']:.1f} | {row['median']:.1f} | {row['low']:.1f}-{row['high']:.1f} | {aim} |")
        lines.append("")
    if results.get("step"):
        lines += ["| a monster's step | awake | us, median | min-max | steps per CPU-second | aim |", "|---|---:|---:|---:|---:|---|"]
        for row in results["step"]:
            aim = f"under {STEP_AIM:g} us: {'met' if row['median'] < STEP_AIM else 'MISSED'}"  # type: ignore[operator]
            lines.append(
                f"| 200,000 monsters, 5,000 players on 2000 x 2000 | {row['awake']:,} | {row['median']:.1f} | "
                f"{row['low']:.1f}-{row['high']:.1f} | {row['per_second']:,.0f} | {aim} |"
            )
        lines.append("")
    if results.get("crowd"):
        lines += [
            "| all on one tile, a move a second each | told of | us per move | ms per tick | looked at in a tick, at most | CPU |",
            "|---|---:|---:|---:|---:|---:|",
        ]
        for row in results["crowd"]:
            name = f"{row['players']:,}, " + (f"`--crowd {row['crowd']}`" if row["crowd"] else "no plan (`--crowd 0`)")
            lines.append(
                f"| {name} | {row['told']:.0f} | {row['move']:.1f} | {row['tick']:.2f} | {row['looked_at']:,} | {row['cpu']:.0%} |"
            )
        lines.append("")
    if results.get("memory"):
        row = results["memory"][0]
        aim = f"at most {MEMORY_AIM:g} MB: {'met' if row['megabytes'] <= MEMORY_AIM else 'MISSED'}"  # type: ignore[operator]
        lines.append(f"{row['monsters']:,} sleeping monsters: {row['megabytes']:.0f} MB ({aim}), made in {row['seconds']:.1f} s.")
    return "\n".join(lines).strip()


def main(words: Sequence[str] | None = None) -> int:
    """Measure what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="NAME,...", default="move,step,crowd,memory", help="of move, step, crowd, memory")
    parser.add_argument("--rounds", type=int, default=5, help="(default 5)")
    parser.add_argument("--quick", action="store_true", help="a little of everything: does it work?")
    parser.add_argument("--json", type=Path, help="where the results go")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="fill the block `game` of this document")
    options = parser.parse_args(words)
    only = options.only.split(",")
    if unknown := set(only) - {"move", "step", "crowd", "memory"}:
        parser.error(f"--only: there is no {', '.join(sorted(unknown))}")
    if options.rounds < 1:
        parser.error("--rounds must be at least 1")
    rounds, moves, seconds = (1, 2_000, 0.5) if options.quick else (options.rounds, 60_000, 5.0)
    results: dict[str, list[dict[str, object]]] = {}

    def note(name: str, row: dict[str, object]) -> None:
        results.setdefault(name, []).append(row)
        print(f"{name}: " + ", ".join(f"{key} {value:,.1f}" if isinstance(value, float) else f"{key} {value}"
                                      for key, value in row.items()), file=sys.stderr, flush=True)  # fmt: skip

    if "move" in only:
        for case in MOVES[: 2 if options.quick else None]:
            note("move", measure_moves(case, rounds, moves))
    if "step" in only and not options.quick:
        note("step", measure_steps(rounds, seconds))
    if "crowd" in only:
        for players, crowd in CROWDS[: 1 if options.quick else None]:
            note("crowd", measure_crowd(players, crowd, seconds))
    if "memory" in only:
        note("memory", measure_memory(20_000 if options.quick else 200_000))
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))
    print(table(results))
    if options.report:
        report.refill(options.report, {"game": table(results)})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
