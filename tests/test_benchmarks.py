"""The benchmarks in small: every server that can run here works, and the load generator notices one that does not."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import iocp

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the load generator is written for Linux (epoll)"),
    pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc to compile the load generator with"),
    pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="the benchmarks are not beside these tests (not part of the wheel)"),
]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmarks")


def benchmark_programs() -> ModuleType:
    """benchmarks/programs.py, which belongs to no package."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import programs
    finally:
        sys.path.remove(str(BENCHMARKS))
    return programs


def run(build: Path, *words: str, script: str = "run.py") -> tuple[subprocess.CompletedProcess[str], dict[str, list[str]]]:
    """`script --quick`; for each server that took part, the scenarios in which it answered rightly."""
    results = build / "results.json"
    command = [sys.executable, str(BENCHMARKS / script), "--quick", "--build", str(build), "--json", str(results), *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    worked: dict[str, list[str]] = {}
    if results.exists():
        for result in json.loads(results.read_text())["results"]:
            worked.setdefault(result["server"], [])
            if result["value"]:
                worked[result["server"]].append(result["scenario"])
    return done, worked


EVERY = ["echo-20x4", "fanout-20", "idle-touched"]


@pytest.mark.parametrize(
    ("server", "module", "header"),
    [
        ("epoll-c", "", ""),
        ("libuv-c", "", "/usr/include/uv.h"),
        ("asyncio-natural", "", ""),
        ("asyncio-expert", "", ""),
        ("uvloop-natural", "uvloop", ""),
        ("uvloop-expert", "uvloop", ""),
        ("twisted", "twisted", ""),
    ],
)
def test_every_peer_echoes_and_fans_out(build: Path, server: str, module: str, header: str) -> None:
    if module and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")
    if header and not Path(header).exists():
        pytest.skip("libuv's headers are not installed (Debian: libuv1-dev)")
    done, worked = run(build, "--servers", server)
    assert done.returncode == 0, done.stderr
    assert worked == {server: EVERY}


@pytest.mark.parametrize(("server", "expected"), [("pyiocp", EVERY), ("pyiocp-batch", EVERY[:1]), ("pyiocp-epoll", EVERY)])
def test_our_own_server_echoes_and_fans_out(build: Path, server: str, expected: list[str]) -> None:
    done, worked = run(build, "--servers", server)
    assert done.returncode == 0, done.stderr
    assert worked == {server: expected}


MODELS = ["select-c", "poll-c", "epoll-c", "uring-c", "asyncio-select-expert", "asyncio-expert", "pyiocp-epoll", "pyiocp-uring"]


@pytest.mark.parametrize("server", MODELS)
def test_every_model_of_io_echoes(build: Path, server: str) -> None:
    if server == "uring-c" and not Path("/usr/include/liburing.h").exists():
        pytest.skip("liburing's headers are not installed (Debian: liburing-dev)")
    if server in ("uring-c", "pyiocp-uring") and "io_uring" not in iocp.available_backends():
        pytest.skip("no io_uring on this machine")
    done, worked = run(build, "--servers", server, script="io_models.py")
    assert done.returncode == 0, done.stderr
    assert worked == {server: ["active-2-of-20", "echo-20x1"]}


def test_the_page_and_the_picture_of_the_models_are_made_from_results(build: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed (dependency group benchmark)")
    page, picture = tmp_path / "io-models.md", tmp_path / "picture.png"
    before = (BENCHMARKS.parent / "docs" / "io-models.md").read_text(encoding="utf-8")
    page.write_text(before, encoding="utf-8")
    words = ["--servers", "select-c,epoll-c", "--report", str(page), "--chart", str(picture)]
    done, _ = run(build, *words, script="io_models.py")
    assert done.returncode == 0, done.stderr
    after = page.read_text(encoding="utf-8")
    filled = after[after.index("<!-- io-models:start -->") : after.index("<!-- io-models:end -->")]
    assert "**2 connections active, 1 packet outstanding each; the others are silent**" in filled
    assert re.search(r"\| C on epoll \| [\d.,]+ [kM]? ?\(1\.00\) \|", filled)
    assert after.partition("<!-- io-models:start -->")[0] == before.partition("<!-- io-models:start -->")[0]
    assert after.partition("<!-- io-models:end -->")[2] == before.partition("<!-- io-models:end -->")[2]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_select_hangs_up_on_whom_its_set_has_no_place_for(build: Path) -> None:
    resource = pytest.importorskip("resource")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 2400:
        pytest.skip(f"at most {hard} open files are permitted here")
    programs = benchmark_programs()
    server = subprocess.Popen([programs.build("select", build), "0", "echo"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        port = server.stdout.readline().strip().rpartition(":")[2]
        command = [programs.build("load", build), "echo", "127.0.0.1", port, "--connections", 1100, "--active", 5, "--seconds", 1]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100)
        report = json.loads(done.stdout)
        # Standard streams and the listener have a place of the 1024, and whatever this process handed on.
        assert 1000 < report["connections"] <= 1020
        assert report["errors"] == 1100 - report["connections"] and report["packets"] > 0
        assert "was closed by the server" in report["first_error"]
    finally:
        server.kill()
        server.communicate()


def test_the_servers_for_windows_compile(build: Path) -> None:
    programs = benchmark_programs()
    if shutil.which(programs.WINDOWS_COMPILER) is None:
        pytest.skip(f"no {programs.WINDOWS_COMPILER} (Debian: gcc-mingw-w64-x86-64)")
    names = [name for name in programs.SOURCES if name.endswith(".exe")]
    assert len(names) == 6
    for name in names:
        assert programs.build(name, build).read_bytes().startswith(b"MZ")


def test_an_unknown_server_is_named_with_those_there_are(build: Path) -> None:
    done, _ = run(build, "--servers", "nginx")
    assert done.returncode == 2
    assert "nginx" in done.stderr and "libuv-c" in done.stderr


Answer = Callable[[bytes], bytes]


@pytest.fixture
def wrong_server() -> Iterator[Callable[[Answer], int]]:
    """Start a server for one connection that answers each receive with what a function makes of it; its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def start(answer: Answer) -> int:
        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                try:
                    # All that is under way: of one packet alone no function could change the order.
                    while data := connection.recv(4 * 16, socket.MSG_WAITALL):
                        connection.sendall(answer(data))
                except OSError:
                    pass  # the load generator hung up, as it should

        threads.append(threading.Thread(target=serve, daemon=True))
        threads[-1].start()
        port: int = listener.getsockname()[1]
        return port

    yield start
    listener.close()
    for thread in threads:
        thread.join(100)


def swapped(data: bytes) -> bytes:
    return data[16:32] + data[:16] + data[32:]


def altered(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


def repeated(data: bytes) -> bytes:
    return data[:16] + data


@pytest.mark.parametrize("answer", [swapped, altered, repeated])
def test_the_load_generator_notices_a_server_that_echoes_wrongly(
    build: Path, wrong_server: Callable[[Answer], int], answer: Answer
) -> None:
    port = wrong_server(answer)
    command = [benchmark_programs().build("load", build), "echo", "127.0.0.1", port, "--connections", 1, "--window", 4, "--seconds", 0.2]
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=100)
    report = json.loads(done.stdout)
    assert done.returncode == 1
    assert report["errors"] == 1
    assert "did not send" in report["first_error"]


def test_a_report_fills_its_own_blocks_and_leaves_the_rest(tmp_path: Path, build: Path) -> None:
    document = tmp_path / "page.md"
    document.write_text("before\n<!-- table:start -->\nold\n<!-- table:end -->\n<!-- wine:start -->\nkept\n<!-- wine:end -->\nafter\n")
    done, _ = run(build, "--servers", "epoll-c", "--report", str(document))
    assert done.returncode == 0, done.stderr
    text = document.read_text()
    assert "old" not in text and "C on epoll" in text
    assert text.startswith("before\n") and text.endswith("<!-- wine:start -->\nkept\n<!-- wine:end -->\nafter\n")


def test_the_games_benchmark_works_in_small(tmp_path: Path) -> None:
    results = tmp_path / "game.json"
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "game.py"), "--quick", "--json", str(results)], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(results.read_text())
    assert sorted(measured) == ["crowd", "memory", "move"]
    assert measured["crowd"][0]["told"] == 100 and measured["crowd"][0]["looked_at"] > 0
    assert "| a move |" in done.stdout


def test_free_threading_says_where_the_interpreters_come_from(build: Path) -> None:
    """One interpreter cannot be both: with the lock and without it."""
    pythons = ["--python", sys.executable, "--lock-python", sys.executable]
    command = [sys.executable, str(BENCHMARKS / "free_threading.py"), "--build", str(build), *pythons]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 2, done.stderr
    assert "tools/freethreaded.py measure" in done.stderr or "tools/dev.py setup" in done.stderr


@pytest.mark.parametrize("switches", [["--workers", "1"], ["--workers", "2", "--concurrent"]])
def test_independent_games_answer_every_packet(switches: list[str]) -> None:
    command = [sys.executable, str(BENCHMARKS / "servers" / "independent.py"), "--turns", "50", *switches]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            host, _, port = server.stdout.readline().split()[2].rpartition(":")
            peers = [socket.create_connection((host, int(port)), timeout=100) for _ in range(4)]
            readers = [peer.makefile("rb") for peer in peers]
            for number in range(50):
                for peer in peers:
                    peer.sendall(b"\x06\x00" + number.to_bytes(4, "little"))
                for reader in readers:
                    assert reader.read(6) == b"\x06\x00" + number.to_bytes(4, "little")
            for reader, peer in zip(readers, peers, strict=True):
                reader.close()
                peer.close()
        finally:
            server.terminate()
    assert server.returncode == 0
