"""CPython without the global lock, compiled from Debian's source archive."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

import toolkit.debian
from toolkit.command import call, clean_environment, pip
from toolkit.message import ToolError, say, step

from .home import Home

# Debian 12 has 3.11 only; trixie is Debian 13. Of it nothing is installed, only the source archive is read.
SOURCE_PACKAGE = "python3.13"
SUITE = "trixie"
# a header or a program -> the package that brings it
NEEDED = {
    "/usr/bin/gcc": "gcc libc6-dev",
    "/usr/bin/make": "make",
    "/usr/include/openssl/ssl.h": "libssl-dev",
    "/usr/include/zlib.h": "zlib1g-dev",
    "/usr/include/sqlite3.h": "libsqlite3-dev",
    "/usr/include/bzlib.h": "libbz2-dev",
    "/usr/include/lzma.h": "liblzma-dev",
    "/usr/include/liburing.h": "liburing-dev",
}
FFI_HEADERS = ("/usr/include/ffi.h", "/usr/include/x86_64-linux-gnu/ffi.h", "/usr/include/aarch64-linux-gnu/ffi.h")
# No profile-guided optimisation: it takes many times as long, and the suite does not need it.
OPTIONS = ("--disable-gil", "--without-static-libpython", "--with-ensurepip=install")
TSAN_OPTIONS = ("--with-thread-sanitizer",)

# What the tests want and what works without the lock. greenlet, which sqlalchemy would bring, and hdrhistogram and psycopg have no
# build for this Python, or one that turns the lock on again; tests that need them are skipped. mypy is the other suite's.
PACKAGES = (
    "pip", "setuptools>=77", "wheel", "Cython>=3.1,<4", "pytest>=8", "pytest-timeout", "hypothesis>=6.100", "rich>=13",
    "prometheus-client>=0.19", "typing-extensions",
)  # fmt: skip
OPTIONAL_PACKAGES = ("pillow>=10",)
BARE_PACKAGES = ("sqlalchemy>=2",)

SOURCE_RECIPE = repr((1, SOURCE_PACKAGE, SUITE))
PACKAGES_RECIPE = repr((1, PACKAGES, OPTIONAL_PACKAGES, BARE_PACKAGES, SOURCE_RECIPE))

PROOF = """\
import ctypes, hashlib, lzma, select, sqlite3, ssl, sys, sysconfig, threading, zlib
assert sysconfig.get_config_var("Py_GIL_DISABLED") == 1 and not sys._is_gil_enabled()
print("CPython", sys.version.split()[0], "works without the global lock")
"""


def python_recipe(home: Home) -> str:
    return repr((1, SOURCE_RECIPE, OPTIONS, TSAN_OPTIONS if home.tsan else (), home.python))


def missing_packages() -> list[str]:
    wanted = [package for path, package in NEEDED.items() if not Path(path).exists()]
    if not any(Path(path).exists() for path in FFI_HEADERS):
        wanted.append("libffi-dev")
    return [word for package in wanted for word in package.split()]


def ready(home: Home) -> bool:
    """A look at stamps only: called before every command."""
    return home.current(home.python, python_recipe(home)) and home.current(home.packages, PACKAGES_RECIPE)


def setup(home: Home) -> None:
    """Makes what is missing; says nothing when all is there. The interpreter for ThreadSanitizer needs the plain one: it installs
    and builds with that."""
    if home.tsan:
        setup(Home(home.root))
    if ready(home):
        return
    with home.lock():
        home.sweep()
        missing = missing_packages()
        if missing:
            with step("Debian packages: " + " ".join(missing)):
                toolkit.debian.install(missing)
        if not home.current(home.python, python_recipe(home)):
            home.make(home.source, SOURCE_RECIPE, _fill_source)
            _compile(home)
            home.make(home.python, python_recipe(home), lambda draft: _fill_python(draft, home))
            shutil.rmtree(home.objects)
        if not home.tsan:
            home.make(home.packages, PACKAGES_RECIPE, lambda draft: _fill_packages(draft, home))
        with step("check: the interpreter starts, and has no global lock"):
            text = call(launcher(home, [home.interpreter, "-c", PROOF]), environment=clean_environment())
    say(f"{text.strip()}; it is {home.interpreter}")


def launcher(home: Home, command: Sequence[str | Path]) -> list[str]:
    """`command`, so that ThreadSanitizer can work: it cannot where the kernel scatters addresses more widely than it expects."""
    words = [str(word) for word in command]
    return ["setarch", "-R", *words] if home.tsan and shutil.which("setarch") else words


def _fill_source(draft: Path) -> None:
    with step(f"source of {SOURCE_PACKAGE} from Debian {SUITE}"):
        advice = f"the archive this machine uses has to have the source package {SOURCE_PACKAGE} in {SUITE}"
        archive = toolkit.debian.fetch_source(draft / "apt", SOURCE_PACKAGE, SUITE, advice)
        with tarfile.open(archive) as tar:
            tar.extractall(draft / "unpacked", filter="data")
        (top,) = (draft / "unpacked").iterdir()
        for path in top.iterdir():
            path.rename(draft / path.name)
        shutil.rmtree(draft / "unpacked")
        shutil.rmtree(draft / "apt")


def _compile(home: Home) -> None:
    """configure and make. What an interrupted run has compiled is used by the next."""
    stamp = home.objects / "recipe"
    recipe = python_recipe(home)
    if not (stamp.exists() and stamp.read_text() == recipe):
        shutil.rmtree(home.objects, ignore_errors=True)
        home.objects.mkdir(parents=True)
        options = [f"--prefix={home.python}", *OPTIONS, *(TSAN_OPTIONS if home.tsan else ())]
        with step("configure " + " ".join(options[1:])):
            # The log of configure is long, and says in its last lines what is missing.
            call([home.source / "configure", "-q", *options], cwd=home.objects, environment=clean_environment())
        stamp.write_text(recipe)
    with step("make (about ten minutes of one CPU; an interrupted one goes on where it was)"):
        jobs = f"-j{os.cpu_count() or 1}"
        call(launcher(home, ["make", "-s", jobs]), cwd=home.objects, environment=clean_environment())


def _fill_python(draft: Path, home: Home) -> None:
    with step("make install"):
        stage = draft.parent / "stage"
        command = ["make", "-s", "install", f"DESTDIR={stage}"]
        if home.tsan:
            # No pip, and no byte code (compileall says its help instead): ThreadSanitizer would need many minutes for them.
            command += ["ENSUREPIP=no", "COMPILEALL_OPTS=--help"]
        call(launcher(home, command), cwd=home.objects, environment=clean_environment())
        for path in (stage / home.python.relative_to("/")).iterdir():
            path.rename(draft / path.name)
        if home.tsan:
            shutil.copytree(home.source / "Tools" / "tsan", draft / "share" / "tsan")


def _fill_packages(draft: Path, home: Home) -> None:
    with step("packages for the tests"):
        # Wheels only: where the newest version of something has none for this Python, an older one has.
        target = ("install", "--no-compile", "--only-binary=:all:", "--target", draft)
        pip(home.interpreter, *target, *PACKAGES)
        pip(home.interpreter, *target, "--no-deps", *BARE_PACKAGES)
        try:
            pip(home.interpreter, *target, *OPTIONAL_PACKAGES)
        except ToolError as error:
            say(f"without {' '.join(OPTIONAL_PACKAGES)}, and the tests that need it are skipped: {str(error).splitlines()[0]}")
