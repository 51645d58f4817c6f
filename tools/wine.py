"""The Windows build of this project on a Linux machine: made with mingw, run under Wine."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("wine.py: needs Python 3.11 or later, this is " + sys.version.split()[0])

from toolkit.message import ToolError, say
from toolkit.usage import UsageError, take
from wheeltool import sdist
from winetool import recipe, session, suite
from winetool.home import Home

USAGE = """\
usage: python tools/wine.py setup
       python tools/wine.py build [--sdist FILE]
       python tools/wine.py test [--sdist FILE] [--timeout MINUTES] [pytest arguments]
       python tools/wine.py run COMMAND...
       python tools/wine.py shell
"""
HELP = (
    USAGE
    + """
The real Windows code path, run on Linux: the official Windows CPython 3.11 under Wine, with the project's extension
cross-compiled by mingw and installed from its wheel. Made for Debian 12.

commands:
  setup   make everything once (about a minute); every other command does it by itself when needed
  build   the win_amd64 wheel of the working tree, into dist-wine/
  test    build, pip install the wheel there, run pytest over tests/ from an empty folder; exit code 0 only if the suite passed
  with --sdist both take that source distribution for the working tree: its wheel and, unless others are named, its tests
  run     a command in the Windows environment: `python ...`, a .py file, options of python, or a program of Windows
  shell   the interactive Windows Python

examples:
  python tools/wine.py test
  python tools/wine.py test -x -k echo tests/engine
  python tools/wine.py test --timeout 5 -- --timeout 30     after --, everything is pytest's own
  python tools/wine.py test --sdist dist/pyiocp-0.1.0.tar.gz -q
  python tools/wine.py run python -m iocp
  python tools/wine.py run -c "import sys; print(sys.version)"
  python tools/wine.py run python -m pip list

`run` and `shell` use what the last `test` or `build` installed. Linux paths are seen as Z:\\..., relative ones
work as they are.
Exit codes: that of the program; 1 a step failed, 2 wrong usage, 124 the time-out passed, 130 interrupted.
Ctrl-C or SIGTERM on `run` arrives in the program as Ctrl-C; if it has not ended ten seconds later, and always with
`test` or after a time-out, all Wine processes of the tool's own prefix are ended, a second run in it included.

`shell` has the line editing of Wine's console, and needs a terminal; Ctrl-Z and Enter, or exit(), leaves it.

environment:
  PYIOCP_WINE_HOME   where everything is kept (default: ~/.cache/pyiocp-wine); remove that folder to start afresh
  WINEDEBUG          Wine's own log channels (default: -all); err+all shows what Wine is missing
"""
)
PROJECT = Path(__file__).resolve().parents[1]
DEFAULT_TIMEOUT = 40.0  # minutes
GRACE = 10.0  # seconds; a server that flushes and drains should be done long before


def main(words: Sequence[str]) -> int:
    if not words:
        raise UsageError("name a command")
    command, rest = words[0], list(words[1:])
    if command in ("-h", "--help", "help"):
        print(HELP, end="")
        return 0
    if command not in COMMANDS:
        raise UsageError(f"no such command: {command}")
    if rest and rest[0] in ("-h", "--help") and command != "run":
        print(HELP, end="")
        return 0
    return COMMANDS[command](Home.default(), rest)


def setup(home: Home, words: list[str]) -> int:
    _refuse(words)
    if recipe.ready(home):
        say(f"set up already in {home.root}")
    recipe.setup(home)
    return 0


def build(home: Home, words: list[str]) -> int:
    archive = _sdist(words)
    _refuse(words)
    recipe.setup(home)
    with home.lock():
        wheel = suite.build(home, _project(home, archive))
        if archive:
            (PROJECT / suite.OUTPUT).mkdir(exist_ok=True)
            wheel = shutil.copy2(wheel, PROJECT / suite.OUTPUT)
        suite.install(home, wheel)
    print(wheel)
    return 0


def test(home: Home, words: list[str]) -> int:
    archive, minutes = _sdist(words), _timeout(words)
    if "--" in words:
        words.remove("--")
    recipe.setup(home)
    with home.lock():
        home.sweep()
        project = _project(home, archive)
        suite.install(home, suite.build(home, project))
        return suite.test(home, project, words, minutes * 60)


def run(home: Home, words: list[str]) -> int:
    if not words:
        raise UsageError("run needs a command, for example: run python -m iocp")
    recipe.setup(home)
    if words[0] in ("python", "python3", "python.exe"):
        words = [str(home.windows_python), *words[1:]]
    elif words[0].startswith("-") or words[0].endswith(".py"):
        words = [str(home.windows_python), *words]
    # A terminal stays the tool's own, and the program gets a console instead. A pipe or a file is handed on.
    nothing_to_feed = sys.stdin is None or sys.stdin.isatty() or os.path.samestat(os.fstat(0), os.stat(os.devnull))
    return session.run(home, words, stdin=None if nothing_to_feed else sys.stdin.buffer, grace=GRACE)


def shell(home: Home, words: list[str]) -> int:
    _refuse(words)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("shell needs a terminal; use run, which takes a program through a pipe: ... | wine.py run python -")
    recipe.setup(home)
    return session.attach(home, [home.windows_python])


COMMANDS = {"setup": setup, "build": build, "test": test, "run": run, "shell": shell}


def _refuse(words: list[str]) -> None:
    if words:
        raise UsageError(f"unexpected: {' '.join(words)}")


def _timeout(words: list[str]) -> float:
    """The --timeout, in minutes."""
    value = take(words, "--timeout")
    try:
        minutes = DEFAULT_TIMEOUT if value is None else float(value)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < 60 * 24 * 7:
        raise UsageError(f"--timeout takes minutes, not {value!r}; pytest-timeout's own goes after --")
    return minutes


def _sdist(words: list[str]) -> Path | None:
    value = take(words, "--sdist")
    if value is not None and not Path(value).is_file():
        raise UsageError(f"--sdist names no file: {value or 'nothing'}")
    return Path(value) if value else None


def _project(home: Home, archive: Path | None) -> Path:
    """The tree to build and to test: this one, or what the archive holds."""
    if archive is None:
        return PROJECT
    folder = home.build_folder(PROJECT) / "sdist"
    shutil.rmtree(folder, ignore_errors=True)
    say(f"the wheel and the tests of {archive.name}")
    return sdist.unpack(archive, folder)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        print(f"wine.py: {error}\n{USAGE}(--help shows examples)", file=sys.stderr)
        sys.exit(2)
    except ToolError as error:
        say(str(error))
        sys.exit(1)
    except session.Arrest as arrest:
        sys.exit(128 + arrest.args[0])
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
