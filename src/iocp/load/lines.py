"""A run as plain lines of text: for files, pipes and logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .snapshot import Snapshot

if TYPE_CHECKING:
    from .report import Report
    from .settings import Settings


class Lines:
    """A `Progress` on standard output: a line for each interval (unless `quiet`), then the report."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet

    def begin(self, settings: Settings) -> None:
        """Nothing is to be said yet."""

    def update(self, snapshot: Snapshot) -> None:
        """Its line."""
        if not self._quiet:
            print(interval_line(snapshot), flush=True)

    def end(self, report: Report) -> None:
        """The report."""
        print("\n".join(report_lines(report)), flush=True)

    def close(self) -> None:
        """Nothing was taken."""


def interval_line(snapshot: Snapshot) -> str:
    """One interval."""
    figures = snapshot.measured + snapshot.others
    seconds = snapshot.seconds or 1.0
    times = figures.planned.milliseconds()
    return (
        f"{snapshot.at:6.1f} s  {snapshot.phase:<5}  {snapshot.playing:>6,} players  {figures.sent / seconds:>8,.0f} sent/s"
        f"  {snapshot.packets / seconds:>9,.0f} received/s  p50 {_ms(times['p50'])}  p99 {_ms(times['p99'])}  max {_ms(times['max'])} ms"
        f"  errors {snapshot.errors.total():,}  violations {snapshot.violations.total():,}"
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"


def _row(times: dict[str, float | None]) -> str:
    return "".join(f"{_ms(value):>10}" for value in times.values())


def report_lines(report: Report) -> list[str]:
    """The whole run."""
    settings, outcome, figures = report.settings, report.outcome, report.figures
    lines = [
        f"{settings.protocol.name} on {settings.host}:{settings.port}: {outcome.most_playing:,} of {settings.clients:,} players,"
        f" measured for {outcome.hold_seconds:.1f} s" + (" (interrupted)" if outcome.interrupted else ""),
        f"  sent {figures.sent:,}, answered {figures.answered:,} ({report.rate:,.0f}/s), received {report.received:,} packets",
        "  milliseconds        " + "".join(f"{name:>10}" for name in report.latency),
        "  from planned send   " + _row(report.latency),
        "  from real send      " + _row(report.latency_raw),
    ]
    if figures.fanout.total:
        lines.append("  seen by others      " + _row(report.fanout))
    if figures.lateness.total:
        lines.append("  generator's lateness" + _row(report.lateness))
    if figures.answered:
        lines.append(f"  course's delay figure: {report.snapshots[-1].course_delay} ms")
    per_packet = report.microseconds_per_packet
    lines.append(
        f"  generator: {outcome.backend}, {report.cpu_share:.0%} of one processor"
        + (f", {per_packet:.2f} us per packet" if per_packet is not None else "")
    )
    lines += [f"  error: {count:,} x {name}" for name, count in report.errors.most_common()]
    for name, count in report.violations.most_common():
        lines.append(f"  violation: {count:,} x {name}: {outcome.examples.get(name, '')}")
    lines += [f"  example: {outcome.examples[name]}" for name in ("malformed", "refused") if name in outcome.examples]
    if outcome.ended_early:
        lines.append("  ended early: no player was left")
    for verdict in report.verdicts:
        value = "nothing measured" if verdict.value is None else _ms(verdict.value)
        lines.append(f"  objective {verdict.objective}: {'held' if verdict.held else 'MISSED'} ({value})")
    lines += [f"INVALID: {reason}" for reason in report.invalid]
    return lines
