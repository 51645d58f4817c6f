"""The units of ``setup`` in their order, and the proof that what came out runs."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from toolkit.command import call, clean_environment, pip
from toolkit.message import ToolError, say, step

from . import debian, interpreter, session
from .home import Home

BUILD_TOOLS = ("cython>=3.1", "setuptools>=77", "wheel")

# Raise a number when what the unit's code makes has changed; constants that change the outcome are in the key already.
VENV_RECIPE = repr((1, BUILD_TOOLS, sys.version_info[:2]))
SOURCE_RECIPE = repr((2, debian.SOURCE_PACKAGE))
PREFIX_RECIPE = repr((1,))

# Each of these modules needs a .pyd or DLL of its own; asyncio's needs working overlapped I/O.
PROOF = f"""\
import asyncio, ctypes, sqlite3, ssl, sys
assert sys.platform == "win32" and sys.version_info[:2] == {interpreter.VERSION!r}, sys.version
async def one():
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"x"); data = await reader.readexactly(1); writer.close(); return data
async def main():
    global port
    async def serve(r, w): w.write(await r.readexactly(1)); await w.drain(); w.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await asyncio.wait_for(one(), 20) == b"x"
asyncio.run(main())
print("CPython", sys.version.split()[0], "works")
"""


def ready(home: Home) -> bool:
    """A look at stamps and PATH only: called before every command."""
    units = (
        (home.venv, VENV_RECIPE),
        (home.source, SOURCE_RECIPE),
        (home.prefix, PREFIX_RECIPE),
        (home.python, interpreter.RECIPE),
    )
    return all(home.current(unit, recipe) for unit, recipe in units) and not debian.missing_packages()


def setup(home: Home) -> None:
    """Makes what is missing; says nothing when all is there."""
    if ready(home):
        return
    began = time.monotonic()
    with home.lock():
        home.sweep()
        packages = debian.missing_packages()
        if packages:
            with step("Debian packages: " + " ".join(packages)):
                debian.install(packages)
        home.make(home.venv, VENV_RECIPE, _fill_venv)
        home.make(home.source, SOURCE_RECIPE, _fill_source)
        home.make(home.prefix, PREFIX_RECIPE, _fill_prefix)
        home.make(home.python, interpreter.RECIPE, lambda draft: _fill_python(draft, home))
        with step("check: the Windows Python starts, an asyncio echo works"):
            _prove(home)
    say(f"set up in {home.root}, {time.monotonic() - began:.0f} s in all")


def _fill_venv(draft: Path) -> None:
    with step("venv with " + " ".join(BUILD_TOOLS)):
        # Symlinks keep it valid after the rename: nothing in it is started but bin/python.
        call([sys.executable, "-m", "venv", draft], environment=clean_environment())
        pip(draft / "bin" / "python", "install", *BUILD_TOOLS)


def _fill_source(draft: Path) -> None:
    with step("headers from Debian's source package " + debian.SOURCE_PACKAGE):
        debian.fetch_python_source(draft)


def _fill_prefix(draft: Path) -> None:
    with step("Wine prefix"):
        session.make_prefix(draft)


def _fill_python(draft: Path, home: Home) -> None:
    interpreter.fill(draft, home.venv_python, home.source)
    with step("byte code"):
        # Done by the Windows Python itself, once: later runs do not write any, and would compile at each start.
        compile_all = ["-m", "compileall", "-q", "-x", "lib2to3|bad_|badsyntax"]
        code, text = session.capture(home, [draft / "python.exe", *compile_all, draft / "Lib"], timeout=600)
        if code != 0:
            # A file that does not compile is compiled at its import, or not: no reason to stop.
            say("some files did not compile: " + text.strip()[-300:])


def _prove(home: Home) -> None:
    code, text = session.capture(home, [home.windows_python, "-c", PROOF], timeout=120)
    if code != 0 or "works" not in text:
        raise ToolError(
            f"the Windows Python does not run under Wine (exit code {code}):\n{text.strip()}\n"
            f"remove {home.root} and run setup again; if it stays, look at: WINEDEBUG=err+all python tools/wine.py run -c pass"
        )
