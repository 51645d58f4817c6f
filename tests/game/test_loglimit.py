"""A server's log cannot be flooded by its peers."""

from __future__ import annotations

import logging

from iocp.game.loglimit import LogLimit


class Limited:
    """A logger's lines behind a limit, and its clock."""

    def __init__(self, per_second):
        self.now = 100.0
        self.lines = []
        self._limit = LogLimit(per_second, clock=lambda: self.now)

    def log(self, level, text, *arguments):
        record = logging.LogRecord("iocp.game", level, "", 0, text, arguments, None)
        if self._limit.filter(record):
            self.lines.append(record.getMessage())


def test_so_many_lines_a_second_and_then_how_many_were_left_out():
    limited = Limited(3)
    for number in range(10):
        limited.log(logging.WARNING, "cut %d", number)
    limited.log(logging.INFO, "somebody came")
    limited.log(logging.ERROR, "a script failed")
    assert limited.lines == ["cut 0", "cut 1", "cut 2", "somebody came", "a script failed"]
    limited.now += 1
    limited.log(logging.WARNING, "next")
    limited.log(logging.WARNING, "again")
    assert limited.lines[5:] == ["next (and 7 more lines left out before)", "again"]


def test_what_strangers_cause_does_not_hide_what_is_said_once():
    limited = Limited(1)
    for number in range(100):
        limited.log(logging.WARNING, "session %d cut", number)
    limited.log(logging.WARNING, "storage: cannot save into %s", "players")
    assert limited.lines == ["session 0 cut", "storage: cannot save into players"]
    limited.now += 1
    for number in range(3):
        limited.log(logging.WARNING, "session %d cut", number)
    assert limited.lines[2:] == ["session 0 cut (and 99 more lines left out before)"], "the line with the count is of the same kind"
