"""io_uring where a user may lock little memory, against which many kernels count the rings of all processes of who is not root."""

from __future__ import annotations

import sys

import pytest

import iocp
from child_process import Child

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux has io_uring"),
    pytest.mark.skipif("io_uring" not in iocp.available_backends(), reason="io_uring does not work here"),
]

LIMITED = """
import os, resource, sys
import iocp

iocp.Server(iocp.Handler())    # all that is to be imported is, while it may be read
try:
    os.setuid(100_000 + os.getpid())    # nobody else's, whose rings would count as well
except OSError:
    print("no other user here")
    sys.exit()
resource.setrlimit(resource.RLIMIT_MEMLOCK, (int(sys.argv[1]) << 10,) * 2)
"""
REFUSED = """
try:
    iocp.Server(iocp.Handler(), workers=4, backend="io_uring")
except OSError as error:
    print("refused", error.errno, error.strerror)
else:
    print("not counted")
os.environ.pop("IOCP_BACKEND", None)
server = iocp.Server(iocp.Handler(), "127.0.0.1", 0, workers=4)
with server:
    print(server.backend, server.backend_reason)
os.environ["IOCP_BACKEND"] = "io_uring"
try:
    iocp.Server(iocp.Handler(), workers=4)
except OSError as error:
    print("refused", error.errno, error.strerror)
"""
AGAIN = """
for _ in range(100):
    with iocp.Server(iocp.Handler(), "127.0.0.1", 0, workers=2, backend="io_uring"):
        pass
print("all started")
"""


def said(code: str, kilobytes: int) -> list[str]:
    with Child(LIMITED + code, kilobytes) as child:
        exit_code = child.finish()
        if child.output == ["no other user here"]:
            pytest.skip("only root may be somebody without any rings")
        assert exit_code == 0, "\n".join(child.output)
        return child.output


def test_too_little_for_the_rings_is_said_and_the_default_is_epoll_then() -> None:
    first, *rest = said(REFUSED, 64)
    if first == "not counted":
        pytest.skip("this kernel does not count rings as locked memory")
    words = "4 workers' rings are more memory than this user may lock (ulimit -l)"
    assert first.startswith("refused 12 ") and f"{words}: raise the limit" in first
    assert rest[0] == f"epoll the best that works here; io_uring is not available: {words}"
    assert rest[1] == first, "what is asked for is never changed silently"


def test_rings_that_were_closed_make_room_for_others() -> None:
    """The kernel takes them down in the background, and counts them until then."""
    assert said(AGAIN, 1024) == ["all started"]
