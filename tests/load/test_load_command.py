"""The command `iocp-load` as a real process, against the chess server and against nothing."""

from __future__ import annotations

import ctypes
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import iocp
from iocp.game.server import FRAMING, ChessServer
from iocp.game.world import World
from iocp.load.cli import main

TIMEOUT = 100.0
WINDOWS = sys.platform == "win32"
NAMES = {
    "clients", "connected", "sent", "received", "errors", "violations", "rate_per_s", "latency_ms", "latency_raw_ms", "valid",
}  # fmt: skip
COMMON = ["--seed", "3", "--lateness", "60000", "--timeout", "60"]


def load(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "iocp.load", *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, encoding="utf-8", timeout=TIMEOUT, cwd=cwd,
    )  # fmt: skip


@pytest.fixture
def chess(backend: str, balanced: list[iocp.Engine]) -> Iterator[iocp.Server]:
    """The game itself."""
    server = iocp.Server(ChessServer(World(50, 1)), workers=1, backend=backend, framing=FRAMING)
    balanced.append(server)
    server.start()
    yield server
    server.stop()
    assert server.stats().handler_errors == 0


@pytest.mark.parametrize(
    "extra",
    [[], ["--untimed"], ["--hot-spot", "25,25", "--ramp", "40/s"], ["--churn", "5/s"]],
    ids=["timed", "untimed", "ramp to a hot spot", "churn"],
)
def test_chess_server_holds_twenty_players(chess: iocp.Server, backend: str, tmp_path: Path, extra: list[str]) -> None:
    file = tmp_path / "run.json"
    done = load(
        "chess", "--port", str(chess.address[1]), "--clients", "20", "--rate", "5", "--duration", "1.5", "--backend", backend,
        "--slo", "p99=10s,fanout_p99=10s", "--json", str(file), *COMMON, *extra,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert set(found) >= NAMES
    assert set(found["latency_ms"]) >= {"p50", "p90", "p99", "p999", "max"}
    assert (found["clients"], found["connected"], found["errors"], found["violations"]) == (20, 20, 0, 0)
    assert found["valid"] is True and found["held"] is True
    # Each player sends seven or eight times; a generator that is given its window late has sent some of these before (tests that count
    # each send give it the time).
    assert 150 * (0.5 if "--churn" in extra else 0.7) <= found["sent"] <= 20 * 8
    assert found["rate_per_s"] == pytest.approx(found["answered"] / 1.5, abs=0.01)
    assert found["received"] > found["sent"]
    # About one other is in sight; who comes back stands somewhere else.
    assert found["fanout_measured"] > found["sent"] / (2 if "--churn" in extra else 1)
    assert found["generator"]["backend"] == backend
    assert "objective p99=10000ms: held" in done.stdout
    assert "  hold " in done.stdout


def test_missed_objective_is_exit_code_1(chess: iocp.Server) -> None:
    port = str(chess.address[1])
    done = load("chess", "--port", port, "--clients", "2", "--rate", "20", "--duration", "0.5", "--slo", "max=1us", *COMMON)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "objective max=0.001ms: MISSED" in done.stdout


def test_server_that_is_not_there_is_exit_code_1_and_named(closed_port: int) -> None:
    done = load("chess", "--port", str(closed_port), "--clients", "3", "--duration", "1", *COMMON)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "error: 3 x connecting failed" in done.stdout


def test_run_that_the_generator_was_too_late_for_is_exit_code_3(chess: iocp.Server, monkeypatch: pytest.MonkeyPatch) -> None:
    from iocp.load import stage

    monkeypatch.setattr(stage, "CPU_LIMIT", -1.0)
    assert main(["chess", "--port", str(chess.address[1]), "--clients", "2", "--duration", "0.3", *COMMON]) == 3


def test_interrupt_ends_the_run_with_a_report(chess: iocp.Server, backend: str, tmp_path: Path) -> None:
    if WINDOWS and hasattr(ctypes.windll.ntdll, "wine_get_version"):  # type: ignore[attr-defined]
        pytest.skip("Wine 8 delivers no Ctrl-Break to another process group")
    file = tmp_path / "run.json"
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if WINDOWS else 0  # type: ignore[attr-defined]
    process = subprocess.Popen(
        [sys.executable, "-m", "iocp.load", "chess", "--port", str(chess.address[1]), "--clients", "5", "--rate", "20", "--duration", "600",
         "--backend", backend, "--json", str(file), *COMMON],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, encoding="utf-8", creationflags=flags,
    )  # fmt: skip
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    assert process.stdout is not None
    # The second one: the first may be of a moment. In a second between the two all have sent.
    for _ in range(2):
        while "  hold " not in (line := process.stdout.readline()):
            assert line, "ended before the players were in"
    process.send_signal(signal.CTRL_BREAK_EVENT if WINDOWS else signal.SIGINT)  # type: ignore[attr-defined]
    output, _ = process.communicate()
    watchdog.cancel()
    assert process.returncode == 0, output
    assert "(interrupted)" in output
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["interrupted"] is True and found["sent"] == found["answered"] > 0


WRONG = [
    ["chess"],
    ["chess", "--port", "0"],
    ["chess", "--port", "3500", "--clients", "0"],
    ["chess", "--port", "3500", "--rate", "x"],
    ["chess", "--port", "3500", "--ramp", "0/s"],
    ["chess", "--port", "3500", "--slo", "p98=1ms"],
    ["chess", "--port", "3500", "--slo", "p99=1"],
    ["chess", "--port", "3500", "--slo", "errors=1ms"],
    ["chess", "--port", "3500", "--hot-spot", "7"],
    ["chess", "--port", "3500", "--host", "no.such.host.invalid"],
    ["echo", "--port", "3500", "--size", "300"],
    ["echo", "--port", "3500", "--length-bytes", "4", "--size", "4"],
    ["protocol", "nomodule:name", "--port", "3500"],
    ["protocol", "iocp:Framing", "--port", "3500"],
    ["dance", "--port", "3500"],
    [],
]


@pytest.mark.parametrize("arguments", WRONG, ids=" ".join)
def test_wrong_arguments_are_exit_code_2_and_usage(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert "usage: iocp-load" in text and "error: " in text


@pytest.mark.skipif(WINDOWS, reason="Windows has no limit of open files")
def test_too_low_a_limit_of_open_files_is_told_with_what_to_do() -> None:
    done = subprocess.run(
        ["sh", "-c", f"ulimit -n 100; exec {sys.executable} -m iocp.load chess --port 9 --clients 200"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT,
    )  # fmt: skip
    assert done.returncode == 2
    assert "ulimit" in done.stderr


def test_backend_that_is_not_there_is_exit_code_2() -> None:
    done = load("chess", "--port", "9", "--backend", "epoll" if WINDOWS else "iocp")
    assert done.returncode == 2
    assert "backend" in done.stderr


def test_protocol_of_one_s_own_is_played(backend: str, balanced: list[iocp.Engine], tmp_path: Path) -> None:
    """The example of the plug-in API's documentation, against a server of that protocol."""
    from iocp.load import protocol

    text = protocol.__doc__ or ""
    (tmp_path / "bots.py").write_text(
        "".join(line[4:] or "\n" for line in text.splitlines(keepends=True) if line.startswith("    ") or line == "\n"),
        encoding="utf-8",
    )

    class Arena(iocp.Handler):
        def on_packet(self, session: iocp.Session, packet: bytes) -> None:
            number = session.id.to_bytes(4, "little")
            if packet[2] == 1:
                assert packet[4:].rstrip(b"\0") == b"bot%d" % (session.id - 1)
                session.data = [0, 0]
                session.send(bytes([16, 0, 1, 0]) + number + bytes(8))
                return
            dx, dy = ((0, -1), (1, 0), (0, 1), (-1, 0))[packet[4]]
            session.data[0] += dx
            session.data[1] += dy
            where = b"".join(value.to_bytes(4, "little", signed=True) for value in session.data)
            session.send(bytes([20, 0, 2, 0]) + number + where + packet[5:9])

    server = iocp.Server(Arena(), workers=1, backend=backend, framing=iocp.Framing(2))
    balanced.append(server)
    server.start()
    done = load(
        "protocol", "bots:arena", "--port", str(server.address[1]), "--clients", "1", "--rate", "50", "--duration", "0.5",
        "--backend", backend, *COMMON, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    # 25, but for those that a process sends before it is given its window.
    answered = re.search(r"^  sent (\d+), answered (\d+) ", done.stdout, re.MULTILINE)
    assert "arena on" in done.stdout and answered and 0 < int(answered[1]) == int(answered[2]) <= 25, done.stdout
    assert server.stats().handler_errors == 0


def test_help_tells_the_exit_codes() -> None:
    done = load("--help")
    assert done.returncode == 0
    assert "exit codes:" in done.stdout
