"""The command line of a tool: options taken out of its words, and what is said when they are wrong."""

from __future__ import annotations


class UsageError(Exception):
    """Of the tool's own command line."""


def take(words: list[str], option: str) -> str | None:
    """Takes `--option VALUE` or `--option=VALUE` out of the words before `--`; what comes after that is another program's."""
    for place, word in enumerate(words):
        if word == "--":
            break
        name, equals, value = word.partition("=")
        if name == option:
            if not equals and place + 1 == len(words):
                raise UsageError(f"{option} needs a value")
            value = value if equals else words.pop(place + 1)
            del words[place]
            return value
    return None
