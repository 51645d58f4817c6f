"""The server's processor time and memory, where it runs on this machine.

On Linux the process is found through /proc: who listens on the port, and who has that socket open. Elsewhere the package psutil
tells it, if it is installed. Where neither does there are no samples, and a run without them is as good.
"""

from __future__ import annotations

import importlib
import os
import socket
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

_LISTENING: Final = "0A"
"""The state in /proc/net/tcp."""
_PROC: Final = Path("/proc")


@dataclass(frozen=True)
class ServerSample:
    """The server over one interval."""

    name: str
    """Of its process, as the system calls it."""
    cpu: float
    """Processors' worth of time it used: 1.0 is one processor all of the time."""
    memory: int
    """Resident bytes at the end."""


class ServerWatch:
    """Samples whoever listens on `host` (an IP address) and `port`, on the thread that calls.

    Looked for once, when it is made: before there are connections, among whose descriptors the search would be a long one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._processes: list[_Process] = []
        if _is_here(host):
            found = _listeners_of_linux(host, port) if sys.platform == "linux" else _listeners_of_psutil(host, port)
            # A server in the generator's own process cannot be told apart from it.
            self._processes = [process for process in found if process.number != os.getpid()]
        self._last = time.perf_counter()
        self._used = self._read()[0] if self._processes else 0.0

    def sample(self) -> ServerSample | None:
        """Since the last sample; None: not on this machine, not found, or gone."""
        if not self._processes:
            return None
        now = time.perf_counter()
        used, memory = self._read()
        if memory == 0 or now <= self._last:
            return None
        share = max(0.0, used - self._used) / (now - self._last)
        self._last, self._used = now, used
        return ServerSample(self._processes[0].name, share, memory)

    def _read(self) -> tuple[float, int]:
        """Seconds of processor time, and bytes of memory."""
        readings = [process.read() for process in self._processes]
        return sum(seconds for seconds, _ in readings), sum(memory for _, memory in readings)


class _Process:
    """One process under /proc."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.name = _text(_PROC / str(number) / "comm").strip()

    def read(self) -> tuple[float, int]:
        """Seconds of processor time since it began, and resident bytes; zeros when it has gone."""
        if sys.platform == "win32":  # has no /proc
            return 0.0, 0
        # The name in brackets may hold anything, brackets too: fields are counted behind the last one.
        fields = _text(_PROC / str(self.number) / "stat").rpartition(")")[2].split()
        pages = _text(_PROC / str(self.number) / "statm").split()
        if len(fields) < 13 or len(pages) < 2:
            return 0.0, 0
        ticks = int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK"), int(pages[1]) * os.sysconf("SC_PAGE_SIZE")


class _ProcessOfPsutil(_Process):
    """One process as psutil knows it."""

    def __init__(self, number: int, psutil: Any) -> None:
        self.number = number
        self._psutil = psutil
        self._process = psutil.Process(number)
        self.name = str(self._process.name())

    def read(self) -> tuple[float, int]:
        try:
            times = self._process.cpu_times()
            return times.user + times.system, int(self._process.memory_info().rss)
        except self._psutil.Error:
            return 0.0, 0


def _is_here(host: str) -> bool:
    """Whether `host` is an address of this machine: only to such a one can be bound."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True


def _is_reached(listening: str, host: str) -> bool:
    """Whether a server that listens on one address gets what is sent to the other."""
    address, wanted = ip_address(listening), ip_address(host)
    if address.version == 6 and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address == wanted or (address.is_unspecified and (address.version == 6 or wanted.version == 4))


def _listeners_of_linux(host: str, port: int) -> Iterable[_Process]:
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in _text(_PROC / "net" / table).splitlines()[1:]:
            fields = line.split()
            address, _, number = fields[1].partition(":")
            if fields[3] == _LISTENING and int(number, 16) == port and _is_reached(_address(address), host):
                sockets.add(f"socket:[{fields[9]}]")
    if not sockets:
        return
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and _has_open(folder / "fd", sockets):
            yield _Process(int(folder.name))


def _address(digits: str) -> str:
    """An address as /proc/net/tcp has it: words of four bytes in the machine's order."""
    words = [int(digits[place : place + 8], 16).to_bytes(4, sys.byteorder) for place in range(0, len(digits), 8)]
    return str(ip_address(b"".join(words)))


def _has_open(descriptors: Path, sockets: set[str]) -> bool:
    try:
        return any(_target(entry.path) in sockets for entry in os.scandir(descriptors))
    except OSError:  # another user's process, or one that has just ended
        return False


def _target(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _listeners_of_psutil(host: str, port: int) -> Iterable[_Process]:
    try:
        psutil = importlib.import_module("psutil")
    except ImportError:
        return
    try:
        listening = {
            found.pid
            for found in psutil.net_connections("tcp")
            if found.status == psutil.CONN_LISTEN and found.laddr.port == port and _is_reached(found.laddr.ip, host)
        }
        for number in listening - {None, 0}:
            yield _ProcessOfPsutil(number, psutil)
    except (psutil.Error, OSError):
        return
