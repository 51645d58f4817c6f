"""The command `iocp-chess serve`: a chess server until Ctrl-C or SIGTERM, then a summary."""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import iocp
from iocp._iocpcore import raise_open_files
from iocp.output import remark, say, silence
from iocp.runner import stopping_on_signals
from iocp.signals import INTERRUPTED, SignalFlag, calling_on_signals, interrupting_on_terminate

from .board import Board, Mark, Meter, Scene
from .collector import spare_the_world
from .kinds import ScriptError, ScriptWatcher
from .loglimit import LogLimit
from .metrics import Metrics, MetricsError
from .piece import Piece
from .progress import Progress
from .quantity import counted
from .server import FRAMING, ChessServer
from .setting import Setting
from .status import StatusLine, summary
from .storage import Storage, StorageError
from .terrain import TerrainError
from .vitals import vitals

if TYPE_CHECKING:
    from iocp._iocpcore import Backend

    from .recording import RecordingWriter

log = logging.getLogger("iocp.game")

_MOST_MARKS: Final = 20_000
"""Pieces drawn on the terminal's board."""


_COALESCE: Final = 0.1
"""Seconds that the moves of others may wait while the server has more to receive, as often as a crowd hears of moves anyway: the
busier the server, the fewer sends a packet needs. Against 0.05, with 9,000 players on 400 x 400: 2.7 packets per send, not 2.0, and
the mover's own answer, which never waits, after 177 ms (99 %), not 284."""


class UsageError(Exception):
    """The server cannot start; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says. `workers` 0: one for each core. `until_eof`: also stop when standard input ends.
    `sessions_per_address` 0: no limit; None: the library's.

    `db` None: players are not kept. `status`: seconds between plain status lines, 0 for none. Times in seconds.
    """

    host: str
    port: int
    workers: int
    backend: Backend | None
    world: int
    seed: int
    timed: bool
    name_encoding: str
    show: bool
    until_eof: bool
    view: int
    crowd: int
    move_interval: float
    obstacles: int
    map_file: Path | None
    npcs: int
    scripts: Path
    players: int | None
    sessions_per_address: int | None
    spectators: int
    db: str | None
    db_given: bool
    record: Path | None
    metrics: int | None
    status: float


def serve(options: ServeOptions) -> int:
    """Run the server; the exit code. On the main thread, whose signal handlers it sets meanwhile."""
    began = time.process_time()
    try:
        game, storage, writer, scripts = make_game(options)
        server = _make_server(game, options)
    except UsageError as error:
        remark(f"iocp-chess: {error}")
        return 2
    raise_open_files()
    spare_the_world()
    log.addFilter(LogLimit())
    code = unsaved = 0
    hurried = False
    with interrupting_on_terminate():
        try:
            if storage is not None:
                storage.start()
            code = _run(server, game, storage, writer, scripts, options)
        except KeyboardInterrupt:
            hurried = True  # the second signal: now everything is to be over at once
        except TimeoutError as error:
            remark(f"iocp-chess: {error}. Does a script of the monsters never end?")
            code = 1
        finally:
            if storage is not None:
                game.world.keep_all()  # nobody is on the board any more, unless the server did not come to its own stop
                unsaved, hurried = _stop_storage(storage, hurried)
    if hurried:
        kept = f": {counted(unsaved, 'player')} not saved{', see the log' if unsaved else ''}"
        remark(f"iocp-chess: interrupted{kept if storage is not None else ''}")
        return INTERRUPTED
    if unsaved:
        remark(f"iocp-chess: {counted(unsaved, 'player')} could not be saved: see the log")
    if code:
        return code
    try:
        say(summary(vitals(game, server, storage), game.counts.most_online, game.counts.online_at_stop,
                    time.process_time() - began))  # fmt: skip
    except OSError as error:
        silence(sys.stdout)
        remark(f"iocp-chess: the summary could not be written: {error}")
    return 1 if unsaved else 0


def _run(
    server: iocp.Server,
    game: ChessServer,
    storage: Storage | None,
    writer: RecordingWriter | None,
    scripts: dict[str, str],
    options: ServeOptions,
) -> int:
    """From the start of the server to its stop, after which nobody saves any more; 0, or 2 if it could not start."""
    # The last thing entered is the first to be left.
    with ExitStack() as stack:
        if writer is not None:
            stack.callback(writer.close)
        stack.enter_context(stopping_on_signals(server))
        page = None
        try:
            # Before the start, with which a recording takes the place of an earlier one.
            if options.metrics is not None:
                page = Metrics(options.host, options.metrics, lambda: vitals(game, server, storage))
                stack.callback(page.stop)
            server.start()
        except MetricsError as error:
            remark(f"iocp-chess: {error}")
            return 2
        except (OSError, RuntimeError) as error:
            remark(f"iocp-chess: {explain(error, options.host, options.port)}")
            return 2
        stack.callback(server.stop)
        if page is not None:
            remark(f"metrics on http://{printed(options.host, page.port)}/metrics")
        if options.npcs:
            watcher = ScriptWatcher(
                options.scripts, scripts, lambda name, text: server.post(_install, game, name, text)
            )
            watcher.start()
            stack.callback(watcher.stop)
        try:
            _serve(server, game, storage, options)
        except OSError as error:
            silence(sys.stdout)  # Python would try once more at its end, and give an exit code of its own
            remark(f"iocp-chess: nothing can be written to standard output: {error}")
            return 2
    return 0


def make_game(
    options: ServeOptions,
) -> tuple[ChessServer, Storage | None, RecordingWriter | None, dict[str, str]]:
    """The game as these options want it, with its database's players, what it is recorded to, and its scripts' texts.

    Raises UsageError.
    """
    try:
        setting = Setting.read(
            map_file=options.map_file,
            scripts_folder=options.scripts,
            npcs=options.npcs,
            size=options.world,
            seed=options.seed,
            view=options.view,
            crowd=options.crowd,
            move_interval=options.move_interval,
            percent=options.obstacles,
            name_encoding=options.name_encoding,
        )
        began = time.monotonic()
        world = setting.build(Progress())
        if (seconds := time.monotonic() - began) >= 0.5:
            remark(f"the world was made in {seconds:.1f} s")
    except (TerrainError, ScriptError, ValueError) as error:
        raise UsageError(str(error)) from None
    game_options: dict[str, Any] = {
        "timed": options.timed,
        "name_encoding": options.name_encoding,
        "most_players": options.players,
        "most_spectators": options.spectators,
        "obstacles": setting.obstacles,
    }
    storage = None
    if options.db is not None:
        try:
            storage = Storage(options.db)
            world.records = storage.load()
        except StorageError as error:
            if options.db_given or "pip install" not in str(error):
                raise UsageError(str(error)) from None
            log.warning("players are not kept: %s", error)
            storage = None
        else:
            world.keep = storage.save
    if options.record is None:
        return ChessServer(world, **game_options), storage, None, setting.scripts
    from .recorder import RecordingServer
    from .recording import RecordingError, RecordingWriter

    try:
        writer = RecordingWriter(options.record, setting, game_options)
    except RecordingError as error:
        raise UsageError(str(error)) from None
    return RecordingServer(world, recording=writer, **game_options), storage, writer, setting.scripts


def _make_server(game: ChessServer, options: ServeOptions) -> iocp.Server:
    most = options.sessions_per_address
    limits = iocp.Limits() if most is None else iocp.Limits(sessions_per_address=most or None)
    try:
        return iocp.Server(
            game,
            options.host,
            options.port,
            workers=options.workers,
            backend=options.backend,
            framing=FRAMING,
            limits=limits,
            coalesce=_COALESCE,
        )
    except (OSError, RuntimeError, ValueError) as error:
        raise UsageError(explain(error, options.host, options.port)) from None


def _stop_storage(storage: Storage, in_a_hurry: bool) -> tuple[int, bool]:
    """Save what is left: (players that could not be saved, whether somebody wanted it to be over at once)."""
    hurry = SignalFlag()
    if in_a_hurry:
        hurry.set()
    with calling_on_signals(hurry.set):
        return storage.stop(hurry=hurry), hurry.is_set()


def _install(game: ChessServer, name: str, text: str | None) -> None:
    """A script changed. Where handlers run."""
    try:
        game.install_script(name, text)
    except ScriptError as error:
        log.error("%s: its monsters do as before", error)


def _serve(server: iocp.Server, game: ChessServer, storage: Storage | None, options: ServeOptions) -> None:
    """Say where it listens, then wait until it is asked to stop."""
    where = printed(*server.address)
    workers = f"{server.workers} worker{'s' if server.workers != 1 else ''}"
    size = game.world.size
    monsters = f", {options.npcs:,} monsters" if options.npcs else ""
    say(f"listening on {where} ({server.backend}, {workers}, world {size}x{size}{monsters})")
    if options.until_eof:
        threading.Thread(target=_stop_at_eof, args=(server,), name="stdin", daemon=True).start()
    if options.show:
        _show(server, game, storage, where)
        return
    with StatusLine(options.status) as status:
        while not server.wait(status.interval):
            status.show(vitals(game, server, storage))


def printed(host: str, port: int) -> str:
    """H:P as people write it, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stop_at_eof(server: iocp.Engine) -> None:
    try:
        # Not sys.stdin, whose lock this thread would still hold when the interpreter ends.
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # No standard input is as good as its end.
    server.request_stop()


def _show(server: iocp.Server, game: ChessServer, storage: Storage | None, address: str) -> None:
    """Draw the board until the server is asked to stop. Scenes are made where handlers run, drawn on this thread."""
    board = Board()
    moves, packets = Meter(), Meter()
    newest: list[Scene] = []

    def look() -> None:
        now = vitals(game, server, storage)
        pieces: list[Piece] = [*game.world.players.values(), *game.world.monsters.awake.values()]
        status = [
            ("players", f"{now.players:,}"),
            ("awake", f"{now.awake:,} of {now.monsters:,}"),
            ("moves/s", f"{moves.rate(now.moves):,.0f}"),
            ("packets/s", f"{packets.rate(now.engine.packets_received + now.engine.packets_queued):,.0f}"),
            ("tick lag", f"{now.tick_lag * 1000:.1f} ms"),
            ("bad input", f"{sum(now.violations.values()):,}"),
            ("backend", f"{server.backend}, {server.workers} workers"),
            ("up", f"{now.engine.uptime:,.0f} s"),
        ]
        marks = [Mark(piece.id, piece.x, piece.y, piece.text, o_type=piece.o_type) for piece in pieces[:_MOST_MARKS]]
        notes = [] if now.storage is None or now.storage.ok else [f"DATABASE: {now.storage.problem}"]
        newest[:] = [Scene(f"chess on {address}", game.world.size, marks, status, notes, game.world.terrain)]

    timer = server.call_every(board.interval, look)
    with board:
        while not server.wait(board.interval):
            if newest:
                board.show(newest[0])
    timer.cancel()


def explain(error: Exception, host: str, port: int) -> str:
    """Why the server cannot listen, and what to do about it."""
    where = printed(host, port)
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror):
        return f"host {host!r} is not known: give an address of this machine with --host, such as 127.0.0.1"
    if code in (errno.EADDRINUSE, 10048):
        return f"{where} is in use: choose another port with --port, or --port 0 for a free one"
    if code in (errno.EACCES, errno.EPERM, 10013):
        if 0 < port < 1024:
            return f"{where} is a privileged port: choose one from 1024 up with --port"
        return f"not allowed to listen on {where} ({error}): choose another port with --port"
    if code in (errno.EADDRNOTAVAIL, 10049):
        return f"{host} is no address of this machine: use --host 127.0.0.1, or 0.0.0.0 for all of its addresses"
    if code in (errno.EMFILE, errno.ENFILE, 10024):
        return f"no descriptors left ({error}): raise the limit of open files (ulimit -n)"
    return str(error) if where in str(error) else f"cannot listen on {where}: {error}"
