"""Memory that runs out while an engine begins something: what fails is given back, and the engine can be stopped."""

from __future__ import annotations

import importlib.util
import socket

import pytest

from child_process import Child
from ports import free_port
from witness import TIMEOUT

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("_testcapi") is None, reason="this Python comes without _testcapi, which can let allocations fail"
)

BEGINNING = """
import os, socket, sys
import _testcapi
import iocp

backend, port, timeout = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])

def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0

class failing:
    \"\"\"The allocation after the next `number` fails. Of Python's own: malloc() is left alone.\"\"\"

    def __init__(self, number):
        self.number = number

    def __enter__(self):
        _testcapi.set_nomemory(self.number, self.number + 1)

    def __exit__(self, *_):
        _testcapi.remove_mem_hooks()
"""

CONNECTS = """
client = iocp.Client(iocp.Handler(), backend=backend)
client.connect("127.0.0.1", port)
before, made, failed = descriptors(), 1, 0
for number in range(100):
    try:
        with failing(number):
            client.connect("127.0.0.1", port)
            made += 1
    except MemoryError:
        failed += 1
print("failed", failed > 0)
print("made", made == client.stats().sessions)
print("descriptors", descriptors() - before in (0, made - 1))
client.stop(timeout)
print("left", client.stats().sessions, client.stats().ops_in_flight)
"""


def test_a_connect_without_memory_leaves_nothing_that_a_stop_would_wait_for(backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        with Child(BEGINNING + CONNECTS, backend, listener.getsockname()[1], TIMEOUT / 2) as child:
            assert child.finish() == 0, child.output
            assert child.output == ["failed True", "made True", "descriptors True", "left 0 0"]


STARTS = """
class Started(iocp.Handler):
    def on_start(self, server):
        _testcapi.remove_mem_hooks()    # a thread that begins without memory may leave start() waiting for it

def is_free():
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True

failed, bad = 0, []
for number in range(100):
    server = iocp.Server(Started(), "127.0.0.1", port, workers=1, backend=backend)
    try:
        with failing(number):
            server.start()
    except MemoryError:
        failed += 1
        if not is_free():
            bad.append(number)
    server.stop(timeout)
print("failed", failed > 0)
print("listened on", bad)
"""


def test_a_start_without_memory_leaves_no_listener(backend: str) -> None:
    with Child(BEGINNING + STARTS, backend, free_port(), TIMEOUT / 2) as child:
        assert child.finish(3 * TIMEOUT) == 0, child.output
        assert child.output == ["failed True", "listened on []"]
