"""Each thing that a server can do wrong is found, named, and fails the run; a server that does nothing wrong passes."""

from __future__ import annotations

import errno
import os
import re
import struct
import subprocess
import sys
from collections.abc import Sequence
from random import Random
from types import SimpleNamespace
from typing import cast

import pytest
from chess_server import ChessServer, Faults, Player
from limited_server import LimitedServer
from playing import LEAD, Play, answered, stop_when

import iocp
import iocp.load.generator
from iocp.load.chess import chess
from iocp.load.findings import hint, name_of_end
from iocp.load.lines import report_lines
from iocp.load.page import page_data
from iocp.load.report import HELD, MISSED
from iocp.load.snapshot import Snapshot


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
def test_server_without_faults_passes(play: Play, timed: bool) -> None:
    with ChessServer() as server:
        report = play(server.port, protocol=chess(timed=timed), slo="p99=60s", lead=LEAD)
    assert (report.errors, report.violations, report.invalid) == ({}, {}, [])
    assert report.exit_code == HELD
    assert report.outcome.most_playing == 4
    # 4 players x 50 moves a second x 0.6 seconds, each told to the three others.
    assert report.figures.sent == report.figures.answered == report.figures.planned.total == 120
    assert report.received >= report.figures.sent
    # Others are not told of a move into the border, and cannot know the time of one that was told before its mover knew of that.
    told = 3 * (report.figures.sent - report.figures.blocked)
    assert 0.9 * (told - report.fanout_unmatched) <= report.figures.fanout.total <= 1.1 * 3 * report.figures.sent
    assert report.fanout_unmatched < told / 2
    assert server.moves >= report.figures.sent


def test_border_and_teleport_and_moves_of_the_server_s_own_are_no_violations(play: Play) -> None:
    with ChessServer(Faults(relocate=10)) as server:
        report = play(server.port, protocol=chess(teleport=True, spot=(0, 0)), rate=100)
    assert (report.errors, report.violations) == ({}, {})
    assert sum(snapshot.relocated for snapshot in report.snapshots) > 0


VIOLATIONS = [
    (Faults(answer_twice=5), "answered twice"),
    (Faults(swap_answers=5), "answer out of order"),
    (Faults(jump=5), "wrong position"),
    (Faults(answer_as_stranger=5), "moved unseen"),
    (Faults(answer_as_other=5), "foreign stamp"),
    (Faults(stamp_moves=True), "foreign stamp"),
    (Faults(enter_twice=True), "entered twice"),
    (Faults(enter_itself=True), "entered itself"),
    (Faults(leave_unseen=True), "left unseen"),
    (Faults(same_id=True), "id given twice"),
    (Faults(world_first=True), "before the login"),
    (Faults(welcome_twice=True), "welcomed twice"),
]


@pytest.mark.parametrize(("faults", "name"), VIOLATIONS, ids=[name.replace(" ", "-") + f"-{i}" for i, (_, name) in enumerate(VIOLATIONS)])
def test_violation_is_found_and_shown(play: Play, faults: Faults, name: str) -> None:
    with ChessServer(faults) as server:
        report = play(server.port, rate=100, answers=1.0, agreement=1.0)
    assert report.violations[name] > 0
    assert report.exit_code == MISSED
    assert "packet of" in report.outcome.examples[name]


def test_second_answer_to_an_untimed_move_is_unasked(play: Play) -> None:
    # All of them: however many come together, the last one is to nothing that waits, and says nothing new.
    with ChessServer(Faults(answer_twice=1)) as server:
        report = play(server.port, protocol=chess(timed=False), rate=10)
    assert report.violations["answer unasked"] > 0


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
def test_answer_of_the_other_kind_is_none(play: Play, timed: bool) -> None:
    """Who asks with a time in it is to be answered with that, and who asks without one is not to be answered with any."""
    with ChessServer(Faults(wrong_kind=True)) as server:
        report = play(server.port, protocol=chess(timed=timed), answers=1.0, agreement=1.0)
    assert report.errors["not answered"] > 0 and report.figures.answered == 0
    assert report.exit_code == MISSED


def test_wrong_place_of_an_untimed_move_is_a_violation(play: Play) -> None:
    with ChessServer(Faults(jump=5)) as server:
        report = play(server.port, protocol=chess(timed=False), rate=100, answers=1.0, agreement=1.0)
    assert report.violations["wrong position"] > 0
    assert report.exit_code == MISSED


def die(player: Player) -> None:
    """The server puts it somewhere else while its move is under way, and then answers that."""
    player.x = (player.x + 40) % 100
    player.send(player.move_packet(player.timed))
    player.server._tell_others(player, 0)
    player.send(player.move_packet(player.timed))


def test_untimed_move_that_waits_while_the_server_puts_its_player_elsewhere_is_answered_from_there(play: Play) -> None:
    with ChessServer(Faults(after_moves=(5, die))) as server:
        report = play(server.port, protocol=chess(timed=False), lead=LEAD)
    assert (report.errors, report.violations) == ({}, {}), report.outcome.examples
    assert sum(snapshot.relocated for snapshot in report.snapshots) == 4
    assert report.figures.sent == report.figures.answered == 120


def test_teleport_that_is_not_answered_is_an_error(play: Play) -> None:
    with ChessServer(Faults(ignore_teleport=True)) as server:
        report = play(server.port, protocol=chess(teleport=True), answers=1.0, agreement=1.0)
    assert report.errors == {"not answered": 4}
    assert report.exit_code == MISSED
    # Of moves alone there are times.
    assert report.figures.planned.total == report.figures.sent == report.figures.answered


def test_dropped_answers_are_errors_and_count_with_the_time_they_were_waited_for(play: Play) -> None:
    with ChessServer(Faults(drop_answer=3)) as server:
        report = play(server.port, answers=3.0)
    dropped = report.errors["not answered"]
    assert dropped == pytest.approx(server.moves / 3, abs=1)
    assert report.exit_code == MISSED
    assert report.figures.answered + report.figures.unanswered == report.figures.sent
    # The drain lasts three seconds, so that is how old they were at least.
    assert report.latency["p90"] is not None and report.latency["p90"] > 2900


def close(player: Player) -> None:
    player.writer.close()


def close_within_a_packet(player: Player) -> None:
    player.send(player.move_packet(True)[:5])
    player.writer.close()


def sends(packet: bytes) -> Faults:
    return Faults(after_login=lambda player: player.send(packet))


# With a move and not at a time: who has moved has read the answer to its login, which a reset may else take along.
CUT = Faults(after_moves=(5, close))
ENDS = [
    (CUT, "closed by the server in the middle"),
    (Faults(after_login=close_within_a_packet), "closed by the server in the middle"),
    (sends(bytes([0, 1, 2, 3])), "garbage: a length too small for its own field"),
    (sends(bytes([200, 1, 2, 3])), "garbage: a length over the protocol's largest packet"),
    (sends(bytes([1, 1, 1, 1])), "garbage: a packet of no known type and size"),
    (sends(bytes([4, 77, 2, 3])), "garbage: a packet of no known type and size"),
    (sends(bytes([11, 1]) + bytes(9)), "garbage: a packet of no known type and size"),
    (sends(bytes([5, 2]) + bytes(3)), "garbage: a packet of no known type and size"),
]
if sys.platform != "win32":  # there asyncio may end the stream in good order before it lets go of it
    ENDS.append((Faults(after_moves=(5, Player.reset)), "reset by the server in the middle"))


@pytest.mark.parametrize(("faults", "name"), ENDS, ids=[f"{i}-{name.split(':')[0].replace(' ', '-')}" for i, (_, name) in enumerate(ENDS)])
def test_connection_that_ends_or_talks_garbage_is_an_error(play: Play, faults: Faults, name: str) -> None:
    with ChessServer(faults) as server:
        report = play(server.port, duration=600.0)
    # Closed over a move that it had not read, a connection is reset.
    names = {name, name.replace("closed by", "reset by")}
    assert sum(report.errors[each] for each in names) == 4, report.errors
    assert report.outcome.ended_early
    assert report.exit_code == MISSED
    assert not report.invalid


def test_players_who_are_due_all_the_time_are_cut(play: Play) -> None:
    """So one of them is due in the very turn that sees the end of its connection."""
    with ChessServer(Faults(after_moves=(200, close))) as server:
        report = play(server.port, clients=8, rate=1000, duration=600.0)
    assert report.outcome.ended_early
    # Closed over moves that it had not read, a connection is reset, and what it was told last is lost with that.
    cut = {name: count for name, count in report.errors.items() if name.startswith(("closed by", "reset by"))}
    assert sum(cut.values()) == 8, report.errors


def test_two_load_tools_on_one_server_are_told_how_to_keep_apart(play: Play) -> None:
    # Nobody moves: closed over a move that it had not read, a connection would be reset.
    with LimitedServer(faults=Faults(after_login=close)) as server:
        report = play(server.port, first_player=100, rate=0, duration=600.0)
    assert sorted(server.names) == [b"p100", b"p101", b"p102", b"p103"]
    assert re.search(r"closed by the server in the middle \(.* --rate.* does another load tool", "\n".join(report_lines(report)))
    assert any("--first-player" in fault["example"] for fault in page_data(report)["faults"])


def failed_to_connect(number: int) -> str:
    """What a connection that failed to come about with that error is counted as."""
    session = cast("iocp.Session", SimpleNamespace(error=OSError(number, "in the system's words")))
    name = name_of_end(session, iocp.Reason.CONNECT_FAILED, False)
    assert name is not None
    return name


def test_what_may_be_behind_connections_that_end_before_the_login() -> None:
    """A server's guard against many connections of one address, for one."""
    for name in ("reset by the server before the login was answered", "closed by the server before the login was answered",
                 failed_to_connect(errno.ECONNRESET)):  # fmt: skip
        assert "--sessions-per-address" in hint(name)
    assert hint(failed_to_connect(errno.ECONNREFUSED)) == hint("not answered") == ""


def test_refused_login_is_told_with_the_server_s_words(play: Play) -> None:
    with ChessServer(Faults(refuse=True)) as server:
        report = play(server.port)
    assert report.errors == {"login refused": 4}
    assert "'closed'" in report.outcome.examples["refused"]


def test_refused_login_is_told_as_that_if_the_connection_stays(play: Play) -> None:
    with ChessServer(Faults(refuse_and_stay=True)) as server:
        report = play(server.port, timeout=2.0)
    assert report.errors == {"login refused": 4}


def test_words_that_standard_output_cannot_encode_are_printed_all_the_same() -> None:
    with ChessServer(Faults(refuse=True, refusal="가득 찼음")) as server:
        done = subprocess.run(
            [sys.executable, "-m", "iocp.load", "chess", "--port", str(server.port), "--clients", "2", "--duration", "1", "--timeout", "60"],
            env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=100,
        )  # fmt: skip
    assert done.returncode == MISSED and not done.stderr, done.stderr
    assert "error: 2 x login refused" in done.stdout and "\\uac00\\ub4dd" in done.stdout, done.stdout


def test_server_that_hangs_does_not_hang_the_run(play: Play) -> None:
    with ChessServer(Faults(hang=True)) as server:
        report = play(server.port, timeout=2.0)
    assert report.errors == {"login not answered within 2 s": 4}
    assert report.outcome.most_playing == 0


def test_server_that_is_not_there(play: Play, closed_port: int) -> None:
    report = play(closed_port)
    assert report.errors.total() == 4
    assert all(name.startswith("connecting ") for name in report.errors)
    assert report.exit_code == MISSED


def test_who_comes_and_goes_is_followed_exactly(play: Play) -> None:
    """Some thousand enters and leaves of 300 ids: none is a violation, and the one that is, is found behind them."""
    random = Random(5)

    def crowd(player: Player) -> None:
        here: set[int] = set()
        packets = []
        for _ in range(6000):
            id = random.randrange(-150, 150)
            if id in here:
                packets.append(struct.pack("<BBi", 6, 3, id))
            else:
                packets.append(struct.pack("<BBi10sbhh", 21, 2, id, b"m", 1, 1, 1))
            here ^= {id}
        packets += [struct.pack("<BBihhI", 14, 1, id, 3, 3, 0) for id in here]
        packets.append(struct.pack("<BBi", 6, 3, 151))
        player.send(b"".join(packets))

    with ChessServer(Faults(after_login=crowd)) as server:
        report = play(server.port, clients=1)
    assert report.violations == {"left unseen": 1}
    assert "151" in report.outcome.examples["left unseen"]


def churned(snapshots: Sequence[Snapshot]) -> int:
    return sum(snapshot.churned for snapshot in snapshots)


def test_players_who_leave_and_come_back_are_no_errors(play: Play) -> None:
    with ChessServer() as server:
        # Until some have left and come back, and others have moved after that.
        come_back = stop_when(lambda run: churned(run.history) > 5 and server.logins > 12 and answered(run) > 500)
        report = play(server.port, clients=10, churn=10.0, duration=60.0, during=come_back)
    assert (report.errors, report.violations) == ({}, {})
    assert churned(report.snapshots) > 5
    assert server.logins > 12


def test_who_leaves_waits_for_its_last_answers(play: Play) -> None:
    """They are the slow ones, mostly, and would else be in no figure."""
    with ChessServer(Faults(answer_late=0.4)) as server:
        come_back = stop_when(lambda run: churned(run.history) > 8)
        report = play(server.port, clients=10, rate=10, churn=20.0, duration=60.0, during=come_back)
    assert (report.errors, report.violations) == ({}, {})
    assert report.figures.sent == report.figures.answered == report.figures.planned.total


def test_who_leaves_without_its_last_answers_has_them_counted_as_missing(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(iocp.load.generator, "_LONGEST_LEAVE", 0.3)
    with ChessServer(Faults(drop_answer=2)) as server:
        report = play(
            server.port, clients=10, rate=10, churn=20.0, duration=60.0, answers=1.0, agreement=1.0,
            during=stop_when(lambda run: churned(run.history) > 8),
        )  # fmt: skip
    assert report.violations == {}
    assert report.errors["not answered"] >= report.figures.unanswered > 0
    assert report.figures.sent == report.figures.answered + report.figures.unanswered
