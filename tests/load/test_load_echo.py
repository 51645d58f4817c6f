"""The echo scenario: windows and schedules, sizes and framings, servers that echo badly."""

from __future__ import annotations

from collections.abc import Callable

import iocp
import pytest
from playing import Play, answered, stop_when

from iocp.load.echo import echo


class Echo(iocp.Handler):
    """Sends back what `answer` makes of each packet; None: nothing."""

    def __init__(self, answer: Callable[[int, bytes], bytes | None] = lambda number, packet: packet) -> None:
        self.answer = answer
        self.number = 0

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        self.number += 1
        answer = self.answer(self.number, packet)
        if answer is not None:
            session.send(answer)


def start(balanced: list[iocp.Engine], backend: str, handler: Echo, framing: iocp.Framing | None = None) -> int:
    server = iocp.Server(handler, workers=1, backend=backend, framing=framing)
    balanced.append(server)
    server.start()
    return server.address[1]


FRAMINGS = [
    (iocp.Framing(), 16),
    (iocp.Framing(), 2),
    (iocp.Framing(), 255),
    (iocp.Framing(2, "big"), 1000),
    (iocp.Framing(4, counts_header=False), 70_000),
]


@pytest.mark.parametrize("window", [0, 1, 7])
@pytest.mark.parametrize(("framing", "size"), FRAMINGS, ids=[str(size) for _, size in FRAMINGS])
def test_all_that_is_sent_comes_back(
    play: Play, backend: str, balanced: list[iocp.Engine], framing: iocp.Framing, size: int, window: int
) -> None:
    handler = Echo()
    port = start(balanced, backend, handler, framing)
    report = play(port, protocol=echo(size, framing), clients=3, rate=0 if window else 50, window=window, duration=0.3)
    assert (report.errors, report.violations) == ({}, {})
    assert report.figures.sent == report.figures.answered > 0
    assert handler.number >= report.figures.sent
    assert report.rate > 0


def test_wrong_echo_is_a_violation(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    port = start(balanced, backend, Echo(lambda number, packet: packet[:-1] + b"?" if number == 20 else packet))
    report = play(port, protocol=echo(16), duration=0.3)
    assert report.violations == {"wrong echo": 1}


def test_short_echo_is_a_violation(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    port = start(balanced, backend, Echo(lambda number, packet: b"\x03ab" if number == 20 else packet))
    report = play(port, protocol=echo(16), duration=0.3, answers=3.0)
    assert report.violations == {"wrong echo": 1}
    assert report.errors == {"not answered": 1}


def test_second_echo_is_a_violation(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    port = start(balanced, backend, Echo(lambda number, packet: 2 * packet if number == 20 else packet))
    report = play(port, protocol=echo(16), duration=0.3)
    assert report.violations == {"answered twice": 1}


def test_window_goes_on_after_a_lost_echo(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    port = start(balanced, backend, Echo(lambda number, packet: None if number == 20 else packet))
    many = stop_when(lambda run: answered(run) > 200)
    report = play(port, protocol=echo(16), clients=1, window=4, rate=0, duration=60.0, answers=3.0, during=many)
    assert report.errors == {"not answered": 1}
    assert report.figures.answered > 200


def test_server_that_never_echoes(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    port = start(balanced, backend, Echo(lambda number, packet: None))
    report = play(port, protocol=echo(16), clients=3, window=2, rate=0, duration=0.3, answers=0.3)
    assert report.figures.answered == 0
    assert report.errors == {"not answered": 6}


def test_connections_from_several_addresses(play: Play, backend: str, balanced: list[iocp.Engine]) -> None:
    seen: set[str] = set()

    class Look(Echo):
        def on_connect(self, session: iocp.Session) -> None:
            seen.add(session.address[0])

    port = start(balanced, backend, Look())
    report = play(port, protocol=echo(16), clients=6, sources=("127.0.0.2", "127.0.0.3"), duration=0.2)
    assert report.errors == {}
    assert seen == {"127.0.0.2", "127.0.0.3"}
