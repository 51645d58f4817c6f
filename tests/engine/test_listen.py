"""Listening: addresses of both families, and errors that say what to do."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import iocp
from child_process import Child
from seccomp import DENY, linux_x86_64
from ports import free_port
from witness import Dialer, Witness, ipv6, packet, read_exactly, read_to_end

Serve = Callable[..., iocp.Server]


def fails_to_listen(host: str, port: int, backend: str) -> str:
    """The text of the OSError that start() raises; after it the server can still be stopped."""
    server = iocp.Server(Witness(), host, port, backend=backend)
    with pytest.raises(OSError) as caught:
        server.start()
    assert not server.running
    with pytest.raises(RuntimeError, match="no address"):
        _ = server.address
    server.stop()
    return str(caught.value)


def test_port_zero_takes_a_free_port(serve: Serve) -> None:
    servers = [serve(Witness()) for _ in range(3)]
    assert all(server.address[0] == "127.0.0.1" and server.address[1] > 0 for server in servers)
    assert len({server.address[1] for server in servers}) == 3


def test_address_before_start(backend: str) -> None:
    with pytest.raises(RuntimeError, match="the server has no address before it is started"):
        _ = iocp.Server(Witness(), backend=backend).address


def test_port_in_use(backend: str) -> None:
    with iocp.Server(Witness(), "127.0.0.1", 0, backend=backend) as server:
        port = server.address[1]
        text = fails_to_listen("127.0.0.1", port, backend)
    assert f"cannot listen on 127.0.0.1:{port}: " in text
    assert "another program listens there; stop it, or choose another port (port 0 takes a free one)" in text


def test_port_in_use_by_a_program_of_another_kind(backend: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "another program" in fails_to_listen("127.0.0.1", other.getsockname()[1], backend)


def test_start_again_after_the_port_became_free(backend: str, balanced: list[iocp.Engine]) -> None:
    with iocp.Server(Witness(), "127.0.0.1", free_port(), backend=backend) as first:
        address = first.address
        second = iocp.Server(Witness(), *address, backend=backend)
        balanced.append(second)
        with pytest.raises(OSError):
            second.start()
    second.start()
    assert second.address == address


def test_port_is_free_at_once_after_stop(serve: Serve, dial: Dialer) -> None:
    port = free_port()
    for _ in range(5):
        witness = Witness()
        server = iocp.Server(witness, "127.0.0.1", port)
        with server:
            dial(server)
            witness.wait_connected()
        assert read_to_end(dial.sockets[-1]) == b""


def test_unknown_host(backend: str) -> None:
    # A label of more than 63 letters is no name: it is refused without asking anybody.
    assert f"host '{'x' * 64}' is not known" in fails_to_listen("x" * 64, 0, backend)


def test_address_of_another_machine(backend: str) -> None:
    text = fails_to_listen("203.0.113.1", 0, backend)  # of a network for documentation: nobody has it
    assert "cannot listen on 203.0.113.1:0: " in text
    assert "no network interface of this machine has that address; 127.0.0.1 is this machine alone, '' all" in text


PRIVILEGED = """
import os, sys
import iocp

if os.getuid() == 0:
    os.setuid(65534)
try:
    iocp.Server(iocp.Handler(), "127.0.0.1", 81, backend=sys.argv[1]).start()
except OSError as error:
    print(type(error).__name__, error)
"""


def test_privileged_port(backend: str) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no privileged ports")
    setting = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
    if setting.exists() and int(setting.read_text()) <= 81:
        pytest.skip("this machine allows every port to everybody")
    with Child(PRIVILEGED, backend) as child:
        text = child.line("PermissionError")
        assert "cannot listen on 127.0.0.1:81: " in text
        assert "ports below 1024 need special rights; choose a port from 1024 on" in text


@ipv6
def test_ipv6_listener(serve: Serve, dial: Dialer) -> None:
    witness = Witness(echo=True)
    server = serve(witness, "::1")
    peer = dial(server)
    peer.sendall(packet("six"))
    assert read_exactly(peer, 4) == packet("six")
    (session,) = witness.connected
    assert server.address[0] == session.address[0] == session.local_address[0] == "::1"
    assert session.address == peer.getsockname()[:2]


@ipv6
@pytest.mark.parametrize("host", ["", "::"])
def test_dual_stack_listener_is_reached_over_both_families(serve: Serve, dial: Dialer, host: str) -> None:
    witness = Witness(echo=True)
    server = serve(witness, host)
    for near in ("127.0.0.1", "::1"):
        peer = dial(server, near)
        peer.sendall(packet(near))
        assert read_exactly(peer, 1 + len(near)) == packet(near)
        # An IPv4 peer looks like one, not like ::ffff:127.0.0.1.
        assert witness.connected[-1].address == peer.getsockname()[:2] == (near, peer.getsockname()[1])
        assert witness.connected[-1].local_address == (near, server.address[1])


@ipv6
def test_loopback_peers_of_a_dual_stack_listener_are_spared_like_others(serve: Serve, dial: Dialer) -> None:
    """Defaults that leave 127.0.0.1 alone leave it alone also where it arrives as ::ffff:127.0.0.1."""
    witness = Witness()
    server = serve(witness, "")
    for _ in range(300):  # the default allows 256 from one address
        dial(server, "127.0.0.1")
    witness.wait_connected(300)


NO_IPV6 = """
import sys
import iocp

if not deny_system_call(41, 10, 97):  # socket(AF_INET6, ...) fails with EAFNOSUPPORT
    print("no seccomp here")
    sys.exit()
with iocp.Server(iocp.Handler(), "", 0) as server:
    print("listening", server.address[0])
"""


@linux_x86_64
def test_every_address_of_a_machine_without_ipv6() -> None:
    with Child(DENY + NO_IPV6) as child:
        if child.line() == "no seccomp here":
            pytest.skip("seccomp is not allowed here")
        assert child.output == ["listening 0.0.0.0"]


def test_every_ipv4_address(serve: Serve, dial: Dialer) -> None:
    witness = Witness()
    server = serve(witness, "0.0.0.0")
    assert server.address[0] == "0.0.0.0"
    dial(server, "127.0.0.1")
    assert witness.wait_connected()[0].local_address[0] == "127.0.0.1"


@pytest.mark.skipif(sys.platform == "darwin", reason="only 127.0.0.1 of the loopback network is set up there")
def test_second_loopback_address(serve: Serve, dial: Dialer) -> None:
    witness = Witness()
    server = serve(witness, "127.0.0.2")
    assert dial(server).getpeername() == server.address == ("127.0.0.2", server.address[1])


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"handler": object()}, TypeError, "handler must be an instance of iocp.Handler, not <object"),
        ({"handler": Witness}, TypeError, "handler must be an instance of iocp.Handler"),
        ({"host": None}, TypeError, "host must be a str, not None"),
        ({"host": b"127.0.0.1"}, TypeError, "host must be a str"),
        ({"host": 2130706433}, TypeError, "host must be a str"),
        ({"port": "3500"}, TypeError, "port must be an int, not '3500'"),
        ({"port": None}, TypeError, "port must be an int"),
        ({"port": True}, TypeError, "port must be an int"),
        ({"port": -1}, ValueError, "port must be between 0 and 65535, not -1"),
        ({"port": 65536}, ValueError, "port must be between"),
        ({"workers": "2"}, TypeError, "workers must be an int"),
        ({"workers": True}, TypeError, "workers must be an int"),
        ({"workers": 257}, ValueError, "workers must be between 0 and 256, not 257"),
        ({"accepts": 0}, ValueError, "accepts must be between 1 and 4096, not 0"),
        ({"accepts": 2.5}, TypeError, "accepts must be an int"),
        ({"backlog": 0}, ValueError, "backlog must be between 1 and 65535, not 0"),
        ({"backlog": None}, TypeError, "backlog must be an int"),
        ({"framing": "1"}, TypeError, "framing must be an iocp.Framing, not '1'"),
        ({"limits": 5}, TypeError, "limits must be an iocp.Limits, not 5"),
        ({"colour": "red"}, TypeError, "colour"),
    ],
)
def test_wrong_arguments_are_named(options: dict[str, object], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        iocp.Server(**{"handler": Witness(), **options})


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError):
        iocp.Server(Witness(), "127.0.0.1", 0, 2)


def test_second_init_is_an_error() -> None:
    server = iocp.Server(Witness())
    with pytest.raises(RuntimeError, match="__init__ was called before"):
        server.__init__(Witness())


@pytest.mark.parametrize("accepts", [1, 7])
def test_accept_pool_of_any_depth_serves_all(serve: Serve, dial: Dialer, accepts: int) -> None:
    witness = Witness()
    server = serve(witness, accepts=accepts, backlog=512)
    assert server.stats().ops_in_flight <= accepts
    for _ in range(50):
        dial(server)
    witness.wait_connected(50)


def test_failed_starts_leave_no_descriptor(backend: str) -> None:
    if sys.platform != "linux":
        pytest.skip("descriptors can be counted in /proc on Linux only")
    with socket.create_server(("127.0.0.1", 0)) as other:
        fails_to_listen("127.0.0.1", other.getsockname()[1], backend)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            fails_to_listen("127.0.0.1", other.getsockname()[1], backend)
        assert len(os.listdir("/proc/self/fd")) <= before  # fewer, if other tests' have just been collected
