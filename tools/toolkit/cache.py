"""A cache folder: everything a tool's ``setup`` makes lives here, in units that are either whole or absent.

A unit is one directory. It is filled under a temporary name and renamed when complete, with a stamp inside that says
from which recipe it was made. So an interrupted set-up leaves no half-made unit, and a changed recipe is noticed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from .message import say

STAMP = ".stamp"


def cache_folder(variable: str, name: str) -> Path:
    """Where a tool keeps what it makes: the folder that an environment variable names, or `name` in the user's cache."""
    named = os.environ.get(variable)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named).absolute() if named else cache / name


class Cache:
    """The units of one tool. Which there are is for the tool's own class to say."""

    tool = "the tool"  # how messages call it

    def __init__(self, root: Path) -> None:
        self.root = root
        self.scratch = root / "tmp"

    def build_folder(self, project: Path) -> Path:
        """One per checkout, so that two working trees never mix their objects."""
        digest = hashlib.sha256(str(project).encode()).hexdigest()[:8]
        return self.root / "build" / f"{project.name}-{digest}"

    # ---- units

    def current(self, unit: Path, recipe: str) -> bool:
        try:
            return (unit / STAMP).read_text() == _digest(recipe)
        except OSError:
            return False

    def make(self, unit: Path, recipe: str, fill: Callable[[Path], None]) -> bool:
        """Fills `unit` unless it was already made from this recipe. True when it had to be made."""
        if self.current(unit, recipe):
            return False
        with self.folder(unit.name) as draft:
            fill(draft)
            (draft / STAMP).write_text(_digest(recipe))
            if unit.exists():
                # Renamed away first: removing in place could be interrupted and leave a stamped ruin.
                shutil.move(unit, draft.parent / "old")
            draft.rename(unit)
        return True

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder on the cache's own file system, gone afterwards."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        outer = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.scratch))
        inner = outer / name
        inner.mkdir()
        try:
            yield inner
        finally:
            shutil.rmtree(outer, ignore_errors=True)

    def sweep(self) -> None:
        """Removes drafts of runs that were killed. Only for the holder of the lock."""
        shutil.rmtree(self.scratch, ignore_errors=True)

    # ---- one at a time

    @contextlib.contextmanager
    def lock(self, name: str = "lock") -> Iterator[None]:
        """One run at a time makes units, or does whatever else `name` is the lock for."""
        self.root.mkdir(parents=True, exist_ok=True)
        with open(self.root / name, "w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another {self.tool} uses {self.root}; waiting for it to end")
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def _digest(recipe: str) -> str:
    return hashlib.sha256(recipe.encode()).hexdigest() + "\n"
