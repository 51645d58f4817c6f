"""The command line `iocp-load`, also `python -m iocp.load`."""

from __future__ import annotations

import argparse
import importlib
import ipaddress
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..output import accept_any_text, is_unread, silence
from ..signals import INTERRUPTED, calling_on_signals
from .arguments import parser_of_command
from .capacity import CapacityError, check_capacity, most_by_files, most_by_ports
from .settings import MAX_CLIENTS
from .target import why_not, write_report

if TYPE_CHECKING:
    from .objective import Objective
    from .progress import Progress
    from .protocol import Protocol
    from .run import Run
    from .settings import Settings


_PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep


class UsageError(Exception):
    """The text says what is wrong and what to do about it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code. Wrong arguments raise SystemExit(2), after a message that names the argument."""
    accept_any_text()
    try:
        return _command(parser_of_command().parse_args(arguments))
    except KeyboardInterrupt:
        print("iocp-load: interrupted, without a report", file=sys.stderr)
        return INTERRUPTED


def _command(options: argparse.Namespace) -> int:
    usage: argparse.ArgumentParser = options.usage
    try:
        objectives, settings = _read(options)
        progress = _progress(options)
    except (UsageError, CapacityError, ValueError, TypeError) as error:
        usage.error(str(error))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "hdrh":
            raise
        usage.error("needs the package hdrhistogram: pip install 'pyiocp[load]'")
    return load(settings, objectives, progress, json_file=options.json, page_file=options.html)


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
    show = _Show(progress)
    with calling_on_signals(run.stop, once=True):  # with what it has; a second one ends the program
        try:
            show.call(partial(progress.begin, settings))
            for snapshot in run.snapshots():
                show.call(partial(progress.update, snapshot))
                if show.is_over and json_file is None and page_file is None:
                    run.stop()  # for nobody
            report = Report(settings, run.history, run.outcome(), objectives)
            # Files first: what is printed may go nowhere.
            problems = write_report(report, json_file, page_file, last=False)
            show.call(partial(progress.end, report))
            problems += write_report(report, json_file, page_file, last=True)
        finally:
            show.close()
    problems += show.problems
    for problem in problems:
        print(f"iocp-load: {problem}", file=sys.stderr)
    return USAGE if problems else report.exit_code


class _Show:
    """A progress of which nothing is shown any more once standard output fails. Of a reader who left nothing is said."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.is_over = False
        self.problems: list[str] = []

    def call(self, show: Callable[[], None]) -> None:
        if not self.is_over:
            self._try(show)

    def close(self) -> None:
        """Also if it failed: a terminal is given back."""
        self._try(self._progress.close)

    def _try(self, show: Callable[[], None]) -> None:
        try:
            show()
        except OSError as error:
            if not (self.is_over or is_unread(error)):
                self.problems.append(f"cannot print: {error.strerror}")
            self.is_over = True
            silence(sys.stdout)


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


def _read(options: argparse.Namespace) -> tuple[tuple[Objective, ...], Settings]:
    from .objective import parse_objectives
    from .settings import Settings

    try:
        objectives = parse_objectives(options.slo)
    except ValueError as error:
        raise UsageError(f"argument --slo: {error}") from None
    _check_together(options)
    _check_targets(options)
    protocol = _protocol(options)
    if not protocol.shows_moves and (seen := [str(one) for one in objectives if one.name.startswith("fanout_")]):
        raise UsageError(f"argument --slo: {seen[0]}: {protocol.name} tells nobody of the moves of others")
    window, rate = options.window, options.rate
    if rate is None:
        # Of an echo server people ask how much it can do, of a game how it is with so many players.
        if window is None and options.scenario == "echo":
            window = 1
        rate = 0.0 if window or options.scenario == "echo" else 1.0
    host = _address(options.host)
    settings = Settings(
        protocol=protocol,
        host=host,
        port=options.port,
        clients=1,
        rate=rate,
        window=window or 0,
        ramp=options.ramp,
        timeout=options.timeout,
        seed=options.seed if options.seed is not None else time.time_ns() & 0xFFFF_FFFF,
        backend=options.backend,
        sources=_sources(options.source, host),
        churn=options.churn,
        lateness_limit=options.lateness / 1000,
        processes=options.processes,
        first_player=options.first_player,
    )
    if options.find_max:
        return objectives, _find_max(options, settings, objectives)
    clients = max((stage.clients for stage in options.stages or ()), default=options.clients or 100)
    settings = replace(settings, clients=clients, duration=options.duration or 30.0, stages=options.stages or ())
    check_capacity(settings, "--stages" if options.stages else "--clients")
    return objectives, settings


def _check_targets(options: argparse.Namespace) -> None:
    """The report can be written where it is to be."""
    for name in ("json", "html"):
        file: Path | None = getattr(options, name)
        if file is not None and (problem := why_not(file)) is not None:
            raise UsageError(f"argument --{name}: {problem}")
    if options.json is not None and options.html is not None and options.json.absolute() == options.html.absolute():
        raise UsageError(f"argument --html: {options.html} is the file of --json")


def _check_together(options: argparse.Namespace) -> None:
    """What makes no sense together."""
    for one, others in (
        ("stages", ("clients", "duration", "find_max")),
        ("find_max", ("clients",)),
        ("rate", ("window",)),
    ):
        for other in others:
            if getattr(options, one) is not None and getattr(options, other):
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
    if not settings.rate and not settings.window:
        raise UsageError("argument --find-max: needs players that send: give --rate or --window")
    limit = options.limit
    if limit is None:
        found = (
            most_by_files(settings.processes),
            most_by_ports(settings, search=True),
            max(1, settings.protocol.most_players - settings.first_player),
        )
        limit = min([MAX_CLIENTS, *(most for most in found if most is not None)])
        limited_by = f"{limit}, the most that this machine can do"
    else:
        limited_by = f"--limit {limit}"
    if options.start is not None and options.start > limit:
        raise UsageError(f"argument --start: must be at most {limited_by}, not {options.start}")
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

        framing = Framing(options.length_bytes, "big" if options.big_endian else "little", not options.body_length)
        try:
            return echo(options.size, framing)
        except ValueError as error:
            raise UsageError(f"argument --size: {str(error).removeprefix('size ')}") from None
    module, colon, name = options.name.partition(":")
    sys.path.insert(0, os.getcwd())
    try:
        found = getattr(importlib.import_module(module), name) if colon else None
    except (Exception, SystemExit) as error:  # of a module that is not ours: anything
        frames = traceback.extract_tb(error.__traceback__)
        # Not of the import itself, as for a module that there is not or a name that it does not have, nor of what it calls in this package.
        own = [frame for frame in frames if not frame.filename.startswith(("<", _PACKAGE)) and frame.filename != importlib.__file__]
        where = f"{own[-1].filename}, line {own[-1].lineno}: " if own else ""
        raise UsageError(f"argument MODULE:NAME: {options.name!r}: {where}{type(error).__name__}: {error}") from None
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


def _sources(text: str, host: str) -> tuple[str, ...]:
    """Addresses that connections to `host` can come from: each is tried once, and not by every player."""
    sources = tuple(filter(None, text.split(",")))
    for source in sources:
        try:
            version = ipaddress.ip_address(source).version
        except ValueError:
            raise UsageError(f"argument --source: {source!r} is no IP address") from None
        if version != ipaddress.ip_address(host).version:
            raise UsageError(f"argument --source: {source} cannot reach {host}, an address of the other kind of IP")
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        try:
            address = socket.getaddrinfo(source, 0, family, socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4]
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.bind(address)
        except OSError as error:
            raise UsageError(f"argument --source: {source} is no address of this machine ({error.strerror})") from None
    return sources


if __name__ == "__main__":
    sys.exit(main())
