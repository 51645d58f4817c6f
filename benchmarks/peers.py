"""Who is measured: the servers, how each is started and in which scenarios it takes part."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import programs
from scenarios import Kind, Scenario

SERVERS = programs.HERE / "servers"
WINE_TOOL = programs.HERE.parent / "tools" / "wine.py"


@dataclass(frozen=True)
class Peer:
    name: str
    title: str
    program: str
    """A Python file in servers/, or the name of a C program in programs.py."""
    arguments: tuple[str, ...] = ()
    module: str = ""
    """What must be importable."""
    kinds: tuple[Kind, ...] = ("echo", "fanout", "idle")
    cpus: int = 1
    """How many CPUs the server is held to."""
    echo_mode: str = "echo"
    wine: bool = False

    def takes_part(self, scenario: Scenario) -> bool:
        return scenario.kind in self.kinds

    def command(self, scenario: Scenario, python: str, folder: Path) -> list[str]:
        mode = self.echo_mode if scenario.server_mode == "echo" else scenario.server_mode
        if not self.program.endswith(".py"):
            prefix = [sys.executable, str(WINE_TOOL), "run"] if self.wine else []
            return [*prefix, str(folder / self.program), "0", mode]
        options = ["--mode", mode, *self.arguments, *(["--compute", str(scenario.compute)] if scenario.compute else [])]
        if self.wine:
            return [sys.executable, str(WINE_TOOL), "run", "python", "-u", str(SERVERS / self.program), *options]
        return [python, str(SERVERS / self.program), *options]

    def missing(self, python: str, folder: Path) -> str:
        """Why this server cannot be measured here; empty if it can."""
        if self.wine and shutil.which("wine") is None:
            return "no wine; see tools/wine.py --help"
        if not self.program.endswith(".py"):
            try:
                programs.build(self.program, folder)
            except programs.CannotBuild as error:
                return str(error)
            return ""
        if not self.module:
            return ""
        prefix = [sys.executable, str(WINE_TOOL), "run", "python"] if self.wine else [python]
        # In the servers' folder, as the server itself will be: what a checkout has beside it must not be what is found.
        done = subprocess.run(
            [*prefix, "-c", f"import {self.module}"], capture_output=True, text=True, cwd=SERVERS, stdin=subprocess.DEVNULL
        )
        if done.returncode == 0:
            return ""
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        return f"{self.module} cannot be imported by {'the Windows Python' if self.wine else python}: {last}"


def _asyncio(loop: str, style: str, *, wine: bool = False) -> Peer:
    how = {"natural": "one write per packet", "expert": "joined writes"}[style]
    title = f"{'Proactor' if loop == 'proactor' else loop}, {style} ({how})"
    kinds: tuple[Kind, ...] = ("echo", "fanout", "idle", "second-cpu") if style == "natural" else ("echo", "fanout", "idle")
    module = loop if loop in ("uvloop", "winloop") else ""
    return Peer(f"{loop}-{style}", title, f"asyncio_{style}.py", ("--loop", loop), module, kinds, wine=wine)


def _model(program: str, title: str) -> Peer:
    return Peer(f"{program.removesuffix('.exe')}-c", title, program, kinds=("echo",), wine=program.endswith(".exe"))


def _loop(loop: str, title: str, *, wine: bool = False) -> Peer:
    return replace(_asyncio(loop, "expert", wine=wine), title=title, kinds=("echo",))


def _ours(name: str, title: str, *arguments: str, **more: object) -> Peer:
    return Peer(name, title, "pyiocp_server.py", arguments, "iocp", **more)  # type: ignore[arg-type]


PEERS = [
    Peer("libuv-c", "C on libuv", "libuv"),
    Peer("epoll-c", "C on epoll", "epoll"),
    _ours("pyiocp", "pyiocp, `on_packet`"),
    _ours("pyiocp-batch", "pyiocp, `on_packets`", echo_mode="batch", kinds=("echo",)),
    _ours("pyiocp-epoll", "pyiocp on its epoll backend, `on_packet`", "--backend", "epoll"),
    _ours("pyiocp-epoll-batch", "pyiocp on its epoll backend, `on_packets`", "--backend", "epoll", echo_mode="batch", kinds=("echo",)),
    _asyncio("uvloop", "expert"),
    _asyncio("uvloop", "natural"),
    _asyncio("asyncio", "expert"),
    _asyncio("asyncio", "natural"),
    Peer("twisted", "Twisted, natural (one write per packet)", "twisted_server.py", module="twisted"),
    _ours("pyiocp-1w", "pyiocp, 1 worker on 1 CPU", "--workers", "1", kinds=("second-cpu",)),
    _ours("pyiocp-2w-1cpu", "pyiocp, 2 workers on 1 CPU", "--workers", "2", kinds=("second-cpu",)),
    _ours("pyiocp-2w", "pyiocp, 2 workers on 2 CPUs", "--workers", "2", kinds=("second-cpu",), cpus=2),
]
WINE_PEERS = [
    _ours("pyiocp", "pyiocp on IOCP, `on_packet`", wine=True),
    _ours("pyiocp-batch", "pyiocp on IOCP, `on_packets`", echo_mode="batch", kinds=("echo",), wine=True),
    _asyncio("proactor", "expert", wine=True),
    _asyncio("proactor", "natural", wine=True),
    _asyncio("winloop", "expert", wine=True),
    _asyncio("winloop", "natural", wine=True),
]
# Models of I/O, in the order of the lecture; see docs/io-models.md.
MODELS = [
    _model("select", "C on select"),
    _model("poll", "C on poll"),
    _model("epoll", "C on epoll"),
    _model("uring", "C on io_uring"),
    _loop("asyncio-select", "asyncio on select"),
    _loop("asyncio", "asyncio on epoll"),
    _loop("uvloop", "uvloop (libuv on epoll)"),
    _ours("pyiocp-epoll", "pyiocp: completion port on epoll", "--backend", "epoll", kinds=("echo",)),
    _ours("pyiocp-uring", "pyiocp: completion port on io_uring", "--backend", "io_uring", kinds=("echo",)),
]
WINE_MODELS = [
    _model("select.exe", "C on select"),
    _model("wsaasyncselect.exe", "C on WSAAsyncSelect"),
    _model("wsaeventselect.exe", "C on WSAEventSelect"),
    _model("overlapped_event.exe", "C on overlapped + event"),
    _model("overlapped_callback.exe", "C on overlapped + callback"),
    _model("iocp.exe", "C on IOCP"),
    _loop("proactor", "asyncio's Proactor (on IOCP)", wine=True),
    _ours("pyiocp-iocp", "pyiocp on IOCP", "--backend", "iocp", kinds=("echo",), wine=True),
]


def prepare_wine() -> bool:
    """Build this project and install it in the Windows Python, which has winloop already; whether that went well."""
    command = [sys.executable, str(WINE_TOOL), "build"]
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode == 0
