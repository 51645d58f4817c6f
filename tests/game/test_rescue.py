"""Players whom the database would not take: in a file until it does, also when the game is killed."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from storages import TIMEOUT, Held, Outage, begin, file, many, record, refused, rows, save_all  # noqa: F401

from iocp.game import rescue as rescue_module
from iocp.game import saver as saver_module
from iocp.game import storage as storage_module
from iocp.game.rescue import RescueFile, StorageError

def test_what_could_not_be_saved_at_stop_is_saved_by_the_next_run(begin, file, caplog):
    storage = begin()
    save_all(storage, many(3))
    assert storage.flush()
    Outage(storage)
    unsaved = many(2, exp=5) | {"체스왕": record("체스왕")}
    save_all(storage, unsaved)
    assert storage.stop() == 3 and storage.stop() == 3
    path = Path(f"{file}-unsaved.jsonl")
    assert str(path) in caplog.text and "the next start saves them" in caplog.text
    assert len(path.read_text(encoding="utf-8").splitlines()) == 4
    assert begin().records == many(3) | unsaved
    assert not path.exists() and not path.with_name(path.name + ".part").exists()
    assert dict(rows(file)) == {"p0": 5, "p1": 5, "p2": 0, "체스왕": 0}


def test_a_writer_that_hangs_at_stop_is_left_behind_and_its_players_are_rescued(begin, file, tmp_path):
    path = tmp_path / "elsewhere.jsonl"
    storage = begin(rescue=path)
    held = Held(storage)
    save_all(storage, {"anna": record("anna", 1), "early": record("early")})
    storage.flush(0)
    assert held.reached.wait(TIMEOUT)
    save_all(storage, {"anna": record("anna", 2), "late": record("late")})
    assert storage.stop(timeout=0.01) == 3
    written = path.read_bytes()
    held.release()
    storage._thread.join(TIMEOUT)
    assert path.read_bytes() == written, "a late commit does not take the file away from the next run"
    assert begin(rescue=path).records == {
        "anna": record("anna", 2), "early": record("early"), "late": record("late")
    }  # fmt: skip


def test_while_the_database_is_away_the_file_has_the_unsaved_players(begin, file):
    path = Path(f"{file}-unsaved.jsonl")
    storage = begin()
    outage = Outage(storage)
    storage.save(record("anna", 1))
    assert not storage.flush(TIMEOUT)
    storage.save(record("anna", 2))
    assert not storage.flush(TIMEOUT)
    assert RescueFile(path, file.name).read() == [record("anna", 2)]
    outage.on = False
    assert storage.flush(TIMEOUT)
    assert not path.exists()
    assert storage.stop() == 0


KILLED = """
import sqlite3, sys, sqlalchemy
from iocp.game.storage import Record, Storage

storage = Storage(sys.argv[1], every=3600, retry=3600)
storage.load()
storage.start()
storage.save(Record("anna", 3, 4, 100, 1, 1))
storage.save(Record("zoe", 3, 4, 100, 1, 1))
assert storage.flush(60)
if sys.argv[2] == "outage":
    @sqlalchemy.event.listens_for(storage._saver.engine, "before_cursor_execute")
    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")
if sys.argv[2] == "commit":
    @sqlalchemy.event.listens_for(storage._saver.engine, "commit")
    def hang(*_):
        print("ready", flush=True)
        sys.stdin.read()
storage.save(Record("anna", 3, 4, 100, 1, 2))
storage.flush(60 if sys.argv[2] == "outage" else 0)
if sys.argv[2] != "commit":
    print("ready", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize(("moment", "exp"), [("outage", 2), ("commit", 1)])
def test_a_game_that_is_killed_loses_at_most_what_was_never_tried(begin, file, moment, exp):
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(file), moment], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(TIMEOUT, process.kill)
    watchdog.start()
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate()
    watchdog.cancel()
    assert begin().records == {"anna": record("anna", exp), "zoe": record("zoe", 1)}
    assert not Path(f"{file}-unsaved.jsonl").exists()


def test_a_rescue_file_stays_until_its_players_are_committed(begin, file, monkeypatch):
    path = Path(f"{file}-unsaved.jsonl")
    RescueFile(path, file.name).write([record("anna", 5)])
    before = path.read_bytes()

    def fail(*_):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(saver_module, "_upsert", fail)
        message = refused(file)
        assert "disk I/O error" in message and str(path) in message
    assert path.read_bytes() == before
    assert begin().records == {"anna": record("anna", 5)}


def test_a_rescue_file_that_cannot_be_removed_stops_the_start(file, monkeypatch):
    # It would overwrite newer records at the start after.
    path = Path(f"{file}-unsaved.jsonl")
    RescueFile(path, file.name).write([record("anna", 5)])

    def fail(*_, **__):
        raise PermissionError("not yours")

    monkeypatch.setattr(Path, "unlink", fail)
    assert "remove it" in refused(file)


def test_a_rescue_file_is_replaced_as_a_whole(tmp_path, monkeypatch):
    rescue = RescueFile(tmp_path / "unsaved.jsonl", "players.db")
    rescue.write([record("anna", 1)])

    def fail(*_):
        raise OSError("power cut")

    with monkeypatch.context() as patch:
        patch.setattr(rescue_module.os, "replace", fail)
        with pytest.raises(OSError, match="power cut"):
            rescue.write([record("anna", 2)])
    assert rescue.read() == [record("anna", 1)]


def test_another_databases_rescue_file_is_not_overwritten(tmp_path):
    path = tmp_path / "unsaved.jsonl"
    RescueFile(path, "theirs.db").write([record("anna", 1)])
    with pytest.raises(StorageError, match="theirs.db"):
        RescueFile(path, "ours.db").write([record("anna", 2)])
    assert RescueFile(path, "theirs.db").read() == [record("anna", 1)]


HEAD = '{"unsaved players of": "players.db", "version": 1}\n'
GOOD = json.dumps({"name": "anna", "x": 1, "y": 1, "hp": 1, "level": 1, "exp": 1}) + "\n"


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "utf-8"),
        (GOOD.encode(), "first line"),
        ((HEAD + GOOD + '{"name": "zo').encode(), "line 3"),
        ((HEAD + GOOD.replace('"hp": 1', '"hp": 40000')).encode(), "hp must be between"),
        ((HEAD + GOOD.replace('"hp"', '"health"')).encode(), "line 2"),
        ((HEAD + "[1]\n").encode(), "line 2"),
        (HEAD.replace("1}", "2}").encode(), "version is 2"),
        (HEAD.replace("players.db", "others.db").encode(), "others.db"),
    ],
)
def test_a_damaged_rescue_file_stops_the_start_and_stays(file, content, word):
    path = Path(f"{file}-unsaved.jsonl")
    path.write_bytes(content)
    message = refused(file)
    assert word in message and str(path) in message and "move" in message
    assert path.read_bytes() == content
    assert rows(file) == []


def test_without_a_place_for_the_rescue_file_it_goes_to_the_temporary_folder(begin, tmp_path, monkeypatch, caplog):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(storage_module.tempfile, "tempdir", str(temporary))
    storage = begin(rescue=tmp_path / "no such folder" / "unsaved.jsonl")
    Outage(storage)
    storage.save(record())
    assert storage.stop() == 1
    (found,) = temporary.rglob("unsaved.jsonl")
    assert str(found) in caplog.text and "move it to" in caplog.text
    assert RescueFile(found, "players.db").read() == [record()]
