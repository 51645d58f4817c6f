"""The chess board's wire as the load tool plays it (docs/wire.md).

Said here once more and not taken from the game, on which nothing in `iocp` may depend: so the two check each other, and a test
compares them.
"""

from __future__ import annotations

from ..framing import Framing
from .protocol import Field, Packet, Protocol, Step

_ID, _X, _Y = Field(2, 4), Field(6, 2), Field(8, 2)
_PACKETS = (
    Packet("welcome", type=0, size=18, id=_ID, x=_X, y=_Y),
    Packet("move", type=1, size=14, id=_ID, x=_X, y=_Y, stamp=Field(10, 4)),
    Packet("move", type=1, size=10, id=_ID, x=_X, y=_Y),
    Packet("enter", type=2, size=21, id=_ID, x=Field(17, 2), y=Field(19, 2)),
    Packet("leave", type=3, size=6, id=_ID),
    # Only those who have shown that they know them are sent these: a player that teleports.
    Packet("ignored", type=4, size=(3, 127)),
    Packet("refused", type=5, size=(3, 127)),
    Packet("ignored", type=6, size=(3, 127)),
    Packet("ignored", type=7, size=(3, 127)),
)
_STEPS = (Step(0, 0, -1), Step(1, 0, 1), Step(2, -1, 0), Step(3, 1, 0))


def chess(*, timed: bool = True, teleport: bool = False, spot: tuple[int, int] | None = None) -> Protocol:
    """Players who log in as p0, p1 ... and make random moves.

    timed: whether moves carry a time, here a sequence number, which the server sends back.
    teleport: to a random tile after the login, so that players who all begin in one place do not stay there.
    spot: a tile x, y that they are drawn to.
    """
    return Protocol(
        name="chess",
        framing=Framing(max_size=127),
        type=Field(1, 1),
        packets=_PACKETS,
        login=bytes([12, 0]) + b"p".ljust(10, b"\0"),
        number=Field(3, 9),
        teleport=bytes([2, 5]) if teleport else b"",
        move=bytes([7, 1, 0, 0, 0, 0, 0]) if timed else bytes([3, 1, 0]),
        direction=Field(2, 1),
        stamp=Field(3, 4) if timed else None,
        steps=_STEPS,
        spot=spot,
    )
