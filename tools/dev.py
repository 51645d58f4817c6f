"""Set up a development environment and do one thing in it: show the demo, run the tests, build the documentation, or anything else.

    python3 tools/dev.py demo [options of iocp-chess demo]
    python3 tools/dev.py test [pytest arguments]
    python3 tools/dev.py docs [--serve]
    python3 tools/dev.py run COMMAND...
    python3 tools/dev.py setup

Everything goes into `.venv`: the package built from this tree, and what the tests need. What Debian has to provide (headers,
liburing) is installed with apt-get when this runs as root; otherwise it says which command to give. A second run takes less than
a second as long as no source has changed. Needs Python 3.11 or later and gcc, nothing else.

examples:
  python3 tools/dev.py demo                      players on a board in this terminal, for half a minute
  python3 tools/dev.py demo --players 200 --seconds 60
  python3 tools/dev.py test                      the whole suite on every backend of this machine
  python3 tools/dev.py test -x -k framing
  python3 tools/dev.py test -q -n 4 --dist loadfile   files side by side, on a machine with four processors: most of a test is waiting
  python3 tools/dev.py docs                      the documentation, with every link checked, into build/docs
  python3 tools/dev.py docs --serve              the same on http://127.0.0.1:8000, built again when a file changes
  python3 tools/dev.py run python -m iocp        which backend, and why

environment:
  PYIOCP_VENV   the folder of the environment (default: .venv beside this tool's folder)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if sys.version_info < (3, 11):
    sys.exit(f"dev.py: needs Python 3.11 or later, this is {sys.version.split()[0]}")

PROJECT = Path(__file__).resolve().parents[1]
VENV = Path(os.environ.get("PYIOCP_VENV") or PROJECT / ".venv").absolute()
LOG = PROJECT / "build" / "dev.log"
SITE = PROJECT / "build" / "docs"
ON_DEMAND = ("docs", "wheels")
"""Groups of dependencies that only one command or tool needs."""


class SetupError(Exception):
    """The text says what to do."""


def say(text: str) -> None:
    print(f"dev.py: {text}", file=sys.stderr, flush=True)


def step(name: str, command: Sequence[str | Path], **options: object) -> None:
    """Run one step of the set-up, its output into the log; one line with the seconds it took."""
    began = time.monotonic()
    LOG.parent.mkdir(exist_ok=True)
    print(f"dev.py: {name} ...", end=" ", file=sys.stderr, flush=True)
    with LOG.open("a", encoding="utf-8") as log:
        done = subprocess.run([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT, cwd=PROJECT, **options)
    print(f"{time.monotonic() - began:.1f} s", file=sys.stderr, flush=True)
    if done.returncode:
        tail = "\n".join(LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        raise SetupError(f"{name} failed (exit code {done.returncode}). The end of {LOG}:\n{tail}")


# ---- what Debian provides ----


def missing_packages() -> list[str]:
    """Debian packages without which the build or the environment would fail, or be poorer than it need be."""
    missing = []
    if shutil.which("gcc") is None:
        missing += ["gcc", "libc6-dev"]
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        missing.append("python3-dev")
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        missing.append("python3-venv")
    if not Path("/usr/include/liburing.h").exists():
        missing.append("liburing-dev")
    if not Path("/usr/include/uv.h").exists():
        missing.append("libuv1-dev")  # the peer of the benchmarks, which a test tries out
    # A server that the tests start for themselves; they are skipped without it. Debian keeps its programs out of PATH.
    if shutil.which("initdb") is None and not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        missing.append("postgresql")
    # For the pictures of `iocp-chess play`: a font with Hangul, so that tests see real Korean names.
    if not list(Path("/usr/share/fonts").glob("truetype/nanum/NanumGothic.ttf")):
        missing.append("fonts-nanum")
    return missing


def install_packages() -> None:
    missing = missing_packages()
    if not missing:
        return
    if shutil.which("apt-get") is None:
        say(f"not a Debian system: install yourself what Debian calls {' '.join(missing)}")
        return
    install = ["apt-get", "install", "-y", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise SetupError(f"some packages are missing; install them, then run this again:\n  sudo apt-get update && sudo {' '.join(install)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    step("apt-get update", ["apt-get", "update"], env=environment)
    step(f"apt-get install {' '.join(missing)}", install, env=environment)


# ---- the environment ----


def fingerprint(*patterns: str) -> str:
    """A hash of this Python and of all files of the tree that match."""
    digest = hashlib.sha256(f"{sys.version} {VENV}".encode())
    for pattern in patterns:
        for path in sorted(PROJECT.glob(pattern)):
            if path.name == "_iocpcore.c":
                continue  # Cython's output, not a source
            digest.update(path.relative_to(PROJECT).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def stamped(name: str, value: str) -> bool:
    stamp = VENV / f"pyiocp-{name}"
    return stamp.exists() and stamp.read_text() == value


def project_table() -> dict[str, Any]:
    import tomllib

    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def dependencies() -> list[str]:
    """Everything the tests, the demo and the benchmarks want, read from pyproject.toml."""
    project = project_table()
    wanted = list(project["build-system"]["requires"])
    for group in project["project"]["optional-dependencies"].values():
        wanted += group
    for name, group in project["dependency-groups"].items():
        if name not in ON_DEMAND:
            wanted += group
    return wanted


def make_environment() -> Path:
    """The virtual environment, empty if it is new; its Python."""
    python = VENV / "bin" / "python"
    if not python.exists():
        step(f"virtual environment {VENV.name}", [sys.executable, "-m", "venv", "--clear", VENV])
    return python


def set_up() -> None:
    """Bring the environment to what the tree asks for; does nothing where it is that already."""
    install_packages()
    python = make_environment()
    wanted = fingerprint("pyproject.toml")
    if not stamped("dependencies", wanted):
        step("dependencies from the package index", [python, "-m", "pip", "install", "--upgrade", "pip", *dependencies()])
        (VENV / "pyiocp-dependencies").write_text(wanted)
    built = fingerprint("pyproject.toml", "setup.py", "src/*.pyx", "src/**/*.pxi", "src/**/*.[ch]")
    if not stamped("build", built):
        step("build of the core", [python, "-m", "pip", "install", "--no-build-isolation", "--no-deps", "--editable", PROJECT])
        (VENV / "pyiocp-build").write_text(built)


def set_up_docs() -> None:
    """What the site is built with. It reads the sources, and needs neither a compiler nor a build of the core."""
    python = make_environment()
    wanted = fingerprint("pyproject.toml")
    if not stamped("docs", wanted):
        group = project_table()["dependency-groups"]["docs"]
        step("what builds the documentation, from the package index", [python, "-m", "pip", "install", *group])
        (VENV / "pyiocp-docs").write_text(wanted)


def become(command: Sequence[str]) -> None:
    """Go on as `command`, found in the environment first, so that Ctrl-C and exit codes are its own."""
    environment = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(VENV)}
    program = shutil.which(command[0], path=environment["PATH"])
    if program is None:
        raise SetupError(f"no such program: {command[0]}")
    os.execve(program, list(command), environment)


def main(words: Sequence[str]) -> int:
    command, rest = (words[0], list(words[1:])) if words else ("", [])
    if command in ("-h", "--help"):
        print(__doc__)
        return 0
    if command not in ("demo", "test", "docs", "run", "setup") or (command == "run" and not rest):
        print(f"{__doc__}\ndev.py: {'no such command: ' + command if command else 'name a command'}", file=sys.stderr)
        return 2
    if command == "docs" and rest not in ([], ["--serve"]):
        print(f"dev.py: docs takes --serve or nothing, not {' '.join(rest)}", file=sys.stderr)
        return 2
    try:
        if command == "docs":
            set_up_docs()
        else:
            set_up()
        if command == "demo":
            become(["iocp-chess", "demo", *rest])
        elif command == "test":
            os.chdir(PROJECT)
            become(["python", "-m", "pytest", *rest])
        elif command == "docs":
            os.chdir(PROJECT)
            # The theme's note about its successor, which concerns nobody who reads the output.
            os.environ["NO_MKDOCS_2_WARNING"] = "1"
            become(["mkdocs", "serve", "--strict"] if rest else ["mkdocs", "build", "--strict", "--site-dir", str(SITE)])
        elif command == "run":
            become(rest)
        else:
            say(f"ready: {VENV}")
    except SetupError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
