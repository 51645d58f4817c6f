"""Commands the tools call, on any system: quiet when they work, their whole output when they do not."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .message import ToolError


def call(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    advice: str = "",
) -> str:
    """Runs a command to its end and returns what it printed. A failure becomes a ToolError that ends with `advice`."""
    words = [str(word) for word in arguments]
    try:
        done = subprocess.run(
            words,
            check=False,
            cwd=cwd,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        )
    except FileNotFoundError as error:
        raise ToolError(f"command not found: {words[0]}\n{advice}".rstrip()) from error
    if done.returncode:
        raise ToolError(f"exit code {done.returncode} from: {shlex.join(words)}\n{done.stdout.rstrip()}\n{advice}".rstrip())
    return done.stdout


def clean_environment() -> dict[str, str]:
    """The caller's environment without what would steer a Python other than the caller's own.

    A PYTHONPATH, a PYTHONHOME or an active venv belongs to the Python the tool was started with; inside Wine or in the tool's
    venv it would pull in modules of the wrong system. pip's own settings (an index, a proxy) stay: set-up needs them.
    """
    foreign = ("PYTHON", "PYENV", "VIRTUAL_ENV", "CONDA", "LD_")
    return {name: value for name, value in os.environ.items() if not name.startswith(foreign)}


def pip(python: Path, *arguments: str | Path) -> str:
    """pip of the tool's venv. Its settings (index, proxy, certificates) are the machine's own."""
    quiet = ("-q", "--disable-pip-version-check", "--no-input")
    advice = "pip could not get a package: is the package index reachable from here (try: pip download pytest)?"
    return call([python, "-m", "pip", *arguments, *quiet], environment=clean_environment(), advice=advice)
