"""The command `iocp-chess` as real processes: what it prints, how it stops, what it says when it cannot start."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import signal
import socket
import subprocess
import sys
import threading

import iocp
import pytest
from chess_client import ChessClient, inwards
from commands import COMMAND, TIMEOUT, WINDOWS, end_input, interrupt, run, stop, terminate
from iocp.game.cli import main
from iocp.game.protocol import Enter, Moved
from iocp.game.serve import explain, printed
from ports import taken_port

pytestmark = pytest.mark.timeout(300)  # a busy machine takes many seconds to start each process

WITHOUT_RICH = "no live board without rich, only a line a second: pip install 'pyiocp[demo]'\n"


def test_serve_prints_one_line_when_it_accepts(serve, backend):
    server = serve("--workers", "2", "--world", "30")
    pattern = rf"listening on 127\.0\.0\.1:\d+ \({backend}, 2 workers, world 30x30\)\n"
    assert re.fullmatch(pattern, server.first_line)
    ChessClient(server.address).close()
    code, output, errors = server.end(stop)
    assert (code, errors) == (0, "")
    assert output.startswith("stopped after ")


@pytest.mark.parametrize("limit, refused", [("2", 1), ("0", 0)])
def test_serve_limits_the_connections_of_one_address(serve, limit, refused):
    server = serve("--world", "30", "--sessions-per-address", limit)
    with contextlib.ExitStack() as clients:

        def join(name):
            clients.enter_context(contextlib.closing(ChessClient(server.address))).login(name)

        join("p0")
        join("p1")
        if refused:
            with pytest.raises((EOFError, ConnectionError)):
                join("p2")
        else:
            join("p2")
    code, output, _ = server.end(stop)
    assert code == 0 and (f"{refused} too_many_from_address" in output) is bool(refused)


@pytest.mark.parametrize("arguments", [[], ["--show"]], ids=["plain", "show"])
def test_serve_ends_quietly_if_nobody_reads_what_it_says(serve, arguments):
    # As with `serve | head -1`.
    server = serve("--world", "8", *arguments)
    server.process.stdout.close()
    server.process.stdout = None
    ChessClient(server.address).close()
    if arguments:
        # It draws each second, and goes on.
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(2.5)
    code, _, errors = server.end(stop)
    assert (code, errors.replace(WITHOUT_RICH, "")) == (0, "")


def test_demo_ends_quietly_if_nobody_reads_what_it_says(backend):
    process = subprocess.Popen(
        [*COMMAND, "demo", "--players", "3", "--seconds", "1.5", "--world", "8", "--backend", backend],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    assert process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), errors.replace(WITHOUT_RICH, "")) == (0, "")
    watchdog.cancel()


def test_ctrl_c_before_the_server_is_there_is_a_line(tmp_path):
    """Where it reads the map is where it can be held up."""
    code = "import signal; from iocp.game import cli, serve; serve.make_game = lambda o: signal.raise_signal(signal.SIGINT); exit(cli.main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "serve", "--port", "0", "--db", "none"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, cwd=tmp_path,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "iocp-chess: interrupted\n")


ways = [pytest.param(interrupt, id="Ctrl-Break" if WINDOWS else "Ctrl-C")]
ways += [
    pytest.param(
        terminate, id="SIGTERM",
        marks=pytest.mark.skipif(WINDOWS, reason="Windows has no SIGTERM from outside: TerminateProcess asks nobody"),
    ),
    pytest.param(end_input, id="end of input"),
]  # fmt: skip


@pytest.mark.parametrize("how", ways)
def test_serve_plays_then_stops_cleanly_with_a_summary(serve, how):
    server = serve("--world", "8")
    anna, ben = ChessClient(server.address, True), ChessClient(server.address, False)
    anna.login("anna")
    ben.login("ben")
    assert isinstance(anna.read(), Enter) and isinstance(ben.read(), Enter)
    direction, x, y = inwards(anna)
    assert anna.step(direction, 3) == ([], Moved(anna.id, x, y, 3))
    eve = ChessClient(server.address)
    eve.send(b"\x02\x4d")
    assert eve.read_to_end() == []
    code, output, errors = server.end(how)
    # The server ends the connections that are left.
    anna.read_to_end(), ben.read_to_end()
    for client in (anna, ben, eve):
        client.close()
    assert code == 0, errors
    assert "2 logged in, 2 at once, 2 at the end" in output
    assert "moves     1 " in output
    assert "1 unknown type" in output and "1 protocol" in output and "2 server_stopped" in output
    assert "errors in handlers: 0" in output and "per CPU-second" in output
    assert "cut: packet type 77" in errors


def test_untimed_and_seed_reach_the_game(serve):
    places = []
    for _ in range(2):
        server = serve("--untimed", "--seed", "7", "--world", "8")
        silent, anna = ChessClient(server.address), ChessClient(server.address)
        silent.login("silent")
        anna.login("anna")
        silent.read()
        direction, x, y = inwards(anna)
        anna.step(direction)
        assert silent.read() == Moved(anna.id, x, y, None)
        places.append((silent.x, silent.y, x, y))
        silent.close(), anna.close()
        assert server.end(stop)[0] == 0
    assert places[0] == places[1]


def test_serve_show_without_a_terminal_prints_lines(serve):
    server = serve("--show")
    anna = ChessClient(server.address)
    anna.login("anna")
    while "players 1" not in (line := server.process.stdout.readline()):
        assert "players 0" in line
    anna.close()
    assert server.end(stop)[0] == 0


def test_a_port_in_use_exits_2_and_says_what_to_do(backend):
    with taken_port() as port:
        done = run("serve", "--db", "none", "--port", str(port), "--backend", backend)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"127.0.0.1:{port} is in use" in done.stderr and "--port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("host", ["192.0.2.1", "no-such-host.invalid"])
def test_a_bad_host_exits_2_and_says_what_to_do(backend, host):
    done = run("serve", "--db", "none", "--port", "0", "--host", host, "--backend", backend)
    assert (done.returncode, done.stdout) == (2, "")
    assert host in done.stderr and "--host" in done.stderr
    assert "Traceback" not in done.stderr


def every_port_is_free_to_use():
    if WINDOWS or os.geteuid() == 0:
        return True
    with open("/proc/sys/net/ipv4/ip_unprivileged_port_start") as file:
        return int(file.read()) <= 80


@pytest.mark.skipif(every_port_is_free_to_use(), reason="every port may be used here: Windows, root, or so configured")
def test_a_privileged_port_exits_2_and_says_what_to_do(backend):
    done = run("serve", "--db", "none", "--port", "80", "--backend", backend)
    assert done.returncode == 2
    assert "privileged" in done.stderr and "1024" in done.stderr


def test_a_backend_that_is_not_here_exits_2_and_says_so():
    missing = next(name for name in ("iocp", "io_uring", "epoll") if name not in iocp.available_backends())
    done = run("serve", "--db", "none", "--port", "0", "--backend", missing)
    assert (done.returncode, done.stdout) == (2, "")
    assert missing in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EACCES, "Permission denied"), ["privileged", "1024"]),
        (OSError(errno.EADDRINUSE, "Address in use"), ["in use", "--port 0"]),
        (OSError(errno.EADDRNOTAVAIL, "Cannot assign"), ["no address of this machine", "0.0.0.0"]),
        (OSError(errno.EMFILE, "Too many"), ["descriptors", "ulimit"]),
        (socket.gaierror(-2, "host 'here' is not known"), ["not known", "--host"]),
        (OSError(errno.EIO, "odd"), ["odd", "here:80"]),
        (RuntimeError("backend x: why"), ["backend x: why"]),
    ],
)
def test_each_reason_not_to_listen_says_what_to_do(error, words):
    text = explain(error, "here", 80)
    assert all(word in text for word in words), text


def test_an_ipv6_address_is_printed_in_brackets():
    assert printed("::1", 80) == "[::1]:80" and printed("127.0.0.1", 80) == "127.0.0.1:80"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["serve", "--port", "65536"], "--port"),
        (["serve", "--port", "x"], "--port"),
        (["serve", "--world", "0"], "--world"),
        (["serve", "--world", "40000"], "--world"),
        (["serve", "--workers", "-1"], "--workers"),
        (["serve", "--sessions-per-address", "-1"], "--sessions-per-address"),
        (["serve", "--backend", "select"], "--backend"),
        (["serve", "--seed", "red"], "--seed"),
        (["serve", "--timed", "--untimed"], "--untimed"),
        (["serve", "--name-encoding", "ebcdic"], "--name-encoding"),
        (["serve", "--frobnicate"], "--frobnicate"),
        (["demo", "--players", "0"], "--players"),
        (["demo", "--seconds", "0"], "--seconds"),
        (["demo", "--seconds", "nan"], "--seconds"),
        (["demo", "--rate", "-1"], "--rate"),
        (["dance"], "COMMAND"),
        ([], "COMMAND"),
    ],
)
def test_wrong_arguments_exit_2_and_name_the_argument(capsys, arguments, named):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_help_has_examples():
    done = run("--help")
    assert done.returncode == 0
    assert "iocp-chess serve --host 0.0.0.0 --show" in done.stdout and "iocp-chess demo" in done.stdout


def test_demo_with_few_players_ends_by_itself_and_finds_nothing_wrong(backend):
    done = run("demo", "--players", "6", "--seconds", "2", "--world", "8", "--rate", "20", "--backend", backend)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert f"backend {backend}" in done.stdout.splitlines()[0]
    assert "logged in   7 of 7" in done.stdout
    assert "sight       right: at the end 7 players saw 42 others within 7 tiles" in done.stdout
    assert "all left    yes" in done.stdout
    assert "violations  0" in done.stdout
    assert "server: exit code 0" in done.stdout and "stopped after" in done.stdout


def test_demo_that_cannot_start_its_server_exits_2():
    missing = next(name for name in ("iocp", "io_uring", "epoll") if name not in iocp.available_backends())
    done = run("demo", "--seconds", "1", "--backend", missing)
    assert done.returncode == 2
    assert missing in done.stderr and "Traceback" not in done.stderr


@pytest.mark.skipif(WINDOWS, reason="no pseudo-terminals there")
def test_demo_on_a_terminal_draws_the_board_until_ctrl_c(backend):
    pytest.importorskip("rich", reason="needs rich (the extra demo)")
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, "demo", "--players", "5", "--seconds", "600", "--world", "8", "--backend", backend],
        stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONUTF8": "1", "COLUMNS": "80", "LINES": "24"},
    )  # fmt: skip
    os.close(theirs)
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    shown = b""
    interrupted = False
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:
            break  # Linux says EIO when the other side is closed.
        if not data:
            break
        shown += data
        if not interrupted and "◉".encode() in shown and b"p5" in shown:
            interrupted = True
            process.send_signal(signal.SIGINT)
    assert process.wait(TIMEOUT) == 0, shown.decode()
    watchdog.cancel()
    os.close(ours)
    text = shown.decode()
    assert "as a watcher sees it" in text and "right: at the end 6 players saw 30 others" in text
    assert text.index("\x1b[?1049l") < text.index("demo of"), "the summary is printed on the normal screen"
