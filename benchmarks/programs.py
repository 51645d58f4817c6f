"""The C programs of the benchmarks: the load generator and two of the servers, compiled into a build folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ["-O2", "-Wall"]
# name of the program: (source, libraries)
SOURCES: dict[str, tuple[Path, list[str]]] = {
    "load": (HERE / "load.c", []),
    "epoll": (HERE / "servers" / "epoll.c", []),
    "libuv": (HERE / "servers" / "libuv.c", ["-luv"]),
}


class CannotBuild(Exception):
    """A program is not there, and why."""


def compiler() -> str:
    """The path of the C compiler."""
    for name in ("gcc", "cc", "clang"):
        if path := shutil.which(name):
            return path
    raise CannotBuild("no C compiler; on Debian: apt-get install gcc libc6-dev")


def build(name: str, folder: Path) -> Path:
    """The program of that name, compiled again if its source is newer."""
    source, libraries = SOURCES[name]
    target = folder / name
    newest = max(path.stat().st_mtime for path in source.parent.glob("*.[ch]"))
    if target.exists() and target.stat().st_mtime > newest:
        return target
    folder.mkdir(parents=True, exist_ok=True)
    command = [compiler(), *FLAGS, "-o", str(target), str(source), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        hint = "; on Debian: apt-get install libuv1-dev" if "uv.h" in done.stderr else ""
        raise CannotBuild(f"{source.name} does not compile{hint}\n{done.stderr.strip()}")
    return target
