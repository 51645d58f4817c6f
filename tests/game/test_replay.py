"""A recorded game run again: byte for byte what was sent, and every difference is found and placed; what the command says of it."""

from __future__ import annotations

import errno
import logging
import os
from hashlib import blake2b
from pathlib import Path

import iocp
import pytest
from iocp.game import recorder
from iocp.game import replay as replaying
from iocp.game.names import encode_name
from iocp.game.protocol import pack_login, pack_step
from iocp.game.recorder import RecordingServer
from iocp.game.recording import Check, Connected, Finished, Known, Received, RecordingReader, RecordingWriter, ScriptChanged, Ticked, Total
from iocp.game.replay import ReplayOptions, replay, replay_command
from iocp.game.setting import Setting
from recorded import OPTIONS, SETTING, files_of, index_of, play, rewrite, server_on
from stand_ins import Engine, Session


def test_a_replay_sends_the_same_bytes(tmp_path):
    sent = play(tmp_path / "game.rec")
    result = replay(tmp_path / "game.rec", output=tmp_path / "sent")
    assert (result.difference, result.complete, result.errors) == ("", True, 0)
    assert files_of(tmp_path / "sent") == sent
    assert (result.sessions, result.sent) == (len(sent), sum(map(len, sent.values())))
    with RecordingReader(tmp_path / "game.rec") as reader:
        events = list(reader)
    totals = {event.session: (event.size, event.digest) for event in events if isinstance(event, Total)}
    assert totals == {id: (len(data), blake2b(data, digest_size=16).digest()) for id, data in sent.items()}
    assert isinstance(events[-1], Finished) and events[-1].events == result.events
    assert sum(isinstance(event, Check) for event in events) == result.events // 1_000 + 1
    known = [event for event in events if isinstance(event, Known)]
    assert known == [Known("p3", 5, 5, 60, 4, 900)], "who is used, once, and nobody else"
    assert 10 < result.seconds < 20


def test_recording_changes_nothing(tmp_path):
    sent = play(tmp_path / "one.rec")
    assert play(tmp_path / "other.rec") == sent != play(tmp_path / "third.rec", seed=6)


def test_one_flipped_bit_of_one_packet_is_found_within_a_thousand_events(tmp_path):
    play(tmp_path / "game.rec")
    place = []

    def flip(events):
        at = index_of(events, lambda event: isinstance(event, Received) and event.packet[:2] == b"\x07\x01", after=1_500)
        packet = bytearray(events[at].packet)
        packet[3] ^= 1
        place[:] = [sum(hasattr(event, "now") for event in events[: at + 1]), events[at].session]
        return [*events[:at], events[at]._replace(packet=bytes(packet)), *events[at + 1 :]]

    result = replay(rewrite(tmp_path / "game.rec", flip))
    number, session = place
    assert not result.identical
    assert f"session {session} (" in result.difference or f"session {session} was" in result.difference
    words = result.difference.replace(",", "").split()
    first, last = int(words[words.index("events") + 1]), int(words[words.index("events") + 3])
    assert first <= number <= last < first + 1_000
    assert "sent other bytes" in result.difference, "the time that the client sent comes back in the answer"


def without(kind, nth=0):
    def change(events):
        found = [number for number, event in enumerate(events) if isinstance(event, kind)]
        return [event for number, event in enumerate(events) if number != found[nth]]

    return change


def stopped_clock(events):
    begin = events[0].now
    return [event._replace(now=begin) if hasattr(event, "now") else event for event in events]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(without(Received, 40), "was sent", id="a packet is missing"),
        pytest.param(without(Ticked, 100), "was sent", id="a tick is missing"),
        pytest.param(without(Known), "was sent", id="a known player is missing"),
        pytest.param(without(ScriptChanged), "was sent", id="a changed script is missing"),
        pytest.param(without(Check), "Check where", id="a check is missing"),
        pytest.param(without(Finished), "", id="the end is missing"),
        pytest.param(stopped_clock, "was sent", id="the clock stands still"),
        pytest.param(lambda events: [events[0], Ticked(1.0), *events[1:]], "nothing waits for a tick", id="a tick too many"),
        pytest.param(lambda events: [events[0]._replace(world=1), *events[1:]], "another world", id="another world"),
        pytest.param(lambda events: [*events[:-1], Finished(7)], "Finished", id="another count"),
    ],
)
def test_each_difference_is_found_and_said(tmp_path, change, words):
    play(tmp_path / "game.rec")
    result = replay(rewrite(tmp_path / "game.rec", change))
    assert words in result.difference and result.identical is not bool(words)
    if words:
        assert "after the start" in result.difference


def test_a_script_with_chances_of_its_own_is_found_out(tmp_path):
    own = "import random\nSECONDS = 0.05\ndef step(me): me.walk(random.randrange(4))"
    play(tmp_path / "game.rec", Setting(size=24, npcs=40, scripts={"own": own}))
    assert "was sent" in replay(tmp_path / "game.rec").difference


def test_an_exception_in_a_handler_is_counted_and_the_replay_goes_on(tmp_path, monkeypatch, caplog):
    def fail(server, packet, player):
        raise RuntimeError("a bug")

    def disconnect_failed(game, session, packet):
        with pytest.raises(RuntimeError):
            game.on_packet(session, packet)
        game.on_disconnect(session, iocp.Reason.HANDLER_ERROR)

    monkeypatch.setattr(RecordingServer, "process_packet", fail)
    game, writer = server_on(tmp_path / "game.rec")
    game.on_start(Engine())
    for id in (1, 2):
        session = Session(id)
        game.on_connect(session)
        disconnect_failed(game, session, pack_login(encode_name("anna")))
    game.on_stop(Engine())
    writer.close()
    result = replay(tmp_path / "game.rec")
    assert (result.identical, result.complete, result.errors, result.events) == (True, True, 2, 8)
    assert "event 3 of the recording failed" in caplog.text


def test_a_recording_that_was_given_up_costs_no_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(recorder, "CHECK_EVENTS", 10)
    game, writer = server_on(tmp_path / "game.rec")
    writer.failed = True
    game.on_start(Engine())
    session = Session(1)
    game.on_connect(session)
    game.on_packet(session, pack_login(encode_name("anna")))
    for _ in range(400):
        game.on_packet(session, pack_step(-1))
    kept = session.data.session
    assert len(session.sent) == 401 and len(kept._kept) <= 10 and not writer._events


def test_the_command_says_what_came_of_it(tmp_path, capsys):
    path = tmp_path / "game.rec"
    play(path, events=200)
    assert replay_command(ReplayOptions(path, tmp_path / "sent")) == 0
    assert capsys.readouterr().out.startswith("identical: ")
    changed = rewrite(path, without(Received, 100))
    assert replay_command(ReplayOptions(changed)) == 1
    assert capsys.readouterr().out.startswith("different: session ")
    assert replay_command(ReplayOptions(rewrite(path, without(Finished)))) == 0
    assert "has no end" in capsys.readouterr().out


def test_what_cannot_be_replayed_exits_2(tmp_path, capsys):
    path = tmp_path / "game.rec"
    play(path, events=200)
    (tmp_path / "file").write_bytes(b"x")
    damaged = tmp_path / "damaged.rec"
    damaged.write_bytes(path.read_bytes()[:-40] + b"x" * 40)
    stranger = rewrite(path, without(Connected))
    for options, words in [
        (ReplayOptions(tmp_path / "missing.rec"), "missing.rec"),
        (ReplayOptions(tmp_path / "file"), "not a recording"),
        (ReplayOptions(path, tmp_path / "file"), "cannot be written"),
        (ReplayOptions(damaged), "is damaged"),
        (ReplayOptions(stranger), "cannot be replayed beyond event 2"),
    ]:
        assert replay_command(options) == 2
        told = capsys.readouterr()
        assert words in told.err and not told.out


@pytest.mark.parametrize("most_unwritten", [1, 1 << 30], ids=["while it runs", "at its end"])
def test_an_output_on_a_full_disk_exits_2_and_is_no_fault_of_the_game(tmp_path, monkeypatch, capsys, caplog, most_unwritten):
    open_file = Path.open

    def no_room(path, mode="r", **options):
        if mode == "ab":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return open_file(path, mode, **options)

    path = tmp_path / "game.rec"
    play(path)
    monkeypatch.setattr(replaying, "_MOST_UNWRITTEN", most_unwritten)
    monkeypatch.setattr(Path, "open", no_room)
    assert replay_command(ReplayOptions(path, tmp_path / "sent")) == 2
    told = capsys.readouterr()
    assert f"{tmp_path / 'sent'} cannot be written: {os.strerror(errno.ENOSPC)}" in told.err and not told.out
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_output_is_written_while_the_replay_runs(tmp_path, monkeypatch):
    written = []
    flush = replaying._Session.flush

    def noted(session, least=1):
        before = session._written
        flush(session, least)
        written.append((least, session._written - before))

    play(tmp_path / "game.rec")
    monkeypatch.setattr(replaying, "_MOST_UNWRITTEN", 1_000)
    monkeypatch.setattr(replaying._Session, "flush", noted)
    assert replay(tmp_path / "game.rec", output=tmp_path / "sent").identical
    early = [size for least, size in written if least == 1_000]
    assert any(early) and all(size == 0 or size >= 1_000 for size in early)


def test_a_game_option_of_a_newer_version_is_said(tmp_path, capsys):
    path = tmp_path / "game.rec"
    writer = RecordingWriter(path, SETTING, {**OPTIONS, "gravity": 1})
    writer.begin()
    writer.close()
    assert replay_command(ReplayOptions(path)) == 2
    assert "gravity" in capsys.readouterr().err
