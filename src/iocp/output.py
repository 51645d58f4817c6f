"""Standard output whose reader may leave, as `head` does: what the commands of this package print through."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> bool:
    """Print `text` on `stream` (standard output) at once. Whoever reads no more stops nothing: the rest goes nowhere.

    False when the reader turns out to be gone; what is said after that goes nowhere unnoticed.
    Raises OSError for anything else, such as a full disk.
    """
    stream = sys.stdout if stream is None else stream
    try:
        print(text, file=stream, flush=True)
    except OSError as error:
        if not is_unread(error):
            raise
        silence(stream)
        return False
    return True


def remark(text: str) -> None:
    """Print `text` on standard error, if that is there and takes it: what is said beside the work may be lost, the work goes on."""
    if sys.stderr is not None:
        try:
            say(text, sys.stderr)
        except OSError:
            pass  # a full disk, for one


def accept_any_text() -> None:
    """What the encoding of standard output does not have is written as its number from now on, instead of ending the program.

    For text that comes from elsewhere: a name in Korean, on a console or in a file of another code page.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def is_unread(error: OSError) -> bool:
    """Whether writing failed because nobody reads any more. Windows says of such a pipe that the argument is wrong."""
    return isinstance(error, BrokenPipeError) or (sys.platform == "win32" and error.errno == errno.EINVAL)


def silence(stream: TextIO) -> None:
    """What is written to `stream` goes nowhere from now on: Python would try once more at its end, and complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
