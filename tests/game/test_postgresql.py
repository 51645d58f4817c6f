"""Players in PostgreSQL: a real server, which the tests start, kill and start again."""

from __future__ import annotations

import threading
import time

import pytest
from chess_client import ChessClient, inwards
from commands import stop
from iocp.game.protocol import Moved
from postgresql import PASSWORD, TIMEOUT, postgresql  # noqa: F401
from storages import begin, file, many, record, refused, save_all, sqlalchemy, until  # noqa: F401

from iocp.game import saver as saver_module


@pytest.fixture
def server(postgresql):  # noqa: F811
    yield postgresql
    postgresql.start()


def test_players_are_there_in_the_next_run(server, begin):
    url = server.create()
    players = {name: record(name, 7) for name in ("anna", "Anna", "체스왕", "a'b\";--", "é", "🂡")}
    first = begin(url)
    assert first.records == {}
    save_all(first, players)
    assert first.stop() == 0
    second = begin(url)
    assert second.records == players
    second.save(record("anna", 8))
    assert second.stop() == 0
    assert begin(url).records == players | {"anna": record("anna", 8)}


def test_ten_thousand_players_in_one_flush(server, begin):
    url = server.create()
    storage = begin(url)
    players = many(10_000)
    save_all(storage, players)
    assert storage.flush(TIMEOUT)
    assert storage.status().saved == 10_000
    assert server.execute("SELECT count(*), count(DISTINCT updated) FROM player", url) == [(10_000, 1)], "one transaction"
    assert storage.stop() == 0
    assert begin(url).records == players


def test_a_server_killed_and_back_has_everything(server, begin, caplog):
    url = server.create()
    storage = begin(url)
    players = many(200)
    save_all(storage, players)
    assert storage.flush(TIMEOUT)
    server.stop()
    later = many(100, exp=1) | {"late": record("late")}
    save_all(storage, later)
    assert not storage.flush(TIMEOUT)
    assert not storage.flush(TIMEOUT)
    status = storage.status()
    assert (status.ok, status.pending, status.failures) == (False, 101, 2) and status.problem
    server.start()
    storage.save(record("last"))
    assert storage.flush(TIMEOUT)
    assert storage.status().ok and storage.status().pending == 0
    assert server.execute("SELECT sum(exp), count(*) FROM player", url) == [(100, 202)]
    told = [line.getMessage() for line in caplog.records]
    assert len(told) == 2 and "cannot save" in told[0] and "is back" in told[1] and "102 players" in told[1], told
    assert PASSWORD not in caplog.text + status.problem
    assert storage.stop() == 0
    assert begin(url).records == players | later | {"last": record("last")}


def test_it_comes_back_by_itself(server, begin):
    url = server.create()
    storage = begin(url, every=0.02, retry=0.02)
    server.stop()
    storage.save(record())
    until(lambda: storage.status().failures > 0)
    server.start()
    until(lambda: storage.status().pending == 0)
    assert server.execute("SELECT name FROM player", url) == [("anna",)]


def test_a_server_killed_in_the_middle_of_a_commit_loses_nothing(server, begin):
    url = server.create()
    storage = begin(url)
    other = server.connect(url)
    other.execute("BEGIN")
    other.execute("LOCK TABLE player IN EXCLUSIVE MODE")
    save_all(storage, many(50))
    storage.flush(0)
    until(lambda: server.execute("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"))
    # The commit waits for the other's lock; the game goes on.
    storage.save(record("p0", 9))
    assert storage.status().pending == 50
    server.stop()
    other.close()
    until(lambda: storage.status().failures == 1)
    server.start()
    assert storage.flush(TIMEOUT)
    assert storage.stop() == 0
    assert begin(url).records == many(50) | {"p0": record("p0", 9)}


def test_a_server_that_is_away_at_stop_leaves_a_rescue_file_for_the_next_run(server, begin, tmp_path):
    url = server.create()
    storage = begin(url)
    storage.save(record("anna", 1))
    assert storage.flush(TIMEOUT)
    server.stop()
    storage.save(record("anna", 2))
    storage.save(record("체스왕"))
    assert storage.stop() == 2
    text = (tmp_path / "unsaved.jsonl").read_text()
    assert PASSWORD not in text
    assert "start the database" in refused(url, rescue=tmp_path / "unsaved.jsonl")
    server.start()
    assert begin(url).records == {"anna": record("anna", 2), "체스왕": record("체스왕")}
    assert not (tmp_path / "unsaved.jsonl").exists()
    assert server.execute("SELECT exp FROM player ORDER BY exp", url) == [(0,), (2,)]


def test_another_databases_rescue_file_is_not_taken_in(server, begin, tmp_path):
    url = server.create()
    storage = begin(url)
    storage.save(record())
    server.stop()
    assert storage.stop() == 1
    server.start()
    other = server.create()
    assert "unsaved.jsonl" in refused(other, rescue=tmp_path / "unsaved.jsonl")
    assert server.execute("SELECT * FROM player", other) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong@/%?:one"}, ["password authentication failed", "***"]),
        ({"user": "nobody-there"}, ["nobody-there"]),
        ({"database": "missing"}, ["missing", "does not exist"]),
    ],
)
def test_a_wrong_url_says_what_is_wrong_without_the_password(server, tmp_path, change, words):
    message = refused(server.url(**{"database": "postgres", **change}))
    assert all(word in message for word in words), message
    assert PASSWORD not in message and "wrong@" not in message and "Traceback" not in message


@pytest.mark.parametrize("rights", ["SELECT", "SELECT, INSERT", "SELECT, UPDATE"])
def test_a_user_who_may_not_write_is_found_out_at_start(server, begin, rights):
    url = server.create()
    assert begin(url).stop() == 0
    server.execute("DROP ROLE IF EXISTS reader")
    server.execute("CREATE ROLE reader LOGIN PASSWORD 'reads'")
    server.execute(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO reader", url)
    reader = sqlalchemy.make_url(url).set(username="reader", password="reads")
    message = refused(reader.render_as_string(hide_password=False))
    server.execute("DROP OWNED BY reader", url)
    assert "permission denied" in message and "rights" in message


def test_a_second_server_is_refused_until_the_first_has_stopped(server, begin, monkeypatch, tmp_path):
    url = server.create()
    first = begin(url)
    with monkeypatch.context() as patch:
        patch.setattr(saver_module, "CLAIM_SECONDS", 0.0)
        assert "another server" in refused(url)
        server.execute("CREATE SCHEMA other", url)
        # Another schema is another table.
        assert begin(f"{url}&options=-csearch_path%3Dother").stop() == 0
    # It waits a moment for the one before it.
    monkeypatch.setattr(saver_module, "CLAIM_SECONDS", TIMEOUT)
    waits = threading.Event()
    sleep = time.sleep
    monkeypatch.setattr(saver_module.time, "sleep", lambda seconds: (waits.set(), sleep(seconds)))
    second = []
    thread = threading.Thread(target=lambda: second.append(begin(url)))
    thread.start()
    assert waits.wait(TIMEOUT)
    assert first.stop() == 0
    thread.join(TIMEOUT)
    assert len(second) == 1


def test_a_database_that_is_not_in_utf8_is_refused(server, tmp_path):
    message = refused(server.create("ENCODING 'LATIN1' TEMPLATE template0"))
    assert "LATIN1" in message and "createdb" in message


def test_a_table_of_another_shape_is_left_alone(server, tmp_path):
    url = server.create()
    server.execute("CREATE TABLE player (name text PRIMARY KEY, x int, y int, hp text, level int, exp bigint)", url)
    message = refused(url)
    assert "another shape" in message and "hp, updated" in message
    assert server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", url) == [("player",)]


def test_a_player_that_the_database_refuses_does_not_hold_up_the_others(server, begin, caplog):
    url = server.create()
    storage = begin(url)
    server.execute("ALTER TABLE player ADD CHECK (exp < 1000)", url)
    save_all(storage, many(50))
    storage.save(record("p7", 1000))
    assert not storage.flush(TIMEOUT)
    status = storage.status()
    assert not status.ok and "'p7'" in status.problem and status.pending == 1
    assert server.execute("SELECT count(*) FROM player", url) == [(49,)]
    storage.flush(TIMEOUT)
    assert len([line for line in caplog.records if "refuses player" in line.getMessage()]) == 1
    server.execute("ALTER TABLE player DROP CONSTRAINT player_exp_check", url)
    assert storage.flush(TIMEOUT)
    assert storage.status().ok
    assert storage.stop() == 0
    assert begin(url).records == many(50) | {"p7": record("p7", 1000)}


def test_rows_that_no_player_can_have_are_left_as_they_are(server, begin, caplog):
    url = server.create()
    assert begin(url).stop() == 0
    server.execute("INSERT INTO player VALUES ('anna', 1, 1, 40000, 1, 0, now()), ('good', 3, 4, 100, 1, 0, now())", url)
    storage = begin(url)
    assert storage.records == {"good": record("good")}
    assert "hp must be between 0 and 32767" in caplog.text and "'anna'" in caplog.text
    assert storage.stop() == 0
    assert server.execute("SELECT hp FROM player WHERE name = 'anna'", url) == [(40000,)]


@pytest.mark.timeout(300)
def test_a_game_goes_on_while_its_database_is_dead_and_loses_nothing(server, serve, tmp_path):
    url = server.create()
    game = serve("--db", url, "--world", "30", "--status", "0.2")
    anna = ChessClient(game.address)
    anna.login("anna")
    server.stop()
    for _ in range(5):
        anna.step(2 if anna.x else 3)
    anna.logout()
    anna.read_to_end()
    ben = ChessClient(game.address)
    ben.login("ben")
    line = ""
    while "DATABASE" not in line:
        line = game.process.stderr.readline()
        assert line, "ended without a word of the database"
    direction, x, y = inwards(ben)
    assert ben.step(direction)[1] == Moved(ben.id, x, y, 0), "the game goes on"
    server.start()
    # It is tried again within seconds; the stop waits for it too.
    while "DATABASE" in line:
        line = game.process.stderr.readline()
        assert line, "ended without the database"
        line = "DATABASE" if "players" not in line else line
    code, output, _ = game.end(stop)
    assert code == 0 and "records saved, 0 not" in output
    assert dict(row[:2] for row in server.execute("select name, (x, y)::text from player", url)) == {
        "anna": f"({anna.x},{anna.y})",
        "ben": f"({ben.x},{ben.y})",
    }
