"""The command line `iocp-chess`, also `python -m iocp.game`."""

from __future__ import annotations

import argparse
import logging
import math
import sys
from collections.abc import Callable, Sequence
from typing import Final

from .protocol import PORT
from .world import MAX_SIZE

_EXAMPLES: Final = """examples:
  iocp-chess serve                        a board of 400 x 400 on 127.0.0.1:3500
  iocp-chess serve --host 0.0.0.0 --show  for the whole network, with the board in this terminal
  iocp-chess serve --port 0 --world 8     a free port, the lecture's first board
  iocp-chess demo                         a server and 40 players, half a minute, to look at
  iocp-chess demo --players 400 --world 100 --rate 1

exit codes: 0 all went well, 1 the demo found something wrong, 2 wrong arguments or the server cannot start
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Wrong arguments raise SystemExit(2), after a message that names the argument."""
    options = _parser().parse_args(arguments)
    # Names and addresses in log lines are escaped, but the terminal may know still less.
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(message)s",
        stream=sys.stderr,
    )
    # Imported here, so that --help and wrong arguments need no compiled core.
    if options.command == "serve":
        from .serve import ServeOptions, serve

        return serve(
            ServeOptions(
                host=options.host,
                port=options.port,
                workers=options.workers,
                backend=options.backend,
                world=options.world,
                seed=options.seed,
                timed=options.timed,
                name_encoding=options.name_encoding,
                show=options.show,
                until_eof=options.until_eof,
            )
        )
    from .demo import DemoOptions, demo

    return demo(
        DemoOptions(
            players=options.players,
            seconds=options.seconds,
            world=options.world,
            rate=options.rate,
            seed=options.seed,
            workers=options.workers,
            backend=options.backend,
        )
    )


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
    serve.add_argument("--port", type=_whole(0, 65535), default=PORT, help="0: a free one (default %(default)s)")
    _common(serve, world=400)
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
    serve.add_argument("--show", action="store_true", help="show the board in the terminal")
    serve.add_argument("--until-eof", action="store_true", help="also stop when standard input ends (for programs)")

    demo = commands.add_parser("demo", help="a server with scripted players, shown in the terminal")
    demo.add_argument("--players", type=_whole(1, 10_000), default=40, help="(default %(default)s)")
    demo.add_argument("--seconds", type=_number(0.1, 1e6), default=30.0, help="(default %(default)g)")
    demo.add_argument(
        "--rate", type=_number(0, 1000), default=2.0, help="moves per second and player (default %(default)g)"
    )
    _common(demo, world=24)
    return parser


def _common(parser: argparse.ArgumentParser, world: int) -> None:
    parser.add_argument(
        "--world", type=_whole(1, MAX_SIZE), default=world, metavar="N", help="tiles along a side (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default %(default)s)")
    parser.add_argument("--workers", type=_whole(0, 1024), default=0, metavar="N", help="threads; 0: one for each core")
    parser.add_argument(
        "--backend", choices=("iocp", "io_uring", "epoll"), help="default: the best that works here, or IOCP_BACKEND"
    )
    parser.add_argument("--verbose", action="store_true", help="log every login and leave")


def _whole(least: int, most: int) -> Callable[[str], int]:
    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return value

    return whole


def _number(least: float, most: float) -> Callable[[str], float]:
    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least:g} to {most:g}, not {text!r}")
        return value

    return number
