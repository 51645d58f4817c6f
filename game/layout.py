"""What a packet's bytes mean: a layout, from which its packing, its size checks and its C struct come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property
from struct import Struct
from typing import Final

MAX_NAME: Final = 10
"""Bytes of the name field (MAX_ID_LEN on the slides)."""

# The name in a Layout: (struct code, C type).
FIELD_TYPES: Final = {
    "i8": ("b", "int8_t"), "u8": ("B", "uint8_t"), "i16": ("h", "int16_t"), "u16": ("H", "uint16_t"),
    "i32": ("i", "int32_t"), "u32": ("I", "uint32_t"), "name": (f"{MAX_NAME}s", "char"),
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """One packet: its C struct's name, its type, and the fields after size and type as "type name" words."""

    name: str
    type: IntEnum
    fields: str = ""
    text: bool = False
    """Whether UTF-8 text follows, up to the packet's end, not terminated."""
    each: str = ""
    """Fields that follow, as often as there is room up to the packet's end."""

    @cached_property
    def words(self) -> list[tuple[str, str]]:
        """(type, name) of each field."""
        return _words(self.fields)

    @cached_property
    def struct(self) -> Struct:
        """The whole packet, size and type included, `text` and `each` not."""
        return Struct("<BB" + "".join(FIELD_TYPES[kind][0] for kind, _ in self.words))

    @cached_property
    def each_words(self) -> list[tuple[str, str]]:
        """(type, name) of each field in `each`."""
        return _words(self.each)

    @cached_property
    def each_struct(self) -> Struct:
        """What `each` says, once."""
        return Struct("<" + "".join(FIELD_TYPES[kind][0] for kind, _ in self.each_words))

    @property
    def size(self) -> int:
        """Bytes of the packet, without `text` and `each`."""
        return self.struct.size


def _words(fields: str) -> list[tuple[str, str]]:
    pairs = fields.replace(",", " ").split()
    return list(zip(pairs[::2], pairs[1::2], strict=True))
