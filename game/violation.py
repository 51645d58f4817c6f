"""How a peer can break the game's protocol: what the server counts its cuts by."""

from __future__ import annotations

from enum import StrEnum


class Violation(StrEnum):
    """How a peer can break the protocol; what the server counts its cuts by."""

    UNKNOWN_TYPE = "unknown type"
    WRONG_SIZE = "wrong size"
    NOT_LOGGED_IN = "not logged in"
    SECOND_LOGIN = "second login"
    BAD_NAME = "bad name"
    BAD_TEXT = "bad text"
    CHEATING = "cheating"


class ProtocolError(ValueError):
    """A packet that breaks the protocol: `kind` for counting, the text for people."""

    def __init__(self, kind: Violation, text: str) -> None:
        super().__init__(text)
        self.kind = kind
