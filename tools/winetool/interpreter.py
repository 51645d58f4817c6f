"""The official Windows CPython 3.11, put together without its installer (which needs a network host and a desktop).

The interpreter's DLL and C modules, as built by python.org with MSVC, are carried inside the win_amd64 wheel of
panda3d, which ships them to deploy games. The standard library is pure Python and the same on every system, so any
Linux Python 3.11 has it. What is left is python.exe, which is one call of Py_Main. The layout (DLLs/, Lib/, python.exe)
is that of an installed Windows Python; with it no ._pth file is needed, and PYTHON* variables, `-m` and sys.path[0]
behave as they do for a user.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path

from toolkit.command import call, pip
from toolkit.message import ToolError, step

VERSION = (3, 11)
DOTTED = ".".join(map(str, VERSION))
NODOT = DOTTED.replace(".", "")
DLL = f"python{NODOT}.dll"
CARRIER = "panda3d==1.10.16"
# Peers and test tools. colorama is what pytest asks for on Windows only, and a pip on Linux does not see that.
PACKAGES = (
    "pip", "pytest", "pytest-timeout", "hypothesis", "colorama", "rich", "pillow", "winloop", "sqlalchemy", "prometheus-client",
    "hdrhistogram", "pygame-ce",
)  # fmt: skip
WINDOWS_TARGET = (
    "--only-binary=:all:", "--platform", "win_amd64",
    "--implementation", "cp", "--python-version", DOTTED, "--abi", f"cp{NODOT}",
)  # fmt: skip
# Other systems' or too big, and nothing of ours imports it.
LEFT_OUT = (
    "__pycache__",
    "site-packages",
    "dist-packages",
    "lib-dynload",
    "test",
    "idlelib",
    "turtledemo",
    "_bundled",
    "config-*",
)

MAIN_C = """\
#include <stddef.h>
__declspec(dllimport) int Py_Main(int, wchar_t **);
int wmain(int argc, wchar_t **argv) { return Py_Main(argc, argv); }
"""

RECIPE = repr((5, CARRIER, PACKAGES, LEFT_OUT, MAIN_C))


def fill(draft: Path, venv_python: Path, source: Path) -> None:
    with step("Windows CPython from the " + CARRIER.partition("=")[0] + " wheel"):
        _unpack_carrier(draft, venv_python)
    with step("standard library"):
        _copy_library(draft / "Lib", source)
    with step("python.exe and its import library"):
        _link(draft)
    with step(" ".join(PACKAGES)):
        packages = draft / "Lib" / "site-packages"
        # --abi would refuse wheels for the stable ABI and pure ones, which pip otherwise derives from the version.
        target = WINDOWS_TARGET[: WINDOWS_TARGET.index("--abi")]
        pip(venv_python, "install", "--target", packages, "--no-compile", *target, *PACKAGES)
        # Starters with a Linux path in their first line.
        shutil.rmtree(packages / "bin", ignore_errors=True)


def _unpack_carrier(draft: Path, venv_python: Path) -> None:
    download = draft / "download"
    pip(venv_python, "download", "--no-deps", "--dest", download, *WINDOWS_TARGET, CARRIER)
    modules = draft / "DLLs"
    modules.mkdir()
    (wheel,) = download.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, _, file = name.rpartition("/")
            # Wine has its own api-ms-win-*: the real ones forward to a ucrtbase that is not there.
            if folder != "deploy_libs" or file.startswith("api-ms-win-") or not file.endswith((".dll", ".pyd", ".DLL")):
                continue
            beside_exe = file.lower() == DLL or file.lower().startswith("vcruntime")
            (draft / file if beside_exe else modules / file).write_bytes(archive.read(name))
    shutil.rmtree(download)
    if not (draft / DLL).exists() or not (modules / "_overlapped.pyd").exists():
        raise ToolError(f"the wheel {CARRIER} does not carry {DLL} and its modules any more; pin another version in {__file__}")


def _copy_library(target: Path, source: Path) -> None:
    for library in _libraries(source):
        if (library / "EXTERNALLY-MANAGED").exists():
            # A distribution's library is patched for its own paths and forbids pip; the source archive's is not.
            continue
        if (library / "encodings").is_dir() and (library / "asyncio" / "windows_events.py").exists():
            shutil.copytree(library, target, ignore=shutil.ignore_patterns(*LEFT_OUT), dirs_exist_ok=True)
            return
    raise ToolError(f"found no standard library of Python {DOTTED}")


def _libraries(source: Path) -> Iterator[Path]:
    """Nearest to the DLL's patch release first: the running Python, one on PATH, then the source archive's."""
    if sys.version_info[:2] == VERSION:
        yield Path(sysconfig.get_path("stdlib"))
    other = shutil.which(f"python{DOTTED}")
    if other:
        ask = [other, "-c", "import sysconfig; print(sysconfig.get_path('stdlib'))"]
        answer = subprocess.run(ask, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if answer.returncode == 0:
            yield Path(answer.stdout.strip())
    yield source / "Lib"


def _link(draft: Path) -> None:
    libs = draft / "libs"
    libs.mkdir()
    call(["gendef", draft / DLL], cwd=libs)
    definition = libs / DLL.replace(".dll", ".def")
    call(["x86_64-w64-mingw32-dlltool", "-d", definition, "-D", DLL, "-l", libs / f"libpython{NODOT}.a"])
    (libs / "main.c").write_text(MAIN_C)
    link: list[str | Path] = [libs / "main.c", "-o", draft / "python.exe", f"-L{libs}", f"-lpython{NODOT}"]
    call(["x86_64-w64-mingw32-gcc", "-O2", "-municode", "-static-libgcc", *link])
