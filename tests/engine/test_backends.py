"""Which backend is used and why: forced, chosen, refused; and what `python -m iocp` says of it."""

from __future__ import annotations

import errno
import os
import platform
import socket
import subprocess
import sys

import pytest

import iocp
from child_process import Child
from seccomp import DENY, linux_x86_64
from witness import TIMEOUT, Witness, packet, read_exactly

ALL = ("iocp", "io_uring", "epoll")
FOREIGN = ("io_uring", "epoll") if sys.platform == "win32" else ("iocp",)


@pytest.fixture(autouse=True)
def unforced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the tests themselves are run with."""
    monkeypatch.delenv("IOCP_BACKEND", raising=False)


def test_best_working_backend_is_taken() -> None:
    server = iocp.Server(Witness())
    assert server.backend == iocp.available_backends()[0] == server.stats().backend
    assert server.backend_reason.startswith("the best that works here: ")


def test_report_names_every_backend_of_this_system_with_a_reason() -> None:
    report = iocp.backend_report()
    assert [name for name, _, _ in report] == [name for name in ALL if name not in FOREIGN]
    assert all(reason and isinstance(works, bool) for _, works, reason in report)
    assert iocp.available_backends() == [name for name, works, _ in report if works]


def test_backend_argument_forces(backend: str) -> None:
    server = iocp.Server(Witness(), backend=backend)
    assert server.backend == backend
    assert server.backend_reason.startswith("asked for with backend: ")
    assert iocp.Client(Witness(), backend=backend).backend == backend


def test_environment_forces(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCP_BACKEND", backend)
    with iocp.Server(Witness(echo=True)) as server, socket.create_connection(server.address, timeout=TIMEOUT) as peer:
        assert server.backend == backend
        assert server.backend_reason.startswith("asked for with IOCP_BACKEND: ")
        peer.sendall(packet("x"))
        assert read_exactly(peer, 2) == packet("x")


def test_argument_is_stronger_than_the_environment(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCP_BACKEND", "nonsense")
    assert iocp.Server(Witness(), backend=backend).backend == backend


def test_empty_environment_forces_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCP_BACKEND", "")
    assert iocp.Server(Witness()).backend == iocp.available_backends()[0]


@pytest.mark.parametrize("name", ["kqueue", "IOCP", "io-uring", "", 7])
def test_unknown_backend(name: object) -> None:
    with pytest.raises(ValueError, match=r"backend must be one of iocp, io_uring, epoll, not"):
        iocp.Server(Witness(), backend=name)


def test_unknown_backend_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IOCP_BACKEND", "kqueue")
    for make in (iocp.Server, iocp.Client):
        with pytest.raises(ValueError, match="IOCP_BACKEND must be one of iocp, io_uring, epoll, not 'kqueue'"):
            make(Witness())


# Named so that the count of tests by backend does not take it for a run on that backend.
@pytest.mark.parametrize("name", FOREIGN, ids="not {}".format)
def test_another_system_s_backend(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeError, match=f"backend='{name}' is another system's; this one has "):
        iocp.Server(Witness(), backend=name)
    monkeypatch.setenv("IOCP_BACKEND", name)
    with pytest.raises(RuntimeError, match=f"IOCP_BACKEND='{name}' is another system's"):
        iocp.Client(Witness())


def ask(**environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iocp"],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=TIMEOUT,
    )


def test_python_m_iocp_tells_backend_and_limits() -> None:
    said = ask()
    assert (said.returncode, said.stderr) == (0, "")
    assert f"pyiocp {iocp.__version__} on Python {platform.python_version()}" in said.stdout
    assert f"backend: {iocp.available_backends()[0]}\n" in said.stdout
    for name, works, reason in iocp.backend_report():
        assert f"{name:9} {'works' if works else 'does not work'}: {reason}" in said.stdout
    for limit in ("open files", "outgoing ports", "accept backlog", "processors"):
        assert limit in said.stdout


def test_python_m_iocp_tells_of_a_forced_backend(backend: str) -> None:
    said = ask(IOCP_BACKEND=backend)
    assert said.returncode == 0
    assert f"backend: {backend} (forced by IOCP_BACKEND)" in said.stdout


def test_python_m_iocp_fails_for_a_backend_that_does_not_work() -> None:
    said = ask(IOCP_BACKEND=FOREIGN[0])
    assert said.returncode == 1
    assert f"IOCP_BACKEND={FOREIGN[0]} does not work here: unset it, or choose from " in said.stdout


# ---- io_uring denied, as containers deny it ----


DENIED = """
import runpy, sys

if not deny_system_call(425, None, 1):  # io_uring_setup fails with EPERM
    print("no seccomp here")
    sys.exit()

import iocp, socket

class Echo(iocp.Handler):
    def on_packet(self, session, packet):
        session.send(packet)

with iocp.Server(Echo()) as server:
    with socket.create_connection(server.address) as peer:
        peer.sendall(b"\\2x")
        print("echo", peer.recv(2))
    print("backend", server.backend)
    print("reason", server.backend_reason)
print("report", iocp.backend_report()[0])
try:
    iocp.Server(Echo(), backend="io_uring")
except RuntimeError as error:
    print("forced", error)
sys.argv = ["iocp"]
runpy.run_module("iocp", run_name="__main__")
"""


@linux_x86_64
def test_io_uring_denied_falls_back_to_epoll_and_says_why() -> None:
    if "io_uring" not in iocp.available_backends():
        pytest.skip("io_uring does not work here even without the filter")
    with Child(DENY + DENIED) as child:
        code = child.finish()
        if child.output[0] == "no seccomp here":
            pytest.skip("seccomp is not allowed here")
        said = "\n".join(child.output)
        assert code == 0, said
        assert child.output[0] == "echo b'\\x02x'"
        assert child.output[1] == "backend epoll"
        cause = "denied: most likely a container's seccomp profile"
        assert child.output[2].startswith("reason the best that works here: ")
        assert f"; io_uring is not available: {cause}" in child.output[2]
        assert child.output[3].startswith("report ('io_uring', False, " + repr(cause)[0])
        assert child.output[4].startswith(f"forced backend='io_uring' does not work here: {cause}")
        assert "\nbackend: epoll\n" in said and f"io_uring  does not work: {cause}" in said


# ---- the finer wait of epoll denied, as kernels before 5.11 and containers do that do not know it ----


COARSE = """
import sys

if not deny_system_call(441, None, ERROR):  # epoll_pwait2
    print("no seccomp here")
    sys.exit()

import iocp, resource, socket, threading, time

class Echo(iocp.Handler):
    def on_packet(self, session, packet):
        session.send(packet)

with iocp.Server(Echo(), backend="epoll", workers=1) as server:
    with socket.create_connection(server.address) as peer:
        peer.sendall(b"\\2x")
        print("echo", peer.recv(2))
    rung, began = threading.Event(), time.monotonic()
    server.call_later(0.25, rung.set)
    print("timer", rung.wait(30), time.monotonic() - began >= 0.25)
    used = resource.getrusage(resource.RUSAGE_SELF)
    before = used.ru_utime + used.ru_stime
    rung.clear()
    server.call_later(0.5, rung.set)
    rung.wait(30)
    used = resource.getrusage(resource.RUSAGE_SELF)
    print("slept", used.ru_utime + used.ru_stime - before < 0.25)
"""


@linux_x86_64
@pytest.mark.parametrize("error", [errno.EPERM, errno.ENOSYS], ids=["EPERM", "ENOSYS"])
def test_epoll_without_its_finer_wait_still_serves_and_sleeps_between_timers(error: int) -> None:
    with Child(DENY + COARSE.replace("ERROR", str(error))) as child:
        code = child.finish()
        if child.output[0] == "no seccomp here":
            pytest.skip("seccomp is not allowed here")
        assert (code, child.output) == (0, ["echo b'\\x02x'", "timer True True", "slept True"])
