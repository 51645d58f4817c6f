"""The search finds the number of players that a server can do, where that number is known."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from chess_server import ChessServer, Faults
from limited_server import LimitedServer
from playing import Play

from iocp._iocpcore import clock
from iocp.load import capacity, cli
from iocp.load.cli import main
from iocp.load.findmax import FindMaxReport
from iocp.load.generator import Generator
from iocp.load.lines import report_lines
from iocp.load.objective import parse_objectives
from iocp.load.page import page_data
from iocp.load.report import HELD, INVALID, MISSED
from iocp.load.run import Run
from iocp.load.search import Judgement, Search, Step
from iocp.load.settings import MAX_CLIENTS, FindMax
from iocp.load.stage import Totals
from iocp.load.summary import summary

# The median and not p99: the machine that runs the tests may stop for a while, and the answer is still to be known. A step that fails
# for that alone is found out, so nothing here counts the steps.
SLO = "p50=600ms"
OBJECTIVES = parse_objectives(SLO)
QUICK = {"hold": 0.3, "confirm_hold": 0.4, "settle": 0.02}
# For tests in which no step is to fail: of a machine's pace.
ANY_PACE = parse_objectives("p50=60s")
# How long an example takes says nothing.
at_any_pace = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def searched(search: Search, judge: Callable[[Step], Judgement]) -> Search:
    while (step := search.next()) is not None:
        search.record(step, judge(step))
    return search


# ---- the decisions alone ----


@at_any_pace
@given(capacity=st.integers(0, 100_000), start=st.integers(1, 50_000), limit=st.integers(1, 100_000), precision=st.floats(0, 0.2))
def test_interval_contains_the_capacity_and_is_as_narrow_as_asked(capacity: int, start: int, limit: int, precision: float) -> None:
    search = searched(Search(start, limit, precision), lambda step: "held" if step.clients <= capacity else "failed")
    assert all(1 <= step.clients <= limit for step, _ in search.steps)
    if capacity >= limit:
        assert (search.held, search.failed) == (limit, None)
    elif capacity == 0:
        assert (search.held, search.failed) == (None, 1)
    elif search.held is None:
        assert search.failed is not None and search.failed > capacity  # halved past it down to ... nothing
        pytest.fail("a capacity that is there was not found")
    else:
        assert search.failed is not None
        assert search.held <= capacity < search.failed
        assert search.failed - search.held <= max(1, precision * search.held)
        assert search.times(search.failed, "failed") >= 2
    if search.held is not None:
        confirmations = [step for step, _ in search.steps if step.kind == "confirm" and step.clients == search.held]
        assert [step.fresh for step in confirmations] == [False, True]
        assert search.times(search.held, "held", "confirm") == 2


@at_any_pace
@given(capacity=st.integers(2, 5_000), hiccup=st.integers(0, 12))
def test_one_hiccup_does_not_lower_the_result(capacity: int, hiccup: int) -> None:
    """A single step that fails below the capacity is found out: at the end it is tried again."""
    steps = 0

    def judge(step: Step) -> Judgement:
        nonlocal steps
        steps += 1
        return "held" if step.clients <= capacity and steps != hiccup else "failed"

    search = searched(Search(10, 10_000), judge)
    assert search.held is not None and search.failed is not None
    assert search.held <= capacity < search.failed


@at_any_pace
@given(st.lists(st.sampled_from(["held", "failed", "invalid"]), min_size=100, max_size=100))
def test_search_ends_whatever_comes(judgements: list[Judgement]) -> None:
    verdicts = iter(judgements)
    search = searched(Search(10, 10_000), lambda step: next(verdicts))
    if search.held is not None and search.failed is not None:
        assert search.held < search.failed


def test_confirmation_that_fails_sends_the_search_below() -> None:
    """Short steps hold up to 100, long ones only up to 80."""
    search = searched(
        Search(10, 1000), lambda step: "held" if step.clients <= (100 if step.kind == "probe" else 80) else "failed"
    )
    assert search.held is not None and search.failed is not None
    assert search.held <= 80 < search.failed
    assert search.times(search.held, "held", "confirm") == 2


def test_late_generator_ends_the_search_where_it_was_late() -> None:
    search = searched(Search(10, 1000), lambda step: "held" if step.clients < 50 else "invalid")
    assert search.failed is None
    assert search.invalid_from is not None and search.held is not None
    assert search.held < 50 <= search.invalid_from
    assert [judgement for _, judgement in search.steps].count("invalid") == 1
    assert search.times(search.held, "held", "confirm") == 2
    assert searched(Search(10, 1000), lambda step: "invalid").held is None


def test_failure_that_the_generator_was_too_late_to_repeat_is_told_as_that() -> None:
    def judge(step: Step) -> Judgement:
        return "held" if step.clients < 12 else "invalid" if step.kind == "confirm" else "failed"

    search = searched(Search(10, 1000), judge)
    objectives = parse_objectives("p99=1s")
    found = FindMaxReport(search, FindMax(objectives), [Totals([], 1.0, objectives)] * len(search.steps))
    assert found.sentence() == "held 11 (confirmed 2 times) .. failed 12 (once; the generator was too late from 12 on)"


# ---- against servers ----


def test_capacity_of_a_server_is_found(play: Play) -> None:
    capacity = 37
    with LimitedServer(capacity) as server:
        wanted = FindMax(OBJECTIVES, start=36, limit=44, **QUICK)
        report = play(server.port, clients=44, rate=20, find_max=wanted, slo=SLO, lead=0.5)
    found = report.find_max
    assert found is not None
    assert (found.held, found.failed) == (capacity, capacity + 1), found.sentence()
    assert (found.confirmed, found.failed_times) == (2, 2)
    assert found.sentence() == "held 37 (confirmed 2 times) .. failed 38 (2 times)"
    assert report.exit_code == HELD
    # The report's own figures are those of the last confirmation.
    assert report.clients == report.playing == capacity
    assert report.latency["p50"] is not None and report.latency["p50"] < 600
    assert capacity * 8 * 0.9 <= report.figures.sent <= capacity * 8
    # In each step as many players were there as it says; fresh ones were all new connections.
    assert [step.totals.playing for step in found.steps] == [step.step.clients for step in found.steps]
    fresh = sum(step.step.clients for step in found.steps if step.step.fresh)
    assert fresh >= 37 + 38
    assert sum(server.names.values()) >= fresh + max(step.step.clients for step in found.steps)
    for step in found.steps:
        assert step.totals.course_delay >= 0 and step.totals.figures.sent > 0


def test_players_who_are_on_their_way_back_are_not_missing(play: Play) -> None:
    with LimitedServer() as server:
        # Nobody is back within the first second, so that in time there are few.
        wanted = FindMax(ANY_PACE, start=10, limit=10, hold=3.0, confirm_hold=3.0, settle=0.0, confirmations=1)
        report = play(server.port, clients=10, rate=20, find_max=wanted, churn=20.0)
    assert report.find_max is not None
    assert report.find_max.held == 10, report.find_max.sentence()
    steps = [step.totals for step in report.find_max.steps]
    assert min(snapshot.playing for totals in steps for snapshot in totals.snapshots if snapshot.phase == "hold") < 8
    assert all(step.totals.present == step.step.clients for step in report.find_max.steps)


def test_server_that_holds_nothing_is_a_missed_objective(play: Play) -> None:
    with LimitedServer(0) as server:
        report = play(server.port, clients=50, rate=20, find_max=FindMax(OBJECTIVES, start=5, limit=50, **QUICK))
    assert report.find_max is not None
    assert (report.find_max.held, report.find_max.failed) == (None, 1)
    assert report.exit_code == MISSED


def hold_up(monkeypatch: pytest.MonkeyPatch, players: int, seconds: float) -> None:
    """The generator stands still for that long, from early in the window of each step with so many players or more."""
    measure = Generator._measure

    def measure_held_up(self: Generator, begin: float, until: float) -> None:
        measure(self, begin, until)
        if self._wanted >= players:
            self._client.call_later(max(0.0, begin - clock()) + 0.06, time.sleep, seconds)

    monkeypatch.setattr(Generator, "_measure", measure_held_up)


def test_step_with_a_late_generator_is_not_the_server_s_failure(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_up(monkeypatch, players=9, seconds=4.0)
    with LimitedServer() as server:
        report = play(
            server.port, clients=50, rate=20, lateness_limit=3.0,
            find_max=FindMax(ANY_PACE, start=6, limit=50, hold=0.5, confirm_hold=0.5, settle=0.05),
        )  # fmt: skip
    found = report.find_max
    assert found is not None
    assert (found.held, found.failed, found.invalid_from) == (6, None, 9)
    assert "invalid from 9 on" in found.sentence()
    assert report.exit_code == HELD


def test_search_in_which_nothing_could_be_decided_is_exit_code_3(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    hold_up(monkeypatch, players=1, seconds=0.4)
    with LimitedServer() as server:
        report = play(
            server.port, clients=50, rate=20, lateness_limit=0.02, find_max=FindMax(ANY_PACE, start=6, limit=50, hold=0.5, settle=0.0)
        )
    assert report.find_max is not None and report.find_max.held is None
    assert report.exit_code == INVALID


def test_server_that_drops_answers_holds_nothing(play: Play) -> None:
    """However few: what a step does not get within five seconds is an error, even if times alone would not tell."""
    with LimitedServer(faults=Faults(drop_answer=7)) as server:
        wanted = FindMax(ANY_PACE, start=2, limit=2, hold=0.6, confirm_hold=0.6, settle=0.0)
        report = play(server.port, clients=2, rate=20, find_max=wanted, answers=0.5)
    assert report.find_max is not None and report.find_max.held is None
    assert all(step.totals.errors["not answered"] for step in report.find_max.steps)
    assert report.exit_code == MISSED


def test_violations_between_the_steps_fail_the_search(play: Play) -> None:
    """As of leaves that come twice: players leave after a step was judged."""
    with ChessServer(Faults(leave_twice=True)) as server:
        wanted = FindMax(ANY_PACE, start=4, limit=4, hold=0.3, confirm_hold=0.3, settle=0.0)
        report = play(server.port, clients=4, rate=20, ramp=20.0, find_max=wanted)
    found = report.find_max
    assert found is not None and found.held == 4 and found.violations_between["left unseen"] > 0
    assert report.exit_code == MISSED and report.as_json()["held"] is False
    assert any(line.startswith("  between the steps: violation: ") for line in report_lines(report))
    assert summary(report).headline.startswith("Missed: ") and "while players came and left" in summary(report).headline
    assert [fault["name"] for fault in page_data(report)["faults"]] == ["left unseen"]


def test_end_of_the_search_leaves_no_answer_behind(play: Play) -> None:
    """Players go on after the last step was judged; the answers to what they send then are waited for too."""
    with ChessServer(Faults(answer_late=0.3)) as server:
        wanted = FindMax(ANY_PACE, start=4, limit=4, hold=0.3, confirm_hold=0.3, settle=0.0)
        report = play(server.port, clients=4, rate=100, find_max=wanted)
    assert report.find_max is not None and report.find_max.steps
    assert not report.find_max.errors_between and not report.errors


def test_interrupted_search_tells_what_it_found_until_then(play: Play) -> None:
    def during(run: Run) -> None:
        search = run.outcome().search
        if search is not None and search.failed == 12:
            run.stop()

    with LimitedServer(10) as server:
        report = play(server.port, clients=50, rate=20, during=during, find_max=FindMax(OBJECTIVES, start=8, limit=50, **QUICK))
    assert report.partial and report.find_max is not None
    assert (report.find_max.held, report.find_max.failed) == (8, 12)
    assert report.exit_code == HELD
    assert report.as_json()["find_max"]["confirmed"] == {"held": 0, "failed": 1}


def test_search_of_the_command_has_an_interval_and_all_steps(
    backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "max.json"
    with LimitedServer(11) as server:
        code = main(
            ["chess", "--port", str(server.port), "--find-max", "--slo", SLO, "--start", "8", "--limit", "30", "--rate", "20",
             "--step-hold", "0.3", "--duration", "0.4", "--settle", "0", "--confirm", "1", "--backend", backend,
             "--lateness", "60000", "--timeout", "60", "--ramp", "1000/s", "--json", str(file)]
        )  # fmt: skip
    assert code == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    block = found["find_max"]
    assert (block["held"], block["failed"], block["confirmed"]) == (11, 12, {"held": 1, "failed": 2})
    assert found["clients"] == found["connected"] == 11
    assert [step["result"] for step in block["steps"]].count("failed") >= 2
    for step in block["steps"]:
        assert set(step) >= {"clients", "kind", "fresh", "latency_ms", "course_delay_ms", "lateness_ms", "errors", "rate_per_s"}
    output = capsys.readouterr().out
    assert "held 11 (confirmed once) .. failed 12 (2 times)" in output
    assert "course" in output


WRONG = [
    (["--find-max"], "--slo"),
    (["--find-max", "--slo", "errors=0"], "--slo"),
    (["--find-max", "--slo", "p99=1s", "--clients", "5"], "--clients"),
    (["--find-max", "--slo", "p99=1s", "--rate", "0"], "--rate"),
    (["--find-max", "--slo", "p99=1s", "--stages", "5:1"], "--find-max"),
    (["--find-max", "--slo", "p99=1s", "--start", "9", "--limit", "5"], "start"),
    (["--start", "9"], "--start"),
    (["--find-max", "--slo", "p99=1s", "--json", "/no/such/folder/x.json"], "--json"),
]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_what_makes_no_search_is_exit_code_2(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["chess", "--port", "9", *arguments])
    assert ended.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_search_of_a_server_that_is_not_there_ends_at_once_and_says_why(
    backend: str, closed_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "max.json"
    code = main(
        ["chess", "--port", str(closed_port), "--find-max", "--slo", "p99=1s", "--start", "8", "--limit", "30", "--settle", "0",
         "--timeout", "60", "--backend", backend, "--json", str(file)]
    )  # fmt: skip
    output = capsys.readouterr().out
    assert code == MISSED, output
    assert re.search(r"^  error: 8 x connecting failed: ", output, re.MULTILINE), output
    assert "8 players failed (p99 -, course's delay 0 ms, 8 errors, 8 x connecting failed" in output
    assert "  ended early: nobody could log in\n" in output
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [step["clients"] for step in found["find_max"]["steps"]] == [8]
    assert (found["valid"], found["held"], found["clients"], found["errors"]) == (True, False, 0, 8)


def test_search_ends_where_the_server_has_gone(play: Play) -> None:
    """It dies of too many: nobody can say what it would have held after that."""
    with LimitedServer() as server:

        def during(run: Run) -> None:
            if run.history[-1].wanted == 12 and run.history[-1].phase == "hold":
                server.stop()

        wanted = FindMax(ANY_PACE, start=8, limit=50, **QUICK)
        report = play(server.port, clients=50, rate=20, during=during, find_max=wanted, answers=5.0)
    found = report.find_max
    assert found is not None
    assert (found.held, found.failed) == (8, 10), found.sentence()
    assert [step.step.clients for step in found.steps] == [8, 12, 10]
    assert report.exit_code == MISSED
    assert report.as_json()["held"] is False and report.as_json()["ended_early"] is True
    lines = report_lines(report)
    assert "  ended early: nobody could log in any more" in lines
    assert any(line.startswith("  in steps that failed: error: ") and "connecting failed" in line for line in lines)
    assert summary(report).headline == "Missed: nobody could log in any more"


def test_search_without_a_limit_goes_as_far_as_the_tool_does_where_the_machine_has_none(
    backend: str, closed_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows, on a loopback host."""
    for module in (capacity, cli):
        monkeypatch.setattr(module, "most_by_files", lambda processes: None)
    file = tmp_path / "max.json"
    arguments = ["chess", "--port", str(closed_port), "--find-max", "--slo", "p99=1s", "--start", "2", "--backend", backend]
    assert main([*arguments, "--timeout", "60", "--json", str(file)]) == MISSED
    assert json.loads(file.read_text(encoding="utf-8"))["find_max"]["limit"] == MAX_CLIENTS
