"""Measure this project's server against its peers, in interleaved rounds, per CPU-second of the server."""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import correctness
import peers
import process
import programs
import report
import scenarios
from peers import Peer
from scenarios import Scenario

ROOT = programs.HERE.parent
IDLE_ROUNDS = 2  # memory hardly varies, and ten thousand connections take their time
EPILOG = """\
examples:
  python benchmarks/run.py                                       everything, about 20 minutes
  python benchmarks/run.py --only echo-100x16 --servers pyiocp,libuv-c,uvloop-expert
  python benchmarks/run.py --only fanout --rounds 3 --seconds 1
  python benchmarks/run.py --only second-cpu                     what a second CPU adds
  python benchmarks/run.py --quick                               does every server work? (a minute at most)
  python benchmarks/run.py --wine                                under Wine, ratios only
  python benchmarks/run.py --report docs/benchmarks.md           measure, then fill the document's tables
  python benchmarks/run.py --from build/benchmarks/results.json --report docs/benchmarks.md

The server is held to the first CPU, the load generator to the last. Ctrl-C stops and keeps what was measured.
Exit codes: 0 measured, 1 a server failed or answered wrongly, 2 wrong usage, 130 interrupted.
"""


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, "results.json", rounds=5, seconds=2.0, warmup=0.5)
    parser.add_argument("--from", dest="source", type=Path, metavar="FILE.json", help="report these results, measure nothing")
    parser.add_argument("--list", action="store_true", help="the scenarios and servers, and what is missing for them")
    return with_quick(parser.parse_args(words))


def add_options(parser: argparse.ArgumentParser, results: str, rounds: int, seconds: float, warmup: float) -> None:
    """What every benchmark of servers can be told."""
    parser.add_argument("--rounds", type=_positive_int, default=rounds, help=f"interleaved rounds (default {rounds})")
    parser.add_argument("--seconds", type=_positive, default=seconds, help=f"measured window (default {seconds:g})")
    parser.add_argument("--warmup", type=_positive, default=warmup, help=f"unmeasured time before it (default {warmup:g})")
    parser.add_argument("--only", metavar="NAME,...", help="scenarios whose name begins so")
    parser.add_argument("--servers", metavar="NAME,...", help="these servers only")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the Python servers (default: this one)")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "benchmarks", help="folder of the C programs and results")
    parser.add_argument("--json", type=Path, help=f"where the results go (default: {results} in the build folder)")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="fill the marked blocks of this document")
    parser.add_argument("--quick", action="store_true", help="one round of 0.3 s with few connections, and a check of the echo")
    parser.add_argument("--wine", action="store_true", help="the Windows servers under Wine")


def with_quick(options: argparse.Namespace) -> argparse.Namespace:
    """With the times of --quick, if that was given."""
    if options.quick:
        options.rounds, options.seconds, options.warmup = 1, 0.3, 0.1
    return options


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError("must be positive")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def usage(problem: str) -> NoReturn:
    say(f"{Path(sys.argv[0]).name}: {problem}")
    sys.exit(2)


def every_scenario(options: argparse.Namespace) -> list[Scenario]:
    if options.quick:
        return scenarios.QUICK
    return scenarios.WINE if options.wine else scenarios.SCENARIOS + scenarios.SECOND_CPU


def chosen_scenarios(options: argparse.Namespace, everything: Sequence[Scenario]) -> list[Scenario]:
    """Those that --only leaves, as far as this machine permits."""
    beginnings = tuple(options.only.split(",")) if options.only else ("",)
    chosen = [s for s in everything if s.name.startswith(beginnings)]
    if not chosen:
        usage(f"no scenario begins with {options.only}; there are: {', '.join(s.name for s in everything)}")
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return [scenarios.shrink_to(s, descriptors) for s in chosen]


def every_peer(options: argparse.Namespace) -> list[Peer]:
    return peers.WINE_PEERS if options.wine else peers.PEERS


def chosen_peers(options: argparse.Namespace, everything: Sequence[Peer]) -> list[Peer]:
    """Those that --servers names."""
    names = options.servers.split(",") if options.servers else [p.name for p in everything]
    unknown = set(names) - {p.name for p in everything}
    if unknown:
        usage(f"no server is called {', '.join(sorted(unknown))}; there are: {', '.join(p.name for p in everything)}")
    return [p for p in everything if p.name in names]


def measure(scenario: Scenario, peer: Peer, options: argparse.Namespace) -> dict[str, Any]:
    """One server in one scenario once: a fresh process each time, so that no round inherits from another."""
    program = programs.build("load", options.build)
    command = peer.command(scenario, options.python, options.build)
    with process.server(command, peer.cpus, wine=peer.wine) as running:
        result: dict[str, Any] = {"remark": running.remark}
        if options.quick and scenario.kind == "echo":
            correctness.check_echo(running.host, running.port)
        if scenario.kind == "idle":
            value, load = idle_memory(program, scenario, running)
        else:
            load = process.load(program, scenario.load, running, options.seconds, options.warmup)
            value = load["per_second"] if scenario.kind == "second-cpu" else load["per_cpu_second"]
    if load["errors"] or not value:
        raise process.Failed(f"{load['errors']} errors; the first: {load['first_error'] or 'no packets at all'}")
    return {**result, "value": value, "load": load}


def idle_memory(program: Path, scenario: Scenario, running: process.Running) -> tuple[float, dict[str, Any]]:
    """Bytes of user-space memory that each idle connection adds to the server."""
    # What a first connection costs once (buffers, code first run) is no cost of the ten-thousandth.
    with process.idle_load(program, ("idle", "--connections", "10", "--seconds", "10", "--touch"), running):
        pass
    time.sleep(0.3)
    before = process.memory(running.pids)
    with process.idle_load(program, scenario.load, running) as load:
        after = settled_memory(running)
    used = {name: after[name] - before[name] for name in before}
    return used["anonymous"] / max(1, load["connections"]), {**load, "memory": used}


def settled_memory(running: process.Running) -> dict[str, int]:
    """Memory once the server has taken in all connections: unchanged for half a second."""
    now = process.memory(running.pids)
    for _ in range(40):
        time.sleep(0.5)
        before, now = now, process.memory(running.pids)
        if now == before:
            break
    return now


def plan(chosen: Sequence[Scenario], present: Sequence[Peer], rounds: int) -> Iterator[tuple[int, Scenario, Peer]]:
    """Interleaved: all servers of a scenario one after another, then the next scenario, then the next round."""
    for number in range(1, rounds + 1):
        for scenario in chosen:
            if scenario.kind == "idle" and number > IDLE_ROUNDS:
                continue
            # Every other round backwards, so that no server is always the one after the same other.
            taking_part = [p for p in present if p.takes_part(scenario)]
            for peer in taking_part if number % 2 else reversed(taking_part):
                yield number, scenario, peer


def run(options: argparse.Namespace, chosen: Sequence[Scenario], wanted: Sequence[Peer]) -> tuple[dict[str, Any], int]:
    """All rounds; the results and the exit code."""
    programs.build("load", options.build)
    if options.wine and any(peer.module == "iocp" for peer in wanted) and not peers.prepare_wine():
        say("note: the Windows build failed, so what an earlier one installed is measured, if any")
    present = []
    missing: dict[str, str] = {}
    for peer in wanted:
        if why := peer.missing(options.python, options.build):
            missing[peer.name] = why
            say(f"left out: {peer.name}: {why}")
        else:
            present.append(peer)
    if os.getloadavg()[0] > 0.5 and not options.quick:
        say(f"note: this machine is busy (load average {os.getloadavg()[0]:.2f}); ratios survive that better than numbers")
    facts = report.conditions(options.python, options.build, process.cpus())
    results: list[dict[str, Any]] = []
    steps = list(plan(chosen, present, options.rounds))
    code = 0 if steps else 1
    try:
        for done, (number, scenario, peer) in enumerate(steps, 1):
            try:
                outcome = measure(scenario, peer, options)
                shown = f"{report.amount(outcome['value'])} {scenario.unit}"
            except process.Failed as failure:
                outcome = {"value": None, "failure": str(failure), "load": {}}
                shown = f"FAILED: {failure}"
                code = 1
            say(f"{done:4}/{len(steps)}  round {number}  {scenario.name:18} {peer.name:20} {shown}")
            known = {"scenario": scenario.name, "scenario_title": scenario.title, "kind": scenario.kind, "unit": scenario.unit}
            results.append({**known, "server": peer.name, "title": peer.title, "round": number, **outcome})
    except KeyboardInterrupt:
        say("interrupted; what was measured is kept")
        code = 130
    # The order of the first round, which odd and even rounds do not share.
    order = {peer.name: place for place, peer in enumerate(present)}
    results.sort(key=lambda r: (r["round"], [s.name for s in chosen].index(r["scenario"]), order[r["server"]]))
    kept = {"conditions": facts, "missing": missing, "seconds": options.seconds, "wine": options.wine, "results": results}
    return kept, code


def prepare_process() -> None:
    """As many open files as are permitted, and an end by SIGTERM as on Ctrl-C: no server stays behind."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def write(kept: dict[str, Any], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    say(f"results in {target}")


def main(words: Sequence[str]) -> int:
    options = parse(words)
    prepare_process()
    if options.list:
        for scenario in chosen_scenarios(options, every_scenario(options)):
            print(f"{scenario.name:18} {scenario.title}")
        for peer in chosen_peers(options, every_peer(options)):
            print(f"{peer.name:18} {peer.title} ({peer.missing(options.python, options.build) or 'there'})")
        return 0
    if options.source:
        kept, code = json.loads(options.source.read_text(encoding="utf-8")), 0
    else:
        kept, code = run(options, chosen_scenarios(options, every_scenario(options)), chosen_peers(options, every_peer(options)))
        write(kept, options.json or options.build / "results.json")
    contents = report.blocks(kept)
    print("\n\n".join(text for text in contents.values() if text))
    if options.report:
        say(f"{options.report}: filled {', '.join(report.refill(options.report, contents)) or 'nothing: no such block'}")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except programs.CannotBuild as error:
        sys.exit(f"run.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
