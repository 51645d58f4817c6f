"""The C programs of the benchmarks: the load generator and the servers in C, compiled into a build folder."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
FLAGS = ["-O2", "-Wall"]
WINDOWS_COMPILER = "x86_64-w64-mingw32-gcc"
WINDOWS_FLAGS = ["-D_WIN32_WINNT=0x0A00", "-static"]
WINDOWS_LIBRARIES = ["-lws2_32", "-lmswsock", "-luser32"]
_WINDOWS = ("select", "wsaasyncselect", "wsaeventselect", "overlapped_event", "overlapped_callback", "iocp")
# name of the program: (source, libraries)
SOURCES: dict[str, tuple[Path, list[str]]] = {
    "load": (HERE / "load.c", []),
    "select": (HERE / "servers" / "select.c", []),
    "poll": (HERE / "servers" / "poll.c", []),
    "epoll": (HERE / "servers" / "epoll.c", []),
    "uring": (HERE / "servers" / "uring.c", ["-luring"]),
    "libuv": (HERE / "servers" / "libuv.c", ["-luv"]),
    **{f"{name}.exe": (HERE / "servers" / f"{name}.c", WINDOWS_LIBRARIES) for name in _WINDOWS},
}
# What a compiler complains of when a library's headers are missing, and Debian's name for them.
_HEADERS = {"uv.h": "libuv1-dev", "liburing.h": "liburing-dev"}


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
    if name.endswith(".exe"):
        if shutil.which(WINDOWS_COMPILER) is None:
            raise CannotBuild(f"no {WINDOWS_COMPILER}; on Debian: apt-get install gcc-mingw-w64-x86-64")
        start = [WINDOWS_COMPILER, *FLAGS, *WINDOWS_FLAGS]
    else:
        start = [compiler(), *FLAGS]
    command = [*start, "-o", str(target), str(source), *libraries]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        package = next((package for header, package in _HEADERS.items() if header in done.stderr), "")
        hint = f"; on Debian: apt-get install {package}" if package else ""
        raise CannotBuild(f"{source.name} does not compile{hint}\n{done.stderr.strip()}")
    return target
