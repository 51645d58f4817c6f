"""What a protocol looks like to the load tool: plain data, played by native code. The plug-in API.

A protocol of length-prefixed packets is described by its framing, the packets that a player sends, and the packets that
the server sends, each with the place of the numbers that matter. `chess.py` and `echo.py` are two of them. A third one, a
game with two bytes of length and two bytes of type, whose server sends each player's own position back:

    from iocp import Framing
    from iocp.load.protocol import Field, Packet, Protocol, Step

    arena = Protocol(
        name="arena",
        framing=Framing(length_bytes=2),
        type=Field(2, 2),
        login=bytes([24, 0, 1, 0]) + b"bot".ljust(20, b"\\0"),
        number=Field(7, 8),                       # digits behind "bot"
        move=bytes([9, 0, 2, 0, 0, 0, 0, 0, 0]),
        direction=Field(4, 1),
        stamp=Field(5, 4),
        steps=(Step(0, 0, -1), Step(1, 1, 0), Step(2, 0, 1), Step(3, -1, 0)),
        packets=(
            Packet("welcome", type=1, size=16, id=Field(4, 4), x=Field(8, 4), y=Field(12, 4)),
            Packet("move", type=2, size=20, id=Field(4, 4), x=Field(8, 4), y=Field(12, 4), stamp=Field(16, 4)),
            Packet("enter", type=3, size=(8, 64), id=Field(4, 4)),
            Packet("leave", type=4, size=8, id=Field(4, 4)),
            Packet("ignored", type=5, size=(4, 65535)),
        ),
    )

In a module `bots.py` on Python's path it is played with `iocp-load protocol bots:arena --port 4000 --clients 500`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from .._iocpcore import Crowd
from ..framing import Framing

Role = Literal["ignored", "welcome", "refused", "move", "enter", "leave", "echo"]


class Field(NamedTuple):
    """An integer in a packet: where it begins, counted from the packet's first byte, and its size in bytes (1, 2 or 4)."""

    offset: int
    size: int


class Step(NamedTuple):
    """A direction to move in: its number on the wire, and how many tiles it leads along x and y."""

    value: int
    dx: int
    dy: int


@dataclass(frozen=True)
class Packet:
    """A packet of the server, and what it means to the player who gets it.

    Attributes:
        role: what it means.

            - "welcome": the login is accepted; `id`, `x` and `y` are the player's own.
            - "refused": the login is not; the text (UTF-8) that the packet ends with, if any, is shown.
            - "move": a position. With the player's own id, or without an `id` field, it is the answer to what it sent:
              matched by `stamp`, or in order without one. With another's id: that one moved, and `stamp` must be 0. With `x` and `y`
              both are compared: where others are told that a player is, against its own answers.
            - "enter": another comes into sight: `id`, and `x` and `y` if the packet says where. Only who has entered may move and leave.
            - "leave": another goes out of sight: `id`.
            - "echo": what the player sent comes back unchanged.
            - "ignored": known and of no interest.
        size: of the whole packet in bytes, or the least and the most. A type may have several packets of different sizes.
            A packet of no type or size that is listed ends the connection and counts as malformed.
        type: the number at `Protocol.type`.
        id: where the id of the one it is about lies; None if it has none.
        x: where the first coordinate lies.
        y: where the second coordinate lies.
        stamp: where the number lies that came with the player's send.
    """

    role: Role
    size: int | tuple[int, int]
    type: int = 0
    id: Field | None = None
    x: Field | None = None
    y: Field | None = None
    stamp: Field | None = None


@dataclass(frozen=True)
class Protocol:
    """A whole protocol. Ids and coordinates are signed, types and stamps are not.

    Attributes:
        name: for messages.
        framing: how both directions are cut into packets.
        move: what is sent on schedule.
        packets: all that the server may send.
        type: where a packet of the server has its type; None: there are no types, and the size tells which of `packets` it is.
        byteorder: of all fields, "little" or "big".
        login: sent when connected; b"": none, the player plays at once.
        number: where the player's number is written into the login, as decimal digits; `size` is the room for them.
        teleport: sent once after the login; the answer may show any position.
        direction: where the step's value goes in `move`.
        stamp: where a number goes in `move` by which the answer is known.
        steps: the directions there are; a random one is sent.
        spot: a tile that players are drawn to, three steps in four.
    """

    name: str
    framing: Framing
    move: bytes
    packets: tuple[Packet, ...]
    type: Field | None = None
    byteorder: Literal["little", "big"] = "little"
    login: bytes = b""
    number: Field | None = None
    teleport: bytes = b""
    direction: Field | None = None
    stamp: Field | None = None
    steps: tuple[Step, ...] = ()
    spot: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, kind in (("framing", Framing), ("move", bytes), ("login", bytes), ("teleport", bytes)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be {kind.__name__}, not {type(getattr(self, name)).__name__}")
        if wrong := [packet for packet in self.packets if not isinstance(packet, Packet)]:
            raise TypeError(f"packets must be of Packet, and {wrong[0]!r} is none")

    @property
    def most_players(self) -> int:
        """Whose numbers fit into the login: from 0 on."""
        return 10**self.number.size if self.number is not None and self.login else 10**9

    @property
    def shows_moves(self) -> bool:
        """Whether players are told where others go, so that it can be measured how long that takes."""
        return bool(self.steps) and any(each.role == "move" and each.id and each.x and each.y for each in self.packets)

    def parameters(self) -> dict[str, str]:
        """What is played, in words for a report: whatever can differ between two runs of one protocol."""
        framing = self.framing
        order = "byte" if framing.length_bytes == 1 else f"bytes, {framing.byteorder} endian"
        found = {
            "packets": f"{len(self.move)} bytes each",
            "answers": f"known by a number of {self.stamp.size} bytes" if self.stamp else "known by their order",
            "framing": f"length of {framing.length_bytes} {order}, {'itself' if framing.counts_header else 'itself not'} counted,"
            f" packets of at most {framing.max_size:,} bytes",
        }
        if self.teleport:
            found["teleport"] = "each player once, after its login"
        if self.spot is not None:
            found["hot spot"] = f"{self.spot[0]},{self.spot[1]}"
        return found

    def crowd(self, *, seed: int, interval: float, window: int) -> Crowd:
        """Players of this protocol, in native code. Raises ValueError or TypeError naming what is wrong with it."""
        rules: list[tuple[int, str, int, int, Field | None, Field | None, Field | None, Field | None]] = []
        for packet in self.packets:
            least, most = packet.size if isinstance(packet.size, tuple) else (packet.size, packet.size)
            rules.append((packet.type, packet.role, least, most, packet.id, packet.x, packet.y, packet.stamp))
        return Crowd(
            big_endian=self.byteorder == "big",
            type=self.type,
            rules=rules,
            login=self.login,
            number=self.number,
            teleport=self.teleport,
            move=self.move,
            direction=self.direction,
            stamp=self.stamp,
            steps=list(self.steps),
            spot=self.spot,
            seed=seed,
            interval=interval,
            window=window,
        )
