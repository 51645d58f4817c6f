"""A server as a process held to its CPUs, and one measurement of it by the load generator."""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

START_SECONDS = 20.0
STOP_SECONDS = 5.0
_LISTENING = re.compile(rb"listening on (\S+):(\d+)[ ]*([^\r\n]*)\r?\n")


class Failed(Exception):
    """A server or the load generator did not do its part, and why."""


@dataclass
class Running:
    host: str
    port: int
    remark: str
    """What the server said about itself after its address."""
    pids: list[int]
    """The processes whose CPU time is the server's."""
    farewell: str = ""
    """What it said after that, once it has been stopped; nothing from one under Wine."""


def cpus() -> list[int]:
    """The CPUs of this process. Servers are held to the first of them, the load generator to the last."""
    return sorted(os.sched_getaffinity(0))


@contextlib.contextmanager
def server(command: Sequence[str], cpu_count: int = 1, *, wine: bool = False) -> Iterator[Running]:
    """Start a server, wait until it listens; stop it at the end, whatever happens."""
    program = _windows_program(command) if wine else ""
    available = cpus()
    allowed = available[:cpu_count]
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,  # so that Ctrl-C comes to run.py alone, which stops the server
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )
        try:
            assert process.stdout
            host, port, remark = _wait_for_address(process, complaints, START_SECONDS * (5 if wine else 1))
            running = Running(host, port, remark, [process.pid])
            if wine:
                with wine_processes(process.pid, program, allowed) as pids:
                    running.pids = pids
                    yield running
            else:
                yield running
            if process.poll() is not None:
                raise Failed(f"the server ended with exit code {process.returncode}: {_tail(complaints)}")
            running.farewell = _stop(process, program)
        finally:
            _stop(process, program)


def _wait_for_address(process: subprocess.Popen[bytes], complaints: IO[bytes], seconds: float) -> tuple[str, int, str]:
    assert process.stdout
    said = b""
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not (match := _LISTENING.search(said)):
            left = deadline - time.monotonic()
            if left <= 0:
                raise Failed(f"the server does not listen after {seconds:g} s: {_tail(complaints)}")
            if selector.select(left):
                more = os.read(process.stdout.fileno(), 4096)
                if not more:
                    raise Failed(f"the server ended with exit code {process.wait()}: {_tail(complaints)}")
                said += more
    return match[1].decode(), int(match[2]), match[3].decode(errors="replace").strip()


def _tail(complaints: IO[bytes]) -> str:
    complaints.seek(0)
    return " | ".join(complaints.read().decode(errors="replace").split("\n")[-4:]).strip(" |") or "it said nothing"


def _stop(process: subprocess.Popen[bytes], program: str) -> str:
    """End it, if it has not ended; what it had to say to that. program: under Wine, the name of the Windows program."""
    if program and process.poll() is None:
        # The Windows process only: to end the tool would end whatever else runs in its Wine prefix.
        for pid in _windows_processes(process.pid, program):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    elif process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    said = b""
    if process.stdout and not process.stdout.closed:
        # Under Wine others may hold the pipe open.
        said = b"" if program else process.stdout.read()
        process.stdout.close()
    return said.decode(errors="replace")


# ---- Wine: a server there is its own process and wineserver, which does part of its work ----


def _parents() -> dict[int, int]:
    result = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                # The command name in parentheses may hold spaces.
                result[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return result


def _descendants(root: int) -> list[int]:
    parents = _parents()
    found = [root]
    for pid in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def _windows_program(command: Sequence[str]) -> str:
    """The file name of the Windows program that a command of the Wine tool runs."""
    return next((Path(word).name for word in command if word.endswith(".exe")), "python.exe")


def _windows_processes(root: int, program: str) -> list[int]:
    lines = {pid: _read(pid, "cmdline") for pid in _descendants(root)}
    return [pid for pid, line in lines.items() if program.encode() in line and b"wine.py" not in line]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def wine_processes(root: int, program: str, allowed: Sequence[int]) -> Iterator[list[int]]:
    """The Windows program under `root` and the wineserver of its prefix, which is held to the same CPUs meanwhile."""
    programs = _windows_processes(root, program)
    if not programs:
        raise Failed(f"no {program} among the processes of the Wine tool")
    prefixes = {word for pid in programs for word in _read(pid, "environ").split(b"\0") if word.startswith(b"WINEPREFIX=")}
    servers = [
        pid
        for pid in _parents()
        if _read(pid, "comm").startswith(b"wineserver") and prefixes & set(_read(pid, "environ").split(b"\0"))
    ]
    before = {pid: os.sched_getaffinity(pid) for pid in servers}
    try:
        for pid in servers:
            os.sched_setaffinity(pid, allowed)
        yield programs + servers
    finally:
        for pid, mask in before.items():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(pid, mask)


# ---- one measurement ----


def load(program: Path, arguments: Sequence[str], running: Running, seconds: float, warmup: float) -> dict[str, Any]:
    """Run the load generator against a server; what it reports."""
    mode, *options = arguments
    command = [str(program), mode, running.host, str(running.port), *options]
    command += ["--seconds", str(seconds), "--warmup", str(warmup)]
    for pid in running.pids:
        command += ["--pid", str(pid)]
    with held_to_last(command) as process:
        try:
            said, _ = process.communicate(timeout=seconds + warmup + 60)
        except subprocess.TimeoutExpired:
            raise Failed("the load generator does not end") from None
    return _parse(said)


@contextlib.contextmanager
def idle_load(program: Path, arguments: Sequence[str], running: Running) -> Iterator[dict[str, Any]]:
    """Hold idle connections to a server as long as the block runs."""
    mode, *options = arguments
    with held_to_last([str(program), mode, running.host, str(running.port), *options]) as process:
        assert process.stdout
        yield _parse(process.stdout.readline())


@contextlib.contextmanager
def held_to_last(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The load generator on its CPU, ended when the block ends."""
    last = cpus()[-1:]
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, last),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def _parse(said: bytes) -> dict[str, Any]:
    try:
        result: dict[str, Any] = json.loads(said.splitlines()[-1])
    except (ValueError, IndexError):
        raise Failed(f"the load generator reported nothing: {said!r}") from None
    return result


def memory(pids: Sequence[int]) -> dict[str, int]:
    """User-space memory of a server in bytes, as the kernel counts it."""
    sums = {"pss": 0, "anonymous": 0}
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            name, _, rest = line.partition(":")
            if name.lower() in sums:
                sums[name.lower()] += int(rest.split()[0]) * 1024
    return sums
