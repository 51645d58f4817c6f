"""A recorded game run again: byte for byte what was sent, also in another process, and every difference is found and placed."""

from __future__ import annotations

import errno
import logging
import os
import time
from hashlib import blake2b
from pathlib import Path
from random import Random

import iocp
import pytest
from chess_client import TIMEOUT
from commands import run, stop
from iocp.game import recorder
from iocp.game import replay as replaying
from iocp.game.kinds import ScriptError
from iocp.game.names import encode_name
from iocp.game.protocol import pack_attack, pack_login, pack_say, pack_step, pack_teleport
from iocp.game.recorder import RecordingServer
from iocp.game.recording import (
    Check,
    Connected,
    Finished,
    Known,
    Received,
    RecordingError,
    RecordingReader,
    RecordingWriter,
    ScriptChanged,
    Ticked,
    Total,
)
from iocp.game.replay import ReplayOptions, replay, replay_command
from iocp.game.rescue import Record
from iocp.game.server import FRAMING
from iocp.game.setting import Setting
from crowd import Crowd, Peer
from stand_ins import Engine, Session, Timer

HUNTER = """
O_TYPE, HEALTH, DAMAGE, SECONDS, EXP = 4, 20, 30, 0.05, 60

def step(me):
    me.memory["steps"] = me.memory.get("steps", 0) + 1
    prey = me.angry_at or me.nearest(within=5)
    if prey is None:
        me.wander()
    elif not me.attack(prey):
        me.chase(prey)
    if me.memory["steps"] % 20 == 0:
        me.say(f"step {me.memory['steps']}, {me.random():.17f}")
"""
ROAMER = "SECONDS = 0.1\ndef step(me): me.wander(within=3)"
SETTING = Setting(
    size=24, seed=11, view=6, crowd=12, move_interval=0.02, percent=8, npcs=40, scripts={"hunter": HUNTER, "roamer": ROAMER}
)
OPTIONS = {"timed": True, "name_encoding": "utf-8", "most_players": 24, "obstacles": SETTING.obstacles}


def server_on(path, setting=SETTING, options=OPTIONS, **others):
    """A game that records itself, and its recording."""
    writer = RecordingWriter(path, setting, options)
    return RecordingServer(setting.build(), recording=writer, **others, **options), writer


# Without a network: the same small game, as often as wanted.


class Clock(Engine):
    """An engine whose one timer the test drives."""

    def call_every(self, interval, function, *arguments):
        self.timer = Timer()
        self.tick = function
        return self.timer


def play(path, setting=SETTING, events=3_000, seed=5):
    """A game of 12 connections, whose packets are good and bad; what each session was sent, by its id."""
    now = [12_345.678]
    game, writer = server_on(path, setting, clock=lambda: now[0])
    game.world.records = {"p3": Record("p3", 5, 5, 60, 4, 900), "p99": Record("p99", 1, 1, 1, 1, 1)}
    engine, inputs = Clock(), Random(seed)
    game.on_start(engine)
    sessions, all_sessions = [], []
    for number in range(events):
        now[0] += inputs.random() * 0.01
        if len(sessions) < 12:
            sessions.append(Session(len(all_sessions) + 1))
            all_sessions.append(sessions[-1])
            game.on_connect(sessions[-1])
        if number == events // 2:
            game.install_script("roamer", ROAMER.replace("0.1", "0.2"))
        if game.world.busy and number % 4 == 0 and engine.timer.active:
            engine.tick()
        session = inputs.choice(sessions)
        game.on_packet(session, packet_of(session, inputs))
        if session.end is not None or inputs.random() < 0.003:
            game.on_disconnect(session, iocp.Reason.PEER_CLOSED if session.end is None else session.end)
            sessions.remove(session)
    game.on_stop(engine)
    sent = {session.id: b"".join(session.sent) for session in all_sessions}
    for session in sessions:
        game.on_disconnect(session, iocp.Reason.SERVER_STOPPED)
    writer.close()
    assert not writer.failed
    return sent


def packet_of(session, inputs):
    if not session.data.online:
        return pack_login(encode_name(f"p{inputs.randrange(9)}"), inputs.choice([None, 0, 1, 2]))
    return inputs.choices(
        [pack_step(inputs.randrange(-1, 4), inputs.randrange(2**32)), pack_step(inputs.randrange(4)), pack_attack(),
         pack_say("hello"), pack_teleport(inputs.randrange(24), inputs.randrange(24)), pack_teleport(), b"\x02\x4d"],
        [30, 30, 10, 1, 1, 1, 0.1],
    )[0]  # fmt: skip


def files_of(folder):
    return {int(path.stem): path.read_bytes() for path in folder.iterdir()}


def rewrite(path, change):
    """The recording with other events: what `change` makes of their list."""
    with RecordingReader(path) as reader:
        events, setting, game = list(reader), reader.setting, reader.game
    changed = path.with_name("changed.rec")
    writer = RecordingWriter(changed, setting, game)
    writer.begin()
    for event in change(events):
        writer.write(event)
    writer.close()
    return changed


def index_of(events, condition, after=0):
    return next(number for number, event in enumerate(events) if number >= after and condition(event))


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


# Over a network.


def play_over_a_network(game, server):
    """A game in which everything happens; its crowd, of whom some are still there when the server stops."""
    crowd = Crowd(server.address)
    for number in range(24):
        crowd.come(f"p{number}", [None, 0, 1, 2, 2, 2][number % 6])
    late = Peer(server.address, True)
    late.send(pack_login(encode_name("late"), 1))
    crowd.ended(late, crowd.told_all)
    world = game.world

    def everything():
        return (
            world.monsters.steps > 500 and game.counts.ticks > 60 and world.monsters.kills > 0 and world.combat.deaths > 0
            and world.view.crowd.looked_at > 1_000 and any(player.ticked for player in list(world.players.values()))
        )  # fmt: skip

    def install(name, text):
        try:
            game.install_script(name, text)
        except ScriptError:
            assert text == "def"

    deadline = time.monotonic() + TIMEOUT
    crowd.round()
    for name, text in [("hunter", HUNTER.replace("30", "40")), ("hunter", "def"), ("roamer", "def step(me): me.fly()")]:
        server.post(install, name, text)
    earlier = crowd.here[3]
    crowd.come("p3", 1)
    crowd.ended(earlier, crowd.told_all)
    crowd.here[0].send(b"\x02\x4d")
    crowd.ended(crowd.here[0], crowd.cut_off)
    while not everything():
        ticks = game.counts.ticks
        crowd.round()
        while game.counts.ticks == ticks:
            assert time.monotonic() < deadline, "not everything happened in time"
            time.sleep(0.002)
    for peer in crowd.here[:4]:
        peer.logout()
        crowd.ended(peer, crowd.told_all)
    for peer in crowd.here[:4]:
        peer.close()
        crowd.cut_off.append(peer)
        crowd.here.remove(peer)
    crowd.round()
    for peer in crowd.here:
        peer.catch_up()
    return crowd


@pytest.mark.timeout(300)
def test_what_clients_received_over_a_network_is_what_a_replay_sends(backend, tmp_path):
    path = tmp_path / "game.rec"
    game, writer = server_on(path)
    game.world.records = {f"p{number}": Record(f"p{number}", number, 3, 50, 2, 150) for number in range(0, 40, 2)}
    with iocp.Server(game, "127.0.0.1", 0, workers=2, backend=backend, framing=FRAMING) as server:
        crowd = play_over_a_network(game, server)
    assert crowd.here, "some were there to the end, and have received everything up to it"
    for peer in crowd.here[:]:
        crowd.ended(peer, crowd.told_all)
    writer.close()
    assert server.stats().handler_errors == 0 and not writer.failed

    result = replay(path, output=tmp_path / "sent")
    assert (result.difference, result.complete, result.errors) == ("", True, 0)
    sent = files_of(tmp_path / "sent")
    assert result.sessions == len(sent) == len(crowd.told_all) + len(crowd.cut_off) == 26
    assert result.sent == sum(map(len, sent.values()))
    for peer in crowd.told_all:
        assert sent[peer.id] == peer.log if peer.id else bytes(peer.log) in sent.values()
    for peer in crowd.cut_off:
        assert sent[peer.id].startswith(peer.log)
    for peer in crowd.told_all + crowd.cut_off:
        peer.close()

    # Another process, another order of hashes.
    done = run("replay", str(path), "--output", str(tmp_path / "again"), env={**os.environ, "PYTHONHASHSEED": "4711"})
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("identical: ")
    assert files_of(tmp_path / "again") == sent


@pytest.mark.timeout(300)
@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_what_serve_has_recorded_is_replayed_as_far_as_it_goes(serve, tmp_path, killed):
    path = tmp_path / "game.rec"
    server = serve("--record", str(path), "--world", "20", "--npcs", "30", "--obstacles", "5")
    anna = Peer(server.address, True)
    anna.login("anna", 2)
    anna.catch_up()
    if killed:
        deadline = time.monotonic() + TIMEOUT
        while pack_step(-1, 1) not in [event.packet for event in events_so_far(path) if isinstance(event, Received)]:
            assert time.monotonic() < deadline, "the packet did not get into the file in time"
            time.sleep(0.01)
        server.process.kill()
        server.process.communicate()
    else:
        server.end(stop)
    anna.read_to_end()
    anna.close()
    done = run("replay", str(path), "--output", str(tmp_path / "sent"))
    assert (done.returncode, "has no end" in done.stdout) == (0, killed), done.stderr
    sent = files_of(tmp_path / "sent")[1]
    assert len(anna.log) > 18 and (sent == anna.log or (killed and (sent.startswith(anna.log) or anna.log.startswith(sent))))


def events_so_far(path):
    try:
        with RecordingReader(path) as reader:
            return list(reader)
    except RecordingError:
        return []  # Not even its header is there yet.


def test_a_server_whose_handlers_may_overlap_is_refused_before_anything_is_recorded(tmp_path, backend):
    path = tmp_path / "game.rec"
    game, writer = server_on(path)
    server = iocp.Server(game, backend=backend, framing=FRAMING, concurrent=True)
    with pytest.raises(ValueError, match="concurrent=False"):
        server.start()
    assert not server.running and not game._recording
    writer.close()
