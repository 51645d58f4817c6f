"""What a report says, in words for somebody who has never read one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from .findmax import times
from .words import duration, milliseconds, quantity

if TYPE_CHECKING:
    from .findmax import FindMaxReport
    from .report import Report, Verdict

_SHARES = {"p50": "half of the", "p90": "90 of 100", "p99": "99 of 100", "p999": "999 of 1,000", "max": "all"}


@dataclass
class Summary:
    """`state` in a line, `headline`, and the sentences that explain it."""

    state: Literal["held", "missed", "invalid"]
    headline: str
    sentences: list[str] = field(default_factory=list)


def summary(report: Report) -> Summary:
    """Of a whole run."""
    missed = [verdict for verdict in report.verdicts if not verdict.held]
    timed = [verdict for verdict in report.verdicts if verdict.objective.name not in ("errors", "violations")]
    if report.find_max is not None:
        found = _search(report, report.find_max)
    elif report.invalid and report.has_measured_nothing and not report.outcome.failures:
        found = _nothing(report)
    elif report.invalid:
        found = Summary("invalid", "Invalid: this run says nothing about the server")
        found.sentences += [f"{_capital(reason)}." for reason in report.invalid]
        found.sentences.append(
            "Without that part of the generator the figures are of something else." if report.outcome.failures
            else "What was measured is the generator's own doing. Try fewer players, or another machine or more processors for the generator."
        )
    elif not report.held:
        stages = [index + 1 for index, (_, totals) in enumerate(report.stages) if not totals.held]
        what = " and ".join(f"{_name(verdict)} {_value(verdict)}" for verdict in missed[:2])
        found = Summary("missed", f"Missed: {what or 'in a part of the run'}")
        found.sentences += [_missed(verdict) for verdict in missed]
        if stages:
            found.sentences.append(f"Missed in stage {', '.join(map(str, stages))} of {len(report.stages)}.")
    else:
        found = Summary("held", "Held: the server did all that was asked of it" if timed else "Held: no errors and no violations")
        found.sentences += [_held(verdict) for verdict in timed]
    if not timed and report.find_max is None and not report.has_measured_nothing:
        found.sentences.append("No limit was set for the latency (such as --slo p99=100ms), so none could be missed.")
    found.sentences += [*_load(report), *_latency(report), *_remarks(report)]
    return found


def _nothing(report: Report) -> Summary:
    """Of a run that was over before it had measured anything."""
    interrupted = report.outcome.interrupted
    found = Summary("invalid", f"{'Interrupted' if interrupted else 'Invalid'}: nothing was measured")
    found.sentences += [f"{_capital(reason)}." for reason in report.invalid]
    found.sentences.append("So it says nothing about the server. Players are measured once all of them have come.")
    return found


def _search(report: Report, search: FindMaxReport) -> Summary:
    """What a search came to."""
    limits = ", ".join(str(objective) for objective in search.wanted.objectives)
    if report.outcome.failures:
        found = Summary("invalid", "Invalid: the search broke off")
        found.sentences += [f"{_capital(reason)}." for reason in report.invalid]
    elif report.outcome.ended_early:
        found = Summary("missed", f"Missed: nobody could log in{' any more' if len(search.steps) > 1 else ''}")
        errors = search.steps[-1].totals.errors.most_common(1)
        found.sentences += [f"With {search.steps[-1].step.clients:,} players there were {count:,} x {name}." for name, count in errors]
        found.sentences.append(f"The search ended with that: {search.sentence()}.")
    elif search.is_violated:
        found = Summary("missed", f"Missed: {search.violations_between.total():,} violations while players came and left")
        found.sentences.append(f"They lie between the steps, so none of these shows them. The search itself: {search.sentence()}.")
    elif search.held is not None:
        found = Summary("held", f"Held: {search.held:,} players")
        found.sentences.append(f"So many did the server hold within {limits}, confirmed {times(search.confirmed)}.")
    elif search.failed is not None:
        found = Summary("missed", f"Missed: not even {search.failed:,} players were held")
        found.sentences.append(f"The limits were {limits}.")
    elif search.steps:
        found = Summary("invalid", "Invalid: no step of the search proved anything")
    else:
        found = Summary("invalid", "Interrupted: no step of the search was over")
    if search.invalid_from is not None:
        found.sentences.append(
            f"From {search.invalid_from:,} players on the generator itself was too late, so that nothing is known of the server there."
        )
    elif search.failed is not None and search.held is not None:
        found.sentences.append(f"With {search.failed:,} it did not ({times(search.failed_times)}): the limit lies between the two.")
    if search.held is not None:
        found.sentences.append(f"What follows is the last measurement with {search.held:,} players; the charts show the whole search.")
    return found


def _load(report: Report) -> list[str]:
    settings, outcome, figures = report.settings, report.outcome, report.figures
    doing = (
        f"kept {settings.window} sends under way each" if settings.window
        else "sent once a second each" if settings.rate == 1
        else f"sent {settings.rate:g} times a second each" if settings.rate
        else "only listened"
    )  # fmt: skip
    most = outcome.most_playing if report.find_max is None else report.playing
    wanted = report.clients
    if not (figures.sent or report.only_listened and report.hold_seconds):
        came = outcome.most_playing
        return [f"{came:,}{f' of {wanted:,}' if wanted else ''} players had come." if came else "No player had come."]
    part = f" of {wanted:,}" if wanted not in (0, most) else ""
    text = f"{'' if wanted else 'Up to '}{most:,}{part} players {doing} for {duration(report.hold_seconds)}"
    if figures.sent:
        text += f": {figures.sent:,} sends, {figures.answered:,} of them answered ({quantity(report.rate)} per second)"
    return [text + "."]


def _latency(report: Report) -> list[str]:
    lines = []
    for times, subject in ((report.latency, "answers came"), (report.fanout, "moves were seen by others")):
        if times["p50"] is not None:
            lines.append(
                f"Half of the {subject} within {milliseconds(times['p50'])} ms, 99 of 100 within {milliseconds(times['p99'])} ms;"
                f" the slowest took {milliseconds(times['max'])} ms."
            )
    return lines


def _remarks(report: Report) -> list[str]:
    lines = []
    if report.outcome.interrupted and report.hold_seconds:
        lines.append("The run was interrupted: the figures are of what was measured until then.")
    if report.outcome.ended_early and report.find_max is None:
        lines.append("The run ended early, since no player was left.")
    if report.figures.blocked == report.figures.answered > 0:
        lines.append(
            "No move led anywhere: each was answered with the place where the player stood."
            " Are they sent faster than the server lets players go?"
        )
    elif report.figures.blocked:
        lines.append(f"{report.blocked_share:.1%} of the moves led nowhere: the player stayed where it was (a wall, an obstacle, too soon).")
    if report.settings.processes > 1 and report.figures.fanout.total:
        lines.append(f"What others saw was measured between players of the same of {report.settings.processes} generator processes only.")
    if any(snapshot.server for snapshot in report.snapshots):
        lines.append(
            "Generator and server ran on the same machine and took processor time from each other:"
            " with a machine of its own the server may do better, and over a real network latency is higher."
        )
    return lines


def _missed(verdict: Verdict) -> str:
    objective = verdict.objective
    if objective.name in ("errors", "violations"):
        return f"There were {verdict.value or 0:,.0f} {objective.name}; at most {objective.limit:,.0f} were allowed."
    if verdict.value is None:
        return f"{_capital(_name(verdict))} was to be at most {objective.limit:g} ms, but nothing was measured."
    return (
        f"{_share(objective.name)} were to come within {objective.limit:g} ms: it took {milliseconds(verdict.value)} ms."
    )


def _held(verdict: Verdict) -> str:
    name, limit = verdict.objective.name, verdict.objective.limit
    return f"{_share(name)} were to come within {limit:g} ms, and came within {milliseconds(verdict.value)} ms."


def _share(name: str) -> str:
    share = _SHARES[name.removeprefix("fanout_")]
    return _capital(f"{share} {'moves seen by others' if name.startswith('fanout_') else 'answers'}")


def _name(verdict: Verdict) -> str:
    name = verdict.objective.name
    return f"{name.removeprefix('fanout_')} of what others see" if name.startswith("fanout_") else name


def _value(verdict: Verdict) -> str:
    if verdict.objective.name in ("errors", "violations"):
        return f"{verdict.value or 0:,.0f}"
    return "was not measured" if verdict.value is None else f"{milliseconds(verdict.value)} ms"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
