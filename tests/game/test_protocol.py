"""Every packet byte by byte, names, wrong packets, and the generated C header (`wire.md`, lecture row 16)."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys

import pytest
from chess_client import TIMEOUT
from hypothesis import given
from hypothesis import strategies as st
from iocp.game import protocol
from iocp.game.header import c_header
from iocp.game.layout import MAX_NAME
from iocp.game.names import decode_name, encode_name
from iocp.game.protocol import (
    Attack,
    Chat,
    Direction,
    Enter,
    Leave,
    Login,
    LoginFail,
    LoginFailed,
    LoginOk,
    Logout,
    Move,
    Moved,
    Overview,
    Said,
    Spectate,
    Spectating,
    StatChange,
    Teleport,
    ToClient,
    ToServer,
    WorldInfo,
)
from iocp.game.violation import ProtocolError, Violation

ANNA = b"anna\0\0\0\0\0\0"

TO_SERVER = {
    "login": (protocol.pack_login(ANNA), "0c 00 616e6e61000000000000", Login(ANNA, 0)),
    "login, extended": (protocol.pack_login(ANNA, 1), "0d 00 616e6e61000000000000 01", Login(ANNA, 1)),
    "move": (protocol.pack_step(3), "03 01 03", Move(3, None)),
    "move in no direction": (protocol.pack_step(-1), "03 01 ff", Move(-1, None)),
    "move, timed": (protocol.pack_step(1, 0xDDCCBBAA), "07 01 01 aabbccdd", Move(1, 0xDDCCBBAA)),
    "move, timed, at 0": (protocol.pack_step(0, 0), "07 01 00 00000000", Move(0, 0)),
    "attack": (protocol.pack_attack(), "02 02", Attack()),
    "chat": (protocol.pack_say("hi 홍"), "08 03 686920 ed998d", Chat("hi 홍".encode())),
    "logout": (protocol.pack_logout(), "02 04", Logout()),
    "teleport": (protocol.pack_teleport(), "02 05", Teleport(None, None)),
    "spectate": (protocol.pack_spectate(True), "03 06 01", Spectate(True)),
    "spectate no more": (protocol.pack_spectate(False), "03 06 00", Spectate(False)),
    "teleport to a tile": (protocol.pack_teleport(258, -2), "06 05 0201 feff", Teleport(258, -2)),
}

TO_CLIENT = {
    "login_ok": (
        protocol.pack_login_ok(0x01020304, 5, 6, 100, 1, 0x0A0B0C0D),
        "12 00 04030201 0500 0600 6400 0100 0d0c0b0a",
        LoginOk(0x01020304, 5, 6, 100, 1, 0x0A0B0C0D),
    ),
    "move": (protocol.pack_move(7, 258, -2), "0a 01 07000000 0201 feff", Moved(7, 258, -2, None)),
    "move, timed": (protocol.pack_move_timed(7, 1, 2, 9), "0e 01 07000000 0100 0200 09000000", Moved(7, 1, 2, 9)),
    "enter": (
        protocol.pack_enter(7, ANNA, 0, 1, 2),
        "15 02 07000000 616e6e61000000000000 00 0100 0200",
        Enter(7, ANNA, 0, 1, 2),
    ),
    "leave": (protocol.pack_leave(7), "06 03 07000000", Leave(7)),
    "chat": (protocol.pack_chat(7, "hi"), "08 04 07000000 6869", Said(7, "hi")),
    "stat_change": (
        protocol.pack_stat_change(7, 90, 120, 2, 65536),
        "10 06 07000000 5a00 7800 0200 00000100",
        StatChange(7, 90, 120, 2, 65536),
    ),
    "world": (
        protocol.pack_world(400, 7, 5, -2, 0xFFFFFFFF),
        "0e 07 9001 07 05 feffffff ffffffff",
        WorldInfo(400, 7, 5, -2, 0xFFFFFFFF),
    ),
    "spectating": (protocol.pack_spectating(True, ""), "03 08 01", Spectating(True, "")),
    "not spectating": (protocol.pack_spectating(False, "no"), "05 08 00 6e6f", Spectating(False, "no")),
    "overview": (
        protocol.pack_overview(2, 100, 401, [(100, 1, 0), (300, 999, 255)]),
        "0f 09 02 6400 9101 6400 01 00 2c01 ff ff",
        Overview(2, 100, 401, ((100, 1, 0), (300, 255, 255))),
    ),
    "overview of nobody": (protocol.pack_overview(0, 0, 63, []), "07 09 00 0000 3f00", Overview(0, 0, 63, ())),
    "login_fail": (
        protocol.pack_login_fail(LoginFail.BAD_NAME, "no"),
        "05 05 01 6e6f",
        LoginFailed(LoginFail.BAD_NAME, "no"),
    ),
}


@pytest.mark.parametrize("case", TO_SERVER.values(), ids=TO_SERVER)
def test_packet_to_the_server_has_these_bytes(case):
    packed, expected, parsed = case
    assert packed == bytes.fromhex(expected)
    assert protocol.parse_client(packed) == parsed
    assert packed[0] == len(packed)


@pytest.mark.parametrize("case", TO_CLIENT.values(), ids=TO_CLIENT)
def test_packet_to_a_client_has_these_bytes(case):
    packed, expected, parsed = case
    assert packed == bytes.fromhex(expected)
    assert protocol.parse_server(packed) == parsed
    assert packed[0] == len(packed)


def test_sizes_are_those_of_the_wire():
    sizes = {layout.name: (int(layout.type), layout.size) for layout in protocol.LAYOUTS}
    assert sizes == {
        "cs_packet_login": (0, 12),
        "cs_packet_login_extended": (0, 13),
        "cs_packet_move": (1, 3),
        "cs_packet_move_timed": (1, 7),
        "cs_packet_attack": (2, 2),
        "cs_packet_chat": (3, 2),
        "cs_packet_logout": (4, 2),
        "cs_packet_teleport": (5, 2),
        "cs_packet_teleport_to": (5, 6),
        "cs_packet_spectate": (6, 3),
        "sc_packet_login_ok": (0, 18),
        "sc_packet_move": (1, 10),
        "sc_packet_move_timed": (1, 14),
        "sc_packet_enter": (2, 21),
        "sc_packet_leave": (3, 6),
        "sc_packet_chat": (4, 6),
        "sc_packet_login_fail": (5, 3),
        "sc_packet_stat_change": (6, 16),
        "sc_packet_world": (7, 14),
        "sc_packet_spectating": (8, 3),
        "sc_packet_overview": (9, 7),
    }
    assert max(size for _, size in sizes.values()) <= protocol.MAX_PACKET


def test_constants_are_those_of_the_wire():
    assert (protocol.PORT, MAX_NAME, protocol.MAX_PACKET, protocol.O_PLAYER) == (3500, 10, 127, 0)
    assert [(d.name, d.value) for d in Direction] == [("UP", 0), ("DOWN", 1), ("LEFT", 2), ("RIGHT", 3)]
    assert [t.name for t in ToServer] == ["LOGIN", "MOVE", "ATTACK", "CHAT", "LOGOUT", "TELEPORT", "SPECTATE"]
    names = ["LOGIN_OK", "MOVE", "ENTER", "LEAVE", "CHAT", "LOGIN_FAIL", "STAT_CHANGE", "WORLD", "SPECTATING", "OVERVIEW"]
    assert [t.name for t in ToClient] == names
    assert [t.value for t in ToServer] == list(range(7)) and [t.value for t in ToClient] == list(range(10))


@pytest.mark.parametrize("text", ["x" * 500, "가" * 200, ""])
def test_login_fail_never_is_longer_than_a_signed_char_can_say(text):
    packed = protocol.pack_login_fail(LoginFail.WORLD_FULL, text)
    assert len(packed) == packed[0] <= 127
    parsed = protocol.parse_server(packed)
    assert isinstance(parsed, LoginFailed) and text.startswith(parsed.text)


@pytest.mark.parametrize("packet", ["01", "0d 01" + "00" * 11, "02 01", "04 01 0000", "0b 00" + "41" * 9, "03 04 00", "02 00", "03 02 00", "04 05 0000"])
def test_packet_of_a_wrong_size_is_an_error_that_names_the_size(packet):
    packet = bytes.fromhex(packet)
    with pytest.raises(ProtocolError, match=rf"\b{len(packet)} byte") as caught:
        protocol.parse_client(packet)
    assert caught.value.kind is Violation.WRONG_SIZE


@pytest.mark.parametrize("kind", [7, 77, 255])
def test_packet_of_an_unknown_type_is_an_error_that_names_the_type(kind):
    with pytest.raises(ProtocolError, match=rf"type {kind}\b") as caught:
        protocol.parse_client(bytes([3, kind, 0]))
    assert caught.value.kind is Violation.UNKNOWN_TYPE


@pytest.mark.parametrize("packet", ["01", "03 00 00", "0b 01" + "00" * 9, "14 02" + "00" * 18, "05 03 000000", "02 05", "05 04 000000", "04 06 0000", "02 07", "02 08", "06 09 00000000", "0a 09" + "00" * 8])
def test_packet_from_a_server_of_a_wrong_size_is_an_error(packet):
    with pytest.raises(ProtocolError) as caught:
        protocol.parse_server(bytes.fromhex(packet))
    assert caught.value.kind is Violation.WRONG_SIZE


def test_packet_from_a_server_of_an_unknown_type_is_an_error():
    with pytest.raises(ProtocolError, match="type 10"):
        protocol.parse_server(b"\x02\x0a")


@given(st.binary(max_size=127))
def test_any_bytes_are_a_packet_or_a_protocol_error(body):
    packet = bytes([len(body) + 1]) + body
    for parse in (protocol.parse_client, protocol.parse_server):
        try:
            parse(packet)
        except ProtocolError as error:
            assert str(error)


# Names


@pytest.mark.parametrize("name", ["a", "anna", "ten bytes!", "한글", "한글이", "é" * 5])
def test_a_good_name_survives_the_wire(name):
    field = encode_name(name)
    assert len(field) == 10
    assert decode_name(field) == name


def test_what_follows_the_first_nul_of_a_name_is_ignored():
    assert decode_name(b"anna\0\xff\xffrub") == "anna"


@pytest.mark.parametrize(
    "field",
    [b"", b"\0anna", b"   ", b"an\x07na", b"an\nna", b"\x1b[2J", b"\x7f", "\x85".encode(), "\u202eanna".encode(),
     "\u2028".encode(), b"\xff\xfe", b"\xc3\x28", b"\xc0\xaf", b"\xed\xa0\x80", b"anna\xed\x95"],
)  # fmt: skip
def test_a_bad_name_is_an_error(field):
    with pytest.raises(ProtocolError, match="name") as caught:
        decode_name(field.ljust(10, b"\0"))
    assert caught.value.kind is Violation.BAD_NAME
    assert str(caught.value).isascii() and str(caught.value).isprintable(), "goes into logs as it is"


@pytest.mark.parametrize("name", ["", " ", "eleven byte", "한글한글", "a\tb"])
def test_a_name_that_cannot_be_sent_is_an_error(name):
    with pytest.raises(ProtocolError):
        encode_name(name)


def test_korean_names_in_code_page_949_where_the_server_is_told_so():
    field = encode_name("홍길동님짱", "cp949")
    assert field == "홍길동님짱".encode("cp949") and len(field) == 10
    assert decode_name(field, "cp949") == "홍길동님짱"
    with pytest.raises(ProtocolError):
        decode_name(field)
    with pytest.raises(ProtocolError):
        decode_name(b"\xff\xff".ljust(10, b"\0"), "cp949")


# The C header

PROGRAM = """
#include <stddef.h>
#include <stdio.h>
int main(void) {
    struct sc_packet_enter p = {sizeof p, CHESS_SC_ENTER, 7, "anna", CHESS_O_PLAYER, 258, -2};
    for (size_t i = 0; i < sizeof p; i++) printf("%02x", ((unsigned char *)&p)[i]);
    /* %u, not %zu: Windows' old C library, which some mingw use, does not know that one. */
    printf(" %d %u", CHESS_PORT, (unsigned)offsetof(struct sc_packet_login_ok, exp));
    printf(" %u\\n", (unsigned)sizeof(struct sc_packet_overview_each));
    return 0;
}
"""


@pytest.mark.parametrize(("compiler", "suffix"), [("gcc", "c"), ("g++", "cpp")])
def test_the_header_compiles_without_a_warning_and_has_the_same_layout(tmp_path, compiler, suffix):
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} here")
    (tmp_path / "chess.h").write_text(c_header())
    source = tmp_path / f"main.{suffix}"
    source.write_text('#include "chess.h"\n#include "chess.h"\n' + PROGRAM)
    program = tmp_path / ("main.exe" if sys.platform == "win32" else "main")
    build = [compiler, "-Wall", "-Wextra", "-Werror", "-pedantic", str(source), "-o", str(program)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    output = subprocess.run([str(program)], capture_output=True, text=True).stdout.split()
    assert bytes.fromhex(output[0]) == protocol.pack_enter(7, ANNA, 0, 258, -2)
    assert output[1:] == ["3500", str(struct.calcsize("<BBihhhh")), "4"]


def test_the_command_prints_the_header():
    command = [sys.executable, "-m", "iocp.game.protocol"]
    done = subprocess.run([*command, "--c-header"], capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.returncode, done.stdout, done.stderr) == (0, c_header(), "")
    assert subprocess.run(command, capture_output=True, timeout=TIMEOUT).returncode == 2
