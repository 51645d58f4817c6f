"""The workflows of .github: that what they name is there. Their syntax is `tools/wheels.py check`'s business."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="needs PyYAML (the dependency group test)")

PROJECT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").glob("*.yml"))
# What cibuildwheel makes of "auto64" there.
MACHINES = {
    "ubuntu-24.04": ("manylinux_x86_64", "musllinux_x86_64"),
    "ubuntu-24.04-arm": ("manylinux_aarch64", "musllinux_aarch64"),
    "windows-latest": ("win_amd64",),
    "windows-11-arm": ("win_arm64",),
}
if not WORKFLOWS:
    pytest.skip("no .github here: an sdist does without", allow_module_level=True)
sys.path.insert(0, str(PROJECT / "tools"))

from wheeltool import check  # noqa: E402

import wheels  # noqa: E402  (tools/wheels.py)


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(content, dict)
    content["on"] = content.pop(True)  # YAML 1.1 takes the word for a truth value
    return content


def settings() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))


def jobs() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path.name, name, job) for path in WORKFLOWS for name, job in read(path)["jobs"].items()]


def steps() -> list[tuple[str, dict[str, Any]]]:
    return [(f"{file}: {name}", step) for file, name, job in jobs() for step in job.get("steps", ())]


def commands() -> list[tuple[str, str]]:
    return [(place, step["run"]) for place, step in steps() if "run" in step]


def as_list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_each_need_is_a_job_of_the_same_file(path: Path) -> None:
    known = read(path)["jobs"]
    for name, job in known.items():
        missing = set(as_list(job.get("needs"))) - known.keys()
        assert not missing, f"{name} needs {missing}, which {path.name} does not have"


def test_every_job_may_do_little_and_not_for_ever() -> None:
    for path in WORKFLOWS:
        assert read(path)["permissions"] == {}, f"{path.name}: what no job asks for must not be given"
    for file, name, job in jobs():
        writes = {right for right, level in job["permissions"].items() if level == "write"}
        assert writes == ({"id-token"} if (file, name) == ("release.yml", "publish") else set()), f"{file}: {name}"
        assert "uses" in job or 0 < job["timeout-minutes"] <= 120, f"{file}: {name}"


def test_actions_are_pinned_and_credentials_are_not_left_behind() -> None:
    for path in WORKFLOWS:
        for used in re.findall(r"uses: (\S+.*)$", path.read_text(encoding="utf-8"), re.MULTILINE):
            if used.startswith("./"):
                assert (PROJECT / used.split()[0]).is_file(), f"{path.name} uses {used}"
                assert "workflow_call" in read(PROJECT / used.split()[0])["on"], f"{used} cannot be called"
            else:
                assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", used), f"{path.name}: {used}"
    pins: dict[str, set[str]] = {}
    for place, step in steps():
        action, _, pin = step.get("uses", "").partition("@")
        pins.setdefault(action, set()).add(pin)
        if action == "actions/checkout":
            assert step["with"]["persist-credentials"] is False, place
    assert all(len(found) == 1 for found in pins.values()), pins


def test_scripts_and_their_commands_exist() -> None:
    called = 0
    for place, text in commands():
        for script, word in re.findall(r"python3? (tools/\S+\.py)\s+(\S+)?", text):
            called += 1
            assert (PROJECT / script).is_file(), f"{place}: {script}"
            if script == "tools/wheels.py":
                assert word in wheels.COMMANDS, f"{place}: {text}"
    assert called > 10
    assert "sh {package}/tools/liburing.sh" == settings()["tool"]["cibuildwheel"]["linux"]["before-all"]
    assert (PROJECT / "tools/liburing.sh").is_file()


def lines_of(job: str) -> list[str]:
    """All that this job of tests.yml runs, in order."""
    found = read(PROJECT / ".github/workflows/tests.yml")["jobs"][job]
    return [line.strip() for step in found["steps"] for line in step.get("run", "").splitlines()]


def test_the_site_s_own_tests_run_where_the_site_can_be_built() -> None:
    lines = [line.partition(" #")[0] for line in lines_of("docs")]
    assert lines.index("python tools/dev.py docs") < lines.index("python tools/dev.py test -q tests/test_docs.py")


@pytest.mark.parametrize("variable", ["PYIOCP_CONTRACT_EXE", "PYIOCP_LECTURE_CLIENT_EXE"])
def test_on_windows_the_tests_programs_are_made_by_msvc_and_named(variable: str) -> None:
    """Without them their tests are skipped there."""
    (suite,) = [step for place, step in steps() if place == "tests.yml: windows" and "pytest -q" in step.get("run", "")]
    program = suite["env"][variable].removeprefix("${{ github.workspace }}/")
    lines = lines_of("windows")
    (made,) = [number for number, line in enumerate(lines) if "wheels.py strict" in line]
    assert program in lines[made].split()
    (installed,) = [number for number, line in enumerate(lines) if line.endswith("$NEEDS")]
    assert installed < made, "the client's header is written by the installed package"


def test_what_is_shipped_compiles_without_a_warning_on_every_python_of_windows() -> None:
    (built,) = [step for place, step in steps() if place == "tests.yml: windows" and "$NEEDS" in step.get("run", "")]
    assert built["env"]["_CL_"] == "/WX"


def test_the_port_s_contract_runs_on_every_kind_of_windows() -> None:
    """Where PYIOCP_CONTRACT_EXE is not named it is skipped."""
    defined = read(PROJECT / ".github/workflows/tests.yml")["jobs"]
    assert "windows-11-arm" in defined["msvc"]["strategy"]["matrix"]["os"]
    (run,) = [step for step in defined["msvc"]["steps"] if "pytest" in step.get("run", "") and "tests/port" in step["run"]]
    program = run["env"]["PYIOCP_CONTRACT_EXE"].removeprefix("${{ github.workspace }}/")
    assert f"python tools/wheels.py strict --contract {program}" in lines_of("msvc")
    empty = read(PROJECT / ".github/workflows/wheels.yml")["jobs"]["empty"]["steps"]
    (made,) = [step["run"] for step in empty if "--contract" in step.get("run", "")]
    assert 'PYIOCP_CONTRACT_EXE=' in made and 'PYIOCP_LECTURE_CLIENT_EXE=' in made and made.count('"$GITHUB_ENV"') == 2


def test_whatever_changes_a_wheel_starts_the_workflow_that_makes_them() -> None:
    patterns = read(PROJECT / ".github/workflows/wheels.yml")["on"]["pull_request"]["paths"]
    # In these patterns ** matches everything, * all but a slash.
    wanted = re.compile("|".join(re.escape(each).replace(r"\*\*", ".*").replace(r"\*", "[^/]*") for each in patterns))
    tested = re.findall(r"\{package\}/(\S+)", settings()["tool"]["cibuildwheel"]["test-command"])
    folders = {"src", "game", "LICENSES", "tools/wheeltool", "tools/toolkit", *tested}
    files = [path for folder in folders for path in (PROJECT / folder).rglob("*.*") if "__pycache__" not in path.parts]
    files += [PROJECT / name for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "tests/conftest.py", "tools/wheels.py")]
    missed = [name for path in files if not wanted.fullmatch(name := path.relative_to(PROJECT).as_posix())]
    assert len(files) > 100 and not missed


def test_what_fails_on_a_wheel_runs_once_more() -> None:
    first, again = settings()["tool"]["cibuildwheel"]["test-command"].split(" || ")
    assert again == first.replace("-q ", "-q --last-failed --last-failed-no-failures none ")


def test_what_fails_in_a_suite_runs_once_more() -> None:
    """A release needs more than ten whole suites that pass at once, on machines that others use too."""
    suites = re.compile(r'tools/(?:dev|wine)\.py test|tools/wheels\.py test|pytest -q "\$tests"')
    found = [(place, step["run"]) for place, step in steps() if suites.search(step.get("run", "")) and "test_docs.py" not in step["run"]]
    assert len(found) >= 6
    for place, command in found:
        (line,) = [line for line in command.splitlines() if suites.search(line)]
        assert re.match(r'bash (?:\.ci/suite|"\$suite") "\$RUNNER_TEMP/suite\.log" python', line), place
        assert line.startswith("bash .ci/suite") or 'suite="$PWD/.ci/suite"' in command, place


def test_a_publication_that_broke_off_can_be_finished() -> None:
    (published,) = [step["with"] for _, step in steps() if "pypi-publish" in step.get("uses", "")]
    assert published["skip-existing"] is True


@pytest.mark.parametrize("job", ["msvc", "checks"])
def test_strict_finds_a_package_that_writes_the_header(job: str) -> None:
    lines = [line.partition(" #")[0] for line in lines_of(job)]
    (installed,) = [number for number, line in enumerate(lines) if re.fullmatch(r"python -m pip install (?:\S+ )*\.", line)]
    assert installed < lines.index("python tools/wheels.py strict")


def test_groups_and_extras_that_are_installed_exist() -> None:
    known = settings()
    texts = [text for _, text in commands()]
    texts += [str(value) for _, _, job in jobs() for value in _flatten(job.get("strategy", {}).get("matrix", {}))]
    groups = {name for text in texts for name in re.findall(r"--group (\S+)", text)}
    extras = {name for text in texts for names in re.findall(r"\.\[([\w,]+)\]", text) for name in names.split(",")}
    assert groups and groups <= known["dependency-groups"].keys()
    assert extras and extras <= known["project"]["optional-dependencies"].keys()


def _flatten(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [leaf for part in value.values() for leaf in _flatten(part)]
    return [leaf for part in value for leaf in _flatten(part)] if isinstance(value, list) else [value]


def test_values_of_the_matrix_are_defined() -> None:
    for file, name, job in jobs():
        matrix = job.get("strategy", {}).get("matrix", {})
        known = {key for key in matrix if key != "include"} | {key for row in matrix.get("include", ()) for key in row}
        used = set(re.findall(r"\$\{\{\s*matrix\.(\w+)", yaml.safe_dump(job)))
        assert used <= known, f"{file}: {name} uses {used - known}"
        assert known <= used, f"{file}: {name} never uses {known - used}"


def test_the_machines_build_every_wheel() -> None:
    built = read(PROJECT / ".github/workflows/wheels.yml")["jobs"]["wheels"]["strategy"]["matrix"]["os"]
    tags = [tag for machine in built for tag in MACHINES[machine]]
    wanted = {tag for _, tags_of in check.PLATFORMS.values() for tag in tags_of}
    assert sorted(tags) == sorted(wanted)
    configured = settings()["tool"]["cibuildwheel"]
    assert [pattern.removesuffix("-*") for pattern in configured["build"]] == list(check.PYTHONS)
    assert configured["linux"]["archs"] == configured["windows"]["archs"] == ["auto64"]


def test_every_python_of_the_wheels_is_tested_and_named_in_the_classifiers() -> None:
    wanted = {re.sub(r"cp3(\d+)(t?)", r"3.\1\2", python) for python in check.PYTHONS}
    defined = read(PROJECT / ".github/workflows/tests.yml")["jobs"]
    windows = defined["windows"]["strategy"]["matrix"]
    assert {*windows["python"], *(row["python"] for row in windows["include"])} == wanted
    free = [step["with"]["python-version"] for step in defined["free-threaded"]["steps"] if "setup-python" in step.get("uses", "")]
    assert {*defined["linux"]["strategy"]["matrix"]["python"], *free} == wanted
    named = {found for line in settings()["project"]["classifiers"] for found in re.findall(r"Python :: (3\.\d+)$", line)}
    assert named == {version for version in wanted if not version.endswith("t")}


def test_cibuildwheel_has_one_version_everywhere() -> None:
    (grouped,) = [need for need in settings()["dependency-groups"]["wheels"] if need.startswith("cibuildwheel")]
    for place, text in commands():
        for found in re.findall(r'"(cibuildwheel[^"]*)"', text):
            assert found == grouped, place


def test_what_is_published_is_what_was_uploaded_and_complete() -> None:
    uploads = [step["with"]["name"] for _, step in steps() if "upload-artifact" in step.get("uses", "")]
    downloads = [step["with"] for _, step in steps() if "download-artifact" in step.get("uses", "")]
    patterns = {given["pattern"] for given in downloads if "pattern" in given}
    assert patterns == {"dist-*"}
    assert all(name.startswith("dist-") for name in uploads)
    assert {given["name"] for given in downloads if "name" in given} <= set(uploads)
    release = read(PROJECT / ".github/workflows/release.yml")
    assert release["on"] == {"push": {"tags": ["v*"]}}
    assert set(release["jobs"]["publish"]["needs"]) == {"version", "tests", "wheels"}
    assert release["jobs"]["publish"]["environment"] == "pypi"
    complete = read(PROJECT / ".github/workflows/wheels.yml")["jobs"]["complete"]
    assert set(complete["needs"]) == {"sdist", "wheels"}
