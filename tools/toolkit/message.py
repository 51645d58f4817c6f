"""What the tools say: progress, and failures that the reader can act on.

Here and in usage.py is nothing that only one system has: `wheels.py` runs on Windows, which has no `fcntl` for cache.py.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path


class ToolError(Exception):
    """Something the reader of the message can act on; shown without a traceback."""


def say(text: str) -> None:
    """Progress goes to stderr, so that the output of the program that is run stays clean."""
    print(f"{Path(sys.argv[0]).name}: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(text: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except BaseException:
        say(f"{text} ... failed after {time.monotonic() - began:.1f} s")
        raise
    say(f"{text} ... {time.monotonic() - began:.1f} s")
