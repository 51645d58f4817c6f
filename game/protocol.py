"""The wire between chess server and clients: layouts, packing, parsing (lecture row 16, `wire.md`).

All integers little endian, no padding. Byte 0 is the packet's whole length, itself included; byte 1 its type.
No packet is longer than 127 bytes, because existing C++ clients read byte 0 as a signed char.
Each packet's layout is said once, in a `Layout`; the structs, the size checks and the C header come from it.

Existing clients stop dead on a type they don't know, so types above 3 go only to a client that has shown that it
knows them: by sending any extended packet (C->S 2 to 6), or by the extended login, which is the login of the slides
with one byte `knows` behind the name: 0 = nothing more, 1 = S->C types up to 6, 2 = up to 7, 3 = up to 9. Names: `names.py`.

Everything here is a pure function, safe on any thread. `python -m iocp.game.protocol --c-header` prints the wire
as a header for C and C++ clients.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import IntEnum
from typing import Any, Final

from .layout import MAX_NAME, Layout
from .packets import Attack as Attack
from .packets import Chat as Chat
from .packets import ClientPacket as ClientPacket
from .packets import Enter as Enter
from .packets import Leave as Leave
from .packets import Login as Login
from .packets import LoginFailed as LoginFailed
from .packets import LoginOk as LoginOk
from .packets import Logout as Logout
from .packets import Move as Move
from .packets import Moved as Moved
from .packets import Overview as Overview
from .packets import Said as Said
from .packets import ServerPacket as ServerPacket
from .packets import Spectate as Spectate
from .packets import Spectating as Spectating
from .packets import StatChange as StatChange
from .packets import Teleport as Teleport
from .packets import WorldInfo as WorldInfo
from .violation import ProtocolError, Violation

PORT: Final = 3500
MAX_PACKET: Final = 127
"""Bytes of the longest packet, in either direction."""

O_PLAYER: Final = 0
"""`o_type` of a player in `enter`; NPCs have others."""


class Direction(IntEnum):
    """Where a move goes; x grows to the right, y downwards."""

    UP = 0
    DOWN = 1
    LEFT = 2
    RIGHT = 3


class ToServer(IntEnum):
    """Packet types C->S. Above MOVE: extended."""

    LOGIN = 0
    MOVE = 1
    ATTACK = 2
    CHAT = 3
    LOGOUT = 4
    TELEPORT = 5
    SPECTATE = 6


class ToClient(IntEnum):
    """Packet types S->C. Above LEAVE: extended."""

    LOGIN_OK = 0
    MOVE = 1
    ENTER = 2
    LEAVE = 3
    CHAT = 4
    LOGIN_FAIL = 5
    STAT_CHANGE = 6
    WORLD = 7
    SPECTATING = 8
    OVERVIEW = 9


class LoginFail(IntEnum):
    """Why a login was refused, or ended: the `reason` of `login_fail`."""

    BAD_NAME = 1
    NAME_TAKEN = 2
    """Somebody else has logged in under this name meanwhile, and the piece is theirs now."""
    WORLD_FULL = 3


CS_LOGIN: Final = Layout("cs_packet_login", ToServer.LOGIN, "name name")
CS_LOGIN_EXTENDED: Final = Layout("cs_packet_login_extended", ToServer.LOGIN, "name name, u8 knows")
CS_MOVE: Final = Layout("cs_packet_move", ToServer.MOVE, "i8 direction")
CS_MOVE_TIMED: Final = Layout("cs_packet_move_timed", ToServer.MOVE, "i8 direction, u32 move_time")
CS_ATTACK: Final = Layout("cs_packet_attack", ToServer.ATTACK)
CS_CHAT: Final = Layout("cs_packet_chat", ToServer.CHAT, text=True)
CS_LOGOUT: Final = Layout("cs_packet_logout", ToServer.LOGOUT)
CS_TELEPORT: Final = Layout("cs_packet_teleport", ToServer.TELEPORT)
CS_TELEPORT_TO: Final = Layout("cs_packet_teleport_to", ToServer.TELEPORT, "i16 x, i16 y")
CS_SPECTATE: Final = Layout("cs_packet_spectate", ToServer.SPECTATE, "u8 on")
SC_LOGIN_OK: Final = Layout(
    "sc_packet_login_ok", ToClient.LOGIN_OK, "i32 id, i16 x, i16 y, i16 hp, i16 level, i32 exp"
)
SC_MOVE: Final = Layout("sc_packet_move", ToClient.MOVE, "i32 id, i16 x, i16 y")
SC_MOVE_TIMED: Final = Layout("sc_packet_move_timed", ToClient.MOVE, "i32 id, i16 x, i16 y, u32 move_time")
SC_ENTER: Final = Layout("sc_packet_enter", ToClient.ENTER, "i32 id, name name, i8 o_type, i16 x, i16 y")
SC_LEAVE: Final = Layout("sc_packet_leave", ToClient.LEAVE, "i32 id")
SC_CHAT: Final = Layout("sc_packet_chat", ToClient.CHAT, "i32 id", text=True)
SC_LOGIN_FAIL: Final = Layout("sc_packet_login_fail", ToClient.LOGIN_FAIL, "u8 reason", text=True)
SC_STAT_CHANGE: Final = Layout(
    "sc_packet_stat_change", ToClient.STAT_CHANGE, "i32 id, i16 hp, i16 max_hp, i16 level, i32 exp"
)
SC_WORLD: Final = Layout("sc_packet_world", ToClient.WORLD, "u16 tiles, u8 view, u8 percent, i32 seed, u32 checksum")
SC_SPECTATING: Final = Layout("sc_packet_spectating", ToClient.SPECTATING, "u8 on", text=True)
SC_OVERVIEW: Final = Layout(
    "sc_packet_overview", ToClient.OVERVIEW, "u8 shift, u16 first, u16 last", each="u16 cell, u8 players, u8 monsters"
)
MOST_CELLS: Final = (MAX_PACKET - SC_OVERVIEW.size) // SC_OVERVIEW.each_struct.size
"""Cells that one overview packet can tell of."""

LAYOUTS: Final = (
    CS_LOGIN, CS_LOGIN_EXTENDED, CS_MOVE, CS_MOVE_TIMED, CS_ATTACK, CS_CHAT, CS_LOGOUT, CS_TELEPORT, CS_TELEPORT_TO,
    CS_SPECTATE,
    SC_LOGIN_OK, SC_MOVE, SC_MOVE_TIMED, SC_ENTER, SC_LEAVE, SC_CHAT, SC_LOGIN_FAIL, SC_STAT_CHANGE, SC_WORLD,
    SC_SPECTATING, SC_OVERVIEW,
)  # fmt: skip


# Client to server


def pack_login(name: bytes, knows: int | None = None) -> bytes:
    """A login; `name` from `encode_name`. With `knows` the extended one."""
    if knows is None:
        return CS_LOGIN.struct.pack(CS_LOGIN.size, ToServer.LOGIN, name)
    return CS_LOGIN_EXTENDED.struct.pack(CS_LOGIN_EXTENDED.size, ToServer.LOGIN, name, knows)


def pack_step(direction: int, move_time: int | None = None) -> bytes:
    """A client's move; with `move_time` (0 to 2**32 - 1, any unit) the timed one."""
    if move_time is None:
        return _STEP(3, 1, direction)
    return _STEP_TIMED(7, 1, direction, move_time)


def pack_attack() -> bytes:
    """An attack on all around."""
    return CS_ATTACK.struct.pack(CS_ATTACK.size, ToServer.ATTACK)


def pack_say(text: str) -> bytes:
    """A chat line, cut to what fits."""
    return _pack_text(CS_CHAT, text)


def pack_logout() -> bytes:
    """A logout."""
    return CS_LOGOUT.struct.pack(CS_LOGOUT.size, ToServer.LOGOUT)


def pack_teleport(x: int | None = None, y: int | None = None) -> bytes:
    """A teleport to tile x, y, or without them to a tile of the server's choice."""
    if x is None or y is None:
        return CS_TELEPORT.struct.pack(CS_TELEPORT.size, ToServer.TELEPORT)
    return CS_TELEPORT_TO.struct.pack(CS_TELEPORT_TO.size, ToServer.TELEPORT, x, y)


def pack_spectate(on: bool) -> bytes:
    """Begin or end to be sent the overview."""
    return CS_SPECTATE.struct.pack(CS_SPECTATE.size, ToServer.SPECTATE, on)


def parse_client(packet: bytes) -> ClientPacket:
    """What a client sent: one whole packet, as framing delivers it. Raises ProtocolError."""
    size = len(packet)
    if size < 2:
        raise ProtocolError(Violation.WRONG_SIZE, f"packet of {size} byte(s) has no type")
    kind = packet[1]
    if kind == 1:
        if size == 7:
            _, _, direction, move_time = _UNPACK_STEP_TIMED(packet)
            return Move(direction, move_time)
        if size == 3:
            return Move(_UNPACK_STEP(packet)[2], None)
        raise _wrong_size("move", size, CS_MOVE, CS_MOVE_TIMED)
    if kind == ToServer.LOGIN:
        if size == CS_LOGIN.size:
            return Login(CS_LOGIN.struct.unpack(packet)[2], 0)
        if size == CS_LOGIN_EXTENDED.size:
            _, _, name, knows = CS_LOGIN_EXTENDED.struct.unpack(packet)
            return Login(name, knows)
        raise _wrong_size("login", size, CS_LOGIN, CS_LOGIN_EXTENDED)
    if kind == ToServer.ATTACK:
        if size == CS_ATTACK.size:
            return Attack()
        raise _wrong_size("attack", size, CS_ATTACK)
    if kind == ToServer.CHAT:
        return Chat(packet[CS_CHAT.size :])
    if kind == ToServer.LOGOUT:
        if size == CS_LOGOUT.size:
            return Logout()
        raise _wrong_size("logout", size, CS_LOGOUT)
    if kind == ToServer.TELEPORT:
        if size == CS_TELEPORT.size:
            return Teleport(None, None)
        if size == CS_TELEPORT_TO.size:
            return Teleport(*CS_TELEPORT_TO.struct.unpack(packet)[2:])
        raise _wrong_size("teleport", size, CS_TELEPORT, CS_TELEPORT_TO)
    if kind == ToServer.SPECTATE:
        return Spectate(bool(_fields("spectate", packet, CS_SPECTATE)[0]))
    raise ProtocolError(Violation.UNKNOWN_TYPE, f"packet type {kind} of {size} bytes is unknown")


# Server to client


def pack_login_ok(id: int, x: int, y: int, hp: int, level: int, exp: int) -> bytes:
    """The answer to an accepted login."""
    return SC_LOGIN_OK.struct.pack(SC_LOGIN_OK.size, ToClient.LOGIN_OK, id, x, y, hp, level, exp)


def pack_move(id: int, x: int, y: int) -> bytes:
    """A piece's position, for clients that send untimed moves."""
    return _MOVE(10, 1, id, x, y)


def pack_move_timed(id: int, x: int, y: int, move_time: int) -> bytes:
    """The same for clients that send timed moves: their own `move_time` back, or 0 in moves of others."""
    return _MOVE_TIMED(14, 1, id, x, y, move_time)


def pack_enter(id: int, name: bytes, o_type: int, x: int, y: int) -> bytes:
    """A piece comes into sight; `name` from `encode_name`."""
    return _ENTER(21, 2, id, name, o_type, x, y)


def pack_leave(id: int) -> bytes:
    """A piece goes out of sight."""
    return SC_LEAVE.struct.pack(SC_LEAVE.size, ToClient.LEAVE, id)


def pack_chat(id: int, text: str) -> bytes:
    """What a piece, or with id 0 the server, says; cut to what fits. Only for clients that know extended packets."""
    return _pack_text(SC_CHAT, text, id)


def pack_login_fail(reason: LoginFail, text: str) -> bytes:
    """Why a login was refused; `text` is cut to what fits. Only for clients that know extended packets."""
    return _pack_text(SC_LOGIN_FAIL, text, reason)


def pack_stat_change(id: int, hp: int, max_hp: int, level: int, exp: int) -> bytes:
    """The values of a piece. Only for clients that know extended packets."""
    return SC_STAT_CHANGE.struct.pack(SC_STAT_CHANGE.size, ToClient.STAT_CHANGE, id, hp, max_hp, level, exp)


def pack_world(size: int, view: int, percent: int, seed: int, checksum: int) -> bytes:
    """How to make the obstacles. Only for clients whose extended login said `knows` 2 or more."""
    return SC_WORLD.struct.pack(SC_WORLD.size, ToClient.WORLD, size, view, percent, seed, checksum)


def pack_spectating(on: bool, text: str) -> bytes:
    """Whether the overview is sent from now on, and why not. Only for clients that sent a `spectate`."""
    return _pack_text(SC_SPECTATING, text, on)


def pack_overview(shift: int, first: int, last: int, cells: Sequence[tuple[int, int, int]]) -> bytes:
    """A part of the overview, of `MOST_CELLS` cells at most: see `Overview`. Only for clients that sent a `spectate`."""
    pack = SC_OVERVIEW.each_struct.pack
    body = b"".join([pack(cell, min(players, 255), min(monsters, 255)) for cell, players, monsters in cells])
    return SC_OVERVIEW.struct.pack(SC_OVERVIEW.size + len(body), ToClient.OVERVIEW, shift, first, last) + body


def _pack_text(layout: Layout, text: str, *fields: int) -> bytes:
    body = text.encode(errors="replace")[: MAX_PACKET - layout.size].decode(errors="ignore").encode()
    return layout.struct.pack(layout.size + len(body), layout.type, *fields) + body


def parse_server(packet: bytes) -> ServerPacket:
    """What a server sent: one whole packet. Raises ProtocolError."""
    size = len(packet)
    if size < 2:
        raise ProtocolError(Violation.WRONG_SIZE, f"packet of {size} byte(s) has no type")
    kind = packet[1]
    if kind == ToClient.MOVE:
        if size == 14:
            _, _, id, x, y, move_time = _UNPACK_MOVE_TIMED(packet)
            return Moved(id, x, y, move_time)
        if size == 10:
            _, _, id, x, y = _UNPACK_MOVE(packet)
            return Moved(id, x, y, None)
        raise _wrong_size("move", size, SC_MOVE, SC_MOVE_TIMED)
    if kind == ToClient.ENTER:
        return Enter(*_fields("enter", packet, SC_ENTER))
    if kind == ToClient.LEAVE:
        return Leave(*_fields("leave", packet, SC_LEAVE))
    if kind == ToClient.LOGIN_OK:
        return LoginOk(*_fields("login_ok", packet, SC_LOGIN_OK))
    if kind == ToClient.STAT_CHANGE:
        return StatChange(*_fields("stat_change", packet, SC_STAT_CHANGE))
    if kind == ToClient.CHAT:
        return Said(*_text("chat", packet, SC_CHAT))
    if kind == ToClient.LOGIN_FAIL:
        return LoginFailed(*_text("login_fail", packet, SC_LOGIN_FAIL))
    if kind == ToClient.WORLD:
        return WorldInfo(*_fields("world", packet, SC_WORLD))
    if kind == ToClient.SPECTATING:
        on, text = _text("spectating", packet, SC_SPECTATING)
        return Spectating(bool(on), text)
    if kind == ToClient.OVERVIEW:
        each = SC_OVERVIEW.each_struct
        if size < SC_OVERVIEW.size or (size - SC_OVERVIEW.size) % each.size:
            raise _wrong_size("overview", size, SC_OVERVIEW)
        _, _, shift, first, last = SC_OVERVIEW.struct.unpack_from(packet)
        return Overview(shift, first, last, tuple(each.iter_unpack(packet[SC_OVERVIEW.size :])))
    raise ProtocolError(Violation.UNKNOWN_TYPE, f"packet type {kind} of {size} bytes is unknown")


def _fields(name: str, packet: bytes, layout: Layout) -> tuple[Any, ...]:
    if len(packet) != layout.size:
        raise _wrong_size(name, len(packet), layout)
    return layout.struct.unpack(packet)[2:]


def _text(name: str, packet: bytes, layout: Layout) -> tuple[Any, str]:
    """The one field and the text behind it."""
    if len(packet) < layout.size:
        raise _wrong_size(name, len(packet), layout)
    return layout.struct.unpack_from(packet)[2], packet[layout.size :].decode(errors="replace")


def _wrong_size(name: str, size: int, *layouts: Layout) -> ProtocolError:
    sizes = " or ".join(str(layout.size) for layout in layouts)
    return ProtocolError(Violation.WRONG_SIZE, f"{name} packet of {size} bytes, must have {sizes}")


# Bound once: the packets that a busy server packs and parses all the time.
_STEP = CS_MOVE.struct.pack
_STEP_TIMED = CS_MOVE_TIMED.struct.pack
_UNPACK_STEP = CS_MOVE.struct.unpack
_UNPACK_STEP_TIMED = CS_MOVE_TIMED.struct.unpack
_MOVE = SC_MOVE.struct.pack
_MOVE_TIMED = SC_MOVE_TIMED.struct.pack
_UNPACK_MOVE = SC_MOVE.struct.unpack
_UNPACK_MOVE_TIMED = SC_MOVE_TIMED.struct.unpack
_ENTER = SC_ENTER.struct.pack


def main(arguments: list[str] | None = None) -> int:
    """`--c-header` prints the C header; anything else is a usage error (exit code 2)."""
    if (sys.argv[1:] if arguments is None else arguments) != ["--c-header"]:
        print("usage: python -m iocp.game.protocol --c-header", file=sys.stderr)
        return 2
    from .header import c_header

    sys.stdout.write(c_header())
    return 0


if __name__ == "__main__":
    sys.exit(main())
