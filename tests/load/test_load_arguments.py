"""Arguments that cannot be: each is named as it is written, with the usage of its scenario, before anything is connected."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from limited_server import LimitedServer

from iocp.load.cli import main
from iocp.load.findings import sentence

WRONG = [
    (["chess", "--source", "192.0.2.77"], "argument --source: 192.0.2.77 is no address of this machine"),
    (["chess", "--source", "127.0.0.1,foo"], "argument --source: 'foo' is no IP address"),
    (["chess", "--source", "::1"], "argument --source: ::1 cannot reach 127.0.0.1"),
    (["chess", "--rate", "2", "--window", "3"], "argument --window: not together with --rate"),
    (["chess", "--rate", "0", "--window", "3"], "argument --window: not together with --rate"),
    (["chess", "--rate", "1", "--window", "3"], "argument --window: not together with --rate"),
    (["echo", "--rate", "20", "--window", "4"], "argument --window: not together with --rate"),
    (["chess", "--slo", "p98=1ms"], "argument --slo: 'p98=1ms' is no objective"),
    (["chess", "--find-max", "--slo", "p99=1s", "--start", "9", "--limit", "5"], "argument --start: must be at most --limit 5, not 9"),
    (["echo", "--slo", "fanout_p99=1s"], "argument --slo: fanout_p99=1000ms: echo tells nobody of the moves of others"),
    (["echo", "--size", "300"], "argument --size: must be between 2 and 255 bytes, not 300"),
]


@pytest.mark.parametrize(("arguments", "told"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_wrong_argument_is_named_with_its_scenario_s_usage(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--port", "9"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith(f"usage: iocp-load {arguments[0]} ")
    assert f"iocp-load {arguments[0]}: error: {told}" in error.splitlines()[-1]


MODULES = [
    ("raise RuntimeError('no arena today')", "line 1: RuntimeError: no arena today"),
    ("\ndef arena(", "SyntaxError: '(' was never closed"),
    ("import sys\nsys.exit('not like this')", "line 2: SystemExit: not like this"),
    ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    ("", "has no attribute 'arena'"),
    ("from iocp.load.protocol import Protocol\narena = Protocol('a', None, b'xx', ())", "line 2: TypeError: framing must be Framing"),
]


@pytest.mark.parametrize("number", range(len(MODULES)), ids=[told for _, told in MODULES])
def test_module_of_a_protocol_that_fails_is_named_with_its_error(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text, told = MODULES[number]
    module = f"failing_protocol_{number}"
    (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(SystemExit) as ended:
        main(["protocol", f"{module}:arena", "--port", "9"])
    assert ended.value.code == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "argument MODULE:NAME: " in line and module in line and told in line
    # Where it failed is a line of the module, if it is one.
    assert (f"{module}.py, line " in line) is (told.startswith("line ") or "module" in told or "SyntaxError" in told)


def test_sources_of_this_machine_are_connected_from(backend: str, capsys: pytest.CaptureFixture[str]) -> None:
    with LimitedServer() as server:
        code = main(
            ["chess", "--port", str(server.port), "--clients", "4", "--rate", "20", "--duration", "0.2", "--source", "127.0.0.1,127.0.0.5",
             "--backend", backend, "--lateness", "60000", "--timeout", "60"]
        )  # fmt: skip
    assert code == 0, capsys.readouterr().out
    assert dict(server.sources) == {"127.0.0.1": 2, "127.0.0.5": 2}


@pytest.mark.parametrize("scenario", ["chess", "protocol"])
def test_window_alone_needs_no_rate(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A window instead of the default rate, of all scenarios."""
    monkeypatch.chdir(tmp_path)
    name = ["iocp.load.chess:untold"] if scenario == "protocol" else []
    if name:
        from iocp.load import chess

        monkeypatch.setattr(chess, "untold", chess.chess(), raising=False)
    with LimitedServer() as server:
        code = main(
            [scenario, *name, "--port", str(server.port), "--clients", "2", "--duration", "1", "--window", "2", "--lateness", "60000"]
        )
    assert code == 0, capsys.readouterr().out
    # Far more than one per second and player.
    assert server.moves > 20


def test_words_of_a_refusal_are_found_behind_any_header() -> None:
    def told(packet: bytes) -> str:
        return sentence("refused", {"player": 1, "own_id": -(2**31), "packet": packet, "size": len(packet)})

    assert told(bytes([9, 5, 3]) + b"closed").split(";")[0].endswith(": 'closed'")
    assert told(bytes([10, 0, 5, 0]) + b"closed").split(";")[0].endswith(": 'closed'")
    assert told(bytes([0, 12, 0, 5, 2, 0]) + b"closed\0\0\0").split(";")[0].endswith(": 'closed'")
    assert told(bytes([15, 5, 3]) + "가득 찼음".encode()).split(";")[0].endswith(": '가득 찼음'")
    assert told(bytes([3, 5, 3])).split(";")[0].endswith("was refused at the login")
