"""`iocp-chess serve` with all it can be told, as a process: players kept, monsters and their scripts, obstacles, metrics."""

from __future__ import annotations

import sqlite3
import time
import urllib.request

import pytest
from chess_client import ChessClient
from commands import TIMEOUT, WINDOWS, interrupt, run, stop
from iocp.game.protocol import Enter, LoginOk, Moved, WorldInfo
from iocp.game.terrain import Terrain
from ports import taken_port

pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy (the extra db)")

pytestmark = pytest.mark.timeout(300)  # a busy Wine takes many seconds to start each process


def walked(server, name, steps):
    """A player who logs in, walks, and leaves cleanly; its client, which knows where it stood."""
    client = ChessClient(server.address)
    client.login(name)
    for direction in steps:
        client.step(direction)
    client.logout()
    client.read_to_end()
    return client


def until_line(server, text):
    """Read standard error until a line has `text`; that line."""
    while text not in (line := server.process.stderr.readline()):
        assert line, f"ended without saying {text!r}"
    return line


def test_players_come_back_where_they_left_after_a_restart(serve, tmp_path):
    database = str(tmp_path / "players.db")
    first = serve("--db", database, "--world", "30")
    anna = walked(first, "anna", [3, 1, 3, 1])
    still_here = ChessClient(first.address)
    still_here.login("홍길동")
    still_here.step(2 if still_here.x else 3)
    code, output, _ = first.end(stop)
    assert code == 0 and "2 records saved, 0 not" in output
    second = serve("--db", database, "--world", "30")
    for before, name in ((anna, "anna"), (still_here, "홍길동")):
        again = ChessClient(second.address)
        answer = again.login(name)
        assert (answer.x, answer.y) == (before.x, before.y)
        again.close()
    assert second.end(stop)[0] == 0
    with sqlite3.connect(database) as connection:
        assert {row[0] for row in connection.execute("select name from player")} == {"anna", "홍길동"}


def test_what_a_killed_server_had_saved_is_there_again(serve, tmp_path):
    database = tmp_path / "players.db"
    first = serve("--db", str(database), "--world", "30")
    anna = walked(first, "anna", [3, 1])
    deadline = time.monotonic() + TIMEOUT
    while True:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as connection:
            if connection.execute("select x, y from player where name = 'anna'").fetchall() == [(anna.x, anna.y)]:
                break
        assert time.monotonic() < deadline, "was not saved while the server ran"
        time.sleep(0.05)
    first.process.kill()
    first.process.communicate()
    second = serve("--db", str(database), "--world", "30")
    answer = ChessClient(second.address).login("anna")
    assert (answer.x, answer.y) == (anna.x, anna.y)
    assert second.end(stop)[0] == 0


def test_players_are_kept_in_the_working_directory_unless_told_otherwise(backend, tmp_path):
    done = run("serve", "--port", "0", "--backend", backend, "--until-eof", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "chess.sqlite").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--db", "{tmp}/missing/players.db"], "missing"),
        (["--db", "{tmp}/text.db"], "text.db"),
        (["--db", "nonsense://host/x"], "nonsense"),
        (["--map", "{tmp}/missing.txt"], "missing.txt"),
        (["--map", "{tmp}/text.db"], "text.db"),
        (["--npcs", "5", "--scripts", "{tmp}"], "no script"),
        (["--npcs", "5", "--scripts", "{tmp}/broken"], "broken.py, line 1"),
    ],
)
def test_what_cannot_be_read_exits_2_and_says_what(backend, tmp_path, arguments, says):
    (tmp_path / "text.db").write_text("this is neither a map nor a database\n" * 100)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "broken.py").write_text("def step(me) pass\n")
    arguments = [argument.replace("{tmp}", str(tmp_path)) for argument in arguments]
    if "--db" not in arguments:
        arguments += ["--db", "none"]
    done = run("serve", "--port", "0", "--backend", backend, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert says in done.stderr and "Traceback" not in done.stderr


def test_the_same_obstacles_are_on_server_and_client(serve):
    server = serve("--world", "40", "--obstacles", "20", "--seed", "12", "--move-interval", "0")
    anna = ChessClient(server.address)
    anna.login("anna", 2)
    info = anna.read()
    assert isinstance(info, WorldInfo)
    terrain = Terrain.seeded(info.size, info.seed, info.percent)
    assert terrain.checksum == info.checksum
    refused = 0
    for number in range(200):
        before, direction = (anna.x, anna.y), (number * 7 // 3) % 4
        dx, dy = ((0, -1), (0, 1), (-1, 0), (1, 0))[direction]
        there = (before[0] + dx, before[1] + dy)
        anna.step(direction)
        assert (anna.x, anna.y) == (there if terrain.is_open(*there) else before)
        refused += (anna.x, anna.y) == before
    code, output, _ = server.end(stop)
    assert code == 0 and refused and "refused" in output


@pytest.mark.parametrize("kind", ["png", "txt"])
def test_a_map_file_decides_size_and_obstacles(serve, tmp_path, kind):
    terrain = Terrain.seeded(20, 3, 25)
    path = tmp_path / f"map.{kind}"
    if kind == "png":
        pytest.importorskip("PIL", reason="needs Pillow (the extra map)")
        terrain.save_png(path)
    else:
        path.write_text(terrain.to_text())
    server = serve("--map", str(path))
    assert "world 20x20" in server.first_line
    anna = ChessClient(server.address)
    anna.login("anna", 2)
    assert anna.read() == WorldInfo(20, 7, 255, 0, terrain.checksum)
    assert server.end(stop)[0] == 0


SLOW = "SECONDS = 0.1\ndef step(me): me.say('before')\n"


def test_a_script_that_changes_is_read_again_while_the_server_runs(serve, tmp_path):
    script = tmp_path / "bird.py"
    script.write_text("O_TYPE = 9\n" + SLOW)
    server = serve("--world", "12", "--npcs", "3", "--scripts", str(tmp_path), "--view", "12")
    assert "3 monsters" in server.first_line
    anna = ChessClient(server.address)
    anna.login("anna", 1)
    birds = [anna.read() for _ in range(3)]
    assert all(isinstance(bird, Enter) and bird.o_type == 9 and bird.name.startswith(b"bird\0") for bird in birds)

    def hears(text):
        while getattr(anna.read(), "text", None) != text:
            pass

    hears("before")
    script.write_text("O_TYPE = 9\n" + SLOW.replace("before", "afterwards"))
    hears("afterwards")
    script.write_text("def step(me): this is no Python\n")
    # Not the first line that says so: whoever looks between the file's being emptied and written finds no script in it either.
    assert "do as before" in until_line(server, "bird.py, line 1")
    hears("afterwards")
    script.write_text("def step(me): me.no_such_thing()\n")
    until_line(server, "failed")
    script.write_text("O_TYPE = 9\n" + SLOW.replace("before", "again"))
    hears("again")
    assert server.end(stop)[0] == 0


def test_metrics_are_served_in_prometheus_format(serve):
    pytest.importorskip("prometheus_client", reason="needs prometheus-client (the extra metrics)")
    server = serve("--metrics", "0", "--world", "30", "--npcs", "50")
    where = until_line(server, "metrics on").split()[-1]
    anna, eve = ChessClient(server.address), ChessClient(server.address)
    anna.login("anna")
    eve.send(b"\x02\x4d")
    assert eve.read_to_end() == []
    anna.step(-1)

    def page():
        with urllib.request.urlopen(where, timeout=TIMEOUT) as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            lines = answer.read().decode().splitlines()
        return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))

    deadline = time.monotonic() + TIMEOUT
    # A reason that nobody had yet is not in the list.
    while float((values := page()).get('iocp_chess_ended_total{reason="protocol"}', 0)) != 1:
        assert time.monotonic() < deadline
    assert float(values["iocp_chess_players"]) == 1
    assert float(values["iocp_chess_logins_total"]) == 1
    assert float(values['iocp_chess_refused_total{cause="no direction"}']) == 1
    assert float(values['iocp_chess_violations_total{kind="unknown type"}']) == 1
    states = [float(values[f'iocp_chess_monsters{{state="{state}"}}']) for state in ("awake", "asleep", "dead")]
    assert sum(states) == 50
    assert float(values["iocp_chess_accepted_total"]) == 2
    assert server.end(stop)[0] == 0


def test_a_metrics_port_in_use_exits_2(backend):
    pytest.importorskip("prometheus_client", reason="needs prometheus-client (the extra metrics)")
    with taken_port() as port:
        done = run("serve", "--port", "0", "--db", "none", "--backend", backend, "--metrics", str(port))
    assert done.returncode == 2
    assert f"127.0.0.1:{port}" in done.stderr and "--metrics" in done.stderr and "Traceback" not in done.stderr


def test_status_lines_tell_how_it_is(serve, tmp_path):
    server = serve("--status", "0.2", "--world", "30", "--npcs", "20", "--db", str(tmp_path / "players.db"))
    anna = ChessClient(server.address)
    anna.login("anna")
    line = until_line(server, "players 1 ")
    for part in ("awake", "of 20", "moves/s", "tick lag", "cuts: none"):
        assert part in line
    assert server.end(stop)[0] == 0


def test_no_more_players_than_allowed(serve):
    server = serve("--players", "1")
    anna, ben = ChessClient(server.address), ChessClient(server.address)
    assert isinstance(anna.login("anna"), LoginOk)
    ben.send(b"\x0c\x00ben" + bytes(7))
    assert ben.read_to_end() == []
    assert isinstance(anna.step(-1)[1], Moved)
    assert server.end(stop)[0] == 0


@pytest.mark.skipif(WINDOWS, reason="nothing there sends a Ctrl-C to one process; the storage's own test does without")
def test_second_ctrl_c_in_the_last_save_ends_it_at_once_and_says_what_is_not_saved(serve, tmp_path):
    database = tmp_path / "players.db"
    server = serve("--db", str(database), "--world", "30")
    anna = ChessClient(server.address)
    anna.login("anna")
    other = sqlite3.connect(database, isolation_level=None)
    other.execute("begin immediate")  # the server's commits wait
    interrupt(server.process)
    anna.read_to_end()
    anna.close()
    rescued = tmp_path / "players.db-unsaved.jsonl"
    # The system may stop the server before Python has looked at the first one, and Python takes two that come together for one. It
    # would wait for the database for 5 seconds; one in a hurry writes the file of those who are not saved. A third one then would
    # come in the middle of its end.
    interrupt(server.process)
    soon = time.monotonic() + 2
    while server.process.poll() is None and not rescued.exists() and time.monotonic() < soon:
        time.sleep(0.01)
    taken = server.process.poll() is not None or rescued.exists()
    code, output, errors = server.end((lambda process: None) if taken else interrupt)
    other.rollback()
    other.close()
    assert code == 130, errors
    assert "Traceback" not in errors
    assert "iocp-chess: interrupted: 1 player not saved" in errors
    assert str(rescued) in errors
    assert "anna" in rescued.read_text(encoding="utf-8")
    again = serve("--db", str(database), "--world", "30")
    answer = ChessClient(again.address).login("anna")
    assert (answer.x, answer.y) == (anna.x, anna.y)
    assert again.end(stop)[0] == 0
