"""The command line `iocp-chess`, also `python -m iocp.game`."""

from __future__ import annotations

import argparse
import getpass
import logging
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from iocp.argument import number, whole
from iocp.output import accept_any_text
from iocp.signals import INTERRUPTED

from .kinds import SCRIPTS
from .layout import MAX_NAME
from .protocol import PORT
from .terrain import MAX_SIZE
from .world import MAX_VIEW

_SERVE_WORLD: Final = 400
_DEMO_WORLD: Final = 24
_SHOT_FRAMES: Final = 60
_FILM_FRAMES: Final = 75
_EXAMPLES: Final = """examples:
  iocp-chess serve                        a board of 400 x 400 on 127.0.0.1:3500, players kept in ./chess.sqlite
  iocp-chess serve --host 0.0.0.0 --show  for the whole network, with the board in this terminal
  iocp-chess serve --port 0 --world 8 --move-interval 0   a free port, the lecture's first board, for lab clients
  iocp-chess serve --world 2000 --npcs 200000 --obstacles 5 --metrics 9100
  iocp-chess serve --db postgresql+psycopg://chess@localhost/chess
  iocp-chess serve --record game.rec      then, without a network: iocp-chess replay game.rec
  iocp-chess demo                         a server and 40 players, half a minute, to look at
  iocp-chess demo --players 400 --world 100 --rate 1
  iocp-chess play --name anna             the board in a window, on the server of this machine
  iocp-chess play --host 192.0.2.7 --name ben
  iocp-chess play --shot board.png        no screen: a picture of what is in sight
  iocp-chess watch                        the same as text in this terminal

exit codes: 0 all went well; 1 the demo found something wrong, a replay differs, players could not be saved at the stop, or
play --shot, play --film or watch ended without the server: it was gone, or somebody else logged in under the name;
2 wrong arguments, or it cannot start; 130 Ctrl-C before it had started, or a second one
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Wrong arguments raise SystemExit(2), after a message that names the argument."""
    accept_any_text()
    parser = _parser()
    try:
        return _command(parser, parser.parse_args(arguments))
    except KeyboardInterrupt:
        # A command that is there ends by itself: this is one that was not yet.
        print("iocp-chess: interrupted", file=sys.stderr)
        return INTERRUPTED


def _command(parser: argparse.ArgumentParser, options: argparse.Namespace) -> int:
    # Names and addresses in log lines are escaped, but the terminal may know still less.
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    if options.command in ("serve", "demo") and options.map is not None and options.world is not None:
        parser.error("argument --world: not allowed with argument --map, whose size is the world's")
    if options.command == "serve" and options.scripts is not None and not options.npcs:
        parser.error("argument --scripts: needs monsters, --npcs N")
    if options.command == "serve" and options.db == "":
        parser.error("argument --db: must be a file, a URL or none, not empty")
    if options.command == "play" and options.frames is not None and options.shot is None and options.film is None:
        parser.error("argument --frames: needs --shot FILE.png or --film DIR")
    if options.command == "play" and (options.shot or options.film) and options.shot == options.film:
        parser.error("argument --film: must be another name than --shot")
    # Imported here, so that --help and wrong arguments need no compiled core.
    if options.command == "serve":
        from .serve import ServeOptions, serve

        return serve(
            ServeOptions(
                host=options.host,
                port=options.port,
                workers=options.workers,
                backend=options.backend,
                world=options.world or _SERVE_WORLD,
                seed=options.seed,
                timed=options.timed,
                name_encoding=options.name_encoding,
                show=options.show,
                until_eof=options.until_eof,
                view=options.view,
                crowd=options.crowd,
                move_interval=options.move_interval,
                obstacles=options.obstacles,
                map_file=options.map,
                npcs=options.npcs,
                scripts=options.scripts or SCRIPTS,
                players=options.players,
                sessions_per_address=options.sessions_per_address,
                spectators=options.spectators,
                db=None if options.db == "none" else options.db or "chess.sqlite",
                db_given=options.db is not None,
                record=options.record,
                metrics=options.metrics,
                status=options.status,
            )
        )
    if options.command == "replay":
        from .replay import ReplayOptions, replay_command

        return replay_command(ReplayOptions(file=options.file, output=options.output))
    if options.command == "play":
        from .play.play import PlayOptions, play

        return play(
            PlayOptions(
                **_seat(options),
                font=options.font,
                size=options.size,
                shot=options.shot,
                film=options.film,
                frames=options.frames or (_SHOT_FRAMES if options.film is None else _FILM_FRAMES),
            )
        )
    if options.command == "watch":
        from .play.watch import WatchOptions, watch

        return watch(
            WatchOptions(
                **_seat(options),
                seconds=options.seconds,
            )
        )
    from .demo import DemoOptions, demo

    return demo(
        DemoOptions(
            players=options.players,
            view=options.view,
            crowd=options.crowd,
            obstacles=options.obstacles,
            map_file=options.map,
            npcs=options.npcs,
            seconds=options.seconds,
            world=options.world or _DEMO_WORLD,
            rate=options.rate,
            seed=options.seed,
            workers=options.workers,
            backend=options.backend,
        )
    )


def _seat(options: argparse.Namespace) -> dict[str, Any]:
    """What `play` and `watch` have in common: where to, and as whom."""
    return {
        "host": options.host,
        "port": options.port,
        "name": _own_name(options.name_encoding) if options.name is None else options.name,
        "name_encoding": options.name_encoding,
        "backend": options.backend,
        "map_file": options.map,
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iocp-chess",
        description="The lecture's chess board: a multiplayer game server on an I/O completion port.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the server until Ctrl-C or SIGTERM")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default %(default)s)")
    serve.add_argument("--port", type=whole(0, 65535), default=PORT, help="0: a free one (default %(default)s)")
    _common(serve, world=_SERVE_WORLD, obstacles_percent=0, npcs=0)
    kind = serve.add_mutually_exclusive_group()
    kind.add_argument(
        "--timed", action="store_true", default=True, help="until its first move, send a client timed moves (default)"
    )
    kind.add_argument("--untimed", dest="timed", action="store_false", help="... untimed moves")
    serve.add_argument(
        "--name-encoding",
        choices=("utf-8", "cp949"),
        default="utf-8",
        help="of names on the wire; cp949 for clients that send Korean in that code page (default %(default)s)",
    )
    serve.add_argument(
        "--move-interval", type=number(0, 60), default=0.1, metavar="SECONDS",
        help="that one tile takes a player at least; 0 for no limit, as the lab clients need (default %(default)g)",
    )  # fmt: skip
    serve.add_argument(
        "--players", type=whole(1, 1_000_000), metavar="N", help="on the board at once (default: as many as connect)"
    )
    serve.add_argument(
        "--sessions-per-address", type=whole(0, 1_000_000), metavar="N",
        help="connections of one address at once, 0 for no limit, as a load test from another machine needs"
        " (default: 256, but none for this machine's own)",
    )  # fmt: skip
    serve.add_argument(
        "--spectators", type=whole(0, 10_000), default=0, metavar="N",
        help="players who may look at the whole board at once, as the client does when it is zoomed out (default: none)",
    )  # fmt: skip
    serve.add_argument("--scripts", type=Path, metavar="DIR", help="the monsters' scripts (default: the game's own four kinds)")
    serve.add_argument(
        "--db", metavar="FILE|URL",
        help="where players are kept: a file (SQLite), any URL of SQLAlchemy, or none (default chess.sqlite)",
    )  # fmt: skip
    serve.add_argument("--record", type=Path, metavar="FILE", help="write all input to FILE, for iocp-chess replay")
    serve.add_argument(
        "--metrics", type=whole(0, 65535), metavar="PORT", help="serve the numbers to Prometheus; 0: a free port"
    )
    serve.add_argument(
        "--status", type=number(0, 86_400), default=0.0, metavar="SECONDS",
        help="print a status line so often; on a terminal there is a live one anyway (default: none)",
    )  # fmt: skip
    serve.add_argument("--show", action="store_true", help="show the board in the terminal")
    serve.add_argument("--until-eof", action="store_true", help="also stop when standard input ends (for programs)")

    replay = commands.add_parser("replay", help="rerun a recording without a network and compare every byte (it runs the scripts that are in it)")
    replay.add_argument("file", type=Path, metavar="FILE", help="what serve --record wrote")
    replay.add_argument("--output", type=Path, metavar="DIR", help="write what each session was sent to DIR/ID.bin")
    replay.add_argument("--verbose", action="store_true", help="log every login and leave")

    demo = commands.add_parser("demo", help="a server with scripted players, shown in the terminal")
    demo.add_argument("--players", type=whole(1, 10_000), default=40, help="(default %(default)s)")
    demo.add_argument("--seconds", type=number(0.1, 1e6), default=30.0, help="(default %(default)g)")
    demo.add_argument(
        "--rate", type=number(0, 1000), default=2.0, help="moves per second and player (default %(default)g)"
    )
    _common(demo, world=_DEMO_WORLD, obstacles_percent=8, npcs=25)

    play = commands.add_parser("play", help="the board in a window (needs pygame-ce: pip install 'pyiocp[play]')")
    _client(play)
    play.add_argument("--font", type=Path, metavar="FILE", help="for all text (default: one with Hangul, if this machine has one)")
    play.add_argument("--size", type=_pixels, default=(1100, 800), metavar="WxH", help="of the window in pixels (default 1100x800)")
    play.add_argument("--shot", type=Path, metavar="FILE.png", help="no window: write a picture of the last frame, and leave")
    play.add_argument("--film", type=Path, metavar="DIR", help="no window: write every frame to DIR/frame-00001.png ..., and leave")
    play.add_argument(
        "--frames", type=whole(1, 1_000_000), metavar="K",
        help=f"how many are drawn for --shot (30 a second; default {_SHOT_FRAMES}) or --film (15 a second; default {_FILM_FRAMES})",
    )  # fmt: skip

    watch = commands.add_parser("watch", help="the board around the player as text, in the terminal")
    _client(watch)
    watch.add_argument("--seconds", type=number(0.1, 1e9), default=math.inf, help="how long (default: until Ctrl-C)")
    return parser


def _client(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="of the server (default %(default)s)")
    parser.add_argument("--port", type=whole(1, 65535), default=PORT, help="(default %(default)s)")
    parser.add_argument("--name", help="of the player: 1 to 10 bytes (default: your name on this computer)")
    parser.add_argument(
        "--name-encoding", choices=("utf-8", "cp949"), default="utf-8",
        help="of names on the wire, as the server has it (default %(default)s)",
    )  # fmt: skip
    parser.add_argument("--map", type=Path, metavar="FILE", help="the map that the server was started with, if it was")
    parser.add_argument(
        "--backend", choices=("iocp", "io_uring", "epoll"), help="default: the best that works here, or IOCP_BACKEND"
    )
    parser.add_argument("--verbose", action="store_true", help="log what the library does")


def _own_name(encoding: str) -> str:
    """The name of whoever runs this, cut to what fits; else `player`."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = ""
    printable = "".join(letter for letter in name if letter.isprintable())
    return printable.encode(encoding, "ignore")[:MAX_NAME].decode(encoding, "ignore").strip() or "player"


def _common(parser: argparse.ArgumentParser, world: int, obstacles_percent: int, npcs: int) -> None:
    parser.add_argument(
        "--world", type=whole(1, MAX_SIZE), metavar="N", help=f"tiles along a side (default {world})"
    )
    parser.add_argument("--view", type=whole(1, MAX_VIEW), default=7, metavar="N", help="how far players see, in tiles (default %(default)s)")
    parser.add_argument(
        "--crowd", type=whole(0, 100_000), default=200, metavar="N",
        help="the most pieces one player is told of, nearest first; 0 for no limit (default %(default)s)",
    )  # fmt: skip
    obstacles = parser.add_mutually_exclusive_group()
    obstacles.add_argument(
        "--obstacles", type=whole(0, 50), default=obstacles_percent, metavar="PERCENT",
        help="of the tiles, placed by the seed (default %(default)s)",
    )  # fmt: skip
    obstacles.add_argument(
        "--map", type=Path, metavar="FILE", help="a square map of obstacles: a PNG (dark tiles), or text of # and ."
    )
    parser.add_argument("--npcs", type=whole(0, 1_000_000), default=npcs, metavar="N", help="monsters (default %(default)s)")
    parser.add_argument("--seed", type=whole(-(2**31), 2**31 - 1), default=1, help="of all that is random (default %(default)s)")
    parser.add_argument("--workers", type=whole(0, 1024), default=0, metavar="N", help="threads; 0: one for each core")
    parser.add_argument(
        "--backend", choices=("iocp", "io_uring", "epoll"), help="default: the best that works here, or IOCP_BACKEND"
    )
    parser.add_argument("--verbose", action="store_true", help="log every login and leave")


def _pixels(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    try:
        size = (int(width), int(height))
    except ValueError:
        size = (0, 0)
    if not (560 <= size[0] <= 16_384 and 360 <= size[1] <= 16_384):
        raise argparse.ArgumentTypeError(f"must be WIDTHxHEIGHT, from 560x360 to 16384x16384, not {text!r}")
    return size
