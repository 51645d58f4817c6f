"""The tutorial, the how-to guides, the landing page and the READMEs are true: what they show is run, for real, on each backend."""

from __future__ import annotations

import ast
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

import iocp
from ports import free_port
from snippets import PageError, PageRun, blocks_of, command_of, environment_of, pages

ROOT = Path(__file__).resolve().parents[1]
PAGES = list(pages(ROOT))
READMES = sorted(ROOT.glob("README*.md"))
SECONDS = 100.0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_the_page_shows_is_what_happens(page: Path, backend: str, tmp_path: Path) -> None:
    with PageRun(page, tmp_path, backend) as run:
        run.run()
    for reason in run.skipped:
        print(f"{page.name}, {reason}")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_is_not_run_is_python_all_the_same(page: Path) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        if block.language == "python":
            compile(block.text, f"{page.name}:{block.line}", "exec")


@pytest.mark.parametrize("page", [*PAGES, *READMES], ids=lambda page: page.name)
def test_every_program_and_command_has_a_language_that_is_run(page: Path) -> None:
    for block in blocks_of(page.read_text(encoding="utf-8")):
        assert block.language not in ("py", "sh", "bash", "shell", "pycon"), f"{page.name}:{block.line}: write python or console"


# ---- the READMEs ----


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.name)
def test_the_server_of_the_readme(readme: Path, backend: str, tmp_path: Path) -> None:
    servers = [block for block in blocks_of(readme.read_text(encoding="utf-8")) if block.language == "python"]
    assert servers and all("iocp.run(" in block.text and "3500" in block.text for block in servers)
    for block in servers:
        port = free_port()
        (tmp_path / "server.py").write_text(block.text.replace("3500", str(port)), encoding="utf-8")
        process = subprocess.Popen(
            command_of(["python", "server.py"]), cwd=tmp_path, env=environment_of(backend), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, text=True, encoding="utf-8", creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )  # fmt: skip
        try:
            with connected(port, process) as peer:
                peer.sendall(b"\x06hello")
                assert peer.makefile("rb").read(6) == b"\x06hello"
            assert process.stdout
            assert re.fullmatch(r"\('127\.0\.0\.1', \d+\) PEER_CLOSED\n", process.stdout.readline())
            process.send_signal(getattr(signal, "CTRL_C_EVENT", signal.SIGINT))
            assert process.wait(SECONDS) == 0
        finally:
            process.kill()
            process.communicate()


def connected(port: int, process: subprocess.Popen[str]) -> socket.socket:
    """A connection to a server that says nowhere when it listens."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        except ConnectionRefusedError:
            assert process.poll() is None and time.monotonic() < deadline, "it does not listen"


def test_the_script_that_the_game_s_page_shows_is_the_one_that_runs() -> None:
    (shown,) = [block for block in blocks_of((ROOT / "docs/game.md").read_text(encoding="utf-8")) if block.language == "python"]
    there = (ROOT / "game/scripts/wolf.py").read_text(encoding="utf-8")
    assert tree(shown.text) == tree(there)


def tree(text: str) -> str:
    module = ast.parse(text)
    if ast.get_docstring(module) is not None:
        del module.body[0]
    return ast.dump(module)


def test_the_smallest_test_of_the_page_on_testing(backend: str, tmp_path: Path) -> None:
    (shown,) = [block for block in blocks_of((ROOT / "docs/testing.md").read_text(encoding="utf-8")) if block.language == "python"]
    for folder in ("", "engine"):  # all that tests share there, and no test of ours
        (tmp_path / folder).mkdir(exist_ok=True)
        for module in (ROOT / "tests" / folder).glob("*.py"):
            if not module.name.startswith("test_"):
                shutil.copy(module, tmp_path / folder)
    (tmp_path / "engine" / "test_echo.py").write_text(shown.text, encoding="utf-8")
    done = subprocess.run(
        command_of(["python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "engine"]), cwd=tmp_path, stdin=subprocess.DEVNULL,
        env={**environment_of(backend), "IOCP_TEST_BACKENDS": backend, "PYTEST_ADDOPTS": ""}, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr


# ---- what runs them ----

UNTRUE = {
    "wrong output": '```console title="a"\n$ python -c "print(1)"\n2\n```\n',
    "more than shown": '```console title="a"\n$ python -c "print(1); print(2)"\n1\n```\n',
    "less than shown": '```console title="a"\n$ python -c "print(1)"\n1\n2\n```\n',
    "wrong exit code": '```console title="a"\n$ python -c "raise SystemExit(3)"\n```\n',
    "an exit code that does not come": '<!-- test: exit 1 -->\n```console title="a"\n$ python -c "pass"\n```\n',
    "a program that fails": "```python\nraise ValueError\n```\n",
    "wrong output of a program": "```python\nprint(1)\n```\n\n```text\n2\n```\n",
    "words where numbers vary": '<!-- test: numbers vary -->\n```console title="a"\n$ python -c "print(1, 2)"\n1 x\n```\n',
    "output without a command": '```console title="a"\nhello\n```\n',
    "an unknown directive": "<!-- test: nonsense -->\n```python\npass\n```\n",
}


@pytest.mark.parametrize("text", UNTRUE.values(), ids=UNTRUE.keys())
def test_a_page_that_is_not_true_is_found_out(text: str, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(PageError), PageRun(page, tmp_path, iocp.available_backends()[0]) as run:
        run.run()


def test_terminals_files_and_ctrl_c(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        """
```python title="server.py"
import iocp
class Quiet(iocp.Handler):
    def on_start(self, server):
        print("ready on 3500")
    def on_stop(self, server):
        print("bye", 5)
iocp.run(Quiet(), "127.0.0.1", 3500)
```

```console title="one"
$ python server.py
ready on 3500
```

<!-- test: exit 3 -->
```console title="two"
$ python -c "print('any', 'thing'); print('x'); print('y')"
any…
...
$ python -c "raise SystemExit(3)"
```

<!-- test: numbers vary -->
```console title="one"
^C
bye 7
```
""",
        encoding="utf-8",
    )
    with PageRun(page, tmp_path, iocp.available_backends()[0]) as run:
        run.run()
    assert run.skipped == []
    assert not re.search(r"\b3500\b", (tmp_path / "server.py").read_text(encoding="utf-8"))
