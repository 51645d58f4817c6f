"""Builds the one extension, iocp._iocpcore, from the Cython core and the port's C files.

The rest of the packaging is in pyproject.toml. What is built depends on the system: Windows' port on Windows; on Linux the ports
over io_uring and epoll, or over epoll alone where liburing is missing.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Extension, setup

ROOT = Path(__file__).parent
SHARED_HEADERS = ["src/port/port.h", "src/port/sync.h"]
LOAD_SOURCES = [f"src/load/{name}.c" for name in ("crowd", "histogram", "player", "profile", "receipt", "table")]
C_SOURCES = {
    "win32": ["src/port/win32.c", "src/port/win32_socket.c", "src/port/win32_process.c"],
    "linux": [
        "src/port/port_linux.c",
        "src/port/endpoint.c",
        "src/port/poller_epoll.c",
        "src/port/poller_uring.c",
        "src/port/system_linux.c",
    ],
}


def has_liburing() -> bool:
    """Whether a program with liburing compiles and links here. PYIOCP_LIBURING=0 says no without asking."""
    if os.environ.get("PYIOCP_LIBURING") == "0":
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "probe.c")
        source.write_text("#include <liburing.h>\nint main(void) { return io_uring_get_probe() == 0; }\n")
        command = [*os.environ.get("CC", "cc").split(), str(source), "-o", str(Path(folder, "probe")), "-luring"]
        return subprocess.run(command, capture_output=True).returncode == 0


def extension_arguments(platform: str) -> dict[str, list]:
    """What setuptools.Extension needs besides its name, for sys.platform `platform`."""
    family = "win32" if platform == "win32" else "linux"
    headers = SHARED_HEADERS + (["src/port/win32.h"] if family == "win32" else ["src/port/linux.h", "src/port/names.h"])
    parts = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src/_iocpcore").glob("*.pxi"))
    headers += sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src/load").glob("*.h"))
    arguments: dict[str, list] = {
        "sources": ["src/_iocpcore.pyx", *C_SOURCES[family], *LOAD_SOURCES],
        "include_dirs": ["src/port", "src/load"],
        "depends": headers + parts,
        "define_macros": [],
        "libraries": [],
        "extra_compile_args": [],
    }
    if family == "win32":
        arguments["libraries"] = ["ws2_32", "mswsock"]
        arguments["define_macros"] = [("_WIN32_WINNT", "0x0A00")]
        return arguments
    arguments["extra_compile_args"] = ["-std=gnu11", "-O2", "-fvisibility=hidden"]
    if has_liburing():
        arguments["define_macros"] = [("PORT_HAVE_LIBURING", "1")]
        arguments["libraries"] = ["uring"]
    else:
        print(
            "pyiocp: no liburing found, so this build has no io_uring and works over epoll alone.\n"
            "pyiocp: for io_uring install liburing's development package (Debian: apt-get install liburing-dev) and build again.",
            file=sys.stderr,
        )
    return arguments


if __name__ == "__main__":
    from Cython.Build import cythonize

    setup(ext_modules=cythonize([Extension("iocp._iocpcore", **extension_arguments(sys.platform))], include_path=["src"]))
