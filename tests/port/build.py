"""Build the contract suite: `python tests/port/build.py [--target linux|windows] [--sanitize LIST] OUT`.

Used by test_contract.py, by tools/sanitize.py, and for Windows by whoever runs the suite there (a cross-compiler is enough).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # however this file is loaded: the tests are no package

from native import TARGETS, BuildError, compile_, compiler_for, link

PORT = HERE.parents[1] / "src" / "port"
SANITIZERS = ("address", "undefined", "thread")


def sources(target: str) -> list[Path]:
    """The suite's files and the port's for `target`: on Windows win32*.c, elsewhere all others."""
    port = [file for file in sorted(PORT.glob("*.c")) if file.name.startswith("win32") == (target == "windows")]
    return sorted(HERE.glob("*.c")) + port


def has_liburing(compiler: str) -> bool:
    """Whether a program that uses liburing can be linked, and may be: without it the port is built with epoll alone."""
    if os.environ.get("PYIOCP_LIBURING") == "0":
        return False
    with tempfile.TemporaryDirectory() as folder:
        try:
            compile_(compiler, [str(PORT / "probe" / "liburing.c"), "-o", str(Path(folder, "probe")), "-luring"])
        except BuildError:
            return False
    return True


def build(out: Path, target: str = "linux", sanitize: Sequence[str] = (), compiler: str | None = None) -> Path:
    """Compile the suite to `out`; warnings are errors. `sanitize` names sanitizers that go together."""
    arguments = ["-O1", "-g", f"-I{PORT}", f"-I{HERE}"]
    libraries = []
    compiler = compiler or compiler_for(target)
    if target == "windows":
        if sanitize:
            raise BuildError("the cross-compiler for Windows has no sanitizers")
    else:
        arguments += ["-std=gnu11", "-pthread"]
        if has_liburing(compiler):
            arguments += ["-DPORT_HAVE_LIBURING"]
            libraries += ["-luring"]
        if sanitize:
            # Reports carry the callers' lines, and the first one ends the test it is in.
            arguments += [f"-fsanitize={','.join(sanitize)}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
    return link(out, sources(target), arguments, libraries, target=target, compiler=compiler)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="build.py", description="Build the contract suite of src/port/.")
    parser.add_argument("--target", choices=TARGETS, default="linux")
    parser.add_argument("--sanitize", metavar="LIST", default="", help="address, undefined, thread; joined by commas")
    parser.add_argument("--compiler", help="default: gcc, or mingw's for windows (CC and MINGW_CC are heard)")
    parser.add_argument("out", type=Path, metavar="OUT", help="the program to make")
    given = parser.parse_args(words)
    sanitize = [name for name in given.sanitize.split(",") if name]
    for name in sanitize:
        if name not in SANITIZERS:
            parser.error(f"no such sanitizer: {name} (there are {', '.join(SANITIZERS)})")
    try:
        build(given.out, given.target, sanitize, given.compiler)
    except BuildError as error:
        print(f"build.py: {error}", file=sys.stderr)
        return 1
    print(given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
