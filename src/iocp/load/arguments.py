"""The words of the command line `iocp-load`, and what they mean."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from ..argument import number, whole
from .settings import MAX_CLIENTS, MAX_FIRST_PLAYER, MAX_PROCESSES, Stage

_EXAMPLES: Final = """examples:
  iocp-load chess --port 3500 --clients 500 --duration 10
  iocp-load chess --port 3500 --clients 2000 --rate 1 --ramp 200/s --slo p99=100ms --json run.json
  iocp-load echo --port 7000 --clients 100 --window 16 --size 16 --duration 5
  iocp-load chess --port 3500 --stages 1000:10,2000:10,4000:10 --ramp 500/s --processes 2
  iocp-load chess --port 3500 --find-max --slo p99=100ms --start 500 --html max.html
  iocp-load protocol bots:arena --port 4000 --clients 500     a protocol of your own, see iocp.load.protocol

exit codes: 0 the objectives were held, 1 one was missed, 2 wrong arguments or too few open files or ports, 3 the generator
itself was too late, had no processor time left, one of its processes died, or nothing was measured: the run proves nothing; of --find-max:
0 some number of players held, 1 none did, 3 nothing could be decided
Ctrl-C ends a run with a report of what was measured until then (3 if that is nothing); the second one without: 130
"""


def parser_of_command() -> argparse.ArgumentParser:
    """All options, with their defaults."""
    parser = argparse.ArgumentParser(
        prog="iocp-load",
        description="A load generator for servers of length-prefixed packets, with figures to be trusted.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")

    chess = scenarios.add_parser("chess", help="players who log in to a chess-board server and move")
    _common(chess, rate="1")
    chess.add_argument("--untimed", action="store_true", help="moves of 3 bytes without a time, whose answers come in order")
    chess.add_argument("--teleport", action="store_true", help="each player asks for a random tile after its login")
    chess.add_argument("--hot-spot", type=_tile, metavar="X,Y", help="a tile that players are drawn to")

    echo = scenarios.add_parser("echo", help="packets to any server that sends them back")
    _common(echo, rate="--window 1")
    echo.add_argument("--size", type=whole(2, 1 << 20), default=16, metavar="S", help="bytes of a packet (default %(default)s)")
    echo.add_argument("--length-bytes", type=int, choices=(1, 2, 4), default=1, help="of the length field (default %(default)s)")
    echo.add_argument("--big-endian", action="store_true", help="byte order of the length field")
    echo.add_argument("--body-length", action="store_true", help="the length does not count its own field")

    custom = scenarios.add_parser("protocol", help="a protocol of your own")
    custom.add_argument("name", metavar="MODULE:NAME", help="an iocp.load.Protocol in a module on Python's path or in this folder")
    _common(custom, rate="1")
    return parser


def _common(parser: argparse.ArgumentParser, rate: str) -> None:
    # Wrong arguments that show only together are told with this usage.
    parser.set_defaults(usage=parser)
    parser.add_argument("--host", default="127.0.0.1", help="(default %(default)s)")
    parser.add_argument("--port", type=whole(1, 65535), required=True)
    parser.add_argument("--clients", type=whole(1, MAX_CLIENTS), metavar="N", help="players (default 100)")
    parser.add_argument(
        "--rate",
        type=number(0, 100_000),
        metavar="R",
        help=f"sends per second and player, on an open schedule (default: {rate}); 0 only listens",
    )
    parser.add_argument(
        "--window", type=whole(0, 4096), metavar="W", help="instead of --rate: keep W sends under way for each player"
    )
    parser.add_argument(
        "--duration", type=_seconds, metavar="T", help="measured seconds, after all players have come (default 30)"
    )
    parser.add_argument(
        "--ramp", type=_per_second, metavar="N/s", help="players that come per second (default: all at once; --find-max: 500/s)"
    )
    parser.add_argument(
        "--stages", type=_stages, metavar="N:T,...", help="several numbers of players, each measured for T seconds: 1000:10,2000:10"
    )
    parser.add_argument(
        "--processes",
        type=whole(1, MAX_PROCESSES),
        default=1,
        metavar="P",
        help="generators that share the players, each with a processor's worth of sending (default %(default)s)",
    )
    parser.add_argument(
        "--first-player",
        type=whole(0, MAX_FIRST_PLAYER),
        default=0,
        metavar="N",
        help="number of the first player, which is in its name: for a second load tool on the same server, where players of one name"
        " throw each other out (default %(default)s)",
    )
    parser.add_argument("--churn", type=_per_second, default=0.0, metavar="N/s", help="players per second that leave and come back")
    parser.add_argument("--slo", default="", metavar="LIMITS", help="objectives, such as p99=100ms,errors=0,violations=0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page there, to be looked at in a browser")
    parser.add_argument("--seed", type=int, help="of all that is random (default: another one each time)")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=10.0,
        metavar="T",
        help="seconds for connecting and for the login, and at most so many, up to 5, for the last answers (default %(default)g)",
    )
    parser.add_argument(
        "--source",
        default="",
        metavar="A,B",
        help="addresses of this machine to connect from (default: as many loopback ones as are needed)",
    )
    parser.add_argument(
        "--lateness",
        type=number(1, 1e6),
        default=10.0,
        metavar="MS",
        help="of the generator's sends, 99th percentile, above which the run is invalid (default %(default)g)",
    )
    parser.add_argument("--backend", choices=("iocp", "io_uring", "epoll"), help="default: the best that works here, or IOCP_BACKEND")
    parser.add_argument("--plain", action="store_true", help="lines also on a terminal")
    parser.add_argument("--quiet", action="store_true", help="only the report, no line for each second")
    _search(parser)


def _search(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("search for the most players that hold the objectives")
    group.add_argument("--find-max", action="store_true", default=None, help="search, instead of one run; needs --slo with a time")
    group.add_argument("--start", type=whole(1, MAX_CLIENTS), metavar="N", help="players of the first step (default 100)")
    group.add_argument("--limit", type=whole(1, MAX_CLIENTS), metavar="N", help="never more players (default: what this machine can do)")
    group.add_argument("--step-hold", type=_seconds, metavar="T", help="measured seconds of a step (default 10)")
    group.add_argument(
        "--settle", type=number(0, 1e6), metavar="T", help="seconds between the arrival of players and the measurement (default 2)"
    )
    group.add_argument("--precision", type=number(0, 100), metavar="PERCENT", help="of the interval at the end (default 3)")
    group.add_argument(
        "--confirm",
        type=whole(1, 100),
        metavar="N",
        help="confirmations of the result, each of --duration seconds (default: three steps), all but the first with new"
        " connections (default 2)",
    )


def _seconds(text: str) -> float:
    """Seconds, with or without the unit."""
    return number(0.01, 1e6)(text.removesuffix("s"))


def _per_second(text: str) -> float:
    return number(0.001, 1e6)(text.removesuffix("/s"))


def _stages(text: str) -> tuple[Stage, ...]:
    found = []
    for part in text.split(","):
        clients, colon, seconds = part.partition(":")
        if not colon:
            raise argparse.ArgumentTypeError(f"must be players and seconds, such as 1000:10,2000:10, not {part!r}")
        found.append(Stage(whole(1, MAX_CLIENTS)(clients), _seconds(seconds)))
    return tuple(found)


def _tile(text: str) -> tuple[int, int]:
    x, comma, y = text.partition(",")
    try:
        return int(x), int(y)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be two coordinates, such as 200,200, not {text!r}") from None
