"""What players are told of each other agrees with what each is told of itself, or the run fails; a server that is only slow passes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chess_server import ChessServer, Faults
from limited_server import LimitedServer
from playing import LEAD, Play, stop_when, violations

from iocp.load.chess import chess
from iocp.load.objective import parse_objectives
from iocp.load.report import HELD, MISSED
from iocp.load.settings import FindMax

# A server that lies is waited for in vain, but all its answers come.
SHORT = {"agreement": 1.0}
LONG = 60.0
"""Seconds until a violation must have been found."""
ANY_PACE = parse_objectives("p50=60s")
UNSURE = 2.0
"""Seconds after a login in which no place is judged."""


@pytest.mark.parametrize(("every", "timed"), [(1, True), (2, False), (3, True)], ids=["all", "second-untimed", "third"])
def test_moves_that_others_are_not_told_of_are_a_violation(play: Play, every: int, timed: bool) -> None:
    with ChessServer(Faults(drop_fanout=every)) as server:
        report = play(server.port, protocol=chess(timed=timed), clients=24, rate=20, **SHORT)
    # 24 x 23 see each other; of each mover the last move was dropped with a chance of one in `every`, which spares all of them once in
    # 16,000 times at most.
    assert report.violations["stale in sight"] >= 23
    assert set(report.violations) == {"stale in sight"}
    assert report.errors == {} and report.exit_code == MISSED
    assert "was told last that" in report.outcome.examples["stale in sight"]


@pytest.mark.parametrize(("every", "timed"), [(1, True), (7, False)], ids=["all", "seventh-untimed"])
def test_place_where_nobody_is_is_a_violation(play: Play, every: int, timed: bool) -> None:
    with ChessServer(Faults(lie_fanout=every)) as server:
        # None at first. Many are told the same lie; it is counted once.
        enough = stop_when(lambda run: violations(run, "told elsewhere") > server.moves / every / 10)
        report = play(server.port, protocol=chess(timed=timed), clients=6, rate=20, duration=LONG, during=enough, **SHORT)
    assert report.violations["told elsewhere"] > server.moves / every / 20
    assert set(report.violations) <= {"told elsewhere", "stale in sight"}
    assert report.exit_code == MISSED
    sentence = report.outcome.examples["told elsewhere"]
    assert "where that one has not been" in sentence and "packet of" not in sentence
    said = int(sentence.split(" is at ")[1].split(",")[0])
    assert said >= 700


def test_move_that_was_refused_and_told_to_others_is_a_violation(play: Play) -> None:
    with ChessServer(Faults(tell_refused=True)) as server:
        found = stop_when(lambda run: violations(run, "told elsewhere"))
        report = play(server.port, clients=6, rate=20, duration=LONG, during=found, **SHORT)
    assert report.violations["told elsewhere"] > 0 and report.violations["stale in sight"] > 0
    assert report.exit_code == MISSED


def test_wrong_place_of_who_comes_into_sight_is_a_violation(play: Play) -> None:
    """Nobody moves, so no move shows it."""
    with ChessServer(Faults(enter_elsewhere=True)) as server:
        report = play(server.port, clients=4, rate=0, duration=0.2, **SHORT)
    assert report.violations == {"stale in sight": 6}
    assert report.exit_code == MISSED


SLOW = [
    (Faults(tell_at_ticks=0.3), 100.0),
    (Faults(tell_at_ticks=0.3, relocate=10), 5.0),
    (Faults(tell_late=0.4), 200.0),
    (Faults(tell_late=0.3, relocate=7), 50.0),
]


@pytest.mark.parametrize(("faults", "rate"), SLOW, ids=["at-ticks", "at-ticks-relocated", "late", "late-relocated"])
def test_who_is_told_late_is_told_no_lies(play: Play, faults: Faults, rate: float) -> None:
    with ChessServer(faults) as server:
        report = play(server.port, clients=5, rate=rate, duration=UNSURE + 1.0)
    assert (report.errors, report.violations) == ({}, {})
    assert report.exit_code == HELD


def test_answers_that_come_late_or_never_make_no_liar_of_who_tells_the_others(play: Play) -> None:
    for faults in (Faults(answer_late=0.3), Faults(drop_answer=5), Faults(swap_answers=6)):
        with ChessServer(faults) as server:
            report = play(server.port, clients=6, rate=40, duration=UNSURE + 1.0, answers=3.0)
        assert not report.violations.keys() & {"told elsewhere", "stale in sight"}, faults


@pytest.mark.parametrize("options", [{"window": 3}, {"protocol": chess(teleport=True)}, {"churn": 10.0}, {"processes": 2}], ids=str)
def test_faultless_server_passes_however_it_is_played(play: Play, options: dict[str, object]) -> None:
    with ChessServer() as server:
        report = play(server.port, clients=8, rate=20, duration=UNSURE + 1.0, **options)
    assert (report.errors, report.violations) == ({}, {})


def test_players_who_are_never_let_move_are_no_violation_and_are_told_as_that(play: Play) -> None:
    with ChessServer(Faults(stand_still=True)) as server:
        report = play(server.port)
    assert (report.errors, report.violations) == ({}, {})
    assert report.figures.blocked == report.figures.answered > 0
    assert report.as_json()["blocked"] == report.figures.answered


@pytest.mark.parametrize(("faults", "held"), [(Faults(), 6), (Faults(drop_fanout=1), 1)], ids=["told", "dropped"])
def test_search_holds_one_player_with_a_server_that_tells_nobody(play: Play, faults: Faults, held: int) -> None:
    """Each step is compared at its end. One player alone sees nobody."""
    # To the right only: whoever has moved is not where it came in.
    protocol = replace(chess(), steps=tuple(step for step in chess().steps if step.dx > 0))
    wanted = FindMax(ANY_PACE, start=6, limit=6, hold=0.3, confirm_hold=0.3, settle=0.0, confirmations=1)
    with ChessServer(faults) as server:
        report = play(server.port, protocol=protocol, clients=6, rate=20, find_max=wanted, lead=LEAD, agreement=60.0 if held == 6 else 0.5)
    assert report.find_max is not None and report.find_max.held == held
    if held == 1:
        assert report.exit_code == HELD and report.find_max.failed == 2
        assert all(step.totals.violations["stale in sight"] for step in report.find_max.steps if step.step.clients > 1)
    # Each step's players go on after the pause in which they were compared.
    assert all(step.totals.figures.sent == step.step.clients * 6 for step in report.find_max.steps)


def test_search_goes_on_sending_after_each_step(play: Play) -> None:
    """Also with a window instead of a schedule."""
    wanted = FindMax(ANY_PACE, start=2, limit=5, hold=0.5, confirm_hold=0.5, settle=0.0, confirmations=2)
    with LimitedServer() as server:
        report = play(server.port, clients=5, window=2, find_max=wanted)
    assert report.find_max is not None and report.find_max.held == 5
    # More than the windows that were under way; a step in which the machine stood still has failed and was repeated.
    assert all(step.totals.figures.answered > 20 for step in report.find_max.steps if step.judgement == "held")
