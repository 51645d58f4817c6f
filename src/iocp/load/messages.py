"""Python objects over a pipe: between the processes of one run, which are of one program and trust each other."""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any, Final

_HEAD: Final = struct.Struct("<I")


def write_message(stream: IO[bytes], message: object) -> None:
    """Raises OSError if nobody reads any more."""
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    stream.write(_HEAD.pack(len(body)) + body)
    stream.flush()


def read_message(stream: IO[bytes]) -> Any:
    """The next one; blocks. Raises EOFError at the end, also in the middle of a message."""
    return pickle.loads(_read(stream, _HEAD.unpack(_read(stream, _HEAD.size))[0]))


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data
