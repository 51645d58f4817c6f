"""Runs that end before their time: what was not measured is not held, and text, JSON and exit code say the same."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from chess_server import ChessServer, Faults
from limited_server import LimitedServer
from playing import Play, answered, stop_when

from iocp.load.cli import main
from iocp.load.lines import Lines, report_lines
from iocp.load.objective import parse_objectives
from iocp.load.report import HELD, INVALID, MISSED, Report
from iocp.load.run import Run
from iocp.load.settings import FindMax, Stage
from iocp.load.snapshot import Snapshot
from iocp.load.summary import summary

SLO = "p50=600ms"
OBJECTIVES = parse_objectives(SLO)
INTERRUPTED = 130


def stop(run: Run) -> None:
    run.stop()


def assert_told_alike(report: Report) -> None:
    """The exit code is what the JSON says, and the page."""
    found = report.as_json()
    assert report.exit_code == (INVALID if not found["valid"] else HELD if found["held"] else MISSED)
    assert found["valid"] is not bool(found["invalid_because"])
    assert summary(report).state == {HELD: "held", MISSED: "missed", INVALID: "invalid"}[report.exit_code]


@pytest.mark.parametrize("processes", [1, 2])
def test_run_interrupted_while_players_come_has_measured_nothing(play: Play, processes: int) -> None:
    with LimitedServer() as server:
        report = play(server.port, clients=400, ramp=1.0, processes=processes, during=stop)
    assert report.exit_code == INVALID
    assert_told_alike(report)
    assert summary(report).headline == "Interrupted: nothing was measured"
    assert "INVALID: interrupted before anything was measured" in report_lines(report)


def test_objective_that_was_missed_before_the_interruption_stays_missed(play: Play) -> None:
    def during(run: Run) -> None:
        if run.history[-1].errors:
            run.stop()

    with ChessServer(Faults(refuse=True)) as server:
        report = play(server.port, clients=400, ramp=20.0, during=during)
    assert report.exit_code == MISSED
    assert_told_alike(report)


def test_run_that_measured_something_is_held_though_interrupted(play: Play) -> None:
    with LimitedServer() as server:
        report = play(server.port, duration=600.0, during=stop_when(answered))
    assert report.exit_code == HELD
    assert_told_alike(report)


def test_run_whose_players_are_all_lost_has_measured_nothing_whatever_is_allowed(play: Play) -> None:
    with ChessServer(Faults(refuse=True)) as server:
        report = play(server.port, slo="errors=99")
    assert report.exit_code == INVALID
    assert_told_alike(report)
    assert summary(report).headline == "Invalid: nothing was measured"


def test_players_that_only_listen_are_told_as_that(play: Play) -> None:
    with LimitedServer() as server:
        report = play(server.port, rate=0.0)
    assert report.exit_code == HELD
    assert_told_alike(report)
    assert "  only listened: nothing was to be sent (rate 0)" in report_lines(report)


def test_stage_that_was_cut_short_is_told_with_the_seconds_it_had(play: Play) -> None:
    in_the_second = stop_when(lambda run: answered(run, stage=1))
    with LimitedServer() as server:
        report = play(server.port, clients=4, stages=(Stage(2, 0.3), Stage(4, 600.0)), during=in_the_second)
    text = "\n".join(report_lines(report))
    assert re.search(r"^  2 for 0\.3 s ", text, re.MULTILINE)
    assert re.search(r"^  4 for \d+\.\d of 600 s ", text, re.MULTILINE), text
    assert_told_alike(report)


def test_search_interrupted_in_its_first_step_decides_nothing(play: Play) -> None:
    with LimitedServer() as server:
        report = play(server.port, clients=50, during=stop, find_max=FindMax(OBJECTIVES, start=8, limit=50))
    found = report.as_json()
    assert report.exit_code == INVALID
    assert_told_alike(report)
    assert found["clients"] == 0 and found["find_max"]["steps"] == []
    lines = report_lines(report)
    assert "nothing was decided" in lines[0]
    assert "INVALID: interrupted before a step of the search was over" in lines


@pytest.mark.parametrize("capacity", [0, 10])
def test_search_is_told_alike_everywhere(play: Play, capacity: int) -> None:
    def during(run: Run) -> None:
        search = run.outcome().search
        if search is not None and search.failed in (1, 12):
            run.stop()

    wanted = FindMax(OBJECTIVES, start=8, limit=50, hold=0.3, confirm_hold=0.4, settle=0.02)
    with LimitedServer(capacity) as server:
        report = play(server.port, clients=50, rate=20, slo=SLO, during=during, find_max=wanted)
    assert report.exit_code == (HELD if capacity else MISSED)
    assert_told_alike(report)
    assert report.as_json()["clients"] == report.clients == (8 if capacity else 0)


def ctrl_c(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """So many of them, one after each line that is shown."""
    update = Lines.update
    left = times

    def shown(self: Lines, snapshot: Snapshot) -> None:
        nonlocal left
        update(self, snapshot)
        if left:
            left -= 1
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Lines, "update", shown)


def test_ctrl_c_while_players_come_is_exit_code_3(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ctrl_c(monkeypatch, 1)
    with LimitedServer() as server:
        code = main(["chess", "--port", str(server.port), "--clients", "400", "--ramp", "5/s", "--backend", backend])
    assert code == INVALID
    assert "(interrupted)" in capsys.readouterr().out


def test_second_ctrl_c_ends_the_command_in_a_line(
    backend: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ctrl_c(monkeypatch, 2)
    handler = signal.getsignal(signal.SIGINT)
    with ChessServer(Faults(drop_answer=1)) as server:
        code = main(["chess", "--port", str(server.port), "--clients", "4", "--backend", backend])
    assert code == INTERRUPTED
    assert capsys.readouterr().err == "iocp-load: interrupted, without a report\n"
    assert signal.getsignal(signal.SIGINT) is handler


def test_ctrl_c_before_the_run_ends_the_command_in_a_line(tmp_path: Path) -> None:
    """A protocol's own module is where it can be held up."""
    (tmp_path / "slow.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "iocp.load", "protocol", "slow:protocol", "--port", "9"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (INTERRUPTED, "", "iocp-load: interrupted, without a report\n")
