"""One trial: does this server hold so many players? A fresh server process, `iocp-load` against it, a verdict with its reasons."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import process

LIMIT = 100.0
"""Milliseconds that the 99th percentile of the own answers, from the planned time, may have."""
HOPELESS = 10 * LIMIT
"""Two seconds in a row with such a 99th percentile, or one with nobody answered: no need to see the end."""
DISTURBED = 0.04
"""The share of the server's CPU that others may take: a burst of a tenth of a second decides about a 99th percentile."""
_LINE = re.compile(r"^\s*[\d.]+ s\s+(ramp|hold|drain)\b.*?p99 ([\d.,]+|-)")
_SENDS = re.compile(r"sent in ([\d,]+) calls")


@dataclass
class Trial:
    """What came of it. Times in milliseconds; CPU as a share of one processor, over the measured seconds."""

    players: int
    held: bool
    why: list[str]
    """Why not; empty if held."""
    generator_at_fault: bool
    """The generator was the bottleneck: nothing is proved."""
    p50: float | None
    p99: float | None
    server_cpu: float | None
    server_user: float | None
    """The part of it that is not the kernel's."""
    others_cpu: float | None
    """What others took of the server's CPU meanwhile; None where that cannot be told."""
    generator_cpu: float
    received_per_second: float
    """Packets that arrived at the players."""
    packets_per_send: float | None
    """Over the whole trial; None if the server does not say how often it sent."""
    remark: str
    """What the server said about itself."""
    seconds: float
    """That the trial took."""

    @property
    def disturbed(self) -> bool:
        """Whether others took so much of the server's CPU that a miss says little."""
        return self.others_cpu is not None and self.others_cpu > DISTURBED


def attempt(
    command: Sequence[str],
    players: int,
    hold: float,
    ramp: float,
    *,
    rate: float = 1.0,
    cpu_count: int = 1,
    wine: bool = False,
    seed: int = 1,
) -> Trial:
    """Let `players` come within `ramp` seconds, each with `rate` moves a second, then measure for `hold` seconds.

    Raises process.Failed if there was nothing to measure.
    """
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, process.server(command, cpu_count, wine=wine) as running:
        report_file = Path(folder) / "report.json"
        # Where the server may use all CPUs, the load is on one of them too.
        cpu = process.cpus()[0] if cpu_count == 1 and len(process.cpus()) > 1 else None
        watched = _watch(_load(running, players, rate, hold, ramp, seed, report_file), running.pids, cpu)
        if not report_file.exists():
            raise process.Failed(f"iocp-load left no report: {watched.last_line or 'it said nothing'}")
        report: dict[str, Any] = json.loads(report_file.read_text(encoding="utf-8"))
    why = _why_not_held(report, players, watched.hopeless)
    sends = sends_of(running.farewell)
    seconds = report["hold_seconds"] or 1.0
    return Trial(
        players=players,
        held=not why,
        why=why,
        generator_at_fault=not report["valid"],
        p50=report["latency_ms"]["p50"],
        p99=report["latency_ms"]["p99"],
        server_cpu=watched.cpu,
        server_user=watched.user,
        others_cpu=watched.others,
        generator_cpu=report["generator"]["cpu_share"],
        received_per_second=_packets(report, ("hold",)) / seconds,
        packets_per_send=_packets(report, ("ramp", "hold", "drain")) / sends if sends else None,
        remark=running.remark,
        seconds=time.monotonic() - began,
    )


def _packets(report: dict[str, Any], phases: Sequence[str]) -> int:
    return sum(each["packets"] for each in report["intervals"] if each["phase"] in phases)


def sends_of(farewell: str) -> int:
    """How often a server sent, by its own account; 0 if it gave none."""
    found = _SENDS.search(farewell)
    return int(found[1].replace(",", "")) if found else 0


def _load(
    running: process.Running, players: int, rate: float, hold: float, ramp: float, seed: int, report_file: Path
) -> list[str]:
    return [
        sys.executable, "-u", "-m", "iocp.load", "chess", "--host", running.host, "--port", str(running.port), "--clients", str(players),
        "--rate", f"{rate:g}", "--ramp", f"{max(1.0, players / ramp):.1f}/s", "--duration", f"{hold:g}", "--seed", str(seed),
        "--json", str(report_file),
    ]  # fmt: skip


def _why_not_held(report: dict[str, Any], players: int, hopeless: bool) -> list[str]:
    why = list(report["invalid_because"])
    if report["connected"] < players:
        why.append(f"{report['connected']:,} of {players:,} players came")
    if report["errors"]:
        name, count = next(iter(report["errors_by_name"].items()), ("errors", report["errors"]))
        why.append(f"{report['errors']:,} errors, most of them: {name} ({count:,})")
    if report["violations"]:
        why.append(f"{report['violations']:,} violations: {', '.join(report['violations_by_name'])}")
    p99 = report["latency_ms"]["p99"]
    if p99 is None:
        why.append("nothing measured")
    elif p99 > LIMIT:
        why.append(f"p99 {p99:,.0f} ms")
    elif hopeless or report["interrupted"]:
        why.append("given up before the end")
    return why


@dataclass
class _Watched:
    """The run from outside. Processor time is read when a line comes: the last one of the ramp is the beginning of the hold."""

    cpu: float | None = None
    user: float | None = None
    others: float | None = None
    hopeless: bool = False
    last_line: str = ""


def _watch(command: list[str], pids: Sequence[int], cpu: int | None) -> _Watched:
    watched = _Watched()
    marks: dict[str, tuple[float, float, float, float]] = {}
    bad = 0
    with process.held_to_last(command) as load:
        assert load.stdout
        for raw in load.stdout:
            line = raw.decode(errors="replace").rstrip()
            watched.last_line = line or watched.last_line
            found = _LINE.match(line)
            if not found:
                continue
            phase, p99 = found[1], found[2]
            if phase != "drain":
                marks[phase] = (time.monotonic(), *cpu_seconds(pids), busy_seconds(cpu))
            bad = bad + 1 if p99 != "-" and float(p99.replace(",", "")) > HOPELESS else 0
            if phase == "hold" and bad >= 2 and not watched.hopeless:
                watched.hopeless = True
                load.send_signal(signal.SIGINT)  # it ends with what it has
        load.wait()
    if "ramp" in marks and "hold" in marks:
        seconds, user, system, busy = (after - before for before, after in zip(marks["ramp"], marks["hold"], strict=True))
        watched.user = user / seconds
        watched.cpu = (user + system) / seconds
        watched.others = None if cpu is None else max(0.0, busy / seconds - watched.cpu)
    return watched


def busy_seconds(cpu: int | None) -> float:
    """That this CPU has not been idle, stolen time of a virtual machine included; 0 for None."""
    if cpu is None:
        return 0.0
    line = next(each for each in Path("/proc/stat").read_text().splitlines() if each.startswith(f"cpu{cpu} "))
    user, nice, system, _, _, *interrupts_and_stolen = map(int, line.split()[1:9])
    return (user + nice + system + sum(interrupts_and_stolen)) / os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Sequence[int]) -> tuple[float, float]:
    """User and system time of these processes, all of their threads."""
    ticks = os.sysconf("SC_CLK_TCK")
    user = system = 0
    for pid in pids:
        try:
            # The command name in parentheses may hold spaces.
            values = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        user += int(values[11])
        system += int(values[12])
    return user / ticks, system / ticks
