"""The page with a server's numbers, among peers that say nothing, go away and come in crowds."""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
import urllib.request
from socketserver import TCPServer

import pytest
from chess_client import TIMEOUT
from ports import reset_when_closed

pytest.importorskip("prometheus_client", reason="needs prometheus-client (the extra metrics)")

from iocp.game import page
from iocp.game.metrics import Metrics, MetricsError
from iocp.game.vitals import vitals


class Watched:
    """The page of a chess server, and its peers."""

    def __init__(self, chess):
        self.fails = False
        self.metrics = Metrics("127.0.0.1", 0, lambda: self._look(chess))
        self.peers = []

    def _look(self, chess):
        if self.fails:
            raise RuntimeError("no numbers today")
        return vitals(chess.handler, chess.server, None)

    @property
    def threads(self):
        """Those that answer a connection each."""
        return sum("process_request_thread" in thread.name for thread in threading.enumerate())

    def connect(self):
        peer = socket.create_connection(("127.0.0.1", self.metrics.port), TIMEOUT)
        self.peers.append(peer)
        return peer

    def read(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics.port}/metrics", timeout=TIMEOUT) as answer:
            return answer.read().decode()

    def until_at_rest(self):
        deadline = time.monotonic() + TIMEOUT
        while self.threads:
            assert time.monotonic() < deadline, "a connection still has its thread"
            time.sleep(0.002)


@pytest.fixture
def watched(chess):
    watched = Watched(chess)
    yield watched
    for peer in watched.peers:
        peer.close()
    watched.metrics.stop()


def until_closed(peer):
    """Wait until the page closes this connection."""
    try:
        assert peer.recv(1) == b""
    except ConnectionError:
        pass  # So it is told elsewhere.


def test_peers_that_say_nothing_get_few_threads_and_only_for_a_while(watched, monkeypatch):
    monkeypatch.setattr(page._Look, "timeout", 0.5)
    peers = [watched.connect() for _ in range(50)]
    for peer in peers[page.MOST_CONNECTIONS :]:
        until_closed(peer)
    assert watched.threads <= page.MOST_CONNECTIONS
    for peer in peers:
        until_closed(peer)
    watched.until_at_rest()
    assert "iocp_chess_players 0.0" in watched.read()


def test_peers_that_drip_bytes_get_a_while_and_no_more(watched, monkeypatch):
    monkeypatch.setattr(page, "_MOST_SECONDS", 0.5)
    dripping = [watched.connect() for _ in range(page.MOST_CONNECTIONS)]
    deadline = time.monotonic() + TIMEOUT
    while dripping:
        assert time.monotonic() < deadline, "a peer that drips bytes keeps its connection"
        for peer in dripping[:]:
            peer.settimeout(0.01)
            try:
                peer.sendall(b"x")
                closed = peer.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                closed = True
            assert closed
            dripping.remove(peer)
    watched.until_at_rest()
    assert "iocp_chess_players 0.0" in watched.read()


def test_a_look_at_the_head_alone_is_answered(watched):
    address = urllib.request.Request(f"http://127.0.0.1:{watched.metrics.port}/metrics", method="HEAD")
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        assert (answer.status, answer.read()) == (200, b"")


def test_two_servers_do_not_share_a_port(watched):
    """As Windows would let them, who use SO_REUSEADDR."""
    with pytest.raises(MetricsError, match="choose another port"):
        Metrics("127.0.0.1", watched.metrics.port, lambda: None)


def test_peers_that_went_leave_room_for_others(watched):
    for _ in range(2 * page.MOST_CONNECTIONS):
        peer = watched.connect()
        peer.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        assert peer.recv(12) == b"HTTP/1.0 200"
        watched.until_at_rest()


def test_a_reset_is_nothing_to_tell(watched, capsys, caplog):
    for request in (b"", b"GET /me", b"GET /metrics HTTP/1.1\r\n\r\n"):
        peer = watched.connect()
        peer.sendall(request)
        reset_when_closed(peer)
        peer.close()
    assert "iocp_chess_players" in watched.read(), "which came after them"
    watched.until_at_rest()
    assert capsys.readouterr().err == "" and not caplog.records


def test_an_error_is_one_line_in_the_log(watched, capsys, caplog):
    watched.fails = True
    with pytest.raises(OSError):
        watched.read()
    watched.until_at_rest()
    assert [record.levelno for record in caplog.records] == [logging.WARNING] and "no numbers today" in caplog.text
    assert capsys.readouterr().err == "" and caplog.records[0].exc_info is None
    watched.fails = False
    assert "iocp_chess_players" in watched.read()


def test_without_a_descriptor_for_a_connection_it_pauses(watched, monkeypatch):
    pauses, failures = [], [OSError(errno.EMFILE, "too many open files")] * 2
    accept = TCPServer.get_request

    def fail_at_first(server):
        if failures:
            raise failures.pop()
        return accept(server)

    monkeypatch.setattr(TCPServer, "get_request", fail_at_first)
    monkeypatch.setattr(page, "sleep", pauses.append)
    assert "iocp_chess_players" in watched.read()
    assert len(pauses) == 2
