"""The command line `iocp-load`, also `python -m iocp.load`."""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import json
import math
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .settings import MAX_CLIENTS

if TYPE_CHECKING:
    from .objective import Objective
    from .progress import Progress
    from .protocol import Protocol
    from .report import Report
    from .run import Run
    from .settings import Settings

_EXAMPLES: Final = """examples:
  iocp-load chess --port 3500 --clients 500 --duration 10
  iocp-load chess --port 3500 --clients 2000 --rate 1 --ramp 200/s --slo p99=100ms --json run.json
  iocp-load echo --port 7000 --clients 100 --window 16 --size 16 --duration 5
  iocp-load protocol bots:arena --port 4000 --clients 500     a protocol of your own, see iocp.load.protocol

exit codes: 0 the objectives were held, 1 one was missed, 2 wrong arguments, 3 the generator itself was too late or had
no processor time left, so that the run proves nothing
"""
_OWN_FILES: Final = 64
"""Open files of the process that are no players."""


class UsageError(Exception):
    """The text says what is wrong and what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Wrong arguments raise SystemExit(2), after a message that names the argument."""
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        objectives, settings = _read(options)
    except (UsageError, ValueError, TypeError) as error:
        parser.error(str(error))
    except ModuleNotFoundError as error:
        if error.name != "hdrh":
            raise
        parser.error("needs the package hdrhistogram: pip install hdrhistogram")
    return load(settings, objectives, _progress(options), json_file=options.json, page_file=options.html)


def load(
    settings: Settings,
    objectives: Sequence[Objective],
    progress: Progress,
    *,
    json_file: Path | None = None,
    page_file: Path | None = None,
) -> int:
    """One run, shown by `progress`; the exit code."""
    from .report import USAGE, Report
    from .run import Run

    try:
        run = Run(settings)
    except (RuntimeError, ValueError, TypeError) as error:
        print(f"iocp-load: {error}", file=sys.stderr)
        return USAGE
    with _stopping_on_signals(run):
        try:
            progress.begin(settings)
            for snapshot in run.snapshots():
                progress.update(snapshot)
            report = Report(settings, run.history, run.outcome(), objectives)
            progress.end(report)
        finally:
            progress.close()
        return report.exit_code if _write(report, json_file, page_file) else USAGE


def _write(report: Report, json_file: Path | None, page_file: Path | None) -> bool:
    """The files that were asked for. Says what cannot be written."""
    try:
        if json_file is not None:
            json_file.write_text(json.dumps(report.as_json(), indent=1) + "\n", encoding="utf-8")
        if page_file is not None:
            importlib.import_module(".page", __package__).write_page(report, page_file)
    except OSError as error:
        print(f"iocp-load: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _progress(options: argparse.Namespace) -> Progress:
    """The screen on a terminal, if its package is installed; else lines."""
    from .lines import Lines

    if sys.stdout.isatty() and not options.plain and not options.quiet:
        try:
            screen: Progress = importlib.import_module(".screen", __package__).Screen()
        except ModuleNotFoundError:
            pass  # without the package rich
        else:
            return screen
    return Lines(quiet=options.quiet)


@contextmanager
def _stopping_on_signals(run: Run) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the run with what it has; a second one ends the program."""
    before: dict[int, Any] = {}

    def ask(number: int, frame: object) -> None:
        run.stop()
        for known, old in before.items():
            signal.signal(known, old)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        known = getattr(signal, name, None)
        if known is not None:
            before[known] = signal.signal(known, ask)
    try:
        yield
    finally:
        for known, old in before.items():
            signal.signal(known, old)


# ---- arguments ----


def _read(options: argparse.Namespace) -> tuple[tuple[Objective, ...], Settings]:
    from .objective import parse_objectives
    from .settings import Settings

    settings = Settings(
        protocol=_protocol(options),
        host=_address(options.host),
        port=options.port,
        clients=options.clients,
        rate=options.rate if options.rate is not None else 0.0,
        window=options.window,
        duration=options.duration,
        ramp=options.ramp,
        timeout=options.timeout,
        seed=options.seed if options.seed is not None else time.time_ns() & 0xFFFF_FFFF,
        backend=options.backend,
        sources=tuple(filter(None, options.source.split(","))),
        churn=options.churn,
        lateness_limit=options.lateness / 1000,
    )
    _check_files(settings.clients)
    return parse_objectives(options.slo), settings


def _protocol(options: argparse.Namespace) -> Protocol:
    from .chess import chess
    from .echo import echo
    from .protocol import Protocol

    if options.scenario == "chess":
        return chess(timed=not options.untimed, teleport=options.teleport, spot=options.hot_spot)
    if options.scenario == "echo":
        from ..framing import Framing

        if options.rate is None and not options.window:
            options.window = 1
        framing = Framing(options.length_bytes, "big" if options.big_endian else "little", not options.body_length)
        return echo(options.size, framing)
    module, colon, name = options.name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name) if colon else None
    except (ImportError, AttributeError) as error:
        raise UsageError(f"argument MODULE:NAME: {error}") from None
    if not isinstance(found, Protocol):
        raise UsageError(f"argument MODULE:NAME: {options.name!r} is no iocp.load.Protocol")
    return found


def _address(host: str) -> str:
    """An IP address for `host`: looked up once and not for each player."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UsageError(f"argument --host: {host!r} is not known: {error}") from None
    # IPv4 first: of names that have both, a test server on this machine mostly listens there.
    return str(min(found, key=lambda entry: entry[0] != socket.AF_INET)[4][0])


def _check_files(clients: int) -> None:
    from .._iocpcore import raise_open_files

    limit = raise_open_files()
    if 0 <= limit < clients + _OWN_FILES:
        raise UsageError(
            f"argument --clients: {clients:,} players need {clients + _OWN_FILES:,} open files, the limit is {limit:,}: raise it with"
            f" 'ulimit -Hn {clients + _OWN_FILES}' as root, or in /etc/security/limits.conf"
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iocp-load",
        description="A load generator for servers of length-prefixed packets, with figures to be trusted.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")

    chess = scenarios.add_parser("chess", help="players who log in to a chess-board server and move")
    _common(chess, rate=1.0)
    chess.add_argument("--untimed", action="store_true", help="moves of 3 bytes without a time, whose answers come in order")
    chess.add_argument("--teleport", action="store_true", help="each player asks for a random tile after its login")
    chess.add_argument("--hot-spot", type=_tile, metavar="X,Y", help="a tile that players are drawn to")

    echo = scenarios.add_parser("echo", help="packets to any server that sends them back")
    _common(echo, rate=None)
    echo.add_argument("--size", type=_whole(2, 1 << 20), default=16, metavar="S", help="bytes of a packet (default %(default)s)")
    echo.add_argument("--length-bytes", type=int, choices=(1, 2, 4), default=1, help="of the length field (default %(default)s)")
    echo.add_argument("--big-endian", action="store_true", help="byte order of the length field")
    echo.add_argument("--body-length", action="store_true", help="the length does not count its own field")

    custom = scenarios.add_parser("protocol", help="a protocol of your own")
    custom.add_argument("name", metavar="MODULE:NAME", help="an iocp.load.Protocol in a module on Python's path or in this folder")
    _common(custom, rate=1.0)
    return parser


def _common(parser: argparse.ArgumentParser, rate: float | None) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="(default %(default)s)")
    parser.add_argument("--port", type=_whole(1, 65535), required=True)
    parser.add_argument("--clients", type=_whole(1, MAX_CLIENTS), default=100, metavar="N", help="players (default %(default)s)")
    parser.add_argument(
        "--rate",
        type=_number(0, 100_000),
        default=rate,
        metavar="R",
        help="sends per second and player, on an open schedule" + (" (default %(default)g)" if rate else " (default: --window)"),
    )
    parser.add_argument(
        "--window", type=_whole(0, 4096), default=0, metavar="W", help="keep W sends under way for each player instead of a schedule"
    )
    parser.add_argument(
        "--duration", type=_seconds, default=30.0, metavar="T", help="measured seconds, after all players have come (default %(default)g)"
    )
    parser.add_argument("--ramp", type=_per_second, metavar="N/s", help="players that come per second (default: all at once)")
    parser.add_argument("--churn", type=_per_second, default=0.0, metavar="N/s", help="players per second that leave and come back")
    parser.add_argument("--slo", default="", metavar="LIMITS", help="objectives, such as p99=100ms,errors=0,violations=0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the report there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page there, to be looked at in a browser")
    parser.add_argument("--seed", type=int, help="of all that is random (default: another one each time)")
    parser.add_argument(
        "--timeout", type=_seconds, default=10.0, metavar="T", help="seconds for connecting and for the login (default %(default)g)"
    )
    parser.add_argument(
        "--source", default="", metavar="A,B", help="addresses to connect from (default: as many loopback ones as are needed)"
    )
    parser.add_argument(
        "--lateness",
        type=_number(1, 1e6),
        default=10.0,
        metavar="MS",
        help="of the generator's sends, 99th percentile, above which the run is invalid (default %(default)g)",
    )
    parser.add_argument("--backend", choices=("iocp", "io_uring", "epoll"), help="default: the best that works here, or IOCP_BACKEND")
    parser.add_argument("--plain", action="store_true", help="lines also on a terminal")
    parser.add_argument("--quiet", action="store_true", help="only the report, no line for each second")


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


def _seconds(text: str) -> float:
    """Seconds, with or without the unit."""
    return _number(0.01, 1e6)(text.removesuffix("s"))


def _per_second(text: str) -> float:
    return _number(0.001, 1e6)(text.removesuffix("/s"))


def _tile(text: str) -> tuple[int, int]:
    x, comma, y = text.partition(",")
    try:
        return int(x), int(y)
    except ValueError:
        raise argparse.ArgumentTypeError(f"must be two coordinates, such as 200,200, not {text!r}") from None


if __name__ == "__main__":
    sys.exit(main())
