"""Several numbers of players in one run, each with figures of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from limited_server import LimitedServer
from playing import LEAD, Play, answered, stop_when

from iocp.load.cli import main
from iocp.load.report import MISSED
from iocp.load.run import Run
from iocp.load.settings import Stage


def test_each_stage_has_its_players_and_its_figures(play: Play) -> None:
    stages = (Stage(2, 0.5), Stage(6, 0.4), Stage(3, 0.3))
    with LimitedServer() as server:
        report = play(server.port, clients=6, rate=50, stages=stages, lead=LEAD)
    assert server.most_online == 6
    found = [(totals.playing, totals.figures.sent) for _, totals in report.stages]
    assert found == [(2, 50), (6, 120), (3, 45)]
    for stage, totals in report.stages:
        assert totals.hold_seconds == pytest.approx(stage.seconds, abs=1e-6)
        assert totals.figures.answered + totals.figures.pending == totals.figures.sent
        assert totals.figures.planned.total == totals.figures.sent
    assert report.figures.sent == 215
    assert report.errors == {} and report.violations == {}
    assert report.held and report.exit_code == 0


def test_stage_that_misses_fails_the_run_that_holds_on_the_whole(play: Play) -> None:
    """All answers of the second stage are late, a fifth of those of the run."""
    with LimitedServer(capacity=4, delay=4.0) as server:
        report = play(server.port, clients=5, rate=20, stages=(Stage(4, 1.0), Stage(5, 0.2)), slo="p50=3s", lead=LEAD)
    assert report.latency["p50"] is not None and report.latency["p50"] < 3000
    assert [totals.held for _, totals in report.stages] == [True, False]
    assert report.exit_code == MISSED


def test_what_is_unanswered_at_the_end_of_a_stage_counts_with_its_age(play: Play) -> None:
    """The server never answers the second stage within the time that is waited: the figures say so, and not that nothing was slow."""
    with LimitedServer(capacity=2, delay=600.0) as server:

        def during(run: Run) -> None:
            if run.history[-1].stage == 2:
                server.release()

        stages = (Stage(2, 0.3), Stage(3, 0.3), Stage(2, 1.4))
        report = play(server.port, clients=3, rate=20, stages=stages, between=0.6, during=during, lead=LEAD)
    late = report.stages[1][1]
    assert late.figures.pending > 0
    assert late.figures.planned.total == late.figures.sent == 18
    assert late.latency["p50"] is not None and late.latency["p50"] >= 550
    # They come in the next stage, to which they do not belong, and were no error.
    assert report.stages[2][1].figures.sent == report.stages[2][1].figures.planned.total == 56
    assert sum(snapshot.others.answered for snapshot in report.snapshots) >= late.figures.pending
    assert report.errors == {} and report.violations == {}


def test_players_who_had_left_come_back_only_as_far_as_the_next_stage_wants_them(play: Play) -> None:
    """Those of the first stage who are away at its end are not back before the second one, which is to have four."""
    with LimitedServer() as server:
        report = play(server.port, clients=12, rate=10, stages=(Stage(12, 3.0), Stage(4, 1.6)), churn=15.0)
    assert sum(snapshot.churned for snapshot in report.snapshots if snapshot.stage == 0) >= 6
    assert max(snapshot.playing for snapshot in report.snapshots if snapshot.stage == 1 and snapshot.phase == "hold") <= 4
    assert (report.errors, report.violations) == ({}, {})


def test_interrupted_stages_are_a_report_of_those_there_were(play: Play) -> None:
    in_the_second = stop_when(lambda run: answered(run, stage=1))
    with LimitedServer() as server:
        report = play(server.port, clients=4, stages=(Stage(2, 0.3), Stage(4, 600.0), Stage(2, 60.0)), during=in_the_second)
    assert report.partial and len(report.stages) == 2
    assert report.stages[1][1].figures.answered == report.stages[1][1].figures.sent > 0
    assert 0 < report.stages[1][1].hold_seconds < 300
    assert report.exit_code == 0


@pytest.mark.usefixtures("counts_all")
def test_stages_of_the_command_are_in_its_lines_and_json(backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "run.json"
    with LimitedServer() as server:
        code = main(
            ["chess", "--port", str(server.port), "--stages", "2:0.3,4:0.3s", "--rate", "50", "--backend", backend,
             "--lateness", "60000", "--timeout", "60", "--ramp", "1000/s", "--json", str(file)]
        )  # fmt: skip
    assert code == 0
    found = json.loads(file.read_text(encoding="utf-8"))
    assert [(stage["clients"], stage["playing"], stage["sent"], stage["held"]) for stage in found["stages"]] == [
        (2, 2, 30, True),
        (4, 4, 60, True),
    ]
    assert found["partial"] is False and found["clients"] == 4
    assert "4 for 0.3 s" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["10", "10:", "0:5", "5:0", "5:x", "10:1,"])
def test_wrong_stages_are_exit_code_2(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["chess", "--port", "9", "--stages", text])
    assert ended.value.code == 2
    assert "argument --stages" in capsys.readouterr().err
