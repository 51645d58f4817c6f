"""A report as one file for a browser, which needs nothing else: no network, no fonts, no other file.

The figures lie in it as JSON; `page.js` and `charts.js` draw them. Whatever comes from a server (names, texts of errors) is only ever
data: `<` does not occur in the JSON, the scripts set text and never markup, and the page's own policy lets no other script run.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from array import array
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .density import COLOURS, Extent
from .findings import hint
from .snapshot import Figures, Snapshot, faults_of
from .summary import summary
from .times import Times
from .words import printable, size

if TYPE_CHECKING:
    from .report import Report

_MOST_POINTS: Final = 400
"""Of the charts over time; a longer run is drawn with longer intervals."""
_MOST_FRAMES: Final = 100
_MOST_PLACES: Final = 120_000
"""Players in all frames of the map together, at 2.7 bytes each."""
_MOST_CELLS, _FEWEST_CELLS = 100, 40
"""Along a side of the map."""
_MOST_FAULTS: Final = 50
_LONGEST_TEXT: Final = 400
_UNITS: Final = {
    "rate": " per second and player", "ramp": " players per second", "churn": " players per second", "duration": " s", "timeout": " s",
    "interval": " s", "lateness_limit": " s",
}  # fmt: skip
_MARK: Final = re.compile(r"\{\{(\w+)\}\}")


def write_page(report: Report, path: Path) -> None:
    """Write the page of a run that is over. Raises OSError."""
    path.write_text(page(report), encoding="utf-8")


def page(report: Report) -> str:
    """The whole file."""
    # No "<" in it: neither an end of the script nor a comment can begin.
    data = json.dumps(page_data(report), separators=(",", ":")).replace("<", "\\u003c")
    style, script = _part("page.css"), _part("charts.js") + _part("page.js")
    marks = {"data": data, "style": style, "script": script, "style_hash": _hash(style), "script_hash": _hash(script)}
    # In one go: a mark inside the data is not looked at again.
    return _MARK.sub(lambda mark: marks[mark[1]], _part("page.html"))


def page_data(report: Report) -> dict[str, Any]:
    """What the page shows. Times are in milliseconds, `at` in seconds from the start of the run."""
    told = summary(report)
    found = report.as_json()
    groups = grouped(report.snapshots, report.settings.interval)
    return {
        "verdict": {"state": told.state, "headline": told.headline, "sentences": [_clean(text) for text in told.sentences]},
        "totals": {name: value for name, value in found.items() if name not in ("intervals", "latency_histogram", "examples", "stages", "find_max")},
        "phases": _phases(report.snapshots),
        "series": _series(groups),
        "curves": {
            "planned": curve(report.figures.planned), "raw": curve(report.figures.raw), "others": curve(report.figures.fanout),
        },
        "map": _map(report.snapshots),
        "steps": _steps(report),
        "faults": _faults(report),
        "parameters": _parameters(report),
        "machine": found["machine"] | {"backend": report.outcome.backend, "server": _server(report.snapshots)},
    }  # fmt: skip


def grouped(snapshots: Sequence[Snapshot], interval: float) -> list[list[Snapshot]]:
    """Neighbours taken together, until no interval is so short that rates in it mean nothing, and there are not too many."""
    total = sum(snapshot.seconds for snapshot in snapshots)
    least = max(interval / 2, total / _MOST_POINTS)
    groups: list[list[Snapshot]] = []
    seconds = math.inf
    for snapshot in snapshots:
        if seconds >= least:
            groups.append([])
            seconds = 0.0
        groups[-1].append(snapshot)
        seconds += snapshot.seconds
    if len(groups) > 1 and seconds < least:
        last = groups.pop()
        groups[-1] += last
    return groups


def curve(times: Times) -> list[tuple[float, float]]:
    """(1 / (1 - share), milliseconds) where shares are, in tenths of a power of ten: how long the slowest 1 in N took at least."""
    points: list[tuple[float, float]] = []
    total, below, wanted = times.total, 0, 1.0
    for value, count in sorted(times.counts.items()):
        below += count
        rarity = total / (total - below) if below < total else float(total)
        if rarity >= wanted:
            points.append((_short(rarity), min(value, times.largest) / 1000))
            wanted = rarity * 10**0.1
    if total and points[-1][1] < times.largest / 1000:
        points.append((float(total), times.largest / 1000))
    return points


def _series(groups: Sequence[Sequence[Snapshot]]) -> dict[str, Any]:
    """A value for each interval; None where there is none."""
    names = ("p50", "p90", "p99", "max")
    columns: dict[str, list[Any]] = {
        name: [] for name in ("at", "playing", "sent", "answered", "received", "bytes", "errors", "violations", "late", "generator",
                              "server", "memory")
    }  # fmt: skip
    own: dict[str, list[Any]] = {name: [] for name in names}
    others: dict[str, list[Any]] = {name: [] for name in names}
    for group in groups:
        seconds = sum(snapshot.seconds for snapshot in group) or 1.0
        figures = sum((snapshot.measured + snapshot.others for snapshot in group), Figures())
        samples = [(snapshot.server, snapshot.seconds) for snapshot in group if snapshot.server is not None]
        sampled = sum(part for _, part in samples)
        for name, value in (
            ("at", group[-1].at),
            ("playing", group[-1].playing),
            ("sent", figures.sent / seconds),
            ("answered", figures.answered / seconds),
            ("received", sum(snapshot.packets for snapshot in group) / seconds),
            ("bytes", sum(snapshot.bytes for snapshot in group) / seconds),
            ("errors", sum(snapshot.errors.total() for snapshot in group)),
            ("violations", sum(snapshot.violations.total() for snapshot in group)),
            ("late", figures.lateness.milliseconds()["p99"]),
            ("generator", sum(snapshot.cpu for snapshot in group) / seconds * 100),
            ("server", sum(sample.cpu * part for sample, part in samples) / sampled * 100 if sampled else None),
            ("memory", samples[-1][0].memory if samples else None),
        ):
            columns[name].append(None if value is None else _short(value))
        for column, times in ((own, figures.planned), (others, figures.fanout)):
            values = times.milliseconds()
            for name in names:
                column[name].append(values[name])
    return {**columns, "own": own, "others": others}


def _short(value: float) -> float:
    """Four digits: no chart shows more."""
    return float(f"{value:.4g}") if abs(value) < 1000 else round(value)


def _phases(snapshots: Sequence[Snapshot]) -> list[tuple[str, float]]:
    """(name, end) of the parts of the run, one after the other."""
    phases: list[tuple[str, float]] = []
    for snapshot in snapshots:
        if phases and phases[-1][0] == snapshot.phase:
            phases.pop()
        phases.append((snapshot.phase, _short(snapshot.at)))
    return phases


def _map(snapshots: Sequence[Snapshot]) -> dict[str, Any] | None:
    """Frames of cells, two bytes for each player; None: no positions are known."""
    known = [snapshot for snapshot in snapshots if snapshot.positions]
    if not known:
        return None
    frames = known[:: -(-len(known) // _MOST_FRAMES)]
    extent = Extent()
    for snapshot in frames:
        extent = extent.including(snapshot.positions)
    most = _MOST_PLACES // len(frames)
    shown = [(snapshot, _thinned(snapshot.positions, most)) for snapshot in frames]
    places = max(len(positions) // 4 for _, positions in shown)
    side = _MOST_CELLS
    if places < max(snapshot.playing for snapshot in frames):
        # Each stands for several. As many cells as players, or there would be holes that are none.
        side = min(_MOST_CELLS, max(_FEWEST_CELLS, math.isqrt(places)))
    return {
        "tiles": extent.side,
        "cells": extent.spots(side),
        "colours": COLOURS,
        "frames": [
            {"at": _short(snapshot.at), "playing": snapshot.playing, "places": _places(extent, positions, side)}
            for snapshot, positions in shown
        ],
    }


def _thinned(positions: bytes, most: int) -> bytes:
    """Each second, third ... player of too many."""
    numbers = array("i", positions)  # x and y as one
    return numbers[:: max(1, -(-len(numbers) // most))].tobytes()


def _places(extent: Extent, positions: bytes, side: int) -> str:
    cells = extent.cells(positions, side)
    return base64.b64encode(bytes(part for cell in sorted(cells.elements()) for part in cell)).decode("ascii")


def _steps(report: Report) -> dict[str, Any]:
    """The stages of the run, or the steps of a search."""
    search = report.find_max
    if search is None:
        rows = [
            {"clients": stage.clients, "kind": totals.span(stage.seconds), **totals.as_json()} for stage, totals in report.stages
        ]
        for row in rows:
            row["result"] = "held" if row["held"] and row["valid"] else "missed" if row["valid"] else "invalid"
        return {"note": "Each stage is measured from when all its players have come.", "rows": rows}
    rows = search.as_json()["steps"]
    for row in rows:
        row["kind"] += ", new connections" if row["fresh"] else ""
    return {"note": f"The search for the most players: {search.sentence()}.", "rows": rows}


def _faults(report: Report) -> list[dict[str, Any]]:
    """Of the whole run: also of the steps of a search that failed, and of what lies between the steps."""
    examples = report.outcome.examples
    errors, violations = faults_of(report.snapshots)
    found = [("violation", name, count, examples.get(name, "")) for name, count in violations.most_common()]
    found += [("error", name, count, hint(name)) for name, count in errors.most_common(_MOST_FAULTS)]
    found += [("example", name, 0, text) for name, text in examples.items() if name not in violations]
    return [
        {"kind": kind, "name": _clean(name), "count": count, "example": _clean(text)} for kind, name, count, text in found
    ]


def _clean(text: str) -> str:
    return printable(text if len(text) <= _LONGEST_TEXT else text[:_LONGEST_TEXT] + " ...")


def _parameters(report: Report) -> dict[str, str]:
    """All that the run was asked to do, as text."""
    found = {}
    for name, value in report.settings.parameters().items():
        if name == "stages":
            text = ", ".join(f"{stage['clients']} for {stage['seconds']:g} s" for stage in value)
        elif name == "find_max":
            name = "search"
            text = ", ".join(f"{part.replace('_', ' ')} {limit:g}" for part, limit in (value or {}).items() if part != "objectives")
        elif value is None or value == []:
            continue
        else:
            text = f"{value:g}" if isinstance(value, float) else ", ".join(value) if isinstance(value, list) else str(value)
            text = _clean(text) + _UNITS.get(name, "")
        found[name.removeprefix("protocol_").replace("_", " ")] = text
    found["objectives"] = ", ".join(str(verdict.objective) for verdict in report.verdicts)
    return {name: text for name, text in found.items() if text}


def _server(snapshots: Sequence[Snapshot]) -> str:
    samples = [snapshot.server for snapshot in snapshots if snapshot.server is not None]
    if not samples:
        return "not seen on this machine"
    most = max(sample.memory for sample in samples)
    return f"{_clean(samples[-1].name)}, on the same machine, {size(most)} at most"


def _part(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names what may run."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
