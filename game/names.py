"""Names and chat lines: what they may be, and how they lie in a packet.

A name field is 10 bytes, NUL padded: a name ends at the first NUL, what follows is ignored, and all ten bytes may be
used (the `o_type` 0 behind a player's name in `enter` ends the string for clients that read on). A name is text in
the server's one name encoding, UTF-8 unless told otherwise, of printable characters (no control characters, line
ends, direction overrides), with no blank at either end. Chat is UTF-8 of printable characters and not blank.

Errors quote a name as it is, with what is not printable escaped: who logs what others sent escapes the rest as well (`in_ascii`).

Pure functions, safe on any thread.
"""

from __future__ import annotations

from .layout import MAX_NAME
from .violation import ProtocolError, Violation


def encode_name(name: str, encoding: str = "utf-8") -> bytes:
    """The name field for `name`, padded to 10 bytes. Raises ProtocolError if it breaks a rule or is too long."""
    try:
        raw = name.encode(encoding)
    except UnicodeEncodeError:
        raise ProtocolError(Violation.BAD_NAME, f"name {name!r} cannot be written in {encoding}") from None
    if len(raw) > MAX_NAME:
        raise ProtocolError(Violation.BAD_NAME, f"name {name!r} takes {len(raw)} bytes, {MAX_NAME} at most")
    _check_name(name)
    return raw.ljust(MAX_NAME, b"\0")


def decode_name(field: bytes, encoding: str = "utf-8") -> str:
    """The text of a name field. Raises ProtocolError if it is not in `encoding`, or breaks a rule."""
    raw = field.partition(b"\0")[0]
    try:
        name = raw.decode(encoding)
    except UnicodeDecodeError:
        raise ProtocolError(Violation.BAD_NAME, f"name {raw!r} is not valid {encoding}") from None
    _check_name(name)
    return name


def _check_name(name: str) -> None:
    if not name.strip():
        raise ProtocolError(Violation.BAD_NAME, f"name {name!r} is empty")
    if not name.isprintable():
        raise ProtocolError(Violation.BAD_NAME, f"name {name!r} has control characters")
    if name != name.strip():
        raise ProtocolError(Violation.BAD_NAME, f"name {name!r} begins or ends with a blank")


def plain(text: str) -> str:
    """`text` for a terminal or a window, from somebody who may break the rules: "?" for each character that is not printable."""
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def in_ascii(text: str) -> str:
    """`text` for a log, which goes wherever it goes: all that is not ASCII escaped."""
    return text.encode("ascii", "backslashreplace").decode()


def decode_chat(raw: bytes) -> str:
    """The text of a chat packet. Raises ProtocolError if it is not UTF-8, blank, or has control characters."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise ProtocolError(Violation.BAD_TEXT, "chat is not valid UTF-8") from None
    if not text.strip():
        raise ProtocolError(Violation.BAD_TEXT, "chat is blank")
    if not text.isprintable():
        raise ProtocolError(Violation.BAD_TEXT, f"chat {text!r} has control characters")
    return text
