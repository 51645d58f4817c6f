"""Builds the one extension, iocp._iocpcore, from the Cython core and the port's C files.

The rest of the packaging is in pyproject.toml. What is built depends on the system: Windows' port on Windows; on Linux the ports
over io_uring and epoll, or over epoll alone where liburing is missing.

environment:
  PYIOCP_LIBURING   0       Linux: do without, even where there is one
                    1       insist on it: the build fails where it is missing
                    static  insist on it and link it into the extension (our wheels: they run where no liburing is installed)
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent
SHARED_HEADERS = ["src/port/port.h", "src/port/sync.h"]
LOAD_SOURCES = [f"src/load/{name}.c" for name in ("claim", "crowd", "histogram", "player", "profile", "receipt", "table")]
C_SOURCES = {
    "win32": ["src/port/win32.c", "src/port/win32_socket.c", "src/port/win32_process.c"],
    "linux": [
        "src/port/port_linux.c",
        "src/port/posted.c",
        "src/port/endpoint.c",
        "src/port/acceptor.c",
        "src/port/poller_epoll.c",
        "src/port/poller_uring.c",
        "src/port/system_linux.c",
    ],
}


def links(library: str) -> bool:
    """Whether a program that asks of liburing what the port asks compiles here, linked with -l`library`."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    flags = [word for name in ("CPPFLAGS", "CFLAGS", "LDFLAGS") for word in shlex.split(os.environ.get(name, ""))]
    with tempfile.TemporaryDirectory() as folder:
        command = [*compiler, str(ROOT / "src/port/probe/liburing.c"), "-o", str(Path(folder, "probe")), *flags, f"-l{library}"]
        return subprocess.run(command, capture_output=True).returncode == 0


def find_liburing() -> str | None:
    """What to link for io_uring, None to build without it. Obeys PYIOCP_LIBURING."""
    wish = os.environ.get("PYIOCP_LIBURING", "")
    if wish not in ("", "0", "1", "static"):
        sys.exit(f"pyiocp: PYIOCP_LIBURING is 0, 1 or static, not {wish!r}")
    library = ":liburing.a" if wish == "static" else "uring"
    if wish != "0" and links(library):
        return library
    if wish in ("1", "static"):
        sys.exit(
            f"pyiocp: PYIOCP_LIBURING={wish}, but no program links with -l{library} here (liburing 2.3 or later is needed).\n"
            "pyiocp: install its development package (Debian: apt-get install liburing-dev), or see tools/liburing.sh"
        )
    return None


def extension_arguments(platform: str) -> dict[str, list]:
    """What setuptools.Extension needs besides its name, for sys.platform `platform`."""
    family = "win32" if platform == "win32" else "linux"
    own = ["win32.h"] if family == "win32" else ["linux.h", "names.h", "probe/liburing.c"]
    headers = SHARED_HEADERS + [f"src/port/{name}" for name in own]
    parts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src/_iocpcore").glob("*.pxi"))
    headers += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src/load").glob("*.h"))
    arguments: dict[str, list] = {
        "sources": ["src/_iocpcore.pyx", *C_SOURCES[family], *LOAD_SOURCES],
        "include_dirs": ["src/port", "src/load"],
        "depends": headers + parts,
        "define_macros": [],
        "libraries": [],
        "extra_compile_args": [],
        "extra_link_args": [],
    }
    if family == "win32":
        arguments["libraries"] = ["ws2_32", "mswsock", "winmm"]
        arguments["define_macros"] = [("_WIN32_WINNT", "0x0A00")]
        # For MSVC; the cross-compiler of tools/wine.py is gcc and passes over what begins with a slash. The sources are UTF-8
        # whatever the machine's code page. W3 is what setuptools asks for anyway; tools/wheels.py strict asks for more.
        # volatile:ms is x86-64's default and not arm64's: flags that are read without a lock (port/sync.h) order what was written before.
        arguments["extra_compile_args"] = ["/std:c11", "/utf-8", "/W3", "/volatile:ms"]
        return arguments
    arguments["extra_compile_args"] = ["-std=gnu11", "-O2", "-fvisibility=hidden"]
    liburing = find_liburing()
    if liburing:
        arguments["define_macros"] = [("PORT_HAVE_LIBURING", "1")]
        arguments["libraries"] = [liburing]
        if liburing.startswith(":"):
            # Its functions stay ours: a liburing that some other module has loaded must not take their place.
            arguments["extra_link_args"] = ["-Wl,--exclude-libs,liburing.a"]
    else:
        print(
            "pyiocp: no liburing 2.3 or later found, so this build has no io_uring and works over epoll alone.\n"
            "pyiocp: for io_uring install liburing's development package (Debian: apt-get install liburing-dev) and build again.",
            file=sys.stderr,
        )
    return arguments


if __name__ == "__main__":
    from Cython.Build import cythonize

    setup(ext_modules=cythonize([Extension("iocp._iocpcore", **extension_arguments(sys.platform))], include_path=["src"]))
