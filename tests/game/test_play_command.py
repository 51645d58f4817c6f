"""`iocp-chess play` and `watch` as real processes: pictures without a screen, text, and what they say when they cannot start."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from chess_client import ChessClient
from commands import COMMAND, TIMEOUT, WINDOWS, run
from iocp.game.cli import main
from iocp.game.play import looks
from iocp.game.play.camera import Camera
from iocp.game.protocol import O_PLAYER, Enter, Leave

pytestmark = pytest.mark.timeout(300)  # a busy Wine takes many seconds to start each process

NO_SCREEN = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "XDG_RUNTIME_DIR")}
PAGE = Path(__file__).parents[2] / "docs" / "play.md"
UTF8 = {**NO_SCREEN, "PYTHONUTF8": "1"}
"""So that what is printed comes as it was meant, also where consoles know less."""


def needs_pygame():
    return pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")


def client(command, server, *arguments, **options):
    return run(command, "--host", server.address[0], "--port", str(server.address[1]), *arguments, **options)


def test_shot_draws_what_is_in_sight_without_a_screen(serve, backend, tmp_path):
    needs_pygame()
    image = pytest.importorskip("PIL.Image", reason="needs Pillow")
    server = serve("--world", "20", "--view", "20")
    others = [ChessClient(server.address) for _ in range(12)]
    for number, other in enumerate(others):
        other.login(f"p{number}")
    file = tmp_path / "board.png"
    done = client("play", server, "--name", "홍길동", "--backend", backend, "--shot", str(file), "--frames", "10", env=NO_SCREEN)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    # The client is gone once the others have been told so, which its own end does not say: whoever comes now is told where they stand.
    while not isinstance(others[0].read(), Leave):
        pass
    eve = ChessClient(server.address)
    eve.login("eve")
    standing = {}
    for packet in eve.seen():
        if isinstance(packet, Enter) and packet.o_type == O_PLAYER:
            standing.setdefault((packet.x, packet.y), []).append(packet.id)
    assert sum(map(len, standing.values())) == 12
    with image.open(file) as picture:
        assert picture.format == "PNG" and picture.size == (1100, 800)
        shot = picture.convert("RGB")
    # 20 x 20 tiles, all of the board.
    camera = Camera(0, 0, 800, 20, 0, 0, 20)
    mine = []
    for x in range(20):
        for y in range(20):
            colour, ids = shot.getpixel(camera.middle(x, y)), standing.get((x, y), [])
            if colour == looks.ME:
                mine.append((x, y))
            elif len(ids) == 1:
                assert colour == looks.PLAYERS[ids[0] % len(looks.PLAYERS)], (x, y)
            elif not ids:
                assert colour == (looks.LIGHT, looks.DARK)[(x + y) % 2], (x, y)
    assert len(mine) == 1
    for other in [*others, eve]:
        other.close()


def test_film_writes_every_frame(serve, tmp_path):
    needs_pygame()
    server = serve("--world", "20")
    folder = tmp_path / "film" / "of" / "anna"
    done = client("play", server, "--name", "anna", "--film", str(folder), "--frames", "5", "--size", "640x400", env=NO_SCREEN)
    assert done.returncode == 0, done.stderr
    assert sorted(file.name for file in folder.iterdir()) == [f"frame-{number:05}.png" for number in range(1, 6)]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in folder.iterdir())


@pytest.mark.parametrize("command", [["play", "--shot", "x.png"], ["watch"]], ids=["play", "watch"])
def test_no_server_exits_2_and_says_how_to_start_one(closed_port, command, tmp_path):
    if command[0] == "play":
        needs_pygame()
    done = run(*command, "--port", str(closed_port), "--name", "anna", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"no server at 127.0.0.1:{closed_port}: start one with iocp-chess serve --port {closed_port}" in done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [["play", "--shot", "x.png"], ["watch"]], ids=["play", "watch"])
def test_a_full_server_exits_2_and_says_so(serve, command, tmp_path):
    if command[0] == "play":
        needs_pygame()
    server = serve("--players", "1")
    first = ChessClient(server.address)
    first.login("first")
    done = client(*command[:1], server, *command[1:], "--name", "anna", cwd=tmp_path)
    assert done.returncode == 2 and "is full" in done.stderr and "Traceback" not in done.stderr
    first.close()


@pytest.mark.parametrize("command", ["play", "watch"])
def test_a_wrong_name_exits_2_and_names_the_argument(command, tmp_path):
    more = ["--shot", str(tmp_path / "x.png")] if command == "play" else []
    if more:
        needs_pygame()
    for name, why in (("much too long", "10 at most"), ("", "is empty")):
        done = run(command, "--name", name, *more)
        assert done.returncode == 2 and "--name" in done.stderr and why in done.stderr


@pytest.mark.parametrize("command", ["play", "watch"])
def test_a_korean_name_that_is_too_long_is_said_as_it_was_typed_and_how_many_syllables_fit(command, tmp_path):
    more = ["--shot", str(tmp_path / "x.png")] if command == "play" else []
    if more:
        needs_pygame()
    done = run(command, "--name", "홍길동전사", *more, env=UTF8)
    assert done.returncode == 2
    assert "--name: name '홍길동전사' takes 15 bytes, 10 at most" in done.stderr
    assert "three syllables in UTF-8; five with --name-encoding cp949" in done.stderr
    done = run(command, "--name", "홍길동전사가", "--name-encoding", "cp949", *more, env=UTF8)
    assert "'홍길동전사가' takes 12 bytes, 10 at most (five syllables)" in done.stderr
    done = run(command, "--name", "much too long", *more, env=UTF8)
    assert "10 at most\n" in done.stderr, "nothing of syllables"
    done = run(command, "--name", "a\u202eb\x1b", *more, env=UTF8)
    assert r"'a\u202eb\x1b'" in done.stderr, "what a terminal would obey is escaped"


@pytest.mark.parametrize(("its", "ours"), [("cp949", "utf-8"), ("utf-8", "cp949")])
def test_a_name_in_another_encoding_than_the_servers_is_told_the_option(serve, its, ours):
    server = serve("--name-encoding", its)
    done = client("watch", server, "--name", "홍길동", "--name-encoding", ours, env=UTF8)
    assert done.returncode == 2 and "'홍길동'" in done.stderr
    assert done.stderr.rstrip().endswith(f"--name-encoding {its}"), done.stderr


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a screen there")
def test_a_video_driver_that_is_empty_is_none_given(serve):
    needs_pygame()
    done = client("play", serve(), "--name", "anna", env={**NO_SCREEN, "SDL_VIDEODRIVER": ""})
    assert done.returncode == 2 and "no screen" in done.stderr and "windows not available" not in done.stderr


FRAMES_AFTER_THE_LOSS = """
import os, sys
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"
from iocp.game import cli
from iocp.game.play import connection, film

lost = []
lose, take = connection.Connection._lose, film.Pictures.take
connection.Connection._lose = lambda self, why: lost.append(why) or lose(self, why)
film.Pictures.take = lambda self, surface: bool(lost) and take(self, surface)
sys.exit(cli.main())
"""
"""Frames count from the loss of the connection on, so that it comes before the last one, whenever it comes."""


@pytest.mark.parametrize("kind", ["--shot", "--film"])
def test_pictures_of_a_server_that_died_meanwhile_end_with_1_and_say_so(serve, tmp_path, kind):
    needs_pygame()
    server = serve("--world", "8")
    ben = ChessClient(server.address)
    ben.login("ben")
    process = subprocess.Popen(
        [sys.executable, "-c", FRAMES_AFTER_THE_LOSS, "play", "--port", str(server.address[1]), "--name", "anna", kind, "x.png",
         "--frames", "20"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=NO_SCREEN,
    )  # fmt: skip
    assert isinstance(ben.read(), Enter)
    server.process.kill()
    server.process.communicate()
    output, errors = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, output) == (1, ""), errors
    assert f"127.0.0.1:{server.address[1]}" in errors and "Traceback" not in errors
    assert (tmp_path / "x.png").exists(), "the pictures are there all the same"
    ben.close()


TIME_UNTIL_EOF = """
import os, sys, threading, time
from iocp.game import cli
from iocp.game.play import watch

def perf_counter():
    return clock() + (0.0 if reader.is_alive() else 1e6)

clock, reader = time.perf_counter, threading.Thread(target=os.read, args=(0, 1), daemon=True)
reader.start()
sys.modules[watch.__name__].time = type("Time", (), {"perf_counter": staticmethod(perf_counter)})
sys.exit(cli.main())
"""
"""The time of `--seconds` is over when standard input ends, so that what is to happen before that happens before that."""


def watching(server, name="anna"):
    """`watch` under way, until its standard input ends."""
    return subprocess.Popen(
        [sys.executable, "-c", TIME_UNTIL_EOF, "watch", "--port", str(server.address[1]), "--name", name, "--seconds", "100000"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def line_with(process, text):
    """The next line that has it."""
    while text not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    return line


def test_watch_that_ends_without_a_server_ends_with_1_and_says_so(serve):
    server = serve("--world", "8")
    ben = ChessClient(server.address)
    ben.login("ben")
    process = watching(server)
    assert isinstance(ben.read(), Enter)
    server.process.kill()
    server.process.communicate()
    line_with(process, "trying again")
    _, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1 and f"127.0.0.1:{server.address[1]}" in errors, errors
    ben.close()


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="there is always a screen there")
def test_no_screen_exits_2_and_says_what_there_is_instead(serve):
    needs_pygame()
    done = client("play", serve(), "--name", "anna", env=NO_SCREEN)
    assert done.returncode == 2
    assert [line[:11] for line in done.stderr.splitlines()] == ["iocp-chess:"], "SDL and what is below it say nothing of their own"
    assert "no screen" in done.stderr and "iocp-chess watch" in done.stderr and "--shot" in done.stderr


def test_without_pygame_the_command_to_install_it_is_named(tmp_path):
    program = "import sys; sys.modules['pygame'] = None; from iocp.game.cli import main; sys.exit(main(['play', '--name', 'anna']))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'pyiocp[play]'" in done.stderr and "Traceback" not in done.stderr


def test_without_pygame_the_text_client_and_the_model_work(serve):
    server = serve("--world", "20")
    program = (
        "import sys; sys.modules['pygame'] = None; from iocp.game.cli import main; "
        f"sys.exit(main(['watch', '--name', 'anna', '--seconds', '2', '--port', '{server.address[1]}']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "HP 100/100" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["play", "--frames", "5"], "--frames"),
        (["play", "--shot", "a.png", "--frames", "0"], "--frames"),
        (["play", "--shot", "a.png", "--frames", "x"], "--frames"),
        (["play", "--shot"], "--shot"),
        (["play", "--film"], "--film"),
        (["play", "--shot", "a", "--film", "a"], "--film"),
        (["play", "--size", "9x9"], "--size"),
        (["play", "--size", "big"], "--size"),
        (["play", "--port", "0"], "--port"),
        (["play", "--name-encoding", "ebcdic"], "--name-encoding"),
        (["watch", "--seconds", "nan"], "--seconds"),
        (["watch", "--shot", "a.png"], "--shot"),
    ],
)
def test_wrong_arguments_exit_2_and_name_the_argument(capsys, arguments, named):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert named in capsys.readouterr().err.splitlines()[-1]


def test_pictures_that_cannot_be_written_and_fonts_that_are_none_exit_2(serve, tmp_path):
    needs_pygame()
    server = serve("--world", "20")
    text = tmp_path / "a-file"
    text.write_text("no font")
    for arguments in (["--shot", str(tmp_path / "nowhere" / "x.png")], ["--film", str(text)], ["--shot", str(tmp_path)],
                      ["--shot", str(tmp_path / "x.png"), "--font", str(text)]):  # fmt: skip
        done = client("play", server, "--name", "anna", "--frames", "1", *arguments, env=NO_SCREEN)
        assert done.returncode == 2, arguments
        assert arguments[-2] in done.stderr and arguments[-1] in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "file",
    [
        "x" * 300 + ".png",
        str(Path("no-such-folder", "x.png")),
        pytest.param("/proc/x.png", marks=pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that takes no files")),
    ],
    ids=["a name that is too long", "no folder", "a folder that takes none"],
)
def test_a_picture_that_cannot_be_is_told_before_anybody_connects(closed_port, file, tmp_path):
    needs_pygame()
    done = run("play", "--port", str(closed_port), "--name", "anna", "--shot", file, cwd=tmp_path, env=NO_SCREEN)
    assert done.returncode == 2 and f"--shot {file}: " in done.stderr and "no server" not in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_picture_that_is_there_is_kept_until_there_is_another(closed_port, tmp_path):
    needs_pygame()
    picture = tmp_path / "x.png"
    picture.write_bytes(b"before")
    done = run("play", "--port", str(closed_port), "--name", "anna", "--shot", str(picture), env=NO_SCREEN)
    assert done.returncode == 2 and "no server" in done.stderr and picture.read_bytes() == b"before"


@pytest.mark.parametrize("command", ["play", "watch"])
def test_a_map_file_that_is_none_exits_2_whether_the_server_has_one_or_not(serve, command, tmp_path):
    more = ["--shot", str(tmp_path / "x.png"), "--frames", "2"] if command == "play" else ["--seconds", "1"]
    if command == "play":
        needs_pygame()
    missing, wrong = tmp_path / "missing.txt", tmp_path / "wrong.txt"
    wrong.write_text("no map")
    server = serve("--world", "8")
    for file in (missing, wrong):
        done = client(command, server, "--name", "anna", "--map", str(file), *more, env=NO_SCREEN)
        assert done.returncode == 2 and f"--map {file}" in done.stderr and "Traceback" not in done.stderr


def test_help_of_both_names_their_options():
    assert "--shot" in run("play", "--help").stdout and "--seconds" in run("watch", "--help").stdout
    top = run("--help").stdout
    assert "iocp-chess play --name anna" in top and "iocp-chess watch" in top
    assert top.isascii(), "a console of Windows may know no more"


@pytest.mark.skipif(not PAGE.exists(), reason="no documentation here")
def test_the_page_on_playing_names_every_option():
    page = PAGE.read_text(encoding="utf-8")
    table = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `--")]
    assert set(re.findall(r"--[a-z-]+", "".join(table))) == options_of("play")
    of_watch = page[page.index("`watch` takes") :].partition(".")[0]
    assert set(re.findall(r"--[a-z-]+", of_watch)) == options_of("watch")


def options_of(command):
    return set(re.findall(r"^  (--[a-z-]+)", run(command, "--help").stdout, re.MULTILINE))


@pytest.mark.skipif(WINDOWS, reason="SIGINT from outside there is Ctrl-Break, tested with serve")
@pytest.mark.parametrize("command", [["play", "--shot", "x.png", "--frames", "100000"], ["watch"]], ids=["play", "watch"])
def test_ctrl_c_ends_it_at_once_and_the_player_is_gone(serve, command, tmp_path):
    if command[0] == "play":
        needs_pygame()
    server = serve("--world", "8")
    ben = ChessClient(server.address)
    ben.login("ben")
    process = subprocess.Popen(
        [*COMMAND, *command, "--port", str(server.address[1]), "--name", "anna"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=NO_SCREEN,
    )  # fmt: skip
    assert isinstance(ben.read(), Enter)
    process.send_signal(signal.SIGINT)
    # At once: the frames would take most of an hour.
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "Traceback" not in errors, errors
    while type(ben.read()).__name__ != "Leave":
        pass
    ben.close()


def test_watch_without_a_terminal_prints_lines(serve):
    server = serve("--world", "20", "--npcs", "30", "--view", "20")
    ben = ChessClient(server.address)
    ben.login("ben")
    process = watching(server, "홍길동")
    # In the first one the round trip need not be known.
    line = line_with(process, " ms ")
    assert "players 1 in sight" in line and "monsters 30 in sight" in line and "HP " in line
    _, errors = process.communicate(timeout=TIMEOUT)
    # Whoever waits for a slow server for more than a second is told so.
    assert (process.returncode, errors.replace(f"connecting to 127.0.0.1:{server.address[1]} ...\n", "")) == (0, "")
    ben.close()


def test_watch_ends_with_1_when_somebody_else_logs_in_under_the_name(serve):
    server = serve("--world", "8")
    ben = ChessClient(server.address)
    ben.login("ben")
    process = watching(server)
    assert isinstance(ben.read(), Enter)
    thief = ChessClient(server.address)
    thief.login("anna")
    process.wait(TIMEOUT)  # communicate() would end its time
    output, errors = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1 and "somebody else has logged in as anna" in errors
    ben.close(), thief.close()


def test_watch_draws_the_tiles_around_the_player(serve, backend):
    pytest.importorskip("rich", reason="needs rich (the extra play)")
    from io import StringIO

    from iocp.game.board import draw
    from iocp.game.play.watch import scene
    from play_client import Client
    from rich.console import Console

    server = serve("--world", "60", "--obstacles", "15", "--npcs", "400", "--seed", "3")
    anna = Client(server.address, "anna", backend=backend).arrive()
    model = anna.model
    out = StringIO()
    Console(file=out, width=100, height=30, legacy_windows=False, color_system="truecolor", force_terminal=True).print(
        draw(scene(anna.connection, model, time.perf_counter()), 100, 30)
    )
    from rich.text import Text

    lines = [Text.from_ansi(line) for line in out.getvalue().splitlines()]
    me, tile = model.me, 2
    standing = {(piece.x, piece.y): piece for piece in model.others.values()}
    found = 0
    for x in range(me.x - 7, me.x + 8):
        for y in range(me.y - 7, me.y + 8):
            column, row = (x - me.x + 7) * 2 * tile, (y - me.y + 7) * tile
            cell = lines[row].plain[column : column + 2 * tile]
            if (x, y) == (me.x, me.y):
                assert "◉" in cell or (x, y) in standing  # A monster that stands there as well is drawn above.
            elif (x, y) in standing:
                assert cell.strip()[0] == "mcsgw"[standing[x, y].o_type], (x, y)
                found += 1
            else:
                assert not cell.strip(), (x, y)
    assert found >= 5 and "anna" in out.getvalue() and "round trip" in out.getvalue()
    anna.stop()
