"""Made-up snapshots, for what shows a run: the same ones for the same seed."""

from __future__ import annotations

import random
from array import array
from collections import Counter
from dataclasses import replace
from typing import Any

from iocp.load.chess import chess
from iocp.load.objective import parse_objectives
from iocp.load.report import Report
from iocp.load.run import Outcome
from iocp.load.server import ServerSample
from iocp.load.settings import Settings
from iocp.load.snapshot import Figures, Snapshot
from iocp.load.times import Times


def times(source: random.Random, count: int, middle: float) -> Times:
    """`count` times around `middle` milliseconds, in the buckets of the native histogram: three digits."""
    found: Counter[int] = Counter()
    for _ in range(200):
        value = int(middle * 1000 * source.lognormvariate(0, 0.8))
        unit = max(1, 10 ** (len(str(value)) - 3))
        found[value // unit * unit] += count // 200 + 1
    return Times(found, max(found))


def snapshots(seconds: int = 12, players: int = 1000, server: str | None = "chess") -> list[Snapshot]:
    """A ramp of two seconds, then a hold; each player sends once a second and is seen by three."""
    source = random.Random(7)
    places = [(source.randrange(400), source.randrange(400)) for _ in range(min(players, 2000))]
    found = []
    for second in range(seconds):
        playing = players * min(second + 1, 2) // 2
        figures = Figures(
            sent=playing, answered=playing, planned=times(source, playing, 6.0), raw=times(source, playing, 3.0),
            fanout=times(source, 3 * playing, 9.0), lateness=times(source, playing, 0.2),
        )  # fmt: skip
        places = [(min(399, max(0, x + source.randint(-1, 1))), min(399, max(0, y + source.randint(-1, 1)))) for x, y in places]
        hold = second >= 2
        found.append(
            Snapshot(
                at=second + 1.0, seconds=1.0, phase="hold" if hold else "ramp", playing=playing, packets=4 * playing,
                received=4 * playing, bytes=56 * playing, measured=figures if hold else Figures(),
                others=Figures() if hold else figures, cpu=0.3, process_cpu=0.4, window=1.0 if hold else 0.0,
                positions=array("h", [part for place in places[:playing] for part in place]).tobytes(),
                server=ServerSample(server, 0.6, 50_000_000 + second) if server is not None else None,
            )
        )  # fmt: skip
    return found


def faulty(snapshot: Snapshot, text: str = "closed by the server in the middle") -> Snapshot:
    """The same with errors named `text`, and violations."""
    return replace(
        snapshot, errors=Counter({text: 3}), violations=Counter({"moved unseen": 12}),
        examples={"moved unseen": f"player 17 was told that 4242 moves to 18,99, who never entered; {text}"},
    )  # fmt: skip


def settings(**options: Any) -> Settings:
    """Of the run of `snapshots`."""
    defaults: dict[str, Any] = {
        "protocol": chess(), "host": "127.0.0.1", "port": 3500, "clients": 1000, "rate": 1.0, "duration": 10.0, "ramp": 500.0,
    }  # fmt: skip
    return Settings(**{**defaults, **options})


def report(found: list[Snapshot], slo: str = "p99=100ms", **options: Any) -> Report:
    """What these snapshots come to."""
    examples = {name: text for snapshot in found for name, text in snapshot.examples.items()}
    hold = sum(snapshot.seconds for snapshot in found if snapshot.phase == "hold")
    playing = max(snapshot.playing for snapshot in found)
    outcome = Outcome("epoll", hold_seconds=hold, most_playing=playing, examples=examples)
    return Report(settings(**{"clients": playing, **options}), found, outcome, parse_objectives(slo))
