"""The command `iocp-chess demo`: a server in a process of its own, players that walk, and the board as one of them,
who stands and watches, is told of it. At the end it checks that all saw all, and that all were seen to leave.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import TYPE_CHECKING, Final

import iocp
from iocp._iocpcore import raise_open_files
from iocp.children import popen_options
from iocp.output import say
from iocp.signals import SignalFlag, calling_on_signals

from .board import Board, Mark, Meter, Scene
from .player import Player
from .players import Players
from .protocol import O_PLAYER
from .server import FRAMING
from .terrain import Terrain

if TYPE_CHECKING:
    from iocp._iocpcore import Backend

_PATIENCE: Final = 30.0
"""Seconds for a process to start, and for all that was sent to arrive."""
_LISTENING: Final = "listening on "


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line says: rate in moves per second and player, world in tiles along a side."""

    players: int
    seconds: float
    world: int
    rate: float
    seed: int
    workers: int
    backend: Backend | None
    view: int
    crowd: int
    obstacles: int
    map_file: Path | None
    npcs: int


class ServerProcess:
    """`iocp-chess serve` as a child. It also ends when this process does, because its standard input then ends."""

    def __init__(self, options: DemoOptions) -> None:
        command = [sys.executable, "-m", __package__, "serve", "--port", "0", "--until-eof"]
        command += ["--seed", str(options.seed), "--workers", str(options.workers)]
        command += ["--view", str(options.view), "--crowd", str(options.crowd), "--npcs", str(options.npcs)]
        command += ["--db", "none", "--move-interval", "0"]
        if options.map_file is not None:
            command += ["--map", str(options.map_file)]
        else:
            command += ["--world", str(options.world), "--obstacles", str(options.obstacles)]
        if options.backend is not None:
            command += ["--backend", options.backend]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            **popen_options(),  # Ctrl-C reaches only this process, which stops the server last
        )
        self._lines: Queue[str | None] = Queue()
        threading.Thread(target=self._read, name="server output", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def listening(self) -> tuple[str, int, str]:
        """Wait until it accepts: (host, port, what it says of itself). Raises RuntimeError with what it said instead."""
        said: list[str] = []
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except Empty:
                raise RuntimeError(f"the server did not start within {_PATIENCE:.0f} s") from None
            if line is None:
                self._lines.put(None)
                raise RuntimeError("\n".join(said).removeprefix("iocp-chess: ") or "the server ended without a word")
            if line.startswith(_LISTENING):
                where, _, what = line.removeprefix(_LISTENING).partition(" ")
                host, _, port = where.rpartition(":")
                return host.strip("[]"), int(port), what.strip("()")
            said.append(line)

    def stop(self) -> tuple[int, list[str]]:
        """Stop it; its exit code and what it said at the end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            code = self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        said: list[str] = []
        while (line := self._lines.get(timeout=_PATIENCE)) is not None:
            said.append(line)
        self._lines.put(None)
        return code, said


def demo(options: DemoOptions) -> int:
    """Run it; exit code 0 if all saw all, 1 if something was wrong, 2 if it could not start. On the main thread."""
    stop = SignalFlag()
    with calling_on_signals(stop.set):
        server = ServerProcess(options)
        try:
            host, port, what = server.listening()
        except RuntimeError as error:
            print(f"iocp-chess: {error}", file=sys.stderr)
            server.stop()
            return 2
        try:
            report, fine = _play(options, host, port, what, stop)
        except TimeoutError:
            report, fine = ["demo: the players' client did not answer"], False
        finally:
            code, said = server.stop()
    say("\n".join([*report, f"server: exit code {code}", *said]))
    return 0 if fine and code == 0 else 1


def _play(options: DemoOptions, host: str, port: int, what: str, stop: SignalFlag) -> tuple[list[str], bool]:
    """The players' part: what to report, and whether all was right."""
    if options.map_file is not None:
        terrain = Terrain.load(options.map_file)
    else:
        terrain = Terrain.seeded(options.world, options.seed, options.obstacles)
    players = Players(
        options.players,
        rate=options.rate,
        seed=options.seed,
        terrain=terrain,
        sight=options.view,
        crowd=options.crowd,
        monsters=options.npcs > 0,
        watcher=True,
    )
    client = iocp.Client(players, backend=options.backend, framing=FRAMING, limits=iocp.Limits.none())
    raise_open_files()
    count = len(players.players)
    with client:
        began = time.monotonic()
        players.arrive(client, host, port, within=min(1.0, options.seconds / 4))
        with Board() as board:
            _watch(players, terrain, board, stop, began + options.seconds, what)
        walked = time.monotonic() - began
        arrived = players.wait(lambda: players.online + players.violations >= count, _PATIENCE)
        online = players.online
        settled = players.settle(_PATIENCE)
        seen = players.ask(players.others_in_sight)
        watcher = players.players[0]
        players.log_out(lambda player: player is not watcher)
        left = players.wait(lambda: players.online == 1 and not ghosts(watcher), _PATIENCE)
        last = players.ask(lambda: ghosts(watcher))
        players.log_out()
        players.wait(lambda: players.online == 0, _PATIENCE)
    fine = arrived and settled and left and online == count and not players.violations
    mean = players.total_wait / players.answers * 1000 if players.answers else 0.0
    report = [
        f"demo of {walked:.1f} s: {options.players} players and a watcher on {host}:{port} ({what})",
        f"  logged in   {online} of {count}",
        f"  moves       {players.moves:,} of the players ({players.moves / walked:,.0f}/s); "
        f"answered in {mean:.2f} ms on average, {players.slowest * 1000:.1f} ms at most",
        f"  sight       {'right' if settled and not players.violations else 'WRONG'}: at the end {count} players saw "
        f"{seen:,} others within {options.view} tiles, each where it stands, and nobody else",
        f"  killed      {players.carried_off} times a monster killed a player",
        f"  all left    {'yes' if left else 'NO'}: the watcher sees {last} players after the others left",
        f"  violations  {players.violations}",
        *(f"    {complaint}" for complaint in players.complaints[:10]),
    ]
    return report, fine


def ghosts(watcher: Player) -> int:
    """How many other players the watcher sees."""
    return sum(seen.o_type == O_PLAYER for seen in watcher.view.values())


def _watch(players: Players, terrain: Terrain, board: Board, stop: SignalFlag, end: float, what: str) -> None:
    """Show the board as the watcher is told of it, until `end` or Ctrl-C."""
    moves, answers = Meter(), Meter()
    began = time.monotonic()

    def look() -> Scene:
        watcher = players.players[0]
        marks = [Mark(watcher.id, watcher.x, watcher.y, "watcher", True)] if watcher.id else []
        for id, seen in watcher.view.items():
            name = seen.name.rstrip(b"\0").decode(errors="replace")
            marks.append(Mark(id, seen.x, seen.y, name, o_type=seen.o_type))
        status = [
            ("players", str(players.online)),
            ("moves/s", f"{moves.rate(players.moves):,.0f}"),
            ("packets/s", f"{answers.rate(players.engine.stats().packets_received):,.0f}"),
            ("violations", str(players.violations)),
            ("backend", what.partition(",")[0]),
            ("up", f"{time.monotonic() - began:.0f} s"),
        ]
        return Scene("chess, as a watcher sees it", terrain.size, marks, status, players.complaints[:2], terrain, players.sight)

    while not stop.is_set() and (left := end - time.monotonic()) > 0:
        board.show(players.ask(look))
        stop.wait(min(left, board.interval))
