"""Several generator processes are one run: the same players, the same figures, and never a hang when one of them is lost."""

from __future__ import annotations

import ctypes
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from chess_server import Faults
from limited_server import LimitedServer
from playing import LEAD, Play

import iocp.load.crew
import iocp.load.settings
from iocp.load.capacity import CapacityError, check_capacity
from iocp.load.chess import chess
from iocp.load.cli import main
from iocp.load.messages import read_message, write_message
from iocp.load.objective import parse_objectives
from iocp.load.process import GeneratorProcess
from iocp.load.report import HELD, INVALID, MISSED, Report
from iocp.load.run import Run
from iocp.load.settings import FindMax, Settings, Stage
from iocp.load.summary import summary

WINDOWS = sys.platform == "win32"
TIMEOUT = 100.0


def numbers(run: Run) -> list[int]:
    """The processes of a run."""
    found = [member.number for member in run.crew.members if isinstance(member, GeneratorProcess)]
    assert None not in found
    return [number for number in found if number is not None]


def is_gone(number: int) -> bool:
    """Whether there is no such child any more: it has ended and was waited for."""
    try:
        os.kill(number, 0)
    except OSError:
        return True
    return False


def test_players_of_three_processes_add_up_to_one_run(play: Play) -> None:
    with LimitedServer() as server:
        report = play(server.port, clients=7, rate=50, duration=0.6, processes=3, lead=LEAD)
    assert dict(server.names) == {b"p%d" % number: 1 for number in range(7)}
    assert server.most_online == report.playing == report.outcome.most_playing == 7
    assert report.figures.sent == report.figures.answered == report.figures.planned.total == 7 * 30
    assert report.errors == {} and report.violations == {}
    assert report.exit_code == HELD and report.as_json()["generator"]["processes"] == 3
    # Not three runs one after the other: at the end of the first interval of the window all play.
    assert next(snapshot.playing for snapshot in report.snapshots if snapshot.phase == "hold") == 7


def test_stages_go_up_and_down_over_the_processes(play: Play) -> None:
    stages = (Stage(1, 0.2), Stage(5, 0.2), Stage(2, 0.2))
    with LimitedServer() as server:
        report = play(server.port, clients=5, rate=50, processes=2, stages=stages, lead=LEAD)
    assert [(totals.playing, totals.figures.sent) for _, totals in report.stages] == [(1, 10), (5, 50), (2, 20)]
    assert set(server.names) == {b"p%d" % number for number in range(5)}
    assert server.online == []


def test_search_over_two_processes_finds_the_capacity(play: Play) -> None:
    with LimitedServer(9) as server:
        wanted = FindMax(parse_objectives("p50=600ms"), start=8, limit=12, hold=0.3, confirm_hold=0.3, settle=0.0, confirmations=1)
        report = play(server.port, clients=12, rate=20, processes=2, find_max=wanted)
    assert report.find_max is not None
    assert (report.find_max.held, report.find_max.failed) == (9, 10)


def test_violations_of_another_process_are_told_with_an_example(play: Play) -> None:
    with LimitedServer(faults=Faults(enter_itself=True)) as server:
        report = play(server.port, clients=2, processes=2)
    assert report.violations == {"entered itself": 2}
    assert "was told that it enters itself" in report.outcome.examples["entered itself"]


def test_death_of_a_process_is_an_error_and_invalidates_the_run(play: Play) -> None:
    killed: list[int] = []

    def during(run: Run) -> None:
        if run.history[-1].phase == "hold" and not killed:
            killed.extend(numbers(run))
            os.kill(killed[1], signal.SIGTERM)

    with LimitedServer() as server:
        report = play(server.port, clients=4, duration=600.0, processes=2, during=during)
    assert report.exit_code == INVALID and report.partial
    (reason,) = report.invalid
    assert reason.startswith("generator process 2 of 2 ended in the middle, exit code ")
    assert report.as_json()["partial"] is True
    if not WINDOWS:
        assert all(map(is_gone, killed))


@pytest.mark.skipif(WINDOWS, reason="Windows has no signal that stops a process")
def test_process_that_hangs_is_an_error_and_no_hang(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iocp.load.crew, "_SILENCE", 5.0)  # of the one that is not stopped there is always a word in that time
    monkeypatch.setattr(iocp.load.process, "_STOP", 0.5)
    stopped: list[int] = []

    def during(run: Run) -> None:
        if run.history[-1].phase == "hold" and not stopped:
            stopped.extend(numbers(run))
            os.kill(stopped[0], signal.SIGSTOP)

    with LimitedServer() as server:
        report = play(server.port, clients=4, duration=600.0, processes=2, during=during)
    assert report.invalid == ["generator process 1 of 2 says nothing any more"]
    assert report.exit_code == INVALID
    assert all(map(is_gone, stopped))


def test_exception_in_a_process_is_told_with_its_text(play: Play) -> None:
    def during(run: Run) -> None:
        if run.history[-1].phase == "hold":
            run.crew.members[1].tell("dance")

    with LimitedServer() as server:
        report = play(server.port, clients=4, duration=600.0, processes=2, during=during)
    assert report.invalid == ["generator process 2 of 2 failed: KeyError: 'dance'"]
    assert "Without that part of the generator the figures are of something else." in summary(report).sentences


def test_exception_in_the_one_process_is_told_in_the_same_way(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    def during(run: Run) -> None:
        if run.history[-1].phase == "hold":
            run.crew.members[0].tell("dance")

    with LimitedServer() as server:
        report = play(server.port, clients=4, duration=600.0, during=during)
    assert report.invalid == ["the generator failed: KeyError: 'dance'"]
    assert report.exit_code == INVALID and report.partial
    assert caplog.records[0].exc_info  # where it was, for who has to mend it


def test_process_that_cannot_be_started_is_told(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise BlockingIOError(11, "no more processes")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    report = play(9, clients=4, processes=2)
    assert report.invalid == ["generator process 1 of 2 could not be started: [Errno 11] no more processes"]
    assert report.exit_code == INVALID


def test_shortage_of_the_generator_s_machine_is_no_failure_of_the_server(play: Play) -> None:
    """Connections from an address that this machine does not have cannot begin, as when it has no port left."""
    with LimitedServer() as server:
        report = play(server.port, sources=("192.0.2.1",))
    assert report.exit_code == INVALID, report.errors
    assert report.invalid[0].startswith("the generator's machine had too little of something: 4 x ")


def test_interrupt_of_the_command_ends_all_its_processes_with_a_report(backend: str, tmp_path: Path) -> None:
    if WINDOWS and hasattr(ctypes.windll.ntdll, "wine_get_version"):  # type: ignore[attr-defined]
        pytest.skip("Wine 8 delivers no Ctrl-Break to another process group")
    file = tmp_path / "run.json"
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if WINDOWS else 0  # type: ignore[attr-defined]
    with LimitedServer() as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "iocp.load", "chess", "--port", str(server.port), "--clients", "5", "--duration", "600",
             "--processes", "2", "--rate", "20", "--timeout", "60", "--backend", backend, "--lateness", "60000", "--json", str(file)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, encoding="utf-8", creationflags=flags,
            start_new_session=not WINDOWS,
        )  # fmt: skip
        watchdog = threading.Timer(TIMEOUT, process.kill)
        watchdog.start()
        assert process.stdout is not None
        # The second one: the first may be of a moment. In a second between the two all have sent.
        for _ in range(2):
            while "  hold " not in (line := process.stdout.readline()):
                assert line, "ended before the players were in"
        if WINDOWS:
            process.send_signal(signal.CTRL_BREAK_EVENT)  # type: ignore[attr-defined]
        else:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all that are in the group
        output, _ = process.communicate()
        watchdog.cancel()
        assert process.returncode == 0, output
    assert "(interrupted)" in output
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert found["partial"] is True and found["sent"] == found["answered"] > 0


@pytest.mark.skipif(WINDOWS, reason="kills without a word are a signal's")
def test_processes_end_with_their_parent_however_that_ended(backend: str) -> None:
    with LimitedServer() as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "iocp.load", "chess", "--port", str(server.port), "--clients", "4", "--duration", "600",
             "--processes", "2", "--backend", backend],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        while "  hold " not in (line := process.stdout.readline()):
            assert line, "ended before the players were in"
        process.kill()
        process.communicate()
        ends = time.monotonic() + TIMEOUT
        while server.online:
            assert time.monotonic() < ends, "players without a parent"
            threading.Event().wait(0.05)


@pytest.mark.parametrize("processes", [1, 2])
def test_run_that_is_stopped_before_anybody_came_is_an_empty_report(processes: int) -> None:
    with LimitedServer() as server:
        run = Run(Settings(chess(), "127.0.0.1", server.port, 4, processes=processes))
        run.stop()
        assert list(run.snapshots()) == []
        assert server.names == {}
    report = Report(run.settings, run.history, run.outcome(), parse_objectives("p99=1s"))
    assert report.partial and report.exit_code == MISSED
    assert report.as_json()["latency_ms"]["p99"] is None


def test_half_a_message_is_the_end_of_its_stream() -> None:
    stream = io.BytesIO()
    write_message(stream, ("players", 5, 0.5, None))
    whole = stream.getvalue()
    assert read_message(io.BytesIO(whole)) == ("players", 5, 0.5, None)
    for size in range(len(whole)):
        with pytest.raises(EOFError):
            read_message(io.BytesIO(whole[:size]))


# ---- what a machine can connect ----


def test_many_players_come_from_several_loopback_addresses(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iocp.load.settings, "CLIENTS_PER_SOURCE", 3)
    with LimitedServer() as server:
        report = play(server.port, clients=8, duration=0.2)
    assert report.errors == {}
    assert dict(server.sources) == {"127.0.0.2": 3, "127.0.0.3": 3, "127.0.0.4": 2}


def test_too_many_players_for_the_ports_there_are_is_told_with_what_to_do() -> None:
    def settings(clients: int, **options: Any) -> Settings:
        return Settings(**{"protocol": chess(), "port": 9, "clients": clients, "processes": 64, "host": "127.0.0.1", **options})

    check_capacity(settings(200_000))
    check_capacity(settings(5_000, host="192.0.2.1"))
    with pytest.raises(CapacityError, match="--source") as found:
        check_capacity(settings(200_000, host="192.0.2.1"))
    assert "200,000 connections" in str(found.value)
    with pytest.raises(CapacityError, match="--limit"):
        check_capacity(settings(200_000, host="::1"), "--limit")
    check_capacity(settings(50_000, host="192.0.2.1", sources=tuple(f"192.0.2.{n}" for n in range(5, 15))))
    # In a search the ports of those who left are still taken when others come.
    search = FindMax(parse_objectives("p99=1s"), limit=12_000)
    check_capacity(settings(12_000, host="192.0.2.1"))
    with pytest.raises(CapacityError, match="a search can use"):
        check_capacity(settings(12_000, host="192.0.2.1", find_max=search), "--limit")


WRONG = [(["--processes", "0"], "--processes"), (["--processes", "5", "--clients", "4"], "--processes"), (["--processes", "x"], "--processes")]


@pytest.mark.parametrize(("arguments", "named"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_processes_are_exit_code_2(arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["chess", "--port", "9", *arguments])
    assert ended.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.skipif(WINDOWS, reason="Windows has no limit of open files")
def test_limit_of_open_files_counts_for_each_process() -> None:
    command = f"ulimit -n 100; exec {sys.executable} -m iocp.load chess --port 9 --timeout 60 --duration 0.1 --quiet"
    refused = subprocess.run(
        ["sh", "-c", f"{command} --clients 80 --processes 2"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert refused.returncode == 2 and "ulimit -Hn 104" in refused.stderr
    tried = subprocess.run(
        ["sh", "-c", f"{command} --clients 60 --processes 2"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT
    )
    assert tried.returncode == 1 and "60 x connecting failed" in tried.stdout


def test_backend_that_is_not_there_is_exit_code_2_before_any_process(capsys: pytest.CaptureFixture[str]) -> None:
    backend = "epoll" if WINDOWS else "iocp"
    assert main(["chess", "--port", "9", "--clients", "4", "--processes", "2", "--backend", backend]) == 2
    assert "backend" in capsys.readouterr().err
