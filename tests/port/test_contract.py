"""The contract of the completion port, on every backend of this machine: one pytest case for each native test.

The tests themselves are C, see contract.c. On Linux they are compiled here, once per session. On Windows a program that was
built before is run, because a machine that runs the tests need not have a compiler:

    python tests/port/build.py --target windows contract.exe
    set PYIOCP_CONTRACT_EXE=contract.exe
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from backends import wanted

HERE = Path(__file__).resolve().parent
CASES = re.findall(r"^CASE\((\w+)\)$", (HERE / "cases.h").read_text(encoding="utf-8"), re.MULTILINE)
BACKENDS = ["iocp"] if sys.platform == "win32" else wanted(["io_uring", "epoll"])
SKIPPED = 77
# On Windows one of the tests sends a Ctrl-Break, which must not reach pytest.
NEW_GROUP = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
LONGEST = 180  # seconds; the program's own watchdog ends a test after 80


def prebuilt() -> Path:
    given = os.environ.get("PYIOCP_CONTRACT_EXE")
    if not given:
        pytest.skip(
            "the contract suite is not built: python tests/port/build.py --target windows contract.exe, "
            "then name it in PYIOCP_CONTRACT_EXE"
        )
    if not Path(given).is_file():
        pytest.fail(f"PYIOCP_CONTRACT_EXE names no file: {given}")
    return Path(given)


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform == "win32":
        return prebuilt()
    if not (HERE.parents[1] / "src" / "port").is_dir():
        pytest.skip("the port's sources are not here: run these tests from a checkout or an unpacked sdist, where src/ is beside tests/")
    # By its path: "build" is also the name of a package that many have installed.
    tool = runpy.run_path(str(HERE / "build.py"))
    try:
        out: Path = tool["build"](tmp_path_factory.mktemp("contract") / "contract")
    except tool["BuildError"] as error:
        pytest.fail(str(error))
    return out


def run(program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Standard input is closed: under Wine a stream that is a file would stop the program before it starts.
    return subprocess.run(
        [str(program), *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        timeout=LONGEST,
        env={**os.environ, "CONTRACT_OWN_GROUP": "1"},
        creationflags=NEW_GROUP,
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_contract(program: Path, backend: str, case: str) -> None:
    done = run(program, backend, case)
    if done.returncode == SKIPPED:
        reason = re.search(r"^skip \w+: (.*)$", done.stdout, re.MULTILINE)
        pytest.skip(f"{backend}: {reason.group(1) if reason else done.stdout}")
    assert done.returncode == 0, f"{case} on {backend}, exit code {done.returncode}:\n{done.stdout}"
    assert f"ok {case}" in done.stdout.splitlines()


def test_every_case_is_listed(program: Path) -> None:
    assert run(program, "--list").stdout.split() == CASES
    written = [
        name
        for file in sorted(HERE.glob("*_tests.c"))
        for name in re.findall(r"^void (\w+)\(void\)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert set(written) == set(CASES)
