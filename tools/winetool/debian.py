"""What comes from Debian: the tools (wine, mingw) and CPython's source archive.

The source archive is needed for the headers: `PC/pyconfig.h` is the Windows one, and no Linux package installs it.
"""

from __future__ import annotations

import importlib.util
import shutil
import tarfile
from pathlib import Path

import toolkit.debian
from toolkit.message import ToolError

# command -> the package that brings it
COMMANDS = {
    "wine": "wine wine64",
    "wineserver": "wine wine64",
    "x86_64-w64-mingw32-gcc": "gcc-mingw-w64-x86-64",
    "x86_64-w64-mingw32-dlltool": "binutils-mingw-w64-x86-64",
    "x86_64-w64-mingw32-objdump": "binutils-mingw-w64-x86-64",
    "gendef": "mingw-w64-tools",
}
SOURCE_PACKAGE = "python3.11"


def missing_packages() -> list[str]:
    wanted = {package for command, packages in COMMANDS.items() if not shutil.which(command) for package in packages.split()}
    if importlib.util.find_spec("ensurepip") is None:
        # Debian's own python3 comes without it, and a venv cannot be made.
        wanted.add("python3-venv")
    return sorted(wanted)


def install(packages: list[str]) -> None:
    toolkit.debian.install(packages)
    left = [name for name in COMMANDS if not shutil.which(name)]
    if left:
        raise ToolError(f"installed, but still not on PATH: {', '.join(left)}")


def fetch_python_source(draft: Path) -> None:
    """Fills `draft` with Include/ (Windows pyconfig.h among it) and Lib/ of CPython."""
    advice = f"{SOURCE_PACKAGE} is a source package of Debian 12; on another release, point apt at one that has it"
    _unpack(toolkit.debian.fetch_source(draft / "apt", SOURCE_PACKAGE, advice=advice), draft)
    shutil.rmtree(draft / "apt")


def _unpack(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as tar:
        for member in tar:
            _top, _, inside = member.name.partition("/")
            if not member.isfile() or not (inside == "PC/pyconfig.h" or inside.startswith(("Include/", "Lib/"))):
                continue
            if inside.startswith(("Lib/test/", "Lib/idlelib/", "Lib/ensurepip/_bundled/")) or ".." in inside.split("/"):
                continue
            # The Windows pyconfig.h stands beside Python.h, as it does in an installed Windows Python.
            path = target / ("Include/pyconfig.h" if inside == "PC/pyconfig.h" else inside)
            path.parent.mkdir(parents=True, exist_ok=True)
            content = tar.extractfile(member)
            assert content is not None
            path.write_bytes(content.read())
    if not (target / "Include" / "pyconfig.h").exists():
        raise ToolError(f"{archive.name} has no PC/pyconfig.h")
