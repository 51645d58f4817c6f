"""Where things lie, which Pythons there are, and how another program is run."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit.command import call
from toolkit.message import ToolError, say

PROJECT = Path(__file__).resolve().parents[2]
OUTPUT = PROJECT / "dist"
SCRATCH = PROJECT / "build" / "wheels"
# What belongs to the Python that runs this tool, or would steer a build or a test run by accident.
FOREIGN = ("PYTHON", "PYENV_VERSION", "VIRTUAL_ENV", "CONDA", "PYTEST_", "IOCP_")


def metadata() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return {**kept, **more}


def run(command: Sequence[str | Path], cwd: Path | None = None, variables: Mapping[str, str] | None = None) -> str:
    """Run a command to its end, in the project's folder unless another is named, and return what it printed. ToolError if it fails."""
    return call(command, cwd=cwd or PROJECT, environment=environment(**(variables or {})))


# ---- other Pythons ----

ASK = "import sys, sysconfig; print('%d.%d%s' % (*sys.version_info[:2], 't' if sysconfig.get_config_var('Py_GIL_DISABLED') else ''))"


def answers(command: Sequence[str | Path], version: str) -> bool:
    """Whether that command is a Python of that version. A shim of pyenv may stand for one that is not there."""
    try:
        done = subprocess.run([*map(str, command), "-c", ASK], env=environment(), capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def find_python(version: str) -> Path:
    """The interpreter of a version such as 3.12 or 3.14t: this one, one on PATH, of the Windows launcher, or of pyenv."""
    candidates: list[Path] = [Path(sys.executable)]
    for name in (f"python{version}", "python3", "python"):
        found = shutil.which(name)
        candidates += [Path(found)] if found else []
    if shutil.which("py"):
        place = subprocess.run(["py", f"-{version}", "-c", "import sys; print(sys.executable)"], capture_output=True, text=True)
        candidates += [Path(place.stdout.strip())] if place.returncode == 0 else []
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    number, free = version.rstrip("t"), version.endswith("t")
    installed = [folder for folder in pyenv.glob(f"versions/{number}.*") if folder.name.endswith("t") == free]
    candidates += [folder / "bin" / "python" for folder in sorted(installed, reverse=True)]
    for candidate in candidates:
        if answers([candidate], version):
            return candidate
    raise ToolError(f"no Python {version} here: put python{version} on PATH, or install it with pyenv (pyenv install {version})")


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")


def new_venv(folder: Path, python: Path) -> Path:
    """A fresh environment with pip and nothing else. Returns its Python."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run([python, "-m", "venv", folder])
    return python_of(folder)


def install(python: Path, *arguments: str | Path) -> None:
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-input", *arguments])


def tools() -> Path:
    """The folder with the packaging tools' commands: those of the dependency group `wheels`, installed at the first use."""
    settings = metadata()
    wanted: list[str] = [*settings["dependency-groups"]["wheels"], *settings["build-system"]["requires"]]
    digest = hashlib.sha256(repr((sys.version, wanted)).encode()).hexdigest()
    venv = SCRATCH / "tools"
    stamp = venv / "made-from"
    if not stamp.exists() or stamp.read_text() != digest:
        say("installing the packaging tools (build, cibuildwheel, auditwheel, Cython ...)")
        install(new_venv(venv, Path(sys.executable)), *wanted)
        stamp.write_text(digest)
    return python_of(venv).parent
