"""Numbers as people read them, three digits that matter and a unit; and foreign text as they may be shown it."""

from __future__ import annotations


def milliseconds(value: float | None) -> str:
    """Without the unit, at most seven characters up to an hour; "-" for nothing measured."""
    if value is None:
        return "-"
    return f"{value:.2f}" if value < 9.995 else f"{value:.1f}" if value < 99.95 else f"{value:,.0f}"


def quantity(value: float) -> str:
    """A count, or a rate."""
    for limit, divisor, unit in ((99_950, 1, ""), (9.995e6, 1e3, " k"), (9.995e9, 1e6, " M")):
        if value < limit:
            scaled = value / divisor
            return (f"{scaled:,.0f}" if divisor == 1 and (scaled >= 100 or scaled == int(scaled)) else f"{scaled:,.1f}") + unit
    return f"{value / 1e9:,.1f} G"


def size(value: float) -> str:
    """Bytes."""
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if value >= 99.95 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def duration(seconds: float) -> str:
    """A time span, in whole seconds."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02} min" if whole < 3600 else f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02} h"


def printable(text: str) -> str:
    """Text of a server or of its process: no control character of theirs gets to a terminal or turns a page's lines around."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
