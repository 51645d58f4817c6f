"""How-to guides that need a service manager or a container: what of them can be shown true without one."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import iocp
from ports import free_port
from snippets import Block, blocks_of

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent / "engine"))

from child_process import Child  # noqa: E402
from seccomp import DENY, linux_x86_64  # noqa: E402

SECONDS = 100.0


def block(page: str, title: str) -> Block:
    (found,) = [one for one in blocks_of((ROOT / "docs/howto" / page).read_text(encoding="utf-8")) if one.title == title]
    return found


# ---- systemd ----


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit of the page, with its programs, in a folder instead of /opt/arena."""
    (tmp_path / "venv/bin").mkdir(parents=True)
    python = tmp_path / "venv/bin/python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    (tmp_path / "server.py").write_text(block("service.md", "server.py").text.replace("3500", str(free_port())), encoding="utf-8")
    path = tmp_path / "arena.service"
    path.write_text(block("service.md", "arena.service").text.replace("/opt/arena", str(tmp_path)), encoding="utf-8")
    return path


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_finds_nothing_wrong_with_the_unit(unit: Path) -> None:
    assert complaints(unit) == []


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_would_find_something_wrong(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=sometimes"))
    assert "kill mode" in complaints(unit)[0]


def complaints(unit: Path) -> list[str]:
    """What `systemd-analyze verify` says of this unit. It looks at those of the machine too, which are not ours to judge."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS
    )
    return [line for line in (done.stdout + done.stderr).splitlines() if "arena" in line]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux only")
def test_the_unit_s_command_stops_cleanly_on_sigterm(unit: Path, backend: str) -> None:
    command = re.search(r"^ExecStart=(.*)$", unit.read_text(), re.M)
    number = re.search(r"^KillSignal=(.*)$", unit.read_text(), re.M)
    assert command and number
    process = subprocess.Popen(
        shlex.split(command[1]), cwd=unit.parent, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "IOCP_BACKEND": backend},
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline().startswith("listening on 0.0.0.0:")
        process.send_signal(signal.Signals[number[1]])
        assert process.stdout.read() == "stopping with 0 sessions\nstopped\n"
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.communicate()


# ---- a container that denies io_uring ----

DENIED = """
import runpy, sys
if not deny_system_call(425, None, 1):  # io_uring_setup fails with EPERM
    print("no seccomp here")
    sys.exit()
sys.argv = ["iocp"]
try:
    runpy.run_module("iocp", run_name="__main__")
except SystemExit:
    pass
import iocp
try:
    iocp.Server(iocp.Handler(), backend="io_uring")
except RuntimeError as error:
    print("refused:", error)
"""


@linux_x86_64
def test_what_a_container_is_told_about_io_uring() -> None:
    if "io_uring" not in iocp.available_backends():
        pytest.skip("io_uring does not work here even without the filter")
    with Child(DENY + DENIED, IOCP_BACKEND="") as child:
        code = child.finish(SECONDS)
    if child.output == ["no seccomp here"]:
        pytest.skip("seccomp is not allowed here")
    assert code == 0, child.output
    command, *shown = block("container.md", "in a container").lines
    assert command == "$ python -m iocp"
    for wanted, line in zip(shown, child.output, strict=False):
        pattern = ".*".join(re.escape(re.sub(r"\d[\d,.]*", "#", part)) for part in wanted.split("…"))
        assert re.fullmatch(pattern, re.sub(r"\d[\d,.]*", "#", line)), (wanted, line)
    assert len(child.output) == len(shown) + 1
    page = (ROOT / "docs/howto/container.md").read_text(encoding="utf-8")
    refused = re.search(r"^RuntimeError: IOCP_BACKEND='io_uring' (.*)$", page, re.M)
    assert refused and child.output[-1] == f"refused: backend='io_uring' {refused[1]}"
