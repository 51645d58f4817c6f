"""The picture of the comparison of I/O models: what a packet costs, over the number of connections."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib

matplotlib.use("agg")  # a file, no window

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

if TYPE_CHECKING:
    from io_models import Shape

# One colour for each model, wherever it is; dashed: in Python.
STYLES: dict[str, tuple[str, str]] = {
    "select-c": ("#c0392b", "-"),
    "poll-c": ("#e67e22", "-"),
    "epoll-c": ("#2c3e50", "-"),
    "uring-c": ("#2980b9", "-"),
    "asyncio-select-expert": ("#c0392b", "--"),
    "asyncio-expert": ("#7f8c8d", "--"),
    "uvloop-expert": ("#8e44ad", "--"),
    "pyiocp-epoll": ("#27ae60", ":"),
    "pyiocp-uring": ("#27ae60", "--"),
    "wsaasyncselect-c": ("#e67e22", "-"),
    "wsaeventselect-c": ("#f1c40f", "-"),
    "overlapped_event-c": ("#8e44ad", "-"),
    "overlapped_callback-c": ("#2980b9", "-"),
    "iocp-c": ("#2c3e50", "-"),
    "proactor-expert": ("#7f8c8d", "--"),
    "pyiocp-iocp": ("#27ae60", "--"),
}


def draw(linux: Sequence[Shape], wine: Sequence[Shape], target: Path) -> None:
    """Costs of a packet on Linux for each shape of load; under Wine only ratios, for the first shape."""
    panels = [(shape, _draw_costs) for shape in linux] + [(shape, _draw_ratios) for shape in wine[:1]]
    figure, axes = pyplot.subplots(1, len(panels), figsize=(5.2 * len(panels), 5.8), layout="constrained", squeeze=False)
    for place, (shape, draw_lines) in zip(axes[0], panels, strict=True):
        draw_lines(place, shape)
        if draw_lines is _draw_costs and place is not axes[0][0]:
            place.sharey(axes[0][0])  # or the same cost would look different
        first, _, rest = shape.title.partition(", ")
        system = "on Linux" if draw_lines is _draw_costs else "UNDER WINE"
        _dress(place, f"{system}: {first},\n{rest}", shape)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def _dress(place: Axes, title: str, shape: Shape) -> None:
    place.set_title(title, fontsize=10)
    place.set_xscale("log")
    place.set_yscale("log")
    place.set_xlabel("connections")
    place.set_xticks(list(shape.columns))
    place.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    for axis in (place.xaxis, place.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
        axis.set_minor_formatter(NullFormatter())
    place.grid(True, which="both", color="#e5e5e5", linewidth=0.6)
    place.set_axisbelow(True)
    for side in ("top", "right"):
        place.spines[side].set_visible(False)
    place.legend(fontsize=8, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.1), ncols=2)


def _line(place: Axes, shape: Shape, server: str, values: Sequence[tuple[int, float]]) -> None:
    colour, style = STYLES.get(server, ("#000000", "-"))
    if values:
        place.plot(*zip(*values, strict=True), color=colour, linestyle=style, marker="o", markersize=3.5, label=shape.titles[server])


def _draw_costs(place: Axes, shape: Shape) -> None:
    for server in shape.titles:
        measured = [(connections, shape.values(server, connections)) for connections in shape.columns]
        _line(place, shape, server, [(n, 1e6 / statistics.median(values)) for n, values in measured if values])
    place.set_ylabel("microseconds of the server's CPU for a packet (less is better)", fontsize=9)


def _draw_ratios(place: Axes, shape: Shape) -> None:
    for server in shape.titles:
        ratios = [(connections, shape.ratio(server, connections)) for connections in shape.columns]
        _line(place, shape, server, [(n, 1 / ratio) for n, ratio in ratios if ratio])
    place.set_ylabel("CPU for a packet, C on IOCP = 1 (less is better)\nunder Wine, no Windows numbers", fontsize=9)
