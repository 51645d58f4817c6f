"""From raw results to medians, ratios and Markdown, and into the marked blocks of a document."""

from __future__ import annotations

import json
import os
import platform
import re
import statistics
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import programs

Result = dict[str, Any]
BASE = "libuv-c"
SECOND_BASE = "uvloop-expert"
# The aims of this project: at least this share of the C server on libuv, at most so many bytes.
AIMS: dict[tuple[str, str], float] = {
    ("echo-100x16", "pyiocp"): 0.75,
    ("echo-100x16", "pyiocp-batch"): 0.90,
    ("echo-100x1", "pyiocp"): 0.93,
    ("echo-1000x4", "pyiocp"): 0.88,
    ("fanout-200", "pyiocp"): 0.95,
    ("fanout-1000", "pyiocp"): 0.95,
    ("idle", "pyiocp"): 600,
    ("idle-touched", "pyiocp"): 600,
}


@dataclass(frozen=True)
class Row:
    """One server in one scenario over all rounds."""

    server: str
    title: str
    median: float
    low: float
    high: float
    of_base: float | None
    of_second: float | None
    notes: tuple[str, ...]


def rows(results: Sequence[Result], scenario: str) -> list[Row]:
    """The servers of a scenario in the order in which they were measured."""
    here = [r for r in results if r["scenario"] == scenario]
    made = []
    for server in dict.fromkeys(r["server"] for r in here):
        own = [r for r in here if r["server"] == server]
        good = [r for r in own if r["value"] is not None]
        if not good:
            made.append(Row(server, own[0]["title"], 0.0, 0.0, 0.0, None, None, (own[0]["failure"],)))
            continue
        values = [r["value"] for r in good]
        made.append(
            Row(
                server,
                own[0]["title"],
                statistics.median(values),
                min(values),
                max(values),
                ratio(here, server, BASE),
                ratio(here, server, SECOND_BASE),
                tuple(_notes(own)),
            )
        )
    return made


def ratio(here: Sequence[Result], server: str, base: str) -> float | None:
    """Median over the rounds of the ratio within a round, so that what slows a whole round does not count."""
    by_round = {(r["server"], r["round"]): r["value"] for r in here if r["value"]}
    ratios = [v / by_round[base, n] for (name, n), v in by_round.items() if name == server and (base, n) in by_round]
    return statistics.median(ratios) if ratios else None


def _notes(own: Sequence[Result]) -> Iterable[str]:
    failed = [r for r in own if r["value"] is None]
    if failed:
        yield f"{len(failed)} of {len(own)} rounds failed: {failed[0]['failure']}"
    errors = sum(r["load"].get("errors", 0) for r in own if r["value"] is not None)
    if errors:
        yield f"{errors} errors"
    unanswered = max((r["load"].get("unanswered", 0) for r in own if r["value"] is not None), default=0)
    if unanswered:
        yield f"{unanswered} connections starved"
    busy = [r["load"]["server_cpu_seconds"] / r["load"]["seconds"] for r in own if r["value"] and "server_cpu_seconds" in r["load"]]
    if busy and statistics.median(busy) < 0.9:
        yield f"server only {statistics.median(busy):.0%} busy"


def amount(value: float) -> str:
    """1234567 -> 1.23 M"""
    if value >= 999_500:
        return f"{value / 1e6:.2f} M"
    return f"{value / 1e3:.1f} k" if value >= 10_000 else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def scenario_table(results: Sequence[Result], scenario: str) -> str:
    """The Markdown table of one scenario."""
    here = rows(results, scenario)
    first = next(r for r in results if r["scenario"] == scenario)
    with_base, with_second = (any(getattr(r, name) is not None for r in here) for name in ("of_base", "of_second"))
    head = ["server", f"{first['unit']}, median", "min-max"]
    head += ["of C on libuv"] * with_base + ["of uvloop, expert"] * with_second + ["notes"]
    lines = [f"**{first['scenario_title']}**", "", "| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 2) + "---|"]
    for row in here:
        failed = row.median == 0 and row.high == 0 and row.notes
        cells = [row.title, "failed" if failed else amount(row.median), "" if failed else f"{amount(row.low)} - {amount(row.high)}"]
        cells += [_share(row.of_base)] * with_base + [_share(row.of_second)] * with_second + ["; ".join(row.notes)]
        lines.append("| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def aims_table(results: Sequence[Result]) -> str:
    """The project's aims next to what came out, the misses too."""
    lines = ["| scenario | server | aim | measured | |", "|---|---|---:|---:|---|"]
    for (scenario, server), aim in AIMS.items():
        row = next((r for r in rows(results, scenario) if r.server == server), None)
        in_bytes = scenario.startswith("idle")
        value = None if row is None or not row.high else row.median if in_bytes else row.of_base
        if row is None or value is None:
            continue
        met = value <= aim if in_bytes else value >= aim
        shown = (f"at most {aim:.0f} bytes", f"{value:.0f} bytes") if in_bytes else (f"{aim:.2f} of C", f"{value:.2f}")
        lines.append(f"| {scenario} | {row.title} | {shown[0]} | {shown[1]} | {'met' if met else '**missed**'} |")
    return "\n".join(lines) if len(lines) > 2 else ""


def conditions(python: str, folder: Path, cpus: Sequence[int]) -> dict[str, str]:
    """The machine and the versions of everything that took part."""
    cpuinfo = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.*)", cpuinfo)
    virtual = ", virtual" if re.search(r"^flags.*\bhypervisor\b", cpuinfo, re.MULTILINE) else ""
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "cpu": f"{model[1] if model else platform.machine()}{virtual}, {len(cpus)} CPUs",
        "memory": f"{int(memory[1]) / 2**20:.1f} GiB" if memory else "",
        "kernel": platform.release(),
        "load average at start": f"{os.getloadavg()[0]:.2f}",
        "libuv": said([str(folder / "libuv"), "--version"]),
        "C compiler": f"{said([programs.compiler(), '--version'])} {' '.join(programs.FLAGS)}",
    }
    code = (
        "import json, platform, importlib.metadata as m\n"
        "v = {'Python': platform.python_version()}\n"
        "for name in ('pyiocp', 'uvloop', 'twisted', 'cython'):\n"
        "    try: v[name] = m.version(name)\n"
        "    except m.PackageNotFoundError: pass\n"
        "print(json.dumps(v))"
    )
    found.update(json.loads(said([python, "-c", code]) or "{}"))
    return found


def said(command: Sequence[str]) -> str:
    """The first line that a command prints; empty if it cannot be run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().split("\n")[0]


def markdown(run: dict[str, Any], kinds: Sequence[str]) -> str:
    """Conditions, aims and tables of the scenarios of these kinds; empty if none was measured."""
    results = [r for r in run["results"] if r["kind"] in kinds]
    if not results:
        return ""
    facts = {**run["conditions"], "pyiocp's backend": ", ".join(sorted({r["remark"] for r in results if r.get("remark")}))}
    shown = "; ".join(f"{name} {value}" for name, value in facts.items() if value)
    rounds = max(r["round"] for r in results)
    parts = [f"{shown}. {rounds} interleaved rounds of {run['seconds']:g} s.", aims_table(results)]
    parts += [scenario_table(results, name) for name in dict.fromkeys(r["scenario"] for r in results)]
    return "\n\n".join(part for part in parts if part)


def blocks(run: dict[str, Any]) -> dict[str, str]:
    """What this run has for each marked block of a document."""
    if run["wine"]:
        # Wine's timings are no Windows numbers: only ratios leave this program.
        return {"wine": wine_table(run)}
    return {"table": markdown(run, ("echo", "fanout", "idle")), "second-cpu": markdown(run, ("second-cpu",))}


def wine_table(run: dict[str, Any]) -> str:
    """Ratios to the Proactor event loop as an expert uses it, under Wine."""
    results = run["results"]
    scenarios = list(dict.fromkeys(r["scenario"] for r in results))
    lines = ["| server (under Wine) | " + " | ".join(scenarios) + " |", "|---|" + "---:|" * len(scenarios)]
    for server, title in dict.fromkeys((r["server"], r["title"]) for r in results):
        shares = [ratio([r for r in results if r["scenario"] == name], server, "proactor-expert") for name in scenarios]
        lines.append(f"| {title} | " + " | ".join(_share(share) or "-" for share in shares) + " |")
    head = "Ratios to the Proactor event loop as an expert uses it. **Ratios under Wine, not Windows numbers.**"
    return head + "\n\n" + "\n".join(lines)


def refill(document: Path, contents: dict[str, str]) -> list[str]:
    """Replace what stands between `<!-- NAME:start -->` and `<!-- NAME:end -->`; the names of the blocks found."""
    text = document.read_text(encoding="utf-8")
    done = []
    for name, content in contents.items():
        pattern = re.compile(rf"(<!-- {re.escape(name)}:start -->\n).*?(<!-- {re.escape(name)}:end -->)", re.DOTALL)
        if content and pattern.search(text):
            text = pattern.sub(lambda match: f"{match[1]}{content}\n{match[2]}", text)  # noqa: B023 (used at once)
            done.append(name)
    document.write_text(text, encoding="utf-8")
    return done
