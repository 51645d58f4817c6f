"""The command line `iocp-load`, also `python -m iocp.load`."""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .arguments import parser_of_command
from .capacity import CapacityError, check_capacity, most_by_files, most_by_ports
from .settings import MAX_CLIENTS

if TYPE_CHECKING:
    from .objective import Objective
    from .progress import Progress
    from .protocol import Protocol
    from .report import Report
    from .run import Run
    from .settings import Settings


class UsageError(Exception):
    """The text says what is wrong and what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Wrong arguments raise SystemExit(2), after a message that names the argument."""
    parser = parser_of_command()
    options = parser.parse_args(arguments)
    try:
        objectives, settings = _read(options)
    except (UsageError, CapacityError, ValueError, TypeError) as error:
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
            from .page import write_page

            write_page(report, page_file)
    except OSError as error:
        print(f"iocp-load: cannot write {error.filename}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _progress(options: argparse.Namespace) -> Progress:
    """The screen on a terminal that can show it, if its package is installed; else lines."""
    from .lines import Lines

    if sys.stdout.isatty() and not options.plain and not options.quiet:
        try:
            from .screen import Screen, can_draw
        except ModuleNotFoundError as error:
            if error.name != "rich":
                raise
        else:
            if can_draw(sys.stdout):
                return Screen()
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


def _read(options: argparse.Namespace) -> tuple[tuple[Objective, ...], Settings]:
    from .objective import parse_objectives
    from .settings import Settings

    objectives = parse_objectives(options.slo)
    for name in ("json", "html"):
        file: Path | None = getattr(options, name)
        if file is not None and not file.absolute().parent.is_dir():
            raise UsageError(f"argument --{name}: there is no folder {file.absolute().parent}")
    settings = Settings(
        protocol=_protocol(options),
        host=_address(options.host),
        port=options.port,
        clients=1,
        rate=options.rate if options.rate is not None else 0.0,
        window=options.window,
        ramp=options.ramp,
        timeout=options.timeout,
        seed=options.seed if options.seed is not None else time.time_ns() & 0xFFFF_FFFF,
        backend=options.backend,
        sources=tuple(filter(None, options.source.split(","))),
        churn=options.churn,
        lateness_limit=options.lateness / 1000,
        processes=options.processes,
        first_player=options.first_player,
    )
    _check_together(options)
    if options.find_max:
        return objectives, _find_max(options, settings, objectives)
    clients = max((stage.clients for stage in options.stages or ()), default=options.clients or 100)
    settings = replace(settings, clients=clients, duration=options.duration or 30.0, stages=options.stages or ())
    check_capacity(settings, "--stages" if options.stages else "--clients")
    return objectives, settings


def _check_together(options: argparse.Namespace) -> None:
    """What makes no sense together."""
    for one, others in (
        ("stages", ("clients", "duration", "find_max")),
        ("find_max", ("clients",)),
    ):
        for other in others:
            if getattr(options, one) and getattr(options, other) is not None:
                names = [f"--{name.replace('_', '-')}" for name in (one, other)]
                raise UsageError(f"argument {names[1]}: not together with {names[0]}")
    for name in ("start", "limit", "step_hold", "settle", "precision", "confirm"):
        if getattr(options, name) is not None and not options.find_max:
            raise UsageError(f"argument --{name.replace('_', '-')}: only with --find-max")
    most = options.clients or (options.limit if options.find_max else None)
    if most is not None and options.processes > most:
        raise UsageError(f"argument --processes: {options.processes} are more than the {most} players")


def _find_max(options: argparse.Namespace, settings: Settings, objectives: tuple[Objective, ...]) -> Settings:
    """Up to the limit that was asked for, or else to what this machine can do."""
    from .settings import FindMax

    if not any(objective.is_time for objective in objectives):
        raise UsageError("argument --find-max: needs --slo with a time, such as p99=100ms")
    limit = options.limit
    if limit is None:
        found = (most_by_files(settings.processes), most_by_ports(settings))
        limit = min(MAX_CLIENTS, *(most for most in found if most is not None))
    hold = options.step_hold or 10.0
    wanted = FindMax(
        objectives,
        start=options.start or min(100, limit),
        limit=limit,
        hold=hold,
        confirm_hold=options.duration or 3 * hold,
        settle=options.settle if options.settle is not None else 2.0,
        precision=(options.precision if options.precision is not None else 3.0) / 100,
        confirmations=options.confirm or 2,
    )
    settings = replace(settings, clients=limit, ramp=settings.ramp or 500.0, find_max=wanted)
    check_capacity(settings, "--limit")
    return settings


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



if __name__ == "__main__":
    sys.exit(main())
