"""The client's connection: to servers that are absent, full, something else; lost and made again; taken over by somebody else."""

from __future__ import annotations

import socket
import threading
import time

import iocp
import pytest
from chess_client import ChessClient
from iocp.game.play import connection as module
from iocp.game.play.connection import CONNECT_TIMEOUT, LOGIN_TIMEOUT, SILENCE, State
from iocp.game.play.play import arrive
from iocp.game.protocol import LoginFail, pack_login_fail, pack_login_ok
from iocp.game.server import FRAMING, ChessServer
from iocp.game.violation import ProtocolError
from iocp.game.world import World
from play_client import TIMEOUT, Client
from ports import free_port


@pytest.fixture
def join(backend):
    """A function that starts a client on this backend."""
    started = []

    def join(address, name="anna", **options):
        started.append(Client(address, name, backend=backend, **options))
        return started[-1]

    yield join
    for client in started:
        client.stop()
        stats = client.connection.client.stats()
        assert (stats.sessions, stats.ops_in_flight, stats.buffers_in_use) == (0, 0, 0)


@pytest.fixture
def server_at(backend, balanced):
    """A function that starts a chess server on a port; 0 for a free one."""

    def start(port=0):
        server = iocp.Server(ChessServer(World(20, view=20)), "127.0.0.1", port, workers=1, backend=backend, framing=FRAMING)
        server.start()
        balanced.append(server)
        return server

    return start


def test_a_client_logs_in_measures_the_round_trip_and_leaves(start_chess, join):
    chess = start_chess(size=20)
    anna = join(chess.server.address).arrive()
    ben = join(chess.server.address, "ben").arrive()
    anna.until(lambda: [other.name for other in anna.model.others.values()] == ["ben"])
    assert 0 < anna.model.round_trip < TIMEOUT
    assert chess.handler.world.names["anna"].knows == 3
    ben.stop()
    anna.until(lambda: not anna.model.others)
    assert chess.handler.counts.logouts == 1


def test_it_is_the_librarys_own_connection(start_chess, join, backend):
    chess = start_chess(size=20)
    anna = join(chess.server.address).arrive()
    assert isinstance(anna.connection.client, iocp.Client) and anna.connection.client.backend == backend
    assert anna.connection.client.stats().packets_received > 0


def test_no_server_says_how_to_start_one(join, closed_port):
    anna = join(("127.0.0.1", closed_port))
    anna.until(lambda: anna.connection.state is State.REFUSED)
    assert f"no server at 127.0.0.1:{closed_port}" in anna.connection.why
    assert f"iocp-chess serve --port {closed_port}" in anna.connection.why


def test_an_unknown_host_is_named(join):
    anna = join(("no-such-host.invalid", 3500))
    anna.until(lambda: anna.connection.state is State.REFUSED)
    assert "no-such-host.invalid" in anna.connection.why and "--host" in anna.connection.why


class SlowNames:
    """A resolver that answers when it is told to; with `fails` not even then."""

    def __init__(self, monkeypatch, address="127.0.0.1", fails=False):
        self.asked, self.go_on = threading.Event(), threading.Event()
        self._address, self._fails = address, fails
        monkeypatch.setattr(socket, "getaddrinfo", self._answer)

    def _answer(self, host, *arguments, **options):
        self.asked.set()
        assert self.go_on.wait(TIMEOUT)
        if self._fails:
            raise socket.gaierror(socket.EAI_AGAIN, "not now")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (self._address, 0))]


def test_a_slow_look_up_of_the_name_holds_up_neither_frames_nor_the_end(join, monkeypatch):
    names = SlowNames(monkeypatch)
    anna = join(("chess.invalid", 3500))
    try:
        assert names.asked.wait(TIMEOUT)
        for _ in range(20):
            anna.turn()
        assert anna.connection.state is State.CONNECTING
        anna.connection.client.request_stop()
        assert not arrive(anna.connection), "Ctrl-C needs no answer"
    finally:
        names.go_on.set()


def test_a_name_is_looked_up_again_for_each_connection_while_frames_go_on(server_at, join, monkeypatch):
    server = server_at(free_port())
    names = SlowNames(monkeypatch)
    names.go_on.set()
    anna = join(("chess.invalid", server.address[1])).arrive()
    names.asked.clear()
    names.go_on.clear()
    server.stop()
    anna.until(names.asked.is_set)
    for _ in range(20):
        anna.turn()
    assert anna.connection.state is State.CONNECTING
    server_at(server.address[1])
    names.go_on.set()
    anna.until(lambda: anna.connection.online)


def test_a_name_that_was_known_before_is_no_wrong_argument(server_at, join, monkeypatch):
    server = server_at(free_port())
    SlowNames(monkeypatch).go_on.set()
    anna = join(("chess.invalid", server.address[1])).arrive()
    SlowNames(monkeypatch, fails=True).go_on.set()
    server.stop()
    anna.until(lambda: "cannot look up host 'chess.invalid' now" in anna.connection.why)
    assert "--host" not in anna.connection.why and "trying again" in anna.connection.notice(0.0)


def test_a_server_that_does_not_answer_is_not_waited_for_for_ever(join, monkeypatch):
    monkeypatch.setattr(module, "CONNECT_TIMEOUT", 0.05)
    anna = join(("192.0.2.1", 3500))
    anna.until(lambda: anna.connection.state is State.REFUSED)
    # Some networks say at once that there is no way there.
    assert "192.0.2.1:3500" in anna.connection.why


def test_something_that_is_no_chess_server_is_told_from_one(join):
    with socket.create_server(("127.0.0.1", 0)) as other:
        anna = join(other.getsockname())
        other.accept()[0].close()
        anna.until(lambda: anna.connection.state is State.REFUSED)
    assert "chess server" in anna.connection.why


def test_a_server_that_takes_the_connection_and_says_nothing_is_given_up(join):
    with socket.create_server(("127.0.0.1", 0)) as other:
        anna = join(other.getsockname())
        there, _ = other.accept()
        with there:
            # Its login: the connection is made.
            assert there.recv(100)
            began = anna.connection._began
            anna.connection.poll(began + CONNECT_TIMEOUT + LOGIN_TIMEOUT - 1)
            assert anna.connection.state is State.CONNECTING
            anna.connection.poll(began + CONNECT_TIMEOUT + LOGIN_TIMEOUT)
            assert anna.connection.state is State.REFUSED and "does not answer the login" in anna.connection.why


def test_a_server_that_says_nothing_any_more_is_left_and_connected_to_again(join):
    with socket.create_server(("127.0.0.1", 0)) as other:
        anna = join(other.getsockname())
        there, _ = other.accept()
        with there:
            there.sendall(pack_login_ok(1, 2, 3, 100, 1, 0))
            anna.until(lambda: anna.connection.online)
            sent_at = anna.model.unanswered[0][1]
            anna.connection.poll(sent_at + SILENCE - 1)
            assert anna.connection.online
            anna.connection.poll(sent_at + SILENCE)
            # By that clock the next attempt is due as well.
            assert anna.connection.state is State.CONNECTING
            assert anna.connection.notice(0.0).endswith(f"for {SILENCE:g} s: the server hangs, or the network is down; connecting again ...")
            again, _ = other.accept()
            with again:
                again.sendall(pack_login_ok(2, 2, 3, 100, 1, 0))
                anna.until(lambda: anna.connection.online)
                assert anna.model.me.id == 2


def test_why_an_earlier_connection_ended_is_not_why_a_later_one_does(join, closed_port):
    anna = join(("127.0.0.1", closed_port))
    anna.model.told(pack_login_fail(LoginFail.NAME_TAKEN, "somebody else"), 0.0)
    anna.until(lambda: anna.connection.state is not State.CONNECTING)
    anna.connection.state = State.TAKEN
    anna.connection.again()
    anna.until(lambda: anna.connection.state is not State.CONNECTING)
    assert anna.connection.state is State.REFUSED and "no server at" in anna.connection.why


def test_an_attempt_to_connect_after_ctrl_c_is_none(join, closed_port):
    anna = join(("127.0.0.1", closed_port))
    anna.connection.client.request_stop()
    anna.connection.state, anna.connection.logins = State.LOST, 1
    anna.connection.poll(time.perf_counter() + 100)
    assert anna.connection.state is State.LOST and anna.connection.client.wait(0)


def test_a_full_server_says_so(start_chess, join):
    chess = start_chess(size=20, most_players=1)
    chess.player("first")
    anna = join(chess.server.address)
    anna.until(lambda: anna.connection.state is State.REFUSED)
    assert "is full" in anna.connection.why and "(1 player is here, no more are let in)" in anna.connection.why and "later" in anna.connection.why


@pytest.mark.parametrize("name", ["", "  ", "eleven byte", "한글한글", "a\tb"])
def test_a_wrong_name_is_refused_before_anything_is_sent(name):
    with pytest.raises(ProtocolError, match="name"):
        Client(("127.0.0.1", 1), name)


def test_a_korean_name_in_code_page_949(start_chess, join):
    chess = start_chess(size=20, name_encoding="cp949")
    anna = join(chess.server.address, "홍길동님짱", name_encoding="cp949").arrive()
    ben = join(chess.server.address, "ben").arrive()
    ben.until(lambda: [other.name for other in ben.model.others.values()] == ["홍길동님짱"])
    assert list(chess.handler.world.names) == ["홍길동님짱", "ben"] and anna.model.me.name == "홍길동님짱"


def test_a_lost_connection_is_told_of_and_made_again_when_the_server_is_back(server_at, join):
    server = server_at(free_port())
    anna = join(server.address).arrive()
    anna.model.note("before", 0.0)
    server.stop()
    anna.until(lambda: anna.connection.state is State.LOST)
    notice = anna.connection.notice(0.0)
    assert "ended" in notice and "trying again in" in notice
    # Nobody is there: it goes on to try.
    anna.until(lambda: "no server at" in anna.connection.why)
    again = server_at(server.address[1])
    anna.until(lambda: anna.connection.online, "the connection")
    anna.until(lambda: not anna.model.unanswered)
    assert anna.connection.notice(0.0) == "" and anna.connection.logins == 2
    assert [line.text for line in anna.model.log] == ["before", "connected again"]
    player = again.handler.world.names["anna"]
    assert (anna.model.me.id, anna.model.me.x, anna.model.me.y) == (player.id, player.x, player.y)


def test_attempts_come_slower_and_slower_and_at_once_if_the_player_wants(server_at, join, monkeypatch):
    server = server_at(free_port())
    anna = join(server.address).arrive()
    monkeypatch.setattr(module, "RETRY_AFTER", (0.0, 0.0, 1e6))
    server.stop()
    anna.until(lambda: anna.connection.state is State.LOST and anna.connection._attempts == 2)
    server_at(server.address[1])
    for _ in range(20):
        anna.turn()
    assert anna.connection.state is State.LOST
    anna.connection.again()
    anna.until(lambda: anna.connection.online)


def test_who_is_taken_over_is_told_and_does_not_fight_back(start_chess, join):
    chess = start_chess(size=20)
    anna = join(chess.server.address).arrive()
    thief = join(chess.server.address).arrive()
    anna.until(lambda: anna.connection.state is State.TAKEN)
    assert "somebody else has logged in as anna" in anna.connection.notice(0.0)
    for _ in range(200):
        anna.turn()
    assert anna.connection.state is State.TAKEN and thief.connection.online and chess.handler.counts.logins == 2
    # Only because the player wants it.
    anna.connection.again()
    anna.until(lambda: anna.connection.online)
    thief.until(lambda: thief.connection.state is State.TAKEN)


def test_a_full_server_is_tried_again_by_whoever_was_there_before(backend, server_at, join, monkeypatch):
    monkeypatch.setattr(module, "RETRY_AFTER", (0.05,))
    server = server_at(free_port())
    anna = join(server.address).arrive()
    server.stop()
    anna.until(lambda: anna.connection.state is State.LOST)
    again = server_at(server.address[1])
    again.handler._most_players = 0
    anna.until(lambda: "is full" in anna.connection.why)
    assert anna.connection.state in (State.LOST, State.CONNECTING)
    again.handler._most_players = 1
    anna.until(lambda: anna.connection.online)


def test_who_stands_still_measures_the_round_trip_and_is_no_idle_client(start_chess, join, monkeypatch):
    monkeypatch.setattr(module, "PING_EVERY", 0.05)
    chess = start_chess(size=20)
    anna = join(chess.server.address).arrive()
    answers = anna.model.answers
    anna.until(lambda: anna.model.answers >= answers + 3)
    assert chess.handler.counts.moves == 0 and not chess.handler.counts.violations


def test_old_clients_beside_it_are_told_the_six_packets_only(start_chess, join):
    chess = start_chess(size=8)
    old = ChessClient(chess.server.address)
    chess.clients.append(old)
    old.login("old")
    anna = join(chess.server.address).arrive()
    anna.connection.step(0, 1.0)
    anna.until(lambda: not anna.model.unanswered)
    anna.stop()
    types = set()
    while 3 not in types:
        types.add(old.read_packet()[1])
    assert types <= {0, 1, 2, 3}
