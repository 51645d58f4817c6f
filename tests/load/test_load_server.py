"""What the load tool learns of the server's process, and of where the players stand."""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
from array import array
from collections.abc import Iterator

import pytest

pytest.importorskip("hdrh")

import iocp
from iocp.game.server import FRAMING, ChessServer
from iocp.game.world import World
from iocp.load.server import ServerWatch, _is_reached
from playing import Play

LISTENER = """
import socket, sys
listener = socket.create_server((sys.argv[1], 0))
print(listener.getsockname()[1], flush=True)
for line in sys.stdin:
    sum(range(3_000_000))
    print("worked", flush=True)
"""
knows_processes = pytest.mark.skipif(
    sys.platform != "linux" and importlib.util.find_spec("psutil") is None, reason="needs /proc or psutil"
)


@pytest.fixture(params=["127.0.0.1", "0.0.0.0"])
def listener(request: pytest.FixtureRequest) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that listens, and works when it is told to."""
    child = subprocess.Popen(
        [sys.executable, "-c", LISTENER, request.param], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None and child.stdin is not None
    with child:
        yield child, int(child.stdout.readline())
        child.stdin.close()


@knows_processes
def test_listening_process_is_found_with_its_time_and_memory(listener: tuple[subprocess.Popen[str], int]) -> None:
    child, port = listener
    assert child.stdin is not None and child.stdout is not None
    watch = ServerWatch("127.0.0.1", port)
    child.stdin.write("work\n")
    child.stdin.flush()
    child.stdout.readline()
    sample = watch.sample()
    assert sample is not None
    assert sample.name.startswith("python")
    assert 0 < sample.cpu < 1.5
    assert 1_000_000 < sample.memory < 1_000_000_000


@knows_processes
def test_process_that_has_gone_gives_no_samples(listener: tuple[subprocess.Popen[str], int]) -> None:
    child, port = listener
    watch = ServerWatch("127.0.0.1", port)
    child.kill()
    child.wait()
    assert watch.sample() is None


def test_own_process_is_not_taken_for_the_server() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        assert ServerWatch("127.0.0.1", own.getsockname()[1]).sample() is None


def test_server_elsewhere_is_not_looked_for() -> None:
    assert ServerWatch("192.0.2.1", 80).sample() is None


@pytest.mark.parametrize(
    ("listening", "host", "reached"),
    [
        ("127.0.0.1", "127.0.0.1", True), ("0.0.0.0", "127.0.0.1", True), ("::", "127.0.0.1", True), ("::", "::1", True),
        ("::ffff:127.0.0.1", "127.0.0.1", True), ("127.0.0.2", "127.0.0.1", False), ("0.0.0.0", "::1", False),
        ("::1", "127.0.0.1", False),
    ],
)  # fmt: skip
def test_who_is_reached_at_an_address(listening: str, host: str, reached: bool) -> None:
    assert _is_reached(listening, host) is reached


def test_snapshots_know_where_players_stand(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    server = iocp.Server(ChessServer(World(20, 1)), workers=1, backend=backend, framing=FRAMING)
    balanced.append(server)
    server.start()
    try:
        report = play(server.address[1], clients=10, rate=20.0)
    finally:
        server.stop()
    # Also at the end of the ramp, when all are in: a machine that stood still has only one interval of the window to show.
    places = [array("h", snapshot.positions) for snapshot in report.snapshots if snapshot.playing == 10]
    assert sum(snapshot.phase == "hold" for snapshot in report.snapshots) > 0
    assert all(len(array("h", snapshot.positions)) == 20 for snapshot in report.snapshots if snapshot.phase == "hold")
    assert all(0 <= part < 20 for found in places for part in found)
    assert len({tuple(found) for found in places}) > 1, "nobody has moved"
