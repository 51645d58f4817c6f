"""Build the project for the free-threaded interpreter, and start programs there."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from toolkit.command import call, clean_environment
from toolkit.message import step

from .home import Home
from .interpreter import PACKAGES_RECIPE, launcher

# What a build reads. It is copied first: the checkout's own folders stay those of the developer's interpreter.
SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "src", "game")
# What would narrow or steer a run by accident, left over in the caller's shell.
NOT_FOR_TESTS = ("IOCP_TEST_BACKENDS", "IOCP_BACKEND", "PYTEST_ADDOPTS")
# No report ends a run: the exit code says at the end that there were some.
TSAN_OPTIONS = "history_size=7:second_deadlock_stack=1:report_signal_unsafe=0"


def build(home: Home, project: Path) -> None:
    """Installs the working tree into its folder of the cache, unless nothing has changed since."""
    site = home.site(project)
    recipe = _fingerprint(project) + PACKAGES_RECIPE
    if home.current(site, recipe):
        return
    copy = site.parent / f"{site.name}-source"
    _copy_sources(project, copy)
    with step("build of the extension and the packages"):
        home.make(site, recipe, lambda draft: _install(home, copy, draft))


def environment(home: Home, project: Path) -> dict[str, str]:
    """The environment of a program that is to find the project and what the tests want."""
    site = home.site(project)
    paths = [str(site / "bin"), str(home.packages / "bin"), str(home.python / "bin"), os.environ.get("PATH", "")]
    result = {
        **clean_environment(),
        "PATH": os.pathsep.join(paths),
        "PYTHONPATH": os.pathsep.join([str(site), str(home.packages)]),
        "PYTHONPYCACHEPREFIX": str(home.build_folder(project) / "pycache"),
    }
    # PYTHON_GIL=1 gives the lock back, for a comparison on the same interpreter.
    if "PYTHON_GIL" in os.environ:
        result["PYTHON_GIL"] = os.environ["PYTHON_GIL"]
    if home.tsan:
        suppressions = home.python / "share" / "tsan" / "suppressions_free_threading.txt"
        own = project / "tests" / "engine" / "tsan_suppressions.txt"
        joined = home.build_folder(project) / "suppressions.txt"
        joined.write_text("".join(path.read_text() for path in (suppressions, own) if path.exists()))
        options = f"{TSAN_OPTIONS}:suppressions={joined}"
        result["TSAN_OPTIONS"] = f"{options}:{os.environ['TSAN_OPTIONS']}" if "TSAN_OPTIONS" in os.environ else options
    return result


def _install(home: Home, copy: Path, draft: Path) -> None:
    # The plain interpreter builds for both, which have the same binary interface: under ThreadSanitizer it would take very long.
    plain = Home(home.root)
    source = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index", "--no-build-isolation", "--no-deps"]
    building = {**clean_environment(), "PYTHONPATH": str(home.packages)}
    if home.tsan:
        building |= {"CFLAGS": "-fsanitize=thread -g", "LDFLAGS": "-fsanitize=thread"}
    call([plain.interpreter, *source, "--target", draft, copy], cwd=copy, environment=building)


def _fingerprint(project: Path) -> str:
    digest = hashlib.sha256()
    for path in _files(project):
        digest.update(path.relative_to(project).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _files(project: Path) -> Iterator[Path]:
    for name in SOURCES:
        top = project / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            # Cython's output and other interpreters' builds are no sources.
            if path.is_file() and path.suffix not in (".so", ".pyc", ".pyd") and path.name != "_iocpcore.c":
                if "__pycache__" not in path.parts and not any(part.endswith(".egg-info") for part in path.parts):
                    yield path


def _copy_sources(project: Path, copy: Path) -> None:
    """Brings `copy` to what `project` has; what has not changed keeps its time, and is not compiled again."""
    wanted = set()
    for path in _files(project):
        target = copy / path.relative_to(project)
        wanted.add(target)
        if not target.exists() or target.read_bytes() != path.read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    for name in ("src", "game"):
        for path in (copy / name).rglob("*"):
            if path.is_file() and path not in wanted and path.name != "_iocpcore.c":
                path.unlink()
