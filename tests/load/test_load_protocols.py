"""Descriptions of protocols: the chess board's is the game's own wire, and wrong ones are refused by name."""

from __future__ import annotations

from typing import Any

import iocp
import pytest
from iocp.game import protocol as game

from iocp._iocpcore import Crowd
from iocp.load import Field, Packet, Protocol, Step
from iocp.load.chess import chess
from iocp.load.objective import Objective, parse_objectives
from iocp.load.settings import Settings


def offsets(layout: game.Layout) -> dict[str, Field]:
    """Where the game says each number of a packet lies."""
    found, at = {}, 2
    for kind, name in layout.words:
        size = {"i8": 1, "u8": 1, "i16": 2, "i32": 4, "u32": 4, "name": 10}[kind]
        found[name] = Field(at, size)
        at += size
    assert at == layout.size
    return found


@pytest.mark.parametrize("layout", [game.SC_LOGIN_OK, game.SC_MOVE, game.SC_MOVE_TIMED, game.SC_ENTER, game.SC_LEAVE])
def test_packets_of_the_server_lie_where_the_game_puts_them(layout: game.Layout) -> None:
    where = offsets(layout)
    (packet,) = [packet for packet in chess().packets if packet.type == layout.type and packet.size == layout.size]
    assert packet.id == where["id"]
    for name in ("x", "y"):
        assert getattr(packet, name) == where.get(name)
    assert packet.stamp == where.get("move_time")


def test_packets_of_the_player_are_the_game_s() -> None:
    timed, untimed = chess(timed=True), chess(timed=False)
    assert isinstance(game.parse_client(timed.login), game.Login)
    assert game.parse_client(timed.move) == game.Move(0, 0)
    assert game.parse_client(untimed.move) == game.Move(0, None)
    assert timed.direction == untimed.direction == offsets(game.CS_MOVE_TIMED)["direction"]
    assert timed.stamp == offsets(game.CS_MOVE_TIMED)["move_time"]
    assert timed.framing.max_size == game.MAX_PACKET
    name = offsets(game.CS_LOGIN)["name"]
    assert timed.number is not None and timed.number.offset + timed.number.size == name.offset + name.size
    assert [step.value for step in timed.steps] == list(game.Direction)


GOOD: dict[str, Any] = {
    "name": "x", "framing": iocp.Framing(), "move": b"\x03\x01\x00", "packets": (Packet("move", 10),),
    "type": Field(1, 1), "direction": Field(2, 1), "steps": (Step(0, 1, 0),),
}  # fmt: skip
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"move": b""}, "move"),
    ({"packets": ()}, "packets"),
    ({"packets": (Packet("dance", 10),)}, "role"),  # type: ignore[arg-type]
    ({"packets": (Packet("enter", 10),)}, "enter needs an id"),
    ({"packets": (Packet("move", 10, id=Field(8, 4)),)}, "id of move"),
    ({"packets": (Packet("move", 10, type=5000),)}, "type"),
    ({"packets": (Packet("move", (10, 5)),)}, "most"),
    ({"direction": Field(3, 1)}, "direction"),
    ({"direction": None}, "steps"),
    ({"stamp": Field(1, 3)}, "stamp"),
    ({"login": bytes(300)}, "login"),
    ({"number": Field(2, 4)}, "number"),
    ({"steps": (Step(0, 100_000, 0),)}, "dx"),
]


@pytest.mark.parametrize(("change", "name"), WRONG, ids=[name for _, name in WRONG])
def test_wrong_description_is_refused_by_the_name_of_what_is_wrong(change: dict[str, Any], name: str) -> None:
    assert isinstance(Protocol(**GOOD).crowd(seed=1, interval=1.0, window=0), Crowd)
    with pytest.raises(ValueError, match=name):
        Protocol(**{**GOOD, **change}).crowd(seed=1, interval=1.0, window=0)


@pytest.mark.parametrize(("name", "value"), [("framing", None), ("move", "xx"), ("login", None), ("packets", ("x",))])
def test_wrong_type_is_refused_by_the_name_of_the_attribute(name: str, value: object) -> None:
    with pytest.raises(TypeError, match=name):
        Protocol(**{**GOOD, name: value})


def test_more_players_than_the_login_has_digits_for_are_refused() -> None:
    """Two of them would have one name, and throw each other out."""
    protocol = Protocol(**{**GOOD, "login": b"\x05\x00p\0\0", "number": Field(3, 2)})
    options: dict[str, Any] = {"protocol": protocol, "host": "127.0.0.1", "port": 1}
    assert Settings(clients=100, **options).clients == 100
    for more in ({"clients": 101}, {"clients": 10, "first_player": 91}):
        with pytest.raises(ValueError, match="clients: .* 2 digits"):
            Settings(**options, **more)


@pytest.mark.parametrize(
    ("name", "value"), [("port", 0), ("clients", 0), ("rate", -1.0), ("duration", 0.0), ("ramp", 0.0), ("timeout", -1.0), ("window", -1)]
)
def test_wrong_setting_is_refused_by_its_name(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{"protocol": chess(), "host": "127.0.0.1", "port": 1, "clients": 1, name: value})  # type: ignore[arg-type]


def test_many_players_come_from_many_loopback_addresses() -> None:
    settings = Settings(protocol=chess(), host="127.0.0.1", port=1, clients=100_000)
    counts: dict[str | None, int] = {}
    for number in range(settings.clients):
        source = settings.source_of(number)
        counts[source] = counts.get(source, 0) + 1
    assert max(counts.values()) <= 12_000 and None not in counts
    assert Settings(protocol=chess(), host="10.0.0.1", port=1, clients=100_000).source_of(5) is None


def test_objectives() -> None:
    assert parse_objectives("") == (Objective("errors", 0), Objective("violations", 0))
    found = {one.name: one.limit for one in parse_objectives("p99=100ms, p99.9=2s,fanout_p50=500us,errors=3")}
    assert found == {"errors": 3, "violations": 0, "p99": 100, "p999": 2000, "fanout_p50": 0.5}
    assert not Objective("p99", 100).is_held(None)


def test_crowd_belongs_to_one_engine_and_its_worker() -> None:
    crowd = Protocol(**GOOD).crowd(seed=1, interval=1.0, window=0)
    with pytest.raises(RuntimeError, match="attach"):
        crowd.counts()
    with pytest.raises(ValueError, match="one worker"):
        crowd.attach(iocp.Client(iocp.Handler(), workers=2))
    client = iocp.Client(iocp.Handler())
    crowd.attach(client)
    with pytest.raises(RuntimeError, match="already"):
        crowd.attach(client)
    client.start()
    try:
        with pytest.raises(RuntimeError, match="worker"):
            crowd.counts()
    finally:
        client.stop()
    assert crowd.counts()["playing"] == 0
