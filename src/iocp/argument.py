"""Types for `argparse` that name their bounds: what the commands of this package check their numbers with."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable


def whole(least: int, most: int) -> Callable[[str], int]:
    """A type for whole numbers from `least` to `most`; argparse reports anything else with both."""

    def whole(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least} to {most}, not {text!r}")
        return value

    return whole


def number(least: float, most: float) -> Callable[[str], float]:
    """A type for numbers from `least` to `most`, `nan` not among them; argparse reports anything else with both."""

    def number(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"must be a number from {least:g} to {most:g}, not {text!r}")
        return value

    return number
