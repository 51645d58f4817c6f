"""Build the lecture's client: `python tests/game/build_client.py --header chess.h [--target linux|windows] OUT`.

Used by test_c_client.py, and for Windows by whoever runs the suite there (a cross-compiler is enough). The header is what
`python -m iocp.game.protocol --c-header` printed; it must be called chess.h.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))  # however this file is loaded: the tests are no package

from native import TARGETS, BuildError, link

SOURCE = HERE / "lecture_client.c"
LANGUAGES = ("c", "c++")


def build(out: Path, header: Path, target: str = "linux", language: str = "c") -> Path:
    """Compile the client to `out`, as C11 or as C++11. Raises BuildError."""
    if language == "c++":
        arguments, compiler = ["-x", "c++", "-std=c++11"], "g++"
    else:
        arguments, compiler = ["-std=c11"], None
    return link(out, [SOURCE], [*arguments, "-Wpedantic", f"-I{header.parent}"], [], target=target, compiler=compiler)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="build_client.py", description="Build the chess client of the lecture.")
    parser.add_argument("--target", choices=TARGETS, default="linux")
    parser.add_argument("--language", choices=LANGUAGES, default="c")
    parser.add_argument("--header", type=Path, required=True, metavar="FILE", help="chess.h, as the module printed it")
    parser.add_argument("out", type=Path, metavar="OUT", help="the program to make")
    given = parser.parse_args(words)
    if given.header.name != "chess.h":
        parser.error("the header must be called chess.h")
    try:
        build(given.out, given.header, given.target, given.language)
    except BuildError as error:
        print(f"build_client.py: {error}", file=sys.stderr)
        return 1
    print(given.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
