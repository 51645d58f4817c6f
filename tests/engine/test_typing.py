"""Types: mypy agrees, the stub says what the compiled module has, and what is listed twice is the same twice."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import iocp
from iocp import _iocpcore

PACKAGE = Path(iocp.__file__).parent
SOURCES = Path(__file__).resolve().parents[2] / "src" / "_iocpcore"
CLASSES = ["Session", "Timer", "Group", "Engine", "Server", "Client", "Crowd"]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("system", ["linux", "win32"])
def test_mypy_strict_passes_on_the_package(tmp_path: Path, system: str) -> None:
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed")
    # The package by its name, as its users' mypy sees it; the cache is thrown away with the test's folder.
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, encoding="utf-8")
    # A copy: given files in site-packages, mypy would take the whole of that folder for the program's own and refuse it.
    (tmp_path / "iocp").mkdir()
    copies = [shutil.copy(path, tmp_path / "iocp" / path.name) for path in files()]
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--platform", system, "--cache-dir", str(tmp_path / "cache"),
         str(program), *map(str, copies)],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def files() -> list[Path]:
    return sorted(path for pattern in ("*.py", "*.pyi") for path in PACKAGE.glob(pattern))


PROGRAM = """
from typing import assert_type

import iocp


class Echo(iocp.Handler):
    def on_connect(self, session: iocp.Session) -> None:
        assert_type(session.id, int)
        assert_type(session.address, tuple[str, int])
        session.data = 5

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        session.send(packet)
        session.send(bytearray(packet))
        session.send(memoryview(packet))

    def on_disconnect(self, session: iocp.Session, reason: iocp.Reason) -> None:
        assert_type(session.error, OSError | None)


def fn(number: int, text: str) -> None: ...


with iocp.Server(Echo(), "127.0.0.1", 0, workers=2, framing=iocp.Framing(2), limits=iocp.Limits.none()) as server:
    assert_type(server, iocp.Server)
    assert_type(server.address, tuple[str, int])
    assert_type(server.broadcast(b"x"), int)
    assert_type(server.stats().ended, dict[iocp.Reason, int])
    timer = server.call_later(0.5, fn, 1, "x")
    assert_type(timer, iocp.Timer)
    group = server.group()
    for session in server.sessions():
        group.add(session)
    assert_type(group.send(b"x", exclude=None), int)
client = iocp.Client(Echo())
assert_type(client.connect("127.0.0.1", 1, timeout=None), iocp.Session)
"""


def test_package_is_marked_as_typed() -> None:
    assert (PACKAGE / "py.typed").is_file()


def stub() -> ast.Module:
    return ast.parse((PACKAGE / "_iocpcore.pyi").read_text(encoding="utf-8"))


def names_of(body: list[ast.stmt]) -> set[str]:
    """The public names that a module's or class's statements define."""
    names: set[str] = set()
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.AnnAssign(target=ast.Name(id=name), value=None):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def public(thing: object) -> set[str]:
    return {name for name in vars(thing) if not name.startswith("_")}


def test_stub_has_every_public_name_of_the_module_and_no_other() -> None:
    module = {
        name
        for name in public(_iocpcore)
        if getattr(vars(_iocpcore)[name], "__module__", None) in (_iocpcore.__name__, "_iocpcore", None)
        and not inspect.ismodule(vars(_iocpcore)[name])
    }
    assert module - {"Latch"} == names_of(stub().body)  # that one is the core's own


@pytest.mark.parametrize("name", CLASSES)
def test_stub_has_every_public_member_of_the_class_and_no_other(name: str) -> None:
    (declared,) = [node for node in stub().body if isinstance(node, ast.ClassDef) and node.name == name]
    assert public(getattr(_iocpcore, name)) == names_of(declared.body)


@pytest.mark.parametrize("name", CLASSES)
def test_properties_are_properties_and_methods_methods(name: str) -> None:
    (declared,) = [node for node in stub().body if isinstance(node, ast.ClassDef) and node.name == name]
    for node in declared.body:
        member = getattr(getattr(_iocpcore, name), node.name) if isinstance(node, ast.FunctionDef) else None
        if member is None:
            continue
        is_property = any(isinstance(mark, ast.Name) and mark.id == "property" for mark in node.decorator_list)
        assert callable(member) is not is_property, f"{name}.{node.name}"


def test_stub_documents_what_python_s_help_does_not() -> None:
    """The compiled classes point to the stub; so it has a sentence for each of them."""
    for node in stub().body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            assert ast.get_docstring(node), node.name


def test_reasons_are_numbered_as_in_the_core() -> None:
    if not SOURCES.is_dir():
        pytest.skip("the core's sources are not beside the tests")
    text = (SOURCES / "reason.pxi").read_text(encoding="utf-8")
    numbers = {name: int(number) for name, number in re.findall(r"^    ([A-Z_]+) = (\d+)$", text, re.M)}
    assert numbers.pop("NO_REASON") not in set(iocp.Reason)
    assert numbers.pop("REASONS") == len(iocp.Reason)
    assert numbers == {reason.name: reason.value for reason in iocp.Reason}


def test_every_reason_is_documented() -> None:
    source = (PACKAGE / "reason.py").read_text(encoding="utf-8")
    assert len(re.findall(r"^    [A-Z_]+ = \d+\n    \"\"\"", source, re.M)) == len(iocp.Reason)


def test_all_is_complete() -> None:
    assert sorted(iocp.__all__, key=str.lower) == sorted(set(iocp.__all__), key=str.lower)
    for name in iocp.__all__:
        assert hasattr(iocp, name)
    submodules = {path.stem for path in PACKAGE.iterdir()} | {"game"}
    public_names = {name for name in public(iocp) if not inspect.ismodule(vars(iocp)[name]) or name not in submodules}
    assert public_names - {"annotations"} == set(iocp.__all__) - {"__version__"}


def test_core_stays_out_of_sight_where_it_can() -> None:
    """Objects that only an engine can make cannot be made by hand."""
    for kind in (iocp.Session, iocp.Timer, iocp.Engine):
        with pytest.raises(TypeError, match=r"made"):
            kind()
