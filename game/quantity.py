"""How many of what, in words."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """`1 player`, `0 players`, `1,200 players`. For nouns whose plural ends in s; pure."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
