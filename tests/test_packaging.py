"""tools/wheels.py: what it must notice before anything is published."""

from __future__ import annotations

import ast
import io
import re
import runpy
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]
if not (PROJECT / "tools" / "wheeltool").is_dir():
    pytest.skip("the tools are not here: run these tests from a checkout or an unpacked sdist", allow_module_level=True)
sys.path.insert(0, str(PROJECT / "tools"))

from toolkit.message import ToolError  # noqa: E402
from wheeltool import check, places, sdist, strict, wheel  # noqa: E402


def pack(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"pyiocp-0.1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny project that git is said to have."""
    folder = tmp_path / "project"
    for name in ("setup.py", "src/a.c", ".ci/run", ".gitattributes", ".gitignore", ".github/workflows/tests.yml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    monkeypatch.setattr(sdist, "PROJECT", folder)
    known = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    monkeypatch.setattr(sdist, "tracked", lambda: known)
    return folder


def test_an_sdist_that_holds_what_git_has_is_fine(project: Path, tmp_path: Path) -> None:
    own = {"PKG-INFO": b"", "setup.cfg": b"", "pyiocp.egg-info/SOURCES.txt": b""}
    archive = pack(tmp_path / "fine.tar.gz", {"setup.py": b"setup.py", "src/a.c": b"src/a.c", **own})
    assert sdist.compare(archive) == []


def test_missing_changed_unknown_and_unwanted_files_are_named(project: Path, tmp_path: Path) -> None:
    archive = pack(tmp_path / "bad.tar.gz", {"src/a.c": b"other", "src/a.o": b"", ".ci/run": b".ci/run"})
    findings = sdist.compare(archive)
    assert len(findings) == 4
    for name, words in (("setup.py", "does not"), ("src/a.c", "same bytes"), ("src/a.o", "unknown to git"), (".ci/run", "left out")):
        assert any(finding.startswith(f"{name}:") and words in finding for finding in findings), (name, findings)


def test_a_reason_without_a_file_is_a_finding(project: Path, tmp_path: Path) -> None:
    (project / ".ci/run").unlink()
    archive = pack(tmp_path / "old.tar.gz", {"setup.py": b"setup.py", "src/a.c": b"src/a.c"})
    sdist_tracked = [name for name in sdist.tracked() if name != ".ci/run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sdist, "tracked", lambda: sdist_tracked)
        (finding,) = sdist.compare(archive)
    assert finding.startswith(".ci/:")


def test_every_text_file_has_the_same_line_ends_in_every_checkout() -> None:
    """Git for Windows puts carriage returns into text files unless it is told otherwise."""
    if not (PROJECT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no checkout: an unpacked sdist has the bytes it has")
    listed = subprocess.run(["git", "-C", str(PROJECT), "ls-files", "--eol"], capture_output=True, encoding="utf-8", check=True).stdout
    fine = re.compile(r"i/(?:-text +w/\S* +attr/-text|(?:lf|none) +w/(?:lf|none)? +attr/\S.*eol=lf)\s")
    wrong = [line for line in listed.splitlines() if not fine.match(line)]
    assert listed and wrong == [], ".gitattributes does not say what these are"


def test_documentation_makes_no_other_wheel_but_source_does(tmp_path: Path) -> None:
    files = {"src/a.c": b"1", "docs/a.md": b"1"}
    first = wheel.digest_of(pack(tmp_path / "1.tar.gz", files))
    assert wheel.digest_of(pack(tmp_path / "2.tar.gz", {**files, "docs/a.md": b"2"})) == first
    assert wheel.digest_of(pack(tmp_path / "3.tar.gz", {**files, "src/a.c": b"2"})) != first


def test_a_release_needs_its_version_its_changes_and_real_addresses(tmp_path: Path) -> None:
    version = check.version()
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version} (unreleased)\n")
    (tmp_path / "SECURITY.md").write_text("Write to OWNER.\n")
    findings = check.release("v999.0", tmp_path)
    assert any("v999.0" in finding and f"v{version}" in finding for finding in findings)
    assert any("unreleased" in finding for finding in findings)
    assert any("SECURITY.md" in finding for finding in findings)
    (tmp_path / "CHANGELOG.md").write_text(f"# Changelog\n\n## {version} (2026-12-01)\n")
    (tmp_path / "SECURITY.md").write_text("Write to us.\n")
    left = check.release(f"v{version}", tmp_path)
    assert all(finding.startswith("pyproject.toml: the URL") for finding in left), left


def wheel_names() -> list[str]:
    names = []
    for identifier in sorted(check.expected("linux") | check.expected("windows")):
        python, _, tag = identifier.partition("-")
        tag = tag.replace("manylinux_", "manylinux_2_26_").replace("musllinux_", "musllinux_1_2_")
        if tag.startswith("manylinux"):
            tag += "." + tag.replace("_26_", "_28_")
        names.append(f"pyiocp-{check.version()}-{python.rstrip('t')}-{python}-{tag}.whl")
    return names


def test_a_complete_folder_is_complete_and_each_gap_is_seen(tmp_path: Path) -> None:
    names = [f"pyiocp-{check.version()}.tar.gz", *wheel_names()]
    assert len(names) == 31
    for name in names:
        (tmp_path / name).touch()
    assert check.complete(tmp_path) == []
    for name in names:
        (tmp_path / name).unlink()
        (finding,) = check.complete(tmp_path)
        assert finding.startswith("missing: ")
        (tmp_path / name).touch()
    (tmp_path / "pyiocp-0.0.9-cp311-cp311-win_amd64.whl").touch()
    (tmp_path / f"pyiocp-{check.version()}-cp310-cp310-win_amd64.whl").touch()
    assert [finding.partition(":")[0] for finding in check.complete(tmp_path)] == ["pyiocp-0.0.9-cp311-cp311-win_amd64.whl", "not wanted"]
    assert len(check.complete(tmp_path / "nowhere")) == 31


def test_the_python_that_runs_is_found_and_a_missing_one_named() -> None:
    mine = subprocess.run([sys.executable, "-c", places.ASK], capture_output=True, text=True, check=True).stdout.strip()
    assert places.answers([places.find_python(mine)], mine)
    with pytest.raises(ToolError, match=r"no Python 3\.99 here: put python3\.99 on PATH"):
        places.find_python("3.99")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], "name a command"),
        (["bake"], "no such command: bake"),
        (["wheel", "--python", "2.7"], "--python takes versions from 3.11 on"),
        (["wheel", "--python"], "--python needs a value"),
        (["sdist", "more"], "unexpected: more"),
    ],
)
def test_wrong_usage_is_said(words: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "tools/wheels.py"), *words],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100,
    )
    assert done.returncode == 2
    assert complaint in done.stderr and "usage:" in done.stderr


def imported_at_the_top(file: Path) -> set[str]:
    """The modules a file imports whatever happens: neither in a function nor under a condition."""
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(file.relative_to(PROJECT / "tools").parts[:-1]) + "." if node.level else ""
            base = f"{package}{node.module or ''}".rstrip(".")
            names.update([base, *(f"{base}.{alias.name}" for alias in node.names)])
    return names


def test_wheels_imports_nothing_that_windows_lacks() -> None:
    """It runs there too. Looked for in the text, so that Linux finds it before a run on Windows does."""
    tools = PROJECT / "tools"
    waiting, read, missing = [tools / "wheels.py"], set(), set()
    while waiting:
        file = waiting.pop()
        read.add(file)
        for name in imported_at_the_top(file):
            place = tools / name.replace(".", "/")
            ours = [place.with_suffix(".py"), place / "__init__.py"]
            waiting += [file for file in ours if file.exists() and file not in read]
            if name in {"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"}:
                missing.add(f"{file.relative_to(PROJECT).as_posix()}: {name}")
    assert {"wheels.py", "places.py", "message.py", "usage.py"} <= {file.name for file in read}  # or the search itself is blind
    assert not missing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="liburing is Linux")
def test_a_build_that_insists_on_liburing_fails_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("setuptools")
    names = runpy.run_path(str(PROJECT / "setup.py"), run_name="setup")
    find = names["find_liburing"]
    monkeypatch.setenv("PYIOCP_LIBURING", "0")
    assert find() is None
    monkeypatch.setenv("CC", "false")  # a compiler that refuses everything
    for wish in ("1", "static"):
        monkeypatch.setenv("PYIOCP_LIBURING", wish)
        with pytest.raises(SystemExit, match=rf"PYIOCP_LIBURING={wish}, but no program links"):
            find()
    monkeypatch.delenv("PYIOCP_LIBURING")
    assert find() is None
    monkeypatch.setenv("PYIOCP_LIBURING", "yes")
    with pytest.raises(SystemExit, match="is 0, 1 or static"):
        find()


def test_the_licence_of_what_is_linked_in_goes_along() -> None:
    settings = places.metadata()["project"]
    assert "LICENSES/liburing.txt" in settings["license-files"]
    assert re.search(r"Permission is hereby granted, free of charge", (PROJECT / "LICENSES/liburing.txt").read_text(encoding="utf-8"))


def test_strict_compiles_with_what_setup_py_gives_msvc() -> None:
    (line,) = re.findall(r'extra_compile_args"\] = (\["/.*\])', (PROJECT / "setup.py").read_text(encoding="utf-8"))
    given = set(ast.literal_eval(line))
    assert "/volatile:ms" in given, "flags that are read without a lock need it on arm64"
    # setuptools itself adds /O2: some warnings are the optimizer's.
    assert given | {"/O2"} <= {*strict.MSVC, *strict.MSVC_LANGUAGES["c"]}
