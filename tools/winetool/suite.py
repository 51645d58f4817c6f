"""Build, install with the Windows pip, run the project's tests there."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from toolkit.command import clean_environment
from toolkit.message import ToolError, say, step

from . import session
from .home import Home

OUTPUT = "dist-wine"
# What would narrow or steer a run by accident, left over in the caller's shell.
NOT_FOR_TESTS = ("IOCP_TEST_BACKENDS", "IOCP_BACKEND", "PYTEST_ADDOPTS")
# Their value is a word of its own and never a path, even if a file of that name exists.
WORD_OPTIONS = ("-k", "-m", "-p", "-W", "-n", "-o", "-r", "--tb", "--maxfail", "--deselect")
# Theirs is a path, but none that names tests.
PATH_OPTIONS = ("-c", "--rootdir", "--confcutdir", "--basetemp", "--ignore", "--junitxml", "--junit-xml", "--log-file")
# pytest itself writes down how it ended: an exit code that went through Wine keeps eight bits only, and a crash
# (0xC0000005) would come out as pytest's 5, "no tests collected".
PYTEST = """\
import sys, pytest
code = int(pytest.main(sys.argv[2:]))
with open(sys.argv[1], "w") as verdict:
    verdict.write(str(code))
sys.exit(code)
"""


def build(home: Home, project: Path) -> Path:
    """Makes the wheel from the working tree. Returns its path."""
    folder = home.build_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
    output = project / OUTPUT
    done = subprocess.run(
        [home.venv_python, "-m", "winetool.wheel", project, folder, home.source / "Include", home.python, output],
        check=False,
        env={
            **clean_environment(),
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "PYTHONPYCACHEPREFIX": str(folder / "pycache"),
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    lines = done.stdout.splitlines()
    if done.returncode or not lines:
        raise ToolError("the build failed; the reason is above")
    return Path(lines[-1])


def install(home: Home, wheel: Path) -> None:
    marker = home.python / "installed-wheel"
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if marker.exists() and marker.read_text() == digest:
        say(f"{wheel.name} is installed already")
        return
    marker.unlink(missing_ok=True)
    with step(f"pip install {wheel.name}"):
        options = ["--no-deps", "--force-reinstall", "--no-index", "--no-warn-script-location", "--disable-pip-version-check"]
        arguments = ["-m", "pip", "install", *options, session.windows_path(wheel)]
        code, text = session.capture(home, [home.windows_python, *arguments], timeout=300)
        if code:
            raise ToolError(f"pip under Wine failed with exit code {code}:\n{text.strip()}")
    marker.write_text(digest)


def build_programs(home: Home, project: Path) -> dict[str, Path]:
    """The tests' programs in C, by the variable that names each: the Windows Python has no compiler to make them itself."""
    folder = home.build_folder(project)
    folder.mkdir(parents=True, exist_ok=True)
    programs = {}
    if (builder := project / "tests" / "port" / "build.py").exists():
        programs["PYIOCP_CONTRACT_EXE"] = _compile(home, builder, [], folder / "contract.exe")
    if (builder := project / "tests" / "game" / "build_client.py").exists():
        # The installed wheel writes the header, as it would for somebody who has nothing but the wheel.
        header = folder / "chess.h"
        code, text = session.capture(home, [home.windows_python, "-m", "iocp.game.protocol", "--c-header"], timeout=60)
        if code:
            raise ToolError(f"the installed wheel writes no C header (exit code {code}):\n{text.strip()}")
        header.write_text(text)
        programs["PYIOCP_LECTURE_CLIENT_EXE"] = _compile(home, builder, ["--header", header], folder / "lecture_client.exe")
    return programs


def _compile(home: Home, builder: Path, arguments: Sequence[Path | str], program: Path) -> Path:
    with step(f"the tests' {program.name}"):
        done = subprocess.run(
            [home.venv_python, builder, "--target", "windows", *arguments, program],
            check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
    if done.returncode:
        raise ToolError(f"{program.name} does not compile for Windows:\n{done.stderr.strip()}")
    return program


def test(home: Home, project: Path, arguments: Sequence[str], timeout: float) -> int:
    variables = session.environment(home.prefix)
    for name, program in build_programs(home, project).items():
        variables[name] = session.windows_path(program)
    for name in NOT_FOR_TESTS:
        variables.pop(name, None)
    translated, named_path = translate(arguments)
    if not named_path:
        tests = project / "tests"
        if not tests.is_dir():
            raise ToolError(f"there is no {tests}; name the tests to run: python tools/wine.py test PATH")
        translated.append(session.windows_path(tests))
    cache = home.build_folder(project) / "pytest-cache"
    with home.folder("empty") as empty:
        verdict = empty.parent / "verdict"
        words = ["-c", PYTEST, session.windows_path(verdict), "-o", f"cache_dir={session.windows_path(cache)}", *translated]
        code = session.run(home, [home.windows_python, *words], cwd=empty, variables=variables, timeout=timeout, merged=True)
        said = verdict.read_text() if verdict.exists() else None
    return _judge(code, said)


def _judge(code: int, said: str | None) -> int:
    if code == session.TIMED_OUT:
        return code
    if said is None:
        say(f"pytest did not reach its end: the Windows process ended with exit code {code} (a crash?)")
        return code if code not in (0, 5) else 1
    if said == str(code):
        return code
    say(f"pytest ended with {said}, but its process with {code}: it crashed while it shut down")
    return code or int(said)


def translate(arguments: Sequence[str]) -> tuple[list[str], bool]:
    """Linux paths become Z: paths. Also tells whether any argument names tests."""
    result, named_path, before = [], False, ""
    for argument in arguments:
        option, equals, value = argument.partition("=")
        path, colons, node = argument.partition("::")
        if before in WORD_OPTIONS:
            result.append(argument)
        elif before in PATH_OPTIONS:
            result.append(session.windows_path(argument))
        elif argument.startswith("-"):
            is_path = bool(equals) and (option in PATH_OPTIONS or value.startswith("/"))
            result.append(f"{option}={session.windows_path(value)}" if is_path else argument)
        elif os.path.exists(path):
            named_path = True
            result.append(session.windows_path(path) + colons + node)
        elif re.match(r"[A-Za-z]:\\", argument):
            named_path = True
            result.append(argument)
        elif colons or "/" in path:
            raise ToolError(f"no such file: {path}")
        else:
            result.append(argument)
        before = argument
    return result, named_path
