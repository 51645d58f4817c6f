"""What clients received over a network is what a replay of the recording sends, in another process too."""

from __future__ import annotations

import os
import time

import iocp
import pytest
from chess_client import TIMEOUT
from commands import run, stop
from iocp.game.kinds import ScriptError
from iocp.game.names import encode_name
from iocp.game.protocol import pack_login, pack_step
from iocp.game.recording import Received, RecordingError, RecordingReader
from iocp.game.replay import replay
from iocp.game.rescue import Record
from iocp.game.server import FRAMING
from crowd import Crowd, Peer
from recorded import HUNTER, files_of, server_on


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
