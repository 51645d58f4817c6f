"""A client in C, compiled with the generated header, plays against the server and checks every byte (lecture row 16).

On Linux it is compiled here, as C and as C++. On Windows a program that was built before is run, as tools/wine.py does it:

    python -m iocp.game.protocol --c-header > chess.h
    python tests/game/build_client.py --target windows --header chess.h lecture_client.exe
    set PYIOCP_LECTURE_CLIENT_EXE=lecture_client.exe
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from build_client import LANGUAGES, BuildError, build
from chess_client import NOWHERE, TIMEOUT
from iocp.game.names import encode_name
from iocp.game.protocol import (
    Enter,
    Leave,
    Moved,
    pack_attack,
    pack_enter,
    pack_leave,
    pack_login_ok,
    pack_move,
    pack_move_timed,
    pack_say,
)
from iocp.game.rescue import Record
from iocp.game.terrain import Terrain
from iocp.game.world import World
from lecture import Crumbs, LectureClient

UP, DOWN, LEFT, RIGHT = range(4)
MAP = """\
......
..#...
......
......
......
......
"""
BOARD = 6
Start = Callable[..., LectureClient]


def header_of_the_command() -> str:
    command = [sys.executable, "-m", "iocp.game.protocol", "--c-header"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def prebuilt() -> Path:
    given = os.environ.get("PYIOCP_LECTURE_CLIENT_EXE")
    if not given:
        pytest.skip("the lecture's client is not built: see the head of this file, or run tools/wine.py test")
    header = Path(given).with_name("chess.h")
    if not Path(given).is_file() or not header.is_file():
        pytest.fail(f"PYIOCP_LECTURE_CLIENT_EXE names no file, or there is no chess.h beside it: {given}")
    assert header.read_text() == header_of_the_command(), "it was compiled with another header than this package writes"
    return Path(given)


@pytest.fixture(scope="session", params=LANGUAGES)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    language: str = request.param
    if sys.platform == "win32":
        if language == "c++":
            pytest.skip("the program for Windows is built once, as C")
        return prebuilt()
    if language == "c++" and shutil.which("g++") is None:
        pytest.skip("no g++ here (Debian: apt-get install g++)")
    folder = tmp_path_factory.mktemp("lecture")
    header = folder / "chess.h"
    header.write_text(header_of_the_command())
    try:
        return build(folder / "lecture_client", header, language=language)
    except BuildError as error:
        pytest.fail(str(error))


@pytest.fixture
def start(program: Path) -> Iterator[Start]:
    """A function that starts the client: `start(address)`."""
    started: list[LectureClient] = []

    def start(address: tuple[str, int], most_bytes: int | None = None) -> LectureClient:
        started.append(LectureClient(program, address, BOARD, most_bytes))
        return started[-1]

    yield start
    for client in started:
        client.close()


def world_with(**places: tuple[int, int]) -> World:
    """The map, on which each of these players has a place."""
    world = World(terrain=Terrain.from_text(MAP), view=BOARD)
    for name, place in places.items():
        world.records[name] = Record(name, *place, 100, 1, 0)
    return world


kinds = pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
other_kinds = pytest.mark.parametrize("other_timed", [True, False], ids=["other-timed", "other-untimed"])


class Walker:
    """A client which is moved, and what it must then be told."""

    def __init__(self, chess, client: LectureClient, timed: bool) -> None:
        self.chess, self.client, self.timed, self.steps = chess, client, timed, 0

    def move(self, direction: int, x: int, y: int) -> None:
        """Move in `direction`; that must lead to x, y, in the client's eyes and in the server's."""
        self.steps += 1
        move_time = 2**32 - self.steps
        told = self.client.tell(f"move {direction} {move_time}" if self.timed else f"move {direction}")
        assert told == [Moved(self.client.id, x, y, move_time if self.timed else None)]
        player = self.chess.handler.world.players[self.client.id]
        assert (player.x, player.y, player.timed) == (x, y, self.timed)


@kinds
def test_walks_and_is_refused_where_it_cannot_go(start_chess, start: Start, timed: bool) -> None:
    chess = start_chess(world=world_with(anna=(1, 1)), timed=timed)
    client = start(chess.server.address)
    answer = client.login("anna")
    player = chess.handler.world.players[answer.id]
    assert (answer.x, answer.y, answer.hp, answer.level, answer.exp) == (1, 1, player.health, player.level, player.exp)
    assert (player.x, player.y, player.text_name) == (1, 1, "anna")
    walker = Walker(chess, client, timed)
    for direction, x, y in [
        (RIGHT, 1, 1),  # the wall
        (DOWN, 1, 2), (RIGHT, 2, 2), (UP, 2, 2), (RIGHT, 3, 2), (UP, 3, 1), (LEFT, 3, 1), (UP, 3, 0),
        (UP, 3, 0),  # off the board
        (LEFT, 2, 0), (DOWN, 2, 0), (LEFT, 1, 0), (LEFT, 0, 0), (LEFT, 0, 0), (UP, 0, 0),
        (NOWHERE, 0, 0), (4, 0, 0), (127, 0, 0),
    ]:  # fmt: skip
        walker.move(direction, x, y)
    counts = chess.handler.counts
    assert counts.moves == 8
    assert {str(cause): count for cause, count in counts.refused.items()} == {
        "obstacle": 4, "off the board": 3, "no direction": 3
    }  # fmt: skip
    assert client.bye() == []
    assert client.bytes == 18 + walker.steps * (14 if timed else 10)


@kinds
@other_kinds
def test_sees_another_one_come_move_and_leave(start_chess, start: Start, timed: bool, other_timed: bool) -> None:
    chess = start_chess(world=world_with(anna=(0, 5), ben0123456=(4, 4)), timed=timed)
    anna = start(chess.server.address)
    anna.login("anna")
    Walker(chess, anna, timed).move(RIGHT, 1, 5)
    # Not before: a connection has 30 seconds for its login, and a program may take as many to start.
    ben = start(chess.server.address)
    ben.login("ben0123456")
    entered = Enter(ben.id, b"ben0123456", 0, 4, 4)
    assert anna.tell("await enter") == [entered]
    assert ben.tell("await enter") == [Enter(anna.id, encode_name("anna"), 0, 1, 5)]
    walker = Walker(chess, ben, other_timed)
    for direction, x, y in [(RIGHT, 5, 4), (DOWN, 5, 5), (LEFT, 4, 5)]:
        walker.move(direction, x, y)
        assert anna.tell("await move") == [Moved(ben.id, x, y, 0 if timed else None)]
    walker.move(DOWN, 4, 5)  # Refused, so anna hears nothing of it.
    assert ben.bye() == []
    assert anna.tell("await leave") == [Leave(ben.id)]
    # As somebody new.
    again = start(chess.server.address)
    again.login("ben0123456")
    assert again.id > ben.id
    assert anna.tell("await enter") == [Enter(again.id, b"ben0123456", 0, 4, 5)]
    assert anna.bye() == []
    assert again.tell("await enter") == [Enter(anna.id, encode_name("anna"), 0, 1, 5)]
    assert again.tell("await leave") == [Leave(anna.id)]
    assert again.bye() == []


def test_is_told_nothing_that_the_lecture_does_not_know(start_chess, start: Start) -> None:
    chess = start_chess(world=world_with(anna=(1, 1), eve=(1, 2)))
    client = start(chess.server.address)
    client.login("anna")
    eve = chess.connect()
    eve.login("eve", knows=2)
    eve.send(pack_say("hello"), pack_attack())
    eve.step(LEFT)
    eve.logout()
    assert client.tell("await leave") == [
        Enter(eve.id, encode_name("eve"), 0, 1, 2), Moved(eve.id, 0, 2, 0), Leave(eve.id)
    ]  # fmt: skip
    assert client.bye() == []


@kinds
def test_packets_that_arrive_byte_by_byte_are_the_same(start_chess, start: Start, timed: bool) -> None:
    chess = start_chess(world=world_with(anna=(1, 1), ben=(3, 3)), timed=timed)
    proxy = Crumbs(chess.server.address)
    # What it has not received yet the system puts together again, so it takes single bytes too.
    client = start(proxy.address, 1)
    client.login("anna")
    walker = Walker(chess, client, timed)
    for _ in range(10):
        walker.move(LEFT, 0, 1)
        walker.move(RIGHT, 1, 1)
    ben = chess.player("ben", not timed)
    ben.close()
    assert client.tell("await leave") == [Enter(ben.id, encode_name("ben"), 0, 3, 3), Leave(ben.id)]
    assert client.bye() == []
    assert client.cut == client.bytes - client.packets, "each packet came in as many pieces as it has bytes"
    proxy.join()


# The client itself: it must see when something is wrong, or all of the above proves nothing.

HELLO = pack_login_ok(7, 1, 1, 100, 1, 0)
BEN = pack_enter(8, encode_name("ben"), 0, 2, 2)
WRONG = {
    "unknown type": (b"\x03\x04\0", "unknown packet type 4"),
    "type that only a signed char takes for one of the first": (b"\x02\x80", "unknown packet type -128"),
    "length of 0": (b"\0\0", "a packet of 0 bytes"),
    "length of 1": (b"\x01\0", "a packet of 1 bytes"),
    "length that is negative as a signed char": (b"\x80" + b"\x02" * 127, "a packet of -128 bytes"),
    "enter that is too long": (b"\x16" + BEN[1:] + b"\0", "a packet of 22 bytes instead of 21"),
    "timed move that is too short": (b"\x0d" + pack_move_timed(8, 2, 3, 0)[1:-1], "a packet of 13 bytes instead of"),
    "packet cut off by the end": (BEN[:-1], "20 bytes are left at the end"),
    "second login_ok": (HELLO, "a second login_ok"),
    "enter twice": (BEN + BEN, "enter of 8, who is here"),
    "enter of itself": (pack_enter(7, encode_name("ben"), 0, 2, 2), "enter of 7, who is here"),
    "leave of nobody": (pack_leave(8), "leave of 8, who is not here"),
    "move of nobody": (pack_move(8, 2, 2), "a move of 8, who has not entered"),
    "move too far": (BEN + pack_move(8, 4, 2), "8 went from 2,2 to 4,2"),
    "move to where it is": (BEN + pack_move(8, 2, 2), "8 went from 2,2 to 2,2"),
    "own move unasked": (pack_move_timed(7, 1, 2, 0), "not asked for"),
    "enter off the board": (pack_enter(8, encode_name("ben"), 0, 2, BOARD), "2,6 is not on a board of 6 tiles"),
    "enter of a monster": (pack_enter(8, encode_name("ben"), 3, 2, 2), "o_type 3"),
    "rubbish behind the name": (pack_enter(8, b"ben\0\0\0\0\0\0x", 0, 2, 2), "behind its end"),
    "time in the move of another": (BEN + pack_move_timed(8, 2, 3, 1), "move_time 1 in the move of another"),
}


@pytest.fixture
def server_that_says() -> Iterator[Callable[..., tuple[str, int]]]:
    """A function that starts a server for one client, to whose packets it answers one after another with what is given."""
    threads = []

    def serve(listener: socket.socket, answers: tuple[bytes, ...]) -> None:
        with listener, listener.accept()[0] as connection:
            connection.settimeout(TIMEOUT)
            try:
                for answer in answers:
                    if connection.recv(64):
                        connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(64):
                    pass
            except OSError:
                pass  # it has hung up, as it should

    def start(*answers: bytes) -> tuple[str, int]:
        listener = socket.create_server(("127.0.0.1", 0))
        threads.append(threading.Thread(target=serve, args=(listener, answers), daemon=True))
        threads[-1].start()
        address: tuple[str, int] = listener.getsockname()
        return address

    yield start
    for thread in threads:
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def fails(client: LectureClient, *commands: str) -> str:
    """Its complaint about what came after one of the commands."""
    with pytest.raises(AssertionError, match="exit code 1, ") as caught:
        for command in commands:
            client.tell(command)
    return str(caught.value)


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_stops_at_what_is_wrong(start: Start, server_that_says, case: tuple[bytes, str]) -> None:
    said, complaint = case
    assert complaint in fails(start(server_that_says(HELLO + said)), "login anna", "bye")


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (pack_move_timed(7, 2, 1, 98), "move_time 99 came back as 98"),
        (pack_move(7, 2, 1), "the answer to a move is 10 bytes long"),
        (pack_move_timed(7, 1, 2, 99), "direction 3 led from 1,1 to 1,2"),
        (pack_move_timed(7, 3, 1, 99), "direction 3 led from 1,1 to 3,1"),
    ],
)
def test_stops_at_a_wrong_answer_to_a_move(start: Start, server_that_says, answer: bytes, complaint: str) -> None:
    assert complaint in fails(start(server_that_says(HELLO, answer)), "login anna", "move 3 99")


def test_stops_where_others_moves_change_their_size(start: Start, server_that_says) -> None:
    said = pack_move_timed(7, 2, 1, 99) + BEN + pack_move(8, 2, 3)
    assert "a packet of 10 bytes instead of 14" in fails(start(server_that_says(HELLO, said)), "login anna", "move 3 99", "bye")
