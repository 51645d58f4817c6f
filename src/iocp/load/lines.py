"""A run as plain lines of text: for files, pipes and logs."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from .findings import hint
from .snapshot import Snapshot, faults_of

if TYPE_CHECKING:
    from .findmax import FindMaxReport
    from .report import Report
    from .settings import Settings
    from .stage import Totals


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
            if snapshot.note:
                print(f"          {snapshot.note}", flush=True)

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
    name = f"{settings.protocol.name} on {settings.host}:{settings.port}"
    partial = " (interrupted)" if outcome.interrupted else " (partial)" if report.partial else ""
    if report.find_max is not None:
        lines = _search_lines(report.find_max, name, partial)
        if report.find_max.held is None:
            return [*lines, *_fault_lines(report), *_invalid_lines(report)]
        lines.append(f"the last measurement of {report.find_max.held:,} players: {report.playing:,} for {report.hold_seconds:.1f} s")
    else:
        lines = [
            f"{name}: {outcome.most_playing:,} of {settings.clients:,} players, measured for {outcome.hold_seconds:.1f} s{partial}"
        ]
    lines += _stage_lines(report)
    if report.only_listened:
        lines.append("  only listened: nothing was to be sent (rate 0)")
    lines += [
        f"  sent {figures.sent:,}, answered {figures.answered:,} ({report.rate:,.0f}/s), received {report.received:,} packets",
        "  milliseconds        " + "".join(f"{name:>10}" for name in report.latency),
        "  from planned send   " + _row(report.latency),
        "  from real send      " + _row(report.latency_raw),
    ]
    if figures.fanout.total:
        lines.append("  seen by others      " + _row(report.fanout))
    if figures.lateness.total:
        lines.append("  generator's lateness" + _row(report.lateness))
    if report.fanout_unmatched:
        why = "no new send led there: told again, teleports, the server's own"
        lines.append(f"  moves seen by others, but without a time: {report.fanout_unmatched:,} ({why})")
    if figures.blocked:
        lines.append(f"  blocked: {report.blocked_share:.1%} of the answered moves led nowhere (a wall, an obstacle, too soon)")
    if figures.answered:
        lines.append(f"  course's delay figure: {report.course_delay} ms")
    per_packet = report.microseconds_per_packet
    processes = settings.processes
    lines.append(
        f"  generator: {outcome.backend}, {report.cpu_share:.0%} of one processor"
        + (f" in the busiest of {processes} processes" if processes > 1 else "")
        + (f", {per_packet:.2f} us per packet" if per_packet is not None else "")
    )
    if processes > 1 and figures.fanout.total:
        lines.append(f"  seen by others: of movers of the same process only, about one in {processes}")
    lines += _fault_lines(report)
    for verdict in report.verdicts:
        value = "nothing measured" if verdict.value is None else _ms(verdict.value)
        lines.append(f"  objective {verdict.objective}: {'held' if verdict.held else 'MISSED'} ({value})")
    return lines + _invalid_lines(report)


def _fault_lines(report: Report) -> list[str]:
    """What went wrong, by name, with an example."""
    examples, search = report.outcome.examples, report.find_max
    lines = _named(report.errors, report.violations, examples)
    if search is not None and search.held is not None:
        # The rest is of the number that held.
        for where, judgement in (("in steps that failed", "failed"), ("in steps that were invalid", "invalid")):
            errors, violations = faults_of(step.totals for step in search.steps if step.judgement == judgement)
            lines += [f"  {where}: {line.strip()}" for line in _named(errors, violations, examples)]
        lines += [f"  between the steps: {line.strip()}" for line in _named(search.errors_between, search.violations_between, examples)]
    lines += [f"  example: {examples[name]}" for name in ("malformed", "refused") if name in examples]
    if report.outcome.ended_early:
        more = " any more" if search is not None and len(search.steps) > 1 else ""
        lines.append("  ended early: no player was left" if search is None else f"  ended early: nobody could log in{more}")
    return lines


def _named(errors: Counter[str], violations: Counter[str], examples: dict[str, str]) -> list[str]:
    lines = [f"  error: {count:,} x {name}" + (f" ({hint(name)})" if hint(name) else "") for name, count in errors.most_common()]
    return lines + [f"  violation: {count:,} x {name}: {examples.get(name, '')}" for name, count in violations.most_common()]


def _invalid_lines(report: Report) -> list[str]:
    return [f"INVALID: {reason}" for reason in report.invalid]


def _table_row(name: str, totals: Totals, end: str) -> str:
    times = totals.latency
    return (
        f"  {name:<22}  {totals.playing:>9,}  {totals.rate:>10,.0f}  {_ms(times['p50']):>8}  {_ms(times['p99']):>8}  {_ms(times['max']):>8}"
        f"  {totals.course_delay:>6}  {_ms(totals.lateness['p99']):>8}  {totals.errors.total():>7,}  {end}"
    )


def _table_head(name: str) -> str:
    return (
        f"  {name:<22}  {'players':>9}  {'answers/s':>10}  {'p50 ms':>8}  {'p99 ms':>8}  {'max ms':>8}  {'course':>6}  {'late p99':>8}"
        f"  {'errors':>7}"
    )


def _stage_lines(report: Report) -> list[str]:
    if not report.stages:
        return []
    lines = [_table_head("stage")]
    for stage, totals in report.stages:
        end = "INVALID" if totals.invalid else "" if totals.held else "MISSED"
        lines.append(_table_row(f"{stage.clients:,} for {totals.span(stage.seconds)}", totals, end))
    return lines


def _search_lines(found: FindMaxReport, name: str, partial: str) -> list[str]:
    lines = [f"{name}: {found.sentence()}{partial}"]
    if found.steps:
        lines.append(_table_head("step"))
    for step in found.steps:
        kind = step.step.kind + (" again" if step.step.fresh else "")
        lines.append(_table_row(f"{kind} {step.step.clients:,}", step.totals, step.judgement))
    lines += [f"  invalid at {step.step.clients:,}: {reason}" for step in found.steps for reason in step.totals.invalid]
    return lines
