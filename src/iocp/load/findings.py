"""Errors and violations in words that people can act on."""

from __future__ import annotations

import errno
from typing import Any, Final

from .._iocpcore import Session
from ..reason import Reason

UNANSWERED: Final = "not answered"
REFUSED: Final = "login refused"
SKIPPED: Final = "not sent, since thousands before were not answered"

_NOT_BEGUN: Final = "no connection could be begun"
_OUT_OF_PORTS: Final = "(out of ports: use more source addresses, --source)"
_OUT_OF_MEMORY: Final = "the generator's system is out of memory or buffers"
_IN_THE_MIDDLE: Final = "in the middle"
_BEFORE_THE_LOGIN: Final = "before the login was answered"
_RESET_WHILE_CONNECTING: Final = "connecting failed: reset by the server"
_NO_ADDRESS: Final = (errno.EADDRNOTAVAIL, errno.EADDRINUSE, 10048, 10049)
_RESET_ERRORS: Final = (errno.ECONNRESET, 10054)
_ENDS: Final = {
    Reason.CONNECT_TIMEOUT: "connecting timed out",
    Reason.PEER_RESET: "reset by the server",
    Reason.LENGTH_TOO_SMALL: "garbage: a length too small for its own field",
    Reason.LENGTH_TOO_LARGE: "garbage: a length over the protocol's largest packet",
    Reason.PROTOCOL: "garbage: a packet of no known type and size",
    Reason.OUT_OF_MEMORY: _OUT_OF_MEMORY,
}
# Its own doing: it closed the connection, or the run is over.
_OWN_ENDS: Final = (Reason.CLOSED, Reason.SERVER_STOPPED)


def name_of_end(session: Session, reason: Reason, playing: bool) -> str | None:
    """What to count the end of a connection as; None: no error."""
    if reason in _OWN_ENDS:
        return None
    if reason is Reason.CONNECT_FAILED:
        error = session.error
        if error is not None and error.errno in _NO_ADDRESS:
            return f"connecting failed: {error.strerror} {_OUT_OF_PORTS}"
        if error is not None and error.errno in _RESET_ERRORS:
            return _RESET_WHILE_CONNECTING
        return f"connecting failed: {error.strerror if error is not None else 'unknown'}"
    when = _IN_THE_MIDDLE if playing else _BEFORE_THE_LOGIN
    if reason is Reason.PEER_CLOSED:
        return f"closed by the server {when}"
    if reason in _ENDS:
        return _ENDS[reason] + (f" {when}" if reason is Reason.PEER_RESET else "")
    return f"ended with {reason.name}" + (f": {session.error}" if session.error else "")


def name_of_failed_begin(error: OSError) -> str:
    """What to count a connection as that the system did not even let begin."""
    return f"{_NOT_BEGUN}: {error}"


def is_shortage(name: str) -> bool:
    """Whether it is the generator's machine that had too little of something: that says nothing about the server."""
    return name.startswith(_NOT_BEGUN) or name.endswith(_OUT_OF_PORTS) or name == _OUT_OF_MEMORY


def hint(name: str) -> str:
    """What may be behind an error, and what to do then; "" where its name says all."""
    if name.endswith(_IN_THE_MIDDLE):
        return (
            "does it send faster than the server allows (a lower --rate, or serve --move-interval 0), or does another load tool play there"
            " under the same names (--first-player)?"
        )
    if name.endswith(_BEFORE_THE_LOGIN) or name == _RESET_WHILE_CONNECTING:
        return "does the server limit the connections of one address (serve --sessions-per-address 0, or several addresses with --source)?"
    return ""


_SENTENCES: Final = {
    "entered twice": "was told that {id} enters, who was in sight already",
    "moved unseen": "was told that {id} moves to {x},{y}, who never entered",
    "left unseen": "was told that {id} leaves, who never entered",
    "entered itself": "was told that it enters itself",
    "left itself": "was told that it leaves itself",
    "wrong position": "stood at {from_x},{from_y} and was moved to {x},{y}, which its move does not explain",
    "answered twice": "got a second answer to one move",
    "answer unasked": "got an answer to something that it did not send",
    "answer out of order": "got an answer after that to a later move",
    "foreign stamp": "was told that {id} moves, with a time in it that is not its own",
    "before the login": "was told of the world before its login was answered",
    "welcomed twice": "was told twice that its login is accepted",
    "id given twice": "got the id that player {x}, who is online, has",
    "wrong echo": "got back what it did not send",
    "told elsewhere": "was told that {id} is at {x},{y}, where that one has not been: it is at {from_x},{from_y}",
    "stale in sight": "was told last that {id} is at {x},{y}, but by the answers of that one itself it is at {from_x},{from_y}",
    "malformed": "got a packet of no known type and size",
    "refused": "was refused at the login",
}


def sentence(name: str, example: dict[str, Any]) -> str:
    """An example of a violation, as a sentence, with the packet that made it if it was one packet."""
    packet: bytes = example["packet"]
    shown = packet[:32].hex(" ") + (" ..." if example["size"] > 32 else "")
    text = _SENTENCES[name].format(**example)
    own = f" (id {example['own_id']})" if example["own_id"] != -(2**31) else ""
    if name == "refused" and (words := _words_at_the_end(packet)):
        text += f": {words!r}"
    by = f"; packet of {example['size']} bytes: {shown}" if example["size"] else ""
    return f"player {example['player']}{own} {text}{by}"


def _words_at_the_end(packet: bytes) -> str:
    """The text that a packet ends with, without zeros behind it: where it begins each protocol has in another place."""
    text = packet.rstrip(b"\0").decode("utf-8", "replace")
    begin = len(text)
    while begin and text[begin - 1].isprintable():
        begin -= 1
    return text[begin:]
