"""The C that is compiled on Windows, held to what MSVC understands.

With MSVC (`cl`, found as Visual Studio's own prompt finds it) this is a compilation that treats warnings as errors. Without it
clang stands in:
mingw's headers are read first, as the system headers they are; then clang is told that it is MSVC (so that `#ifdef _MSC_VER` takes
MSVC's way), what only gcc and clang know is forbidden, so are headers and functions that mingw has and MSVC has not, and the files
are read for x86-64 and arm64 with every warning that has a counterpart in MSVC's /W3, some of /W4, and every one about a language
extension.

What that cannot show: what only MSVC's optimizer or linker finds; warnings of MSVC without a counterpart (C4090, C4334 ...); that
Microsoft's headers declare what mingw's declare.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path

from toolkit.message import ToolError, say

from .places import PROJECT, python_of, run, tools

PROCESSORS = ("x86_64", "aarch64")
CROSS = "x86_64-w64-mingw32-gcc"
WARNINGS = """-Wall -Wextra -Wpedantic -Wgnu -Wvla -Wlanguage-extension-token -Wsign-compare -Wshorten-64-to-32 -Wimplicit-int-conversion
    -Wfloat-conversion -Wimplicit-int-float-conversion -Wc2x-extensions""".split()
# Cython's own habits, in MSVC's /W4 only: C4100, C4189, C4505. And literals above the standard's 4,095 bytes, of which MSVC takes 16,380.
OF_CYTHON = ["-Wno-unused-parameter", "-Wno-unused-but-set-variable", "-Wno-unused-function", "-Wno-overlength-strings"]
# A newer clang's own headers have #warning lines, which mingw's intrin.h runs into.
FLAGS = ["-fms-extensions", "-Werror", "-Wno-#warnings"]
SYSTEM = ["stddef.h", "stdint.h", "stdio.h", "stdlib.h", "string.h", "time.h", "math.h", "io.h",
    "process.h", "sys/types.h", "winsock2.h", "ws2tcpip.h", "mswsock.h", "windows.h", "mmsystem.h", "intrin.h"]
# Words of gcc and clang that would pass, because clang is one: forbidden where they are compiled, not where #ifdef leaves them out.
GNU_WORDS = re.compile(r"\b(?:__(?:builtin|atomic|sync)_\w+|__attribute__|__typeof__|__typeof|__extension__|__asm__|__thread|__int128)\b")
# C4996 in MSVC, which is a warning of /W1.
DEPRECATED = """strcpy strncpy strcat strncat sprintf vsprintf sscanf fopen getenv strerror strtok localtime gmtime inet_addr inet_ntoa
    gethostbyname""".split()
# What mingw takes over from POSIX and Microsoft's C library has not, or has under a name with an underscore before it (C4996 again).
POSIX = """ssize_t strcasecmp strncasecmp strtok_r strdup stricmp strnicmp asprintf vasprintf getline localtime_r gmtime_r clock_gettime
    nanosleep gettimeofday usleep sleep getpid fileno isatty M_PI""".split()
# C11's headers that MSVC has without a switch (stdatomic.h: /experimental:c11atomics; threads.h: of 2023 only), its own, the system's.
HEADERS = frozenset(
    """assert ctype errno fenv float inttypes iso646 limits locale math setjmp signal stdalign stdarg stdbool stddef stdint stdio stdlib
    stdnoreturn string time uchar wchar wctype
    fcntl intrin io malloc process sys/stat sys/types
    mmsystem mstcpip mswsock windows winsock2 ws2tcpip""".split()
)
# A line marker, or an include directive that was followed: clang -E -dI prints both.
MARKER = re.compile(r'# \d+ "(?P<file>[^"]*)"|#include (?P<name>[<"][^>"]+[>"])')
# C4146, of /W2: a minus before a number that is only unsigned in 32 bits, where clang takes the next larger signed type.
UNSIGNED = re.compile(r"^(?! \*).*-\s*(?:2147483648|0x80000000|9223372036854775808|0x8000000000000000)(?:LL)?\b", re.MULTILINE)
MSVC = ["/nologo", "/utf-8", "/W3", "/WX", "/O2", "/volatile:ms", "/c", "/D_WIN32_WINNT=0x0A00"]
# The client stands for those of students, which are C++ more often than not.
MSVC_LANGUAGES = {"c": ["/std:c11"], "c++": ["/TP", "/std:c++14"]}
LANGUAGES = {"c": ["-std=c11"], "c++": ["-xc++", "-std=c++14"]}
MSVC_TESTS = ["/D_CRT_SECURE_NO_WARNINGS", "/D_WINSOCK_DEPRECATED_NO_WARNINGS"]


def shared() -> list[Path]:
    return [*sorted(PROJECT.glob("src/port/win32*.c")), *sorted(PROJECT.glob("src/load/*.c"))]


def native_tests() -> list[Path]:
    return sorted(PROJECT.glob("tests/port/*.c"))


def client() -> Path:
    """The lecture's client, which is compiled with the header that the game writes."""
    return PROJECT / "tests" / "game" / "lecture_client.c"


def write_header(folder: Path) -> bool:
    """chess.h into that folder, as the iocp of this Python writes it; False if there is none."""
    command = [sys.executable, "-m", "iocp.game.protocol", "--c-header"]
    # From elsewhere: an iocp that happens to lie in the current folder is not the installed one.
    done = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", stdin=subprocess.DEVNULL)
    if done.returncode == 0:
        (folder / "chess.h").write_text(done.stdout, encoding="utf-8")
    return done.returncode == 0


def includes(*more: Path) -> list[str]:
    return [f"-I{folder}" for folder in (PROJECT / "src/port", PROJECT / "src/load", PROJECT / "src", PROJECT / "tests/port", *more)]


def generate(folder: Path) -> Path:
    """Cython's output for Windows, which is that for all systems."""
    out = folder / "_iocpcore.c"
    run([python_of(tools().parent), "-m", "cython", "-3", "-I", PROJECT / "src", PROJECT / "src/_iocpcore.pyx", "-o", out])
    return out


# ---- clang in MSVC's place ----


def mingw_headers() -> Path:
    if shutil.which(CROSS) is None:
        raise ToolError(f"{CROSS} is not installed, whose headers are needed (Debian: apt-get install gcc-mingw-w64-x86-64)")
    said = subprocess.run([CROSS, "-xc", "-E", "-v", "-"], stdin=subprocess.DEVNULL, capture_output=True, text=True).stderr
    for line in said.splitlines():
        if line.startswith(" ") and (Path(line.strip()) / "winsock2.h").exists():
            return Path(line.strip()).resolve()
    raise ToolError(f"{CROSS} names no folder with winsock2.h")


def windows_python_headers() -> Path | None:
    """Those that tools/wine.py fetched."""
    from winetool.home import Home

    headers: Path = Home.default().source / "Include"
    return headers if (headers / "pyconfig.h").exists() else None


def prelude(folder: Path, python: bool, forbidden: Sequence[str]) -> Path:
    lines = ["#define _WIN32_WINNT 0x0A00", "#define WIN32_LEAN_AND_MEAN", "#define NOMINMAX"]
    lines += [f"#include <{name}>" for name in SYSTEM]
    if python:
        lines += ["#define MS_WIN64", "#define PY_SSIZE_T_CLEAN", "#include <Python.h>"]
    # Some are macros in mingw's headers, and clang warns of poisoning those.
    lines += [line for word in forbidden for line in (f"#undef {word}", f"#pragma GCC poison {word}")]
    # MSVC's C11 comes without these two, and says so; Cython and Python look there.
    lines += ["#undef __STDC_NO_ATOMICS__", "#define __STDC_NO_ATOMICS__ 1", "#define __STDC_NO_VLA__ 1"]
    lines += ["#define _MSC_VER 1940", *(f"#undef {name}" for name in ("__GNUC__", "__clang__", "__MINGW32__", "__MINGW64__")), ""]
    path = folder / ("python.h" if python else "plain.h")
    path.write_text("\n".join(lines))
    return path


def forbidden_in(files: Sequence[Path]) -> list[str]:
    """The words of gcc and clang that stand anywhere in these files or in the headers beside them."""
    texts = {path for file in files for path in (file, *file.parent.glob("*.h"))}
    texts |= {*PROJECT.glob("src/port/*.h"), *PROJECT.glob("src/load/*.h")}
    return sorted({word for path in texts for word in GNU_WORDS.findall(path.read_text(encoding="utf-8"))})


def foreign_headers(preprocess: Sequence[str], file: Path, folders: Sequence[Path]) -> list[str]:
    """Headers that this file, or one of ours that it includes, asks for and MSVC has not. `folders`: where others may lie."""
    done = subprocess.run([*preprocess, str(file)], capture_output=True, text=True, errors="replace")
    if not done.stdout:
        raise ToolError(f"{preprocess[0]} cannot say which headers {file} includes:\n{done.stderr.strip()}")
    ours, found = False, set()
    for marker in MARKER.finditer(done.stdout):
        if marker["file"] is not None:
            ours = any(Path(marker["file"]).is_relative_to(place) for place in (PROJECT, file.parent))
        elif ours:
            name = marker["name"][1:-1]
            known = name.removesuffix(".h") in HEADERS or any((folder / name).is_file() for folder in (file.parent, *folders))
            found |= set() if known else {name}
    return [f"{file.name}: MSVC has no <{name}>, or not without a switch" for name in sorted(found)]


def minus_unsigned(file: Path) -> list[str]:
    """Lines with a minus before an unsigned number, which should be INT_MIN and the like. Cython's comments begin with ` *`."""
    found = UNSIGNED.findall(file.read_text(encoding="utf-8"))
    return [f"{file.name}: minus an unsigned number in {line.strip()!r}" for line in found]


def with_clang(
    compiler: str,
    files: Sequence[Path],
    folder: Path,
    python: Path | None = None,
    deprecated: bool = True,
    language: str = "c",
    more: Sequence[Path] = (),
) -> list[str]:
    """Findings, one text for each file and processor that has some."""
    if shutil.which(compiler) is None:
        raise ToolError(f"{compiler} is not installed (Debian: apt-get install clang)")
    # Cython's output asks for gcc's words where it finds gcc; as a whole it is too large to be forbidden words one by one.
    words = [*(forbidden_in(files) if python is None else []), *(DEPRECATED if deprecated else []), *POSIX]
    first = prelude(folder, python is not None, words)
    system = [str(path) for path in ([python] if python else []) + [mingw_headers()]]
    flags = [*LANGUAGES[language], *FLAGS, *WARNINGS, *(OF_CYTHON if python else [])]
    flags += [*(word for path in system for word in ("-isystem", path)), "-include", str(first), *includes(*more)]
    own = [Path(word.removeprefix("-I")) for word in includes(*more)] + ([python] if python else [])
    findings = []
    for processor in PROCESSORS:
        for file in files:
            command = [compiler, f"--target={processor}-w64-windows-gnu", *flags]
            done = subprocess.run([*command, "-fsyntax-only", str(file)], capture_output=True, text=True)
            texts = [done.stderr.strip()] if done.returncode else []
            texts += foreign_headers([*command, "-E", "-dI"], file, own) + minus_unsigned(file)
            if texts:
                findings.append(f"{file.name} for {processor}:\n" + "\n".join(texts))
    return findings


# ---- MSVC itself ----


def msvc_environment(compiler: str) -> dict[str, str]:
    """The variables of a prompt of Visual Studio for this machine's processor; this process's own, if it was started in one."""
    if shutil.which(compiler):
        return dict(os.environ)
    programs = os.environ.get("ProgramFiles(x86)", r"C:\Program Files (x86)")
    where = Path(programs, "Microsoft Visual Studio", "Installer", "vswhere.exe")
    if not where.exists():
        raise ToolError(f"{compiler} is not on PATH and there is no {where}: install the Build Tools of Visual Studio (C++)")
    place = run([where, "-latest", "-products", "*", "-property", "installationPath"]).strip()
    script = Path(place, "VC", "Auxiliary", "Build", "vcvarsall.bat")
    processor = "arm64" if platform.machine().lower() == "arm64" else "x64"
    # One string: cmd has quoting rules of its own, and list2cmdline knows others.
    done = subprocess.run(f'cmd /s /c ""{script}" {processor} >nul && set"', capture_output=True, text=True, errors="replace")
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    if shutil.which(compiler, path=next((value for name, value in variables.items() if name.upper() == "PATH"), "")) is None:
        raise ToolError(f"{script} {processor} brings no {compiler}:\n{done.stdout}{done.stderr}")
    return variables


def call_msvc(compiler: str, arguments: Sequence[str | Path], variables: dict[str, str]) -> str:
    """What the compiler printed if it failed, else nothing."""
    # The full path: Windows looks a bare name up on this process's own PATH, not on the one handed over.
    path = next((value for name, value in variables.items() if name.upper() == "PATH"), "")
    command = [shutil.which(compiler, path=path) or compiler, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=variables)
    return (done.stdout + done.stderr).strip() if done.returncode else ""


def with_msvc(
    compiler: str, files: Sequence[Path], folder: Path, more: Sequence[str] = (), language: str = "c"
) -> list[str]:
    variables = msvc_environment(compiler)
    arguments = [*MSVC, *MSVC_LANGUAGES[language], *more, *includes(), f"/Fo{folder / 'object.obj'}"]
    said = {file.name: call_msvc(compiler, [*arguments, file], variables) for file in files}
    return [f"{name}:\n{text}" for name, text in said.items() if text]


def link(compiler: str, out: Path, files: Sequence[Path], more: Sequence[Path] = ()) -> None:
    """A program of the tests, by MSVC: the Windows Python that runs them has no compiler at hand."""
    flags = [*(word for word in MSVC if word != "/c"), *MSVC_LANGUAGES["c"], *MSVC_TESTS, *includes(*more)]
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        arguments: list[str | Path] = [*flags, f"/Fo{folder}{os.sep}", f"/Fe{out}", *files, "/link", "ws2_32.lib", "mswsock.lib", "winmm.lib"]
        said = call_msvc(compiler, arguments, msvc_environment(compiler))
    if said:
        raise ToolError(f"{out.name} does not compile with {compiler}:\n{said}")


def contract(compiler: str, out: Path) -> None:
    """The port's native tests as a program, for PYIOCP_CONTRACT_EXE."""
    link(compiler, out, [*native_tests(), *sorted(PROJECT.glob("src/port/win32*.c"))])


def lecture_client(compiler: str, out: Path) -> None:
    """The lecture's client as a program, chess.h beside it, for PYIOCP_LECTURE_CLIENT_EXE."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if not write_header(out.parent):
        raise ToolError(f"{sys.executable} has no iocp, which writes the client's header: install it first (pip install .)")
    link(compiler, out, [client()], [out.parent])


def check(compiler: str) -> list[str]:
    """Everything that this machine can check with that compiler; says what it leaves out."""
    msvc = Path(compiler).stem.lower() in ("cl", "clang-cl")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        has_header = write_header(folder)
        if not has_header:
            say(f"the client in C is not checked: {sys.executable} has no iocp to write its header (pip install .)")
        languages = tuple(MSVC_LANGUAGES) if has_header else ()
        if msvc:
            free = ["/DPy_GIL_DISABLED=1"] if sysconfig.get_config_var("Py_GIL_DISABLED") else []
            python = [f"/I{sysconfig.get_path('include')}", *free]
            findings = with_msvc(compiler, shared(), folder) + with_msvc(compiler, native_tests(), folder, MSVC_TESTS)
            for language in languages:
                findings += with_msvc(compiler, [client()], folder, [*MSVC_TESTS, f"/I{folder}"], language)
            return findings + with_msvc(compiler, [generate(folder)], folder, python)
        findings = with_clang(compiler, shared(), folder)
        findings += with_clang(compiler, native_tests(), folder, deprecated=False)
        for language in languages:
            findings += with_clang(compiler, [client()], folder, deprecated=False, language=language, more=[folder])
        headers = windows_python_headers()
        if headers is None:
            say("Cython's output is not checked: no headers of a Windows Python here (python tools/wine.py setup fetches them)")
            return findings
        return findings + with_clang(compiler, [generate(folder)], folder, headers)


def default_compiler() -> str:
    return "cl" if sys.platform == "win32" else "clang"
