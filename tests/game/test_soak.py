"""The soak: it runs and finds nothing, notices memory that grows, and names what is wrong with its arguments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"
sys.path.insert(0, str(TOOLS))

from soak import steady_growth  # noqa: E402


def run(*arguments):
    return subprocess.run(
        [sys.executable, TOOLS / "soak.py", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
    )


@pytest.mark.timeout(300)
def test_a_short_soak_finds_nothing():
    done = run("--minutes", "0.04", "--players", "30", "--world", "30", "--monsters", "50", "--rate", "20", "--every", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "packets checked" in done.stdout and "violations  none" in done.stdout


@pytest.mark.parametrize(
    "arguments", [("--minutes", "0"), ("--players", "x"), ("--world", "0"), ("--view", "101"), ("--backend", "none")]
)
def test_wrong_usage_is_named(arguments):
    done = run(*arguments)
    assert done.returncode == 2 and arguments[0] in done.stderr


@pytest.mark.parametrize(
    ("samples", "grows"),
    [
        ([50.0] * 100, False),
        ([50.0 + number * 0.2 for number in range(100)], True),
        ([20.0 + number for number in range(25)] + [50.0] * 75, False),
        ([50.0 + number % 10 for number in range(100)], False),
        ([50.0 + number * 0.01 for number in range(100)], False),
        ([50.0, 60.0], False),
    ],
    ids=["level", "grows", "only at first", "up and down", "a little", "too short to say"],
)
def test_memory_that_grows_steadily_is_noticed(samples, grows):
    assert (steady_growth(samples) > 1) is grows
