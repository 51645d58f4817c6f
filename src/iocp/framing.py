"""How a stream of bytes is cut into packets: length of the length field, its byte order, what it counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

_LARGEST = {1: 0xFF, 2: 0xFFFF, 4: 0x7FFF_FFFF}
_DEFAULT_MAX = {1: 0xFF, 2: 0xFFFF, 4: 1 << 20}


@dataclass(frozen=True)
class Framing:
    """The packet format: a length field at the front, then the rest of the packet.

    The default is the lecture's: one byte that counts the whole packet, itself included (slide "packet format").

    Attributes:
        length_bytes: 1, 2 or 4 bytes of length.
        byteorder: "little" or "big"; without meaning for one byte.
        counts_header: whether the number in the length field includes the field itself.
        max_size: the largest whole packet accepted, header included, in bytes. The session of a peer that
            announces more is cut with `Reason.LENGTH_TOO_LARGE`. None: all that 1 or 2 bytes can say, 1 MiB for 4 bytes.

    Raises ValueError or TypeError, naming the argument.
    """

    length_bytes: Literal[1, 2, 4] = 1
    byteorder: Literal["little", "big"] = "little"
    counts_header: bool = True
    max_size: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.length_bytes, bool) or self.length_bytes not in _LARGEST:
            raise ValueError(f"length_bytes must be 1, 2 or 4, not {self.length_bytes!r}")
        if self.byteorder not in ("little", "big"):
            raise ValueError(f"byteorder must be 'little' or 'big', not {self.byteorder!r}")
        if not isinstance(self.counts_header, bool):
            raise TypeError(f"counts_header must be a bool, not {self.counts_header!r}")
        # The widest packet the field can announce: a field that does not count itself reaches a little further.
        reach = _LARGEST[self.length_bytes] + (0 if self.counts_header else self.length_bytes)
        if self.max_size is None:
            extra = 0 if self.counts_header else self.length_bytes
            object.__setattr__(self, "max_size", min(reach, _DEFAULT_MAX[self.length_bytes] + extra))
            return
        if isinstance(self.max_size, bool) or not isinstance(self.max_size, int):
            raise TypeError(f"max_size must be an int or None, not {self.max_size!r}")
        if not self.length_bytes <= self.max_size <= reach:
            raise ValueError(
                f"max_size must be between {self.length_bytes} and {reach} "
                f"for {self.length_bytes} length byte(s), not {self.max_size!r}"
            )

    def pack(self, body: bytes) -> bytes:
        """The packet that carries `body`: the length field, then `body`. Raises ValueError if it is too long."""
        size = self.length_bytes + len(body)
        if self.max_size is not None and size > self.max_size:
            raise ValueError(f"body of {len(body)} bytes makes a packet of {size}, over max_size {self.max_size}")
        value = size if self.counts_header else len(body)
        return value.to_bytes(self.length_bytes, self.byteorder) + body
