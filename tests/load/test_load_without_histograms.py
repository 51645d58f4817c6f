"""The command where its packages are not installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

WITHOUT = "import sys; sys.modules['hdrh'] = None; from iocp.load.cli import main; sys.exit(main())"


def load(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, "chess", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100
    )


@pytest.mark.parametrize("arguments", [["--port", "9"], ["--port", "9", "--quiet"], ["--port", "9", "--find-max", "--slo", "p99=1s"]])
def test_missing_library_of_histograms_is_exit_code_2_with_what_to_install(arguments: list[str]) -> None:
    done = load(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].endswith("needs the package hdrhistogram: pip install 'pyiocp[load]'")
    assert "Traceback" not in done.stderr


def test_help_needs_no_library() -> None:
    done = load("--help")
    assert done.returncode == 0 and "usage: iocp-load chess" in done.stdout
