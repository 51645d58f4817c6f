"""Keys from the terminal, one by one and without waiting: what `curses` does, but beside a board that `rich` draws."""

from __future__ import annotations

import os
import sys
from codecs import getincrementaldecoder
from types import TracebackType
from typing import Any, Final, Self

from ..protocol import Direction

ESCAPE: Final = "\x1b"
ENTER: Final = "\r"
ERASE: Final = "\x7f"
_ARROWS: Final = {"A": Direction.UP, "B": Direction.DOWN, "D": Direction.LEFT, "C": Direction.RIGHT}
"""Behind ESC [ or ESC O, as terminals send them."""
_WINDOWS_ARROWS: Final = {"H": Direction.UP, "P": Direction.DOWN, "K": Direction.LEFT, "M": Direction.RIGHT}
LETTERS: Final = {"w": Direction.UP, "s": Direction.DOWN, "a": Direction.LEFT, "d": Direction.RIGHT}


class Terminal:
    """Standard input, as a context manager within which lines are not waited for, nor shown.

    Without a terminal, or in its background, there are no keys. Ctrl-C stays what it is. One at a time, on the main thread.
    """

    def __init__(self) -> None:
        self._before: list[Any] | None = None
        self._decoder = getincrementaldecoder("utf-8")("replace")
        self.live = _on_a_terminal()
        """Whether somebody can type."""

    def __enter__(self) -> Self:
        if self.live and sys.platform != "win32":
            import termios
            import tty

            self._before = termios.tcgetattr(0)
            tty.setcbreak(0)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self._before is not None and sys.platform != "win32":
            import termios

            termios.tcsetattr(0, termios.TCSADRAIN, self._before)

    def keys(self) -> list[Direction | str]:
        """What was typed since the last time: arrows as directions, all else as letters, `ENTER`, `ERASE`, `ESCAPE`."""
        if not self.live:
            return []
        if sys.platform == "win32":
            return _windows_keys()
        import select

        typed = ""
        while select.select([0], [], [], 0)[0]:
            data = os.read(0, 1024)
            if not data:
                self.live = False
                break
            typed += self._decoder.decode(data)
        return parse(typed)


def _on_a_terminal() -> bool:
    """Whether standard input and output are terminals that this process may read from."""
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        return False
    if sys.platform == "win32":
        return True
    try:
        # A shell stops whoever reads from its terminal, or changes it, in the background.
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:
        return True  # A terminal of no shell.


def parse(typed: str) -> list[Direction | str]:
    """The keys in what a terminal sent; sequences of keys that mean nothing here are left out."""
    keys: list[Direction | str] = []
    at = 0
    while at < len(typed):
        letter = typed[at]
        at += 1
        if letter == ESCAPE and typed[at : at + 1] in ("[", "O"):
            at += 1
            while at < len(typed) and not ("@" <= typed[at] <= "~"):
                at += 1
            if typed[at : at + 1] in _ARROWS:
                keys.append(_ARROWS[typed[at]])
            at += 1
        elif letter == "\n":
            keys.append(ENTER)
        elif letter == "\b":
            keys.append(ERASE)
        else:
            keys.append(letter)
    return keys


def _windows_keys() -> list[Direction | str]:
    keys: list[Direction | str] = []
    if sys.platform == "win32":
        import msvcrt

        while msvcrt.kbhit():
            letter = msvcrt.getwch()
            if letter in ("\0", "\xe0"):
                arrow = _WINDOWS_ARROWS.get(msvcrt.getwch())
                if arrow is not None:
                    keys.append(arrow)
            else:
                keys += parse(letter)
    return keys
