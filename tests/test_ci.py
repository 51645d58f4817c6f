"""What `.ci/suite` does with tests that fail, and `.ci/run` says of them: a few run once more, and those that pass then are named."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[1] / ".ci"
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="the script is for bash, on Linux"),
    pytest.mark.skipif(not SCRIPTS.exists() or shutil.which("bash") is None, reason="needs the checkout's .ci, and bash"),
]

ONCE = """
import pathlib

def test_that_fails_the_first_time(request):
    mark = pathlib.Path(__file__).with_suffix(".failed")
    try:
        assert mark.exists(), "the first time"
    finally:
        mark.touch()
"""
ALWAYS = "import pytest\n\n@pytest.mark.parametrize('number', range({count}))\ndef test_that_fails(number):\n    assert False\n"


def suite(folder: Path, **files: str) -> tuple[int, str]:
    """Run these files of tests as the script runs its suites; its exit code and what it printed, the sum last."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    text = (SCRIPTS / "run").read_text()
    function = text[text.index("unstable() {") : text.index('echo "== the documentation')]
    pytest_ = f"{sys.executable} -m pytest -q -p no:xdist -o addopts=-ra ."
    words = f"set -uo pipefail\nfailed=0\n{function}\nbash {SCRIPTS}/suite all.log {pytest_} || failed=1\nunstable all.log Linux\nexit $failed\n"
    done = subprocess.run(["bash", "-c", words], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
    return done.returncode, done.stdout


def test_a_failure_that_does_not_come_again_passes_and_is_named(tmp_path: Path) -> None:
    code, output = suite(tmp_path, once=ONCE, good="def test_good(): pass\n")
    assert code == 0
    assert "== once more, only what failed" in output and "\n1 passed" in output
    assert output.splitlines()[-1].startswith("needed a second run (Linux): FAILED test_once.py::test_that_fails_the_first_time")


def test_a_failure_that_comes_again_fails(tmp_path: Path) -> None:
    code, output = suite(tmp_path, once=ONCE, always=ALWAYS.format(count=1))
    assert code == 1 and output.count("FAILED test_always.py") == 3  # twice by pytest, once by the sum
    # In the order of the files; one that failed twice has not "needed a second run".
    first, second = output.splitlines()[-2:]
    assert first.startswith("failed twice (Linux): FAILED test_always.py::test_that_fails[0]")
    assert second.startswith("needed a second run (Linux): FAILED test_once.py::test_that_fails_the_first_time")


def test_many_failures_are_not_tried_again(tmp_path: Path) -> None:
    code, output = suite(tmp_path, always=ALWAYS.format(count=4))
    assert code == 1 and "once more" not in output


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("import os\n\ndef test_crash():\n    os.abort()\n", id="crash"),
        pytest.param("", id="no tests"),
        pytest.param("import no_such_module\n", id="no import"),
    ],
)
def test_a_run_that_pytest_does_not_end_is_not_tried_again(tmp_path: Path, text: str) -> None:
    code, output = suite(tmp_path, other=text)
    assert code == 1 and "once more" not in output


def test_all_is_well(tmp_path: Path) -> None:
    code, output = suite(tmp_path, good="def test_good(): pass\n")
    assert code == 0 and "second run" not in output
