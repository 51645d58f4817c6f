"""PacketProcess without a network: stand-ins for the sessions and groups, and the same input gives the same output."""

from __future__ import annotations

from random import Random

from iocp.game.names import encode_name
from iocp.game.protocol import pack_login, pack_logout, pack_step
from iocp.game.server import ChessServer
from iocp.game.world import World
from stand_ins import Engine, Session


def run(seed):
    """A game of 10 connections with 500 packets, good and bad; what each session was sent, and the game."""
    game = ChessServer(World(6, seed))
    game.on_start(Engine())
    sessions = [Session(id) for id in range(1, 11)]
    for session in sessions:
        game.on_connect(session)
    inputs = Random(99)
    for _ in range(500):
        session = inputs.choice(sessions)
        if session.end is not None:
            continue
        packet = inputs.choices(
            [pack_login(encode_name(f"p{session.id}")), pack_step(inputs.randrange(-1, 5)),
             pack_step(inputs.randrange(4), 1), pack_logout(), b"\x02\x4d"],
            [0.01, 20, 20, 0.1, 0.1] if session.data.online else [1, 0, 0, 0, 0],
        )[0]  # fmt: skip
        game.on_packet(session, packet)
        if session.end is not None:
            game.on_disconnect(session, session.end)
    return [session.sent for session in sessions], game


def test_the_same_seed_and_packets_give_the_same_bytes():
    sent, game = run(1)
    again, _ = run(1)
    assert sent == again
    assert sent != run(2)[0]
    assert sum(map(len, sent)) > 1000
    assert game.counts.moves and game.counts.logouts and game.counts.violations, "the game had all kinds of packets"


def test_a_login_is_one_send_however_many_are_there():
    game = ChessServer(World(6))
    game.on_start(Engine())
    sessions = [Session(id) for id in range(1, 6)]
    for session in sessions:
        game.on_connect(session)
        game.on_packet(session, pack_login(encode_name(f"p{session.id}")))
    assert [len(packet) for packet in sessions[4].sent] == [18 + 4 * 21]
    assert [len(packet) for packet in sessions[0].sent] == [18, 21, 21, 21, 21]


def test_a_session_counts_as_logged_in_after_its_login():
    game = ChessServer(World(6))
    game.on_start(Engine())
    session = Session(1)
    game.on_connect(session)
    assert not game.logged_in(session)
    game.on_packet(session, pack_login(encode_name("p")))
    assert game.logged_in(session)
