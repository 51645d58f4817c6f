"""Measure game logic on two workers against one, with the interpreter lock and without it, in interleaved rounds."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import process
import programs
import report
import scenarios

ROOT = programs.HERE.parent
SERVER = programs.HERE / "servers" / "independent.py"
DOCUMENT = ROOT / "docs" / "free-threading.md"
BLOCK = "free-threading"
WINDOWS = (16, 1)
EPILOG = """\
examples:
  python tools/freethreaded.py measure                  on the interpreter that the tool made
  python tools/freethreaded.py measure --write          and into docs/free-threading.md
  python benchmarks/free_threading.py --python python3.14t --lock-python .venv/bin/python

The server may use all CPUs, the load generator is held to the last: with two CPUs in all, the second worker has to share.
Exit codes: 0 measured, 1 a server failed or answered wrongly, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True)
class Variant:
    """One way to run the same server."""

    name: str
    title: str
    free: bool
    """On the free-threaded interpreter, and not on the usual one."""
    workers: int
    lock: bool = False
    """The free-threaded interpreter with its lock given back (PYTHON_GIL=1)."""
    concurrent: bool = True

    def command(self, options: argparse.Namespace, turns: int) -> list[str]:
        switches = ["--workers", str(self.workers), "--turns", str(turns), *(["--concurrent"] if self.concurrent else [])]
        return [*interpreter(options, self.free, self.lock), str(SERVER), *switches]


VARIANTS = (
    Variant("lock-1", "usual Python, 1 worker", False, 1),
    Variant("lock-2", "usual Python, 2 workers", False, 2),
    Variant("given-back-1", "free-threaded Python with its lock on, 1 worker", True, 1, lock=True),
    Variant("given-back-2", "free-threaded Python with its lock on, 2 workers", True, 2, lock=True),
    Variant("free-1", "free-threaded, 1 worker", True, 1),
    Variant("free-2-default", "free-threaded, 2 workers, handlers one at a time (default)", True, 2, concurrent=False),
    Variant("free-2", "free-threaded, 2 workers, `concurrent=True`", True, 2),
)
# Whose second worker is compared with whose first.
ONE_WORKER = {"lock-2": "lock-1", "given-back-2": "given-back-1", "free-2-default": "free-1", "free-2": "free-1"}


def interpreter(options: argparse.Namespace, free: bool, lock: bool = False) -> list[str]:
    """The words that start a Python, each with an environment in which it finds the project's build for it alone."""
    if free:
        # Nothing keeps the lock away: that importing iocp does not bring it back is a part of what is measured.
        return ["env", *(["PYTHON_GIL=1"] if lock else ["-u", "PYTHON_GIL"]), options.python]
    return ["env", "-u", "PYTHONPATH", "-u", "PYTHON_GIL", "-u", "PYTHONPYCACHEPREFIX", options.lock_python]


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (default 3)")
    parser.add_argument("--seconds", type=float, default=1.0, help="measured window (default 1)")
    parser.add_argument("--warmup", type=float, default=0.4, help="unmeasured time before it (default 0.4)")
    parser.add_argument("--compute", default="10,50,200", metavar="US,...", help="microseconds of Python per packet (default 10,50,200)")
    parser.add_argument("--python", default=sys.executable, help="the free-threaded interpreter (default: this one)")
    usual = ROOT / ".venv" / "bin" / "python"
    parser.add_argument("--lock-python", default=str(usual), help="the usual one, with pyiocp (default: that of tools/dev.py)")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "benchmarks", help="folder of the load generator and results")
    parser.add_argument("--add", action="store_true", help="add to the results of an earlier run")
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE.json", help="report these results, measure nothing")
    parser.add_argument("--write", action="store_true", help=f"fill the marked block of {DOCUMENT.relative_to(ROOT)}")
    options = parser.parse_args(words)
    try:
        options.compute = [float(word) for word in options.compute.split(",")]
    except ValueError:
        parser.error("--compute takes numbers with commas between them")
    if options.rounds < 1 or not 0 < options.seconds < 3600 or not 0 < options.warmup < 3600 or min(options.compute) <= 0:
        parser.error("--rounds, --seconds, --warmup and --compute must be positive")
    return options


def check(options: argparse.Namespace) -> str:
    """Why nothing can be measured; empty if it can."""
    for free, name, advice in (
        (True, "--python", "python tools/freethreaded.py measure brings one"),
        (False, "--lock-python", "python tools/dev.py setup makes one"),
    ):
        # In the servers' folder: what a checkout has beside it must not be what is found.
        code = "import iocp, sysconfig; print(sysconfig.get_config_var('Py_GIL_DISABLED'))"
        done = subprocess.run([*interpreter(options, free), "-c", code], capture_output=True, text=True, cwd=SERVER.parent)
        if done.returncode:
            return f"{name} cannot import iocp ({advice}): {done.stderr.strip().splitlines()[-1:]}"
        if (done.stdout.strip() == "1") != free:
            return f"{name} is {'no ' if free else 'a '}free-threaded Python; {advice}"
    return ""


def said(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=SERVER.parent).stdout.strip()


def measure(variant: Variant, window: int, turns: int, options: argparse.Namespace) -> dict[str, Any]:
    """One server once: a fresh process each time, so that no round inherits from another."""
    with process.server(variant.command(options, turns), len(process.cpus())) as running:
        expected = "lock" if not variant.free or variant.lock else "no lock"
        if not running.remark.endswith(f"; {expected}"):
            raise process.Failed(f"the server said {running.remark!r} where {expected!r} was to be measured")
        load = process.load(programs.build("load", options.build), scenarios.echo(100, window).load, running, options.seconds, options.warmup)
    if load["errors"] or not load["per_second"]:
        raise process.Failed(f"{load['errors']} errors; the first: {load['first_error'] or 'no packets at all'}")
    return {"value": load["per_second"], "cpus": load["server_cpu_seconds"] / load["seconds"], "remark": running.remark}


def run(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    facts = report.conditions(options.python, options.build, process.cpus())
    shown = "import sys; print(sys.version.split()[0])"
    known = {
        **{name: facts[name] for name in ("date", "cpu", "memory", "kernel", "load average at start")},
        "usual Python": said([*interpreter(options, False), "-c", shown]),
        "free-threaded Python": said([*interpreter(options, True), "-c", shown]),
    }
    results: list[dict[str, Any]] = []
    code = 0
    steps = [(number, us, window) for number in range(1, options.rounds + 1) for us in options.compute for window in WINDOWS]
    turns = {us: int(said([*interpreter(options, False), str(SERVER), "--calibrate", str(us)])) for us in options.compute}
    try:
        for number, us, window in steps:
            # Every other round backwards, so that none is always the one after the same other.
            for variant in VARIANTS if number % 2 else reversed(VARIANTS):
                step: dict[str, Any] = {"compute": us, "window": window, "variant": variant.name, "round": number}
                try:
                    step |= measure(variant, window, turns[us], options)
                    text = f"{report.amount(step['value'])} packets/s, {step['cpus']:.2f} CPUs"
                except process.Failed as failure:
                    step |= {"value": None, "failure": str(failure)}
                    text, code = f"FAILED: {failure}", 1
                print(f"round {number}  {us:g} us  100x{window:<3} {variant.name:15} {text}", file=sys.stderr, flush=True)
                results.append(step)
    except KeyboardInterrupt:
        print("interrupted; what was measured is kept", file=sys.stderr)
        code = 130
    return {"conditions": known, "seconds": options.seconds, "results": results}, code


def ratio(results: Sequence[dict[str, Any]], variant: str, base: str) -> tuple[float, float, float] | None:
    """Median, smallest and largest ratio within a round, so that what slows a whole round does not count."""
    by_round = {(r["variant"], r["round"]): r["value"] for r in results if r["value"]}
    ratios = [v / by_round[base, n] for (name, n), v in by_round.items() if name == variant and (base, n) in by_round]
    return (statistics.median(ratios), min(ratios), max(ratios)) if ratios else None


def table(results: Sequence[dict[str, Any]], us: float, window: int) -> str:
    here = [r for r in results if r["compute"] == us and r["window"] == window]
    lines = [
        f"**echo, 100 connections x {window} outstanding, {us:g} us of Python per packet**",
        "",
        "| server | of the usual Python's one worker | of its own one worker | min-max | CPUs it used |",
        "|---|---:|---:|---:|---:|",
    ]
    for variant in VARIANTS:
        whole = ratio(here, variant.name, VARIANTS[0].name)
        own = ratio(here, variant.name, ONE_WORKER[variant.name]) if variant.name in ONE_WORKER else None
        cpus = [r["cpus"] for r in here if r["variant"] == variant.name and r["value"]]
        if whole is None or not cpus:
            lines.append(f"| {variant.title} | failed | | | |")
            continue
        second = f"**{own[0]:.2f}** | {own[1]:.2f} - {own[2]:.2f}" if own else "|"
        lines.append(f"| {variant.title} | {whole[0]:.2f} | {second} | {statistics.median(cpus):.2f} |")
    return "\n".join(lines)


def markdown(run: dict[str, Any]) -> str:
    results = run["results"]
    rounds = max(r["round"] for r in results)
    facts = "; ".join(f"{name} {value}" for name, value in run["conditions"].items() if value)
    backends = ", ".join(sorted({r["remark"].partition(";")[0] for r in results if r.get("remark")}))
    shapes = dict.fromkeys((r["compute"], r["window"]) for r in results)
    shapes = dict.fromkeys(sorted(shapes, key=lambda shape: (-shape[0], -shape[1])))
    return "\n\n".join(
        [
            f"{facts}; backend {backends}. {rounds} interleaved rounds of {run['seconds']:g} s; packets per second of wall time, "
            "as medians of the ratios within a round.",
            *(table(results, us, window) for us, window in shapes),
        ]
    )


def measured(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """New results, kept in the build folder, and the exit code; no results if nothing can be measured."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as on Ctrl-C: no server stays behind
    programs.build("load", options.build)
    problem = check(options)
    if len(process.cpus()) < 2:
        problem = "one CPU only: nothing to gain from a second worker"
    if problem:
        print(f"free_threading.py: {problem}", file=sys.stderr)
        return {}, 2
    if os.getloadavg()[0] > 0.5:
        print(f"note: this machine is busy (load average {os.getloadavg()[0]:.2f})", file=sys.stderr)
    kept, code = run(options)
    target = options.build / "free_threading.json"
    if options.add and target.exists():
        earlier = json.loads(target.read_text(encoding="utf-8"))
        shapes = {(r["compute"], r["window"]) for r in kept["results"]}
        kept["results"] += [r for r in earlier["results"] if (r["compute"], r["window"]) not in shapes]
    target.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return kept, code


def main(words: Sequence[str]) -> int:
    options = parse(words)
    if options.source:
        kept, code = json.loads(options.source.read_text(encoding="utf-8")), 0
    else:
        kept, code = measured(options)
        if not kept:
            return code
    text = markdown(kept) if kept["results"] else ""
    print(text)
    if options.write and not report.refill(DOCUMENT, {BLOCK: text}):
        print(f"free_threading.py: {DOCUMENT} has no block {BLOCK}", file=sys.stderr)
        return 1
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except programs.CannotBuild as error:
        sys.exit(f"free_threading.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
