"""Any server that sends length-prefixed packets back."""

from __future__ import annotations

from ..framing import Framing
from .protocol import Field, Packet, Protocol

_STAMP_BYTES = 4


def echo(size: int = 16, framing: Framing | None = None) -> Protocol:
    """Packets of `size` bytes, length field included, whose order and content are checked on the way back.

    Behind the length field lies a number of four bytes by which the answer is known; a packet without room for it is matched in order.
    Raises ValueError if the framing has no packet of that size.
    """
    framing = framing or Framing()
    header = framing.length_bytes
    if size <= header or (framing.max_size is not None and size > framing.max_size):
        raise ValueError(f"size must be between {header + 1} and {framing.max_size} bytes, not {size!r}")
    packet = framing.pack(bytes(number & 0xFF for number in range(header, size)))
    stamp = Field(header, _STAMP_BYTES) if size >= header + _STAMP_BYTES else None
    return Protocol(
        name="echo",
        framing=framing,
        move=packet,
        stamp=stamp,
        packets=(
            Packet("echo", size=(size, framing.max_size or size), stamp=stamp),
            # A wrong echo that is too short for the number: still an echo, and reported as a wrong one.
            Packet("echo", size=(header, max(header, size - 1))),
        ),
    )
