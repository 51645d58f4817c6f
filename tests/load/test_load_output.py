"""Where the report goes: files that cannot be written, and a standard output that nobody reads, lose nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from limited_server import LimitedServer

from iocp.load.chess import chess
from iocp.load.cli import load, main
from iocp.load.lines import Lines
from iocp.load.report import HELD, INVALID, USAGE
from iocp.load.settings import Settings

TIMEOUT = 100.0
COMMAND = [sys.executable, "-m", "iocp.load", "chess", "--lateness", "60000", "--timeout", "60", "--clients", "4", "--rate", "10"]
only_with_a_full_device = pytest.mark.skipif(
    sys.platform == "win32" or not Path("/dev/full").exists(), reason="needs /dev/full"
)


@pytest.fixture
def server() -> Iterator[LimitedServer]:
    with LimitedServer() as server:
        yield server


def left_after_a_line(*arguments: str) -> tuple[int, str]:
    """The command with a reader that leaves after the first line, as `head -1`; its exit code and standard error."""
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    code = process.wait()
    watchdog.cancel()
    return code, errors


def test_reader_that_leaves_costs_no_file(server: LimitedServer, backend: str, tmp_path: Path) -> None:
    file, page = tmp_path / "run.json", tmp_path / "run.html"
    code, errors = left_after_a_line(
        "--port", str(server.port), "--duration", "2.5", "--backend", backend, "--json", str(file), "--html", str(page)
    )
    assert (code, errors) == (HELD, "")
    found = json.loads(file.read_text(encoding="utf-8"))
    assert found["interrupted"] is False and found["hold_seconds"] == 2.5
    assert page.stat().st_size > 10_000


def test_run_that_nobody_reads_and_that_writes_nothing_ends(server: LimitedServer, backend: str) -> None:
    code, errors = left_after_a_line("--port", str(server.port), "--duration", "600", "--backend", backend)
    # What was measured until then has held; nothing may have been.
    assert (code in (HELD, INVALID), errors) == (True, "")


def test_file_that_cannot_be_written_costs_neither_the_other_nor_the_text(
    server: LimitedServer, backend: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "run.html"
    settings = Settings(chess(), "127.0.0.1", server.port, 2, rate=50, duration=0.2, backend=backend, lateness_limit=60.0)  # type: ignore[arg-type]
    assert load(settings, (), Lines(), json_file=tmp_path, page_file=page) == USAGE
    said = capsys.readouterr()
    assert said.err.startswith(f"iocp-load: cannot write {tmp_path}: ")
    assert "  from planned send " in said.out
    assert page.stat().st_size > 10_000


@only_with_a_full_device
def test_full_disk_is_told_with_the_file_s_name(server: LimitedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "run.html"
    arguments = ["chess", "--port", str(server.port), "--clients", "2", "--rate", "20", "--duration", "0.2", "--lateness", "60000"]
    assert main([*arguments, "--json", "/dev/full", "--html", str(page)]) == USAGE
    assert "iocp-load: cannot write /dev/full: No space left on device" in capsys.readouterr().err
    assert page.exists()


@only_with_a_full_device
def test_text_that_cannot_be_printed_costs_no_file(server: LimitedServer, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, "--port", str(server.port), "--duration", "0.3", "--json", str(file)],
            stdin=subprocess.DEVNULL, stdout=full, stderr=subprocess.PIPE, text=True, timeout=TIMEOUT,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (USAGE, "iocp-load: cannot print: No space left on device\n")
    assert json.loads(file.read_text(encoding="utf-8"))["answered"] > 0


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_target_that_cannot_be_written_is_told_before_the_run(option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["chess", "--port", "9", option, str(tmp_path)])
    assert ended.value.code == 2
    assert f"argument {option}: {tmp_path} is a folder" in capsys.readouterr().err


def test_one_file_for_both_reports_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "run")
    with pytest.raises(SystemExit) as ended:
        main(["chess", "--port", "9", "--json", file, "--html", file])
    assert ended.value.code == 2
    assert "argument --html: " in capsys.readouterr().err
    assert not Path(file).exists()


def test_file_that_may_not_be_opened_is_told_before_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # No such name on any system, whoever asks.
    file = tmp_path / ("x" * 300)
    with pytest.raises(SystemExit) as ended:
        main(["chess", "--port", "9", "--json", str(file)])
    assert ended.value.code == 2
    assert "argument --json: cannot write " in capsys.readouterr().err


def test_looking_whether_a_file_can_be_written_leaves_it_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there, missing = tmp_path / "there", tmp_path / "missing"
    there.write_text("an earlier report", encoding="utf-8")
    with pytest.raises(SystemExit):
        main(["chess", "--port", "9", "--json", str(there), "--html", str(missing), "--source", "nowhere"])
    assert there.read_text(encoding="utf-8") == "an earlier report" and not missing.exists()
    assert "--source" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="needs /dev/stdout")
@pytest.mark.parametrize("to", ["pipe", "file"])
def test_json_on_standard_output_comes_behind_the_text(server: LimitedServer, tmp_path: Path, to: str) -> None:
    arguments = [*COMMAND, "--port", str(server.port), "--duration", "0.3", "--json", "/dev/stdout", "--quiet"]
    if to == "pipe":
        text = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT).stdout
        assert text.startswith("chess on ")
    else:
        with open(tmp_path / "out", "wb") as out:
            subprocess.run(arguments, stdin=subprocess.DEVNULL, stdout=out, timeout=TIMEOUT)
        text = (tmp_path / "out").read_text(encoding="utf-8")
    assert json.loads(text[text.index("{") :])["clients"] == 4
