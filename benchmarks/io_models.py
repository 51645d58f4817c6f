"""Compare models of I/O: what a packet costs a server that waits for its sockets by select, epoll, a completion port ..."""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peers
import programs
import report
import run
import scenarios
from scenarios import Scenario

EPILOG = """\
examples:
  python benchmarks/io_models.py                                    on Linux, about 8 minutes
  python benchmarks/io_models.py --only active --servers select-c,epoll-c
  python benchmarks/io_models.py --wine                             the models of Windows under Wine, ratios only
  python benchmarks/io_models.py --quick                            does every server work?
  python benchmarks/io_models.py --report docs/io-models.md         measure, then fill the document's tables
  python benchmarks/io_models.py --from a.json b.json --report docs/io-models.md --chart docs/images/io-models.png

Servers and load as in run.py. Results of several runs go into one report: of Linux, of Wine, of some scenarios each.
Exit codes: 0 measured, 1 a server failed (select beyond 1024 descriptors is one), 2 wrong usage, 130 interrupted.
"""
BASE = "epoll-c"
WINE_BASE = "iocp-c"
Kept = dict[str, Any]
SHAPES = ("active-", "echo-")
"""How the names of the scenarios of each shape of load begin."""


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    run.add_options(parser, "io-models.json", rounds=3, seconds=0.8, warmup=0.3)
    parser.add_argument(
        "--from", dest="sources", nargs="+", type=Path, metavar="FILE.json", help="report these results, measure nothing"
    )
    parser.add_argument("--chart", type=Path, metavar="FILE.png", help="draw the results (needs matplotlib)")
    return run.with_quick(parser.parse_args(words))


def every_scenario(options: argparse.Namespace) -> list[Scenario]:
    """Both shapes of load, with as many connections as this machine permits."""
    if options.quick:
        return scenarios.FEW_ACTIVE_QUICK + scenarios.ALL_ACTIVE_QUICK
    everything = scenarios.FEW_ACTIVE_WINE + scenarios.ALL_ACTIVE_WINE if options.wine else scenarios.FEW_ACTIVE + scenarios.ALL_ACTIVE
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    possible = [s for s in everything if s.connections + 200 <= descriptors]
    for each in everything:
        if each not in possible:
            run.say(f"left out: {each.name}: the limit of open files is {descriptors}")
    return possible


# ---- tables ----


class Shape:
    """The results of one shape of load: a column for each number of connections, a row for each server."""

    def __init__(self, results: Sequence[report.Result], beginning: str, base: str) -> None:
        self.results = [r for r in results if r["scenario"].startswith(beginning)]
        self.base = base
        found = {connections_of(r["scenario"]): r["scenario"] for r in self.results}
        self.columns = dict(sorted(found.items()))
        """Scenarios by their number of connections."""
        self.titles = {r["server"]: r["title"] for r in self.results}
        """Of servers."""

    @property
    def title(self) -> str:
        name = next(iter(self.columns.values()))
        active = f"{name.split('-')[1]} connections active" if name.startswith("active-") else "all connections active"
        silent = "; the others are silent" if name.startswith("active-") else ""
        return f"{active}, 1 packet outstanding each{silent}"

    def here(self, connections: int) -> list[report.Result]:
        return [r for r in self.results if r["scenario"] == self.columns[connections]]

    def values(self, server: str, connections: int) -> list[float]:
        return [r["value"] for r in self.here(connections) if r["server"] == server and r["value"]]

    def failure(self, server: str, connections: int) -> str:
        return next((r["failure"] for r in self.here(connections) if r["server"] == server and not r["value"]), "")

    def ratio(self, server: str, connections: int) -> float | None:
        """To the base, in the same round; the median over the rounds."""
        return report.ratio(self.here(connections), server, self.base)

    def cells(self) -> list[list[float]]:
        """The rounds of each server with each number of connections, where there are any."""
        every = (self.values(server, connections) for server in self.titles for connections in self.columns)
        return [cell for cell in every if cell]

    def spread(self) -> list[float]:
        """For each cell how far its rounds are apart, as a part of their median."""
        return [(max(cell) - min(cell)) / statistics.median(cell) for cell in self.cells() if len(cell) > 1]

    def table(self, with_amounts: bool) -> str:
        lines = ["| server | " + " | ".join(f"{connections:,} connections" for connections in self.columns) + " |"]
        lines += ["|---|" + "---:|" * len(self.columns)]
        for server, title in self.titles.items():
            cells = []
            for connections in self.columns:
                values, ratio = self.values(server, connections), self.ratio(server, connections)
                amount = f"{report.amount(statistics.median(values))} " if with_amounts and values else ""
                share = "-" if ratio is None else f"{ratio:.2f}"
                cells.append("cannot" if not values else f"{amount}({share})" if amount else share)
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
        return "\n".join(lines)

    def failures(self) -> list[str]:
        """Who could not do what, and how that showed."""
        return [
            f"{self.titles[server]} with {connections:,}: {why.rpartition(' | ')[2]}"
            for server in self.titles
            for connections in self.columns
            if (why := self.failure(server, connections)) and not self.values(server, connections)
        ]

    def starved(self) -> list[str]:
        """Who never answered some of the active connections, while others were answered thousands of times."""
        found = []
        for server, title in self.titles.items():
            for connections in self.columns:
                counts = [r["load"].get("unanswered", 0) for r in self.here(connections) if r["server"] == server and r["value"]]
                if any(counts):
                    found.append(f"{title} with {connections:,}: up to {max(counts):,}")
        return found


def connections_of(scenario: str) -> int:
    """active-10-of-1000 and echo-1000x1: 1000"""
    return int(scenario.rpartition("-")[2].partition("x")[0])


def shapes_of(kept: Sequence[Kept], wine: bool) -> list[Shape]:
    """Those that were measured."""
    results = [r for each in kept if each["wine"] is wine for r in each["results"]]
    made = [Shape(results, beginning, WINE_BASE if wine else BASE) for beginning in SHAPES]
    return [shape for shape in made if shape.results]


def conditions(facts: dict[str, str], wine: bool) -> dict[str, str]:
    """Of what a run says about its machine, what has to do with these servers."""
    left_out = {"libuv", "twisted", "cython"}
    if wine:
        left_out |= {"C compiler", "Python", "uvloop"}  # those of Linux
        compiler = report.said([programs.WINDOWS_COMPILER, "--version"])
        facts = {**facts, "Wine": report.said(["wine", "--version"]), "cross-compiler": f"{compiler} {' '.join(programs.FLAGS)}"}
    else:
        facts = {**facts, "liburing": report.said(["pkg-config", "--modversion", "liburing"])}
    return {name: value for name, value in facts.items() if value and name not in left_out}


def block(kept: Sequence[Kept], wine: bool) -> str:
    """The marked block of a document; empty if nothing of it was measured."""
    shapes = shapes_of(kept, wine)
    if not shapes:
        return ""
    first = next(each for each in kept if each["wine"] is wine)
    counts = {len(cell) for shape in shapes for cell in shape.cells()}
    rounds = f"{min(counts)} to {max(counts)}" if len(counts) > 1 else f"{max(counts)}"
    spread = [each for shape in shapes for each in shape.spread()]
    apart = f" The rounds of a cell are {statistics.median(spread):.0%} apart (median), at most {max(spread):.0%}." if spread else ""
    facts = "; ".join(f"{name} {value}" for name, value in first["conditions"].items())
    parts = [f"{facts}. {rounds} interleaved rounds of {first['seconds']:g} s.{apart}"]
    if wine:
        parts.append("**Under Wine, no Windows numbers.** Ratios to the C server on IOCP.")
    else:
        parts.append("Packets per CPU-second of the server, the median; in parentheses the ratio to C on epoll in the same round.")
    for shape in shapes:
        parts += [f"**{shape.title}**", shape.table(with_amounts=not wine)]
        parts += ["Cannot: " + "; ".join(failures) + "."] if (failures := shape.failures()) else []
        parts += ["Connections that starved: " + "; ".join(starved) + "."] if (starved := shape.starved()) else []
    return "\n\n".join(parts)


def main(words: Sequence[str]) -> int:
    options = parse(words)
    run.prepare_process()
    if options.sources:
        kept, code = [json.loads(path.read_text(encoding="utf-8")) for path in options.sources], 0
    else:
        chosen = run.chosen_scenarios(options, every_scenario(options))
        measured, code = run.run(options, chosen, run.chosen_peers(options, peers.WINE_MODELS if options.wine else peers.MODELS))
        measured["conditions"] = conditions(measured["conditions"], options.wine)
        run.write(measured, options.json or options.build / "io-models.json")
        kept = [measured]
    contents = {"io-models": block(kept, wine=False), "io-models-wine": block(kept, wine=True)}
    print("\n\n".join(text for text in contents.values() if text))
    if options.report:
        filled = report.refill(options.report, contents)
        run.say(f"{options.report}: filled {', '.join(filled) or 'nothing: no such block'}")
    if options.chart:
        import io_models_chart

        io_models_chart.draw(shapes_of(kept, wine=False), shapes_of(kept, wine=True), options.chart)
        run.say(f"{options.chart}: drawn")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except programs.CannotBuild as error:
        sys.exit(f"io_models.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
