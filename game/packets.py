"""What packets say, taken apart: one tuple for each packet of the wire (`protocol.py` packs and parses them)."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias


class Login(NamedTuple):
    """C->S: the raw name field (see `decode_name`) and how much the client says it knows (0 = the six packets)."""

    name: bytes
    knows: int


class Move(NamedTuple):
    """C->S: `direction` as sent, maybe out of range; `move_time` in the client's own unit, None when untimed."""

    direction: int
    move_time: int | None


class Attack(NamedTuple):
    """C->S: hit the monsters on the own tile and on the four next to it."""


class Chat(NamedTuple):
    """C->S: say `text`, bytes as sent, to those in sight."""

    text: bytes


class Logout(NamedTuple):
    """C->S: the client leaves."""


class Spectate(NamedTuple):
    """C->S: begin (or with False end) to be sent the overview of the whole board."""

    on: bool


class Teleport(NamedTuple):
    """C->S: go to tile x, y; both None: wherever the server likes."""

    x: int | None
    y: int | None


class LoginOk(NamedTuple):
    """S->C: the client's own piece; x and y in tiles."""

    id: int
    x: int
    y: int
    hp: int
    level: int
    exp: int


class Moved(NamedTuple):
    """S->C: a piece's position in tiles; `move_time` None in the untimed packet."""

    id: int
    x: int
    y: int
    move_time: int | None


class Enter(NamedTuple):
    """S->C: a piece that is now in sight; `name` is the raw name field."""

    id: int
    name: bytes
    o_type: int
    x: int
    y: int


class Leave(NamedTuple):
    """S->C: a piece that is no longer in sight."""

    id: int


class Said(NamedTuple):
    """S->C: the piece `id`, or with 0 the server, says something."""

    id: int
    text: str


class LoginFailed(NamedTuple):
    """S->C: the login was refused, or ended by another one."""

    reason: int
    text: str


class StatChange(NamedTuple):
    """S->C: the values of a piece in sight, or the own ones. `exp` is 0 in those of others."""

    id: int
    hp: int
    max_hp: int
    level: int
    exp: int


class WorldInfo(NamedTuple):
    """S->C: what a client needs to have the same obstacles (see `Terrain`).

    size in tiles, view in tiles; percent 255: not from the seed, but from a file whose checksum is `checksum`.
    """

    size: int
    view: int
    percent: int
    seed: int
    checksum: int


class Spectating(NamedTuple):
    """S->C: whether the overview is sent from now on, and if not, why."""

    on: bool
    text: str


class Overview(NamedTuple):
    """S->C: how many pieces stand where on the board; a part of it, complete in itself.

    The board is cut into square cells of `1 << shift` tiles a side, numbered row by row. `cells` are those from `first` to
    `last` on which anybody stands, as (number, players, monsters), 255 for that many or more; the others are empty.
    """

    shift: int
    first: int
    last: int
    cells: tuple[tuple[int, int, int], ...]


ClientPacket: TypeAlias = Login | Move | Attack | Chat | Logout | Teleport | Spectate
ServerPacket: TypeAlias = (
    LoginOk | Moved | Enter | Leave | Said | LoginFailed | StatChange | WorldInfo | Spectating | Overview
)
