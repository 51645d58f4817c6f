"""C to a Windows extension module with mingw, recompiling only what changed.

An object's name carries a hash of everything it depends on: the command, the source, and all headers of the project. A
header may be included from anywhere, so any change of one recompiles all; with a dozen C files that costs less than
tracking who includes whom.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from toolkit.command import call
from toolkit.message import ToolError

GCC = "x86_64-w64-mingw32-gcc"
# Windows 10 and later; MS_WIN64 is what pyconfig.h derives from MSVC's own macros only.
MACROS = {"_WIN32_WINNT": "0x0A00", "MS_WIN64": None}
WARNINGS = ("-Wall", "-Wextra")
# Cython's own output: unused helpers and casts of method tables are its style, and nobody can mend them here.
GENERATED_WARNINGS = ("-Wall", "-Wno-unused-function", "-Wno-cast-function-type")


@dataclass
class Recipe:
    """What setup.py says about the extension on Windows, in gcc's words."""

    sources: list[Path]
    generated: set[Path]
    include_dirs: list[str] = field(default_factory=list)
    macros: list[tuple[str, str | None]] = field(default_factory=list)
    library_dirs: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    compile_arguments: list[str] = field(default_factory=list)
    link_arguments: list[str] = field(default_factory=list)
    headers: list[Path] = field(default_factory=list)


def build(recipe: Recipe, target: Path, python: Path, headers: Path, objects: Path) -> tuple[int, str]:
    """Makes `target`. Returns how many files were compiled and the compiler's warnings."""
    objects.mkdir(parents=True, exist_ok=True)
    common = digest(path.read_bytes() for path in sorted(set(recipe.headers)))
    flags = ["-O2", "-g0", *_macros(recipe.macros), *(f"-I{folder}" for folder in [*recipe.include_dirs, str(headers)])]
    flags += _foreign_removed(recipe.compile_arguments)

    jobs: list[tuple[list[str], Path]] = []
    wanted: list[Path] = []
    for source in recipe.sources:
        warnings = GENERATED_WARNINGS if source in recipe.generated else WARNINGS
        command = [GCC, *warnings, *flags, "-c", str(source)]
        key = digest([" ".join(command).encode(), common, source.read_bytes()]).hex()[:16]
        compiled = objects / f"{source.stem}-{key}.o"
        wanted.append(compiled)
        if not compiled.exists():
            jobs.append((command, compiled))

    with ThreadPoolExecutor() as pool:
        output = "".join(pool.map(lambda job: _compile(*job), jobs))
    _link(recipe, wanted, target, python)
    for stale in set(objects.glob("*.o")) - set(wanted):
        stale.unlink()
    return len(jobs), output


def imported_libraries(module: Path) -> list[str]:
    return re.findall(r"DLL Name: (\S+)", call(["x86_64-w64-mingw32-objdump", "-p", module]))


def _compile(command: Sequence[str], target: Path) -> str:
    # Under a second name first: an interrupted gcc must not leave what looks like a finished object.
    draft = target.with_suffix(".part")
    text = call([*command, "-o", draft])
    draft.rename(target)
    return text


def _link(recipe: Recipe, objects: Sequence[Path], target: Path, python: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    (import_library,) = (python / "libs").glob("libpython*.a")
    name = import_library.stem.removeprefix("lib")
    command = [GCC, "-shared", "-s", "-static-libgcc", "-Wl,--no-insert-timestamp", *map(str, objects), "-o", str(target)]
    command += [f"-L{folder}" for folder in [*recipe.library_dirs, str(python / "libs")]]
    command += [*_foreign_removed(recipe.link_arguments), f"-l{name}", *(f"-l{library}" for library in recipe.libraries)]
    call(command)
    foreign = [library for library in imported_libraries(target) if library.lower().startswith("lib")]
    if foreign:
        raise ToolError(
            f"{target.name} needs {', '.join(foreign)}, which no Windows machine has.\n"
            "Something in the C code or in extension_arguments() pulls in a mingw library: threads through pthread.h\n"
            "(libwinpthread) or a gcc run-time helper (libgcc). Use the Win32 calls on that side."
        )


def _macros(given: Iterable[tuple[str, str | None]]) -> list[str]:
    merged = {**MACROS, **dict(given)}
    return [f"-D{name}" if value is None else f"-D{name}={value}" for name, value in merged.items()]


def _foreign_removed(arguments: Iterable[str]) -> list[str]:
    """setup.py speaks to MSVC on Windows; gcc would take /O2 for a file."""
    return [argument for argument in arguments if not argument.startswith("/")]


def digest(parts: Iterable[bytes]) -> bytes:
    total = hashlib.sha256()
    for part in parts:
        total.update(hashlib.sha256(part).digest())
    return total.digest()
