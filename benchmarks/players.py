"""How many players the chess-board MMO holds: the same game on pyiocp, asyncio and uvloop, found by search with `iocp-load`."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peers
import process
import programs
import report
import trial
from search import Plan, Search

ROOT = programs.HERE.parent
SPARE_FILES = 128
"""Open files of a server or generator that are no players."""
EPILOG = """\
examples:
  python benchmarks/players.py                                   all worlds and servers, 32 minutes (2 for each case)
  python benchmarks/players.py --only dense --servers pyiocp,uvloop
  python benchmarks/players.py --both                            also the server on both processors, which the load then shares
  python benchmarks/players.py --quick                           does everything work? (a minute)
  python benchmarks/players.py --wine                            IOCP under Wine: no Windows numbers
  python benchmarks/players.py --report docs/benchmarks.md       measure, then fill the document's table

A number of players is held if the 99th percentile of a move's own answer is at most 100 ms from its planned time, with no error, no
violation, and the generator in time. The server is held to the first CPU, the load to the last. Ctrl-C stops and keeps what was found.
Exit codes: 0 measured, 1 a server held nobody, 2 wrong usage, 130 interrupted.
"""


@dataclass(frozen=True)
class World:
    """A board, the aim for it, and where its search begins."""

    name: str
    title: str
    size: int
    npcs: int
    aim: int
    """Players; 0: none."""
    start: int
    steepness: float
    rate: float = 1.0
    """Moves a second of each player."""


@dataclass(frozen=True)
class Server:
    """How the game is served."""

    name: str
    title: str
    arguments: tuple[str, ...] = ()
    loop: str = ""
    """The event loop that the game runs behind; empty: pyiocp."""
    cpus: int = 1
    wine: bool = False

    def command(self, world: World) -> list[str]:
        """The process that prints `listening on HOST:PORT`."""
        python = [sys.executable, str(peers.WINE_TOOL), "run", "python", "-u"] if self.wine else [sys.executable, "-u"]
        board = ["--world", str(world.size), "--npcs", str(world.npcs), "--port", "0"]
        if self.loop:
            return [*python, str(peers.SERVERS / "game_asyncio.py"), "--loop", self.loop, *board, *self.arguments]
        return [*python, "-m", "iocp.game", "serve", "--db", "none", "--move-interval", "0", *board, *self.arguments]


WORLDS = [
    World("open", "2000 x 2000, no monsters", 2000, 0, 30_000, 12_000, 1.1),
    World("dense", "400 x 400, no monsters", 400, 0, 10_000, 6_000, 1.8),
    World("monsters", "2000 x 2000, 200,000 monsters", 2000, 200_000, 5_000, 4_000, 1.1),
    # Where a process may have fewer open files than the open board holds players, servers can still be compared.
    World("open-2", "2000 x 2000, no monsters, two moves a second each", 2000, 0, 0, 8_000, 1.1, 2.0),
]
QUICK = [
    World("open", "200 x 200, no monsters", 200, 0, 40, 20, 1.1),
    World("dense", "20 x 20, no monsters", 20, 0, 40, 20, 1.8),
    World("monsters", "200 x 200, 2,000 monsters", 200, 2_000, 40, 20, 1.1),
    World("open-2", "200 x 200, no monsters, two moves a second each", 200, 0, 0, 20, 1.1, 2.0),
]
SERVERS = [
    Server("uvloop", "uvloop", loop="uvloop"),
    Server("pyiocp", "pyiocp on io_uring", ("--workers", "1", "--backend", "io_uring")),
    Server("pyiocp-epoll", "pyiocp on epoll", ("--workers", "1", "--backend", "epoll")),
    Server("asyncio", "asyncio", loop="asyncio"),
]
BOTH = [
    Server("pyiocp-both", "pyiocp on io_uring, both CPUs", ("--workers", "2", "--backend", "io_uring"), cpus=2),
    Server("pyiocp-epoll-both", "pyiocp on epoll, both CPUs", ("--workers", "2", "--backend", "epoll"), cpus=2),
]
WINE_SERVERS = [
    Server("winloop", "winloop (under Wine)", loop="winloop", wine=True),
    Server("pyiocp", "pyiocp on IOCP (under Wine)", ("--workers", "1"), wine=True),
    Server("proactor", "Proactor (under Wine)", loop="proactor", wine=True),
]
BASE = ("uvloop", "winloop")
AIM_OF_BASE = {1: 1.3, 2: 1.6}
"""Of what uvloop holds on one CPU, by the CPUs that the server may use."""
WINE_START = 1_000
REPEATS = 3
"""Times that a trial is made, if it is missed and was disturbed."""


def parse(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORLD,...", help=f"of {', '.join(world.name for world in WORLDS)}")
    parser.add_argument("--servers", metavar="NAME,...", help=f"of {', '.join(server.name for server in SERVERS + BOTH)}")
    parser.add_argument("--both", action="store_true", help="also servers that may use both CPUs, of which the load takes its part")
    parser.add_argument("--hold", type=_positive, default=8.0, metavar="S", help="measured seconds of a trial (default 8)")
    parser.add_argument("--confirm", type=_positive, default=16.0, metavar="S", help="of the last one, which confirms (default 16)")
    parser.add_argument("--ramp", type=_positive, default=6.0, metavar="S", help="seconds in which the players come (default 6)")
    parser.add_argument("--resolution", type=_positive, default=3.0, metavar="PERCENT", help="of the interval found (default 3)")
    parser.add_argument(
        "--minutes", type=_positive, default=1.7, help="for each world and server, after which it confirms what it has (default 1.7)"
    )
    parser.add_argument("--start", type=int, metavar="N", help="players with which the first search of a world begins (default: the world's)")
    parser.add_argument("--most", type=int, metavar="N", help="players at most (default: as many as there may be open files)")
    parser.add_argument("--gather", default="turn", metavar="MS", help="see servers/game_asyncio.py (default turn)")
    parser.add_argument("--quick", action="store_true", help="small boards and numbers: does everything work?")
    parser.add_argument("--wine", action="store_true", help="the Windows servers under Wine: no Windows numbers")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "benchmarks" / "players.json", help="where the results go")
    parser.add_argument("--report", type=Path, metavar="FILE.md", help="fill the marked block of this document")
    parser.add_argument(
        "--from", dest="sources", type=Path, nargs="+", metavar="FILE.json", help="report what these runs found together, measure nothing"
    )
    options = parser.parse_args(words)
    if options.quick:
        options.hold = options.confirm = options.ramp = 1.0
        options.minutes, options.resolution, options.most = 0.1, 50.0, 40
    options.worlds = _chosen(parser, "--only", options.only, QUICK if options.quick else WORLDS)
    everything = WINE_SERVERS if options.wine else SERVERS + BOTH
    chosen = [s for s in everything if options.both or s.cpus == 1] if options.servers is None else everything
    options.chosen = _chosen(parser, "--servers", options.servers, chosen)
    for name, value in (("--most", options.most), ("--start", options.start)):
        if value is not None and value < 10:
            parser.error(f"{name} must be at least 10")
    return options


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 3600:
        raise argparse.ArgumentTypeError("must be positive")
    return value


def _chosen(parser: argparse.ArgumentParser, option: str, names: str | None, everything: list[Any]) -> list[Any]:
    wanted = names.split(",") if names else [each.name for each in everything]
    known = [each.name for each in everything]
    if unknown := sorted(set(wanted) - set(known)):
        parser.error(f"{option}: there is no {', '.join(unknown)}; there are: {', '.join(known)}")
    return [each for each in everything if each.name in wanted]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def missing(server: Server) -> str:
    """Why it cannot be measured here; empty if it can."""
    module = "iocp" if not server.loop else server.loop if server.loop in ("uvloop", "winloop") else ""
    return peers.Peer(server.name, server.title, "game_asyncio.py", module=module, wine=server.wine).missing(sys.executable, ROOT)


class Case:
    """One server on one world."""

    def __init__(self, world: World, server: Server, options: argparse.Namespace, start: int) -> None:
        self.world, self.server, self.options = world, server, options
        self.trials: list[trial.Trial] = []
        self.failure = ""
        self._ends = time.monotonic() + options.minutes * 60
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        ceiling, because = files - SPARE_FILES, f"the limit of open files ({files:,})"
        if options.most is not None and options.most < ceiling:
            ceiling, because = options.most, f"the most that was asked for ({options.most:,})"
        plan = Plan(start, ceiling, because, options.resolution / 100, world.steepness)
        self.search = Search(plan, self._attempt, lambda: time.monotonic() < self._ends)

    def run(self) -> None:
        """Search. Raises KeyboardInterrupt; what was found until then is kept."""
        try:
            self.search.run()
        except process.Failed as failure:
            self.failure = str(failure)
            say(f"  {self.server.name}: FAILED: {failure}")

    def _attempt(self, players: int, confirming: bool) -> trial.Trial:
        """A trial; again, if it was missed while others took the server's CPU."""
        for _ in range(REPEATS):
            made = self._try(players, confirming)
            if made.held or not made.disturbed:
                break
        return made

    def _try(self, players: int, confirming: bool) -> trial.Trial:
        options, server = self.options, self.server
        command = server.command(self.world)
        if server.loop:
            command += ["--gather", options.gather]
        made = trial.attempt(
            command,
            players,
            options.confirm if confirming else options.hold,
            options.ramp,
            rate=self.world.rate,
            cpu_count=server.cpus,
            wine=server.wine,
            seed=len(self.trials) + 1,
        )
        self.trials.append(made)
        outcome = "; ".join(made.why) or ("confirmed" if confirming else "held")
        if made.disturbed:
            outcome += f" (disturbed: others took {made.others_cpu:.0%})"
        say(
            f"  {self.world.name:9} {server.name:18} {players:7,} players  p99 {_number(made.p99):>7} ms"
            f"  server {_share(made.server_cpu):>4}  generator {made.generator_cpu:4.0%}  {outcome}"
        )
        return made

    def result(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "world": self.world.name, "world_title": self.world.title, "aim": self.world.aim, "server": self.server.name,
            "title": self.server.title, "cpus": self.server.cpus, "failure": self.failure, **dataclasses.asdict(self.search.found),
            "trials": [dataclasses.asdict(each) for each in self.trials],
        }  # fmt: skip


def run(options: argparse.Namespace) -> tuple[dict[str, Any], int]:
    """All cases; the results and the exit code."""
    if options.wine and not peers.prepare_wine():
        say("note: the Windows build failed, so what an earlier one installed is measured, if any")
    absent = {server.name: why for server in options.chosen if (why := missing(server))}
    for name, why in absent.items():
        say(f"left out: {name}: {why}")
    present = [server for server in options.chosen if server.name not in absent]
    count = len(options.worlds) * len(present)
    # A trial that has begun is finished, and the last one confirms.
    minutes = options.minutes + (options.ramp + options.confirm + 4) / 60
    say(f"{count} cases of at most {minutes:.1f} minutes or so: {count * minutes:.0f} minutes")
    facts = report.conditions(sys.executable, ROOT / "build" / "benchmarks", process.cpus())
    cases: list[Case] = []
    code = 0
    try:
        for world in options.worlds:
            start = options.start or (WINE_START if options.wine and not options.quick else world.start)
            for server in present:
                cases.append(Case(world, server, options, start))
                cases[-1].run()
                found = cases[-1].search.found
                # The next server is likely to be of the same kind.
                start = max(start // 2, found.held)
                if not found.held:
                    code = 1
    except KeyboardInterrupt:
        say("interrupted; what was found is kept")
        code = 130
    kept = {
        "conditions": {**{name: value for name, value in facts.items() if name not in ("libuv", "C compiler", "twisted", "cython")},
                       "load average at the end": f"{os.getloadavg()[0]:.2f}"},
        "missing": absent, "hold": options.hold, "confirm": options.confirm, "resolution": options.resolution, "wine": options.wine,
        "results": [case.result() for case in cases if case.trials],
    }  # fmt: skip
    return kept, code


def together(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Several runs as one, under the conditions of the first; of a case that was measured again the last result."""
    cases = {(result["world"], result["server"]): result for each in runs for result in each["results"]}
    return {**runs[0], "results": list(cases.values())}


# ---- the tables ----


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"


def table(kept: dict[str, Any]) -> str:
    """Conditions, then a table for each world, as Markdown."""
    shown = "; ".join(f"{name} {value}" for name, value in kept["conditions"].items() if value)
    parts = [f"{shown}. Trials of {kept['hold']:g} s, the last of {kept['confirm']:g} s; interval of {kept['resolution']:g} %."]
    if kept["wine"]:
        parts.insert(0, "**Under Wine, where every call goes through another process. No Windows numbers.**")
    heads = ["server", "players held", "not held", f"of {'winloop' if kept['wine'] else 'uvloop'}", "server CPU", "of it user", "p99 ms"]
    heads += ["packets per send", "generator CPU", "notes"]
    for world in dict.fromkeys(result["world"] for result in kept["results"]):
        here = [result for result in kept["results"] if result["world"] == world]
        base = next((result for result in here if result["server"] in BASE and result["held"]), None)
        aim = "" if kept["wine"] or not here[0]["aim"] else f"; aim {here[0]['aim']:,}"
        lines = [
            f"**{here[0]['world_title']}**{aim}",
            "",
            "| " + " | ".join(heads) + " |",
            "|---|" + "---:|" * (len(heads) - 2) + "---|",
        ]
        lines += [_row(result, base, kept) for result in here]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _row(result: dict[str, Any], base: dict[str, Any] | None, kept: dict[str, Any]) -> str:
    last = next((t for t in reversed(result["trials"]) if t["held"] and t["players"] == result["held"]), None)
    cells = [result["title"], f"{result['held']:,}", _number(result["missed"]), f"{result['held'] / base['held']:.2f}" if base else ""]
    if last is None:
        cells += ["", "", "", "", ""]
    else:
        packets = last["packets_per_send"]
        user = last["server_user"] / last["server_cpu"] if last["server_cpu"] else None
        cells += [_share(last["server_cpu"]), _share(user), _number(last["p99"]), f"{packets:.2f}" if packets else "-"]
        cells.append(_share(last["generator_cpu"]))
    cells.append("; ".join(_notes(result, base, kept)))
    return "| " + " | ".join(cell.replace("|", "/").replace("\n", " ") for cell in cells) + " |"


def _notes(result: dict[str, Any], base: dict[str, Any] | None, kept: dict[str, Any]) -> list[str]:
    notes = []
    if result["failure"]:
        notes.append(f"failed: {result['failure']}")
    if result["held"] and not result["confirmed"]:
        notes.append("not confirmed")
    if result["limited_by"]:
        notes.append(f"at least: {result['limited_by']} ended the search")
    elif result["held"] and not result["failure"] and _width(result) > kept["resolution"] / 100 + 0.01:
        notes.append("time ended the search")
    if result["server"].startswith("pyiocp") and not kept["wine"]:
        if result["cpus"] == 1 and result["aim"]:
            notes.append(f"aim {result['aim']:,}: {_verdict(result, result['held'], result['aim'])}")
        if base:
            notes.append(_ratio_note(result, base))
    if any(each["others_cpu"] is not None and each["others_cpu"] > trial.DISTURBED for each in result["trials"]):
        notes.append("disturbed by others")
    return notes


def _width(result: dict[str, Any]) -> float:
    """Of the interval between its ends, as a part of the lower one."""
    return float("inf") if result["missed"] is None else result["missed"] / result["held"] - 1


def _verdict(result: dict[str, Any], reached: float, aim: float) -> str:
    if reached >= aim:
        return "met" if result["confirmed"] else "met, but not confirmed"
    return "not decided" if result["limited_by"] or result["missed"] is None else "**missed**"


def _ratio_note(result: dict[str, Any], base: dict[str, Any]) -> str:
    """The aim is met if the lower end is so many times what uvloop does not hold any more, missed if the upper end is not so many times
    what uvloop holds; between these the intervals do not decide it."""
    aim = AIM_OF_BASE[result["cpus"]]
    least = result["held"] / base["missed"] if base["missed"] else 0.0
    most = result["missed"] / base["held"] if result["missed"] else float("inf")
    if least >= aim:
        verdict = _verdict(result, least, aim)
    elif most < aim:
        verdict = "**missed**"
    else:
        bounds = f"between {least:.2f} and {most:.2f}" if result["missed"] else f"at least {least:.2f}"
        verdict = f"not decided ({bounds})"
    return f"aim {aim:g} of uvloop: {verdict}"


def main(words: Sequence[str]) -> int:
    options = parse(words)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as on Ctrl-C: no server stays behind
    if options.sources:
        kept, code = together([json.loads(file.read_text(encoding="utf-8")) for file in options.sources]), 0
    else:
        kept, code = run(options)
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
        say(f"results in {options.json}")
    if not kept["results"]:
        return code or 1
    content = table(kept)
    print(content)
    if options.report:
        block = "players-wine" if kept["wine"] else "players"
        say(f"{options.report}: filled {', '.join(report.refill(options.report, {block: content})) or 'nothing: no such block'}")
    return code


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except programs.CannotBuild as error:
        sys.exit(f"players.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
