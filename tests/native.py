"""Compiling the tests' programs in C, for this system or with mingw for Windows; warnings are errors."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

TARGETS = ("linux", "windows")
WINDOWS_COMPILER = "x86_64-w64-mingw32-gcc"
_PACKAGES = {"clang": "clang", "g++": "g++", WINDOWS_COMPILER: "gcc-mingw-w64-x86-64"}
_WARNINGS = ["-Wall", "-Wextra", "-Werror"]


class BuildError(Exception):
    """The compiler is missing or refused; the text says what to do or what it printed."""


def compiler_for(target: str) -> str:
    """The C compiler for `target`, unless CC or MINGW_CC names another."""
    if target == "windows":
        return os.environ.get("MINGW_CC", WINDOWS_COMPILER)
    return os.environ.get("CC", "gcc")


def compile_(compiler: str, arguments: Sequence[str]) -> None:
    """Run the compiler. Raises BuildError."""
    if shutil.which(compiler) is None:
        raise BuildError(f"{compiler} is not installed (Debian: apt-get install {_PACKAGES.get(compiler, 'gcc')})")
    done = subprocess.run([compiler, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise BuildError(f"{compiler} failed with code {done.returncode}:\n{done.stderr.strip()}")


def link(
    out: Path, files: Sequence[Path], arguments: Sequence[str], libraries: Sequence[str], *, target: str, compiler: str | None = None
) -> Path:
    """Compile `files` to the program `out`. Raises BuildError."""
    words = [*_WARNINGS, *arguments]
    if target == "windows":
        # C11 without the compiler's own extensions: these files also have to suit MSVC.
        words += ["-std=c11", "-Wpedantic", "-D_WIN32_WINNT=0x0A00"]
        libraries = ["-static", *libraries, "-lws2_32", "-lmswsock", "-lwinmm"]
    out.parent.mkdir(parents=True, exist_ok=True)
    compile_(compiler or compiler_for(target), [*words, *map(str, files), "-o", str(out), *libraries])
    return out
