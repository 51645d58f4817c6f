"""A free-threaded CPython on a Debian machine, and this project's suite and measurements on it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

if sys.version_info < (3, 11):
    sys.exit("freethreaded.py: needs Python 3.11 or later, this is " + sys.version.split()[0])

from freetool import interpreter, suite
from freetool.home import Home
from toolkit.message import ToolError, say
from toolkit.usage import UsageError

USAGE = """\
usage: python tools/freethreaded.py [--tsan] setup
       python tools/freethreaded.py [--tsan] build
       python tools/freethreaded.py [--tsan] test [pytest arguments]
       python tools/freethreaded.py [--tsan] stress [SECONDS]
       python tools/freethreaded.py [--tsan] run COMMAND...
       python tools/freethreaded.py measure [arguments of benchmarks/free_threading.py]
"""
HELP = (
    USAGE
    + """
CPython 3.13 without the global interpreter lock, compiled from Debian's source archive (Debian 12 has none to install), with
this project built for it. Kept in a cache; the checkout is not touched.

commands:
  setup    make everything once (about fifteen minutes of one CPU, most of it the compiler's); every other command does it by
           itself when needed. What is interrupted goes on where it was
  build    the working tree, installed into the cache
  test     build, then pytest over tests/; what has no build for a free-threaded Python is skipped, with the reason
  stress   build, then the stress test of the engine for SECONDS (default: 30) on each backend
  run      build, then a command: `python ...`, a .py file, options of python, or a program the project installs
  measure  build, then game logic on two workers against one, with and without the lock

  --tsan   the same with a second interpreter and a build that ThreadSanitizer watches: data races are printed on stderr, and the
           exit code is 66 if there were any

examples:
  python tools/freethreaded.py test
  python tools/freethreaded.py test -x tests/engine -k groups
  python tools/freethreaded.py stress 120
  python tools/freethreaded.py --tsan test tests/engine/test_stress.py
  python tools/freethreaded.py run python -c "import iocp, sys; print(sys._is_gil_enabled())"
  python tools/freethreaded.py run iocp-chess serve --workers 2
  python tools/freethreaded.py measure --write

Exit codes: that of the program; 1 a step failed, 2 wrong usage, 130 interrupted.

environment:
  PYIOCP_FREETHREADED_HOME   where everything is kept (default: ~/.cache/pyiocp-freethreaded); remove that folder to start afresh
  PYTHON_GIL                 1 gives the program the lock, 0 keeps it away whatever is imported
  TSAN_OPTIONS               added to the tool's own
"""
)
PROJECT = Path(__file__).resolve().parents[1]
STRESS = "tests/engine/test_stress.py"


def main(words: Sequence[str]) -> int:
    rest = list(words)
    tsan = bool(rest) and rest[0] == "--tsan"
    if tsan:
        rest.pop(0)
    if not rest:
        raise UsageError("name a command")
    command = rest.pop(0)
    if command in ("-h", "--help", "help") or (rest and rest[0] in ("-h", "--help") and command in ("setup", "build", "stress")):
        print(HELP, end="")
        return 0
    if command not in COMMANDS:
        raise UsageError(f"no such command: {command}")
    if not sys.platform.startswith("linux"):
        raise ToolError("this tool is for Linux; elsewhere install the free-threaded CPython of python.org")
    return COMMANDS[command](Home.default(tsan=tsan), rest)


def setup(home: Home, words: list[str]) -> int:
    _refuse(words)
    if interpreter.ready(home):
        say(f"set up already: {home.interpreter}")
    interpreter.setup(home)
    return 0


def build(home: Home, words: list[str]) -> int:
    _refuse(words)
    _prepare(home)
    print(home.site(PROJECT))
    return 0


def test(home: Home, words: list[str]) -> int:
    _prepare(home)
    return _become(home, [*_pytest(home), *words])


def stress(home: Home, words: list[str]) -> int:
    seconds = words.pop(0) if words else "30"
    _refuse(words)
    try:
        valid = 0 < float(seconds) < 86400
    except ValueError:
        valid = False
    if not valid:
        raise UsageError(f"stress takes seconds, not {seconds!r}")
    _prepare(home)
    # The time limit of one test is for a suite; here each may take as long as it was asked to.
    limit = f"--timeout={int(float(seconds) * 3 + 300)}"
    return _become(home, [*_pytest(home), "-v", limit, STRESS], IOCP_STRESS_SECONDS=seconds)


def run(home: Home, words: list[str]) -> int:
    if not words:
        raise UsageError("run needs a command, for example: run python -m iocp")
    _prepare(home)
    if words[0].startswith("-") or words[0].endswith(".py"):
        words = ["python", *words]
    return _become(home, words, folder=None)


def measure(home: Home, words: list[str]) -> int:
    if home.tsan:
        raise UsageError("measure under ThreadSanitizer would measure ThreadSanitizer")
    _prepare(home)
    return _become(home, ["python", str(PROJECT / "benchmarks" / "free_threading.py"), *words])


COMMANDS = {"setup": setup, "build": build, "test": test, "stress": stress, "run": run, "measure": measure}


def _refuse(words: list[str]) -> None:
    if words:
        raise UsageError(f"unexpected: {' '.join(words)}")


def _prepare(home: Home) -> None:
    interpreter.setup(home)
    # Not the lock of setup: the other interpreter may be in the making meanwhile.
    with home.lock("build.lock"):
        suite.build(home, PROJECT)


def _pytest(home: Home) -> list[str]:
    # ThreadSanitizer writes to the descriptor of stderr, where pytest would keep it to itself.
    return ["python", "-m", "pytest", "-p", "no:cacheprovider", *(["--capture=sys"] if home.tsan else [])]


def _become(home: Home, words: list[str], folder: Path | None = PROJECT, **variables: str) -> int:
    """Go on as the program, so that Ctrl-C and exit codes are its own."""
    environment = {**suite.environment(home, PROJECT), **variables}
    if words[0] in ("python", "python3"):
        words = [str(home.interpreter), *words[1:]]
    if words[1:3] == ["-m", "pytest"]:
        for name in suite.NOT_FOR_TESTS:
            environment.pop(name, None)
    program = shutil.which(words[0], path=environment["PATH"])
    if program is None:
        raise UsageError(f"no such program: {words[0]}")
    if folder is not None:
        os.chdir(folder)
    command = interpreter.launcher(home, [program, *words[1:]])
    sys.stderr.flush()
    os.execvpe(command[0], command, environment)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except UsageError as error:
        print(f"freethreaded.py: {error}\n{USAGE}(--help shows examples)", file=sys.stderr)
        sys.exit(2)
    except ToolError as error:
        say(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; what is done is kept: start it again to go on")
        sys.exit(130)
