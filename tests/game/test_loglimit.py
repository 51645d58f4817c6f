"""A server's log cannot be flooded by its peers."""

from __future__ import annotations

import logging

from iocp.game.loglimit import LogLimit


def test_so_many_lines_a_second_and_then_how_many_were_left_out():
    now = [100.0]
    limit = LogLimit(3, clock=lambda: now[0])
    lines = []

    def log(level, text):
        record = logging.LogRecord("iocp.game", level, "", 0, text, (), None)
        if limit.filter(record):
            lines.append(record.getMessage())

    for number in range(10):
        log(logging.WARNING, f"cut {number}")
    log(logging.INFO, "somebody came")
    log(logging.ERROR, "a script failed")
    assert lines == ["cut 0", "cut 1", "cut 2", "somebody came", "a script failed"]
    now[0] += 1
    log(logging.WARNING, "next")
    log(logging.WARNING, "again")
    assert lines[5:] == ["next (and 7 more lines left out before)", "again"]
