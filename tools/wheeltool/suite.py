"""The sdist's own tests against the installed wheel: a fresh environment, an empty folder, nothing of the checkout in reach."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from toolkit.message import ToolError, say

from . import sdist, wheel
from .places import SCRATCH, environment, find_python, install, metadata, new_venv, python_of, run

GROUPS = ("test", "benchmark")


def requirements(made: Path) -> list[str]:
    """The wheel with all its extras, and what its tests need."""
    project = metadata()
    extras = ",".join(project["project"]["optional-dependencies"])
    return [f"pyiocp[{extras}] @ {made.as_uri()}", *(need for group in GROUPS for need in project["dependency-groups"][group])]


def prepare(archive: Path, made: Path, version: str) -> tuple[Path, Path]:
    """The Python of a fresh environment, and the unpacked sdist."""
    folder = SCRATCH / version
    shutil.rmtree(folder / "source", ignore_errors=True)
    source = sdist.unpack(archive, folder / "source")
    say(f"a fresh environment for Python {version}, with {made.name} and its extras")
    python = new_venv(folder / "test", find_python(version))
    install(python, *requirements(made))
    return python, source


def test(archive: Path, version: str, arguments: Sequence[str], again: bool) -> int:
    """pytest's exit code. `again`: in the environment of the last time, if the wheel is the same."""
    made = wheel.build(archive, version)
    folder = SCRATCH / version
    stamp = folder / "tested"
    identity = f"{made.name} {made.stat().st_mtime_ns}"
    if again and stamp.exists() and stamp.read_text() == identity:
        python, source = python_of(folder / "test"), next((folder / "source").iterdir())
    else:
        stamp.unlink(missing_ok=True)
        python, source = prepare(archive, made, version)
        stamp.write_text(identity)
    empty, cache = folder / "empty", folder / "cache"
    for old in (empty, *([] if again else [cache])):  # pytest's own cache: what failed the last time
        shutil.rmtree(old, ignore_errors=True)
    empty.mkdir(parents=True)
    place = run([python, "-c", "import iocp; print(iocp.__file__)"], cwd=empty).strip()
    if not Path(place).is_relative_to(folder / "test"):
        raise ToolError(f"iocp was imported from {place}, not from the environment in {folder / 'test'}")
    say(f"Python {version}: the tests of {archive.name} against {place}")
    words = [translated(source, word) for word in arguments]
    if not any(Path(word.partition("::")[0]).exists() for word in words):
        words.append(str(source / "tests"))
    command = [str(python), "-m", "pytest", "-o", f"cache_dir={cache}", *words]
    return subprocess.run(command, cwd=empty, env=environment(), stdin=subprocess.DEVNULL).returncode


def translated(source: Path, word: str) -> str:
    """A path of the project such as tests/core is meant in the unpacked sdist."""
    path, colons, node = word.partition("::")
    if not path.startswith("tests"):
        return word
    if not (source / path).exists():
        raise ToolError(f"the sdist has no {path}")
    return str(source / path) + colons + node
