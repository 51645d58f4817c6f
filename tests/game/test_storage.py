"""Players in SQLite: what was saved is there in the next run, whatever happened to the database in between."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from storages import TIMEOUT, WINDOWS, Held, Outage, begin, file, until  # noqa: F401
from storages import HOUR, PatientStorage, change, many, record, refused, rows, save_all, sqlalchemy

from iocp.game import saver as saver_module
from iocp.game import storage as storage_module
from iocp.game.storage import Record, Storage
from iocp.signals import SignalFlag

# What is saved is kept


def test_players_are_there_in_the_next_run(begin):
    players = {name: record(name, 7) for name in ("anna", "Anna", "체스왕", "a'b\";--", "é", "e\u0301", "🂡")}
    first = begin()
    assert first.records == {}
    save_all(first, players)
    assert first.stop() == 0
    assert begin().records == players


def test_all_that_a_record_can_hold_comes_back(begin):
    players = {
        "least": Record("least", 0, 0, 0, 1, 0),
        "most": Record("most", 32_767, 32_767, 32_767, 32_767, 2**31 - 1),
        "ㅁ" * 32: record("ㅁ" * 32),
    }
    first = begin()
    save_all(first, players)
    first.stop()
    assert begin().records == players


def test_the_newest_record_of_a_player_wins(begin, file):
    storage = begin()
    for exp in range(5):
        storage.save(record("anna", exp))
    assert storage.flush()
    assert storage.status().saved == 1 and rows(file) == [("anna", 4)]
    storage.save(record("anna", 9))
    assert storage.stop() == 0
    assert begin().records == {"anna": record("anna", 9)}


def test_it_saves_by_itself_every_few_moments(begin, file):
    storage = begin(every=0.01)
    committed = threading.Event()
    sqlalchemy.event.listen(storage._saver.engine, "commit", lambda connection: committed.set())
    storage.save(record())
    assert committed.wait(TIMEOUT)


def test_ten_thousand_players_in_one_flush(begin):
    commits = []
    storage = begin()
    sqlalchemy.event.listen(storage._saver.engine, "commit", commits.append)
    save_all(storage, many(10_000))
    assert storage.flush(TIMEOUT)
    assert len(commits) == 1 and storage.status().saved == 10_000
    assert 0 < storage.status().last_commit_seconds < TIMEOUT
    storage.stop()
    assert begin().records == many(10_000)


def test_threads_that_save_while_it_flushes_lose_nothing(begin):
    storage = begin(every=0.001)

    def play(thread):
        for exp in range(1, 401):
            storage.save(record(f"t{thread}-{exp % 20}", exp))

    threads = [threading.Thread(target=play, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert storage.flush(TIMEOUT)
    assert storage.stop() == 0
    expected = {f"t{thread}-{exp % 20}": exp for thread in range(4) for exp in range(381, 401)}
    assert {name: player.exp for name, player in begin().records.items()} == expected


def test_databases_without_an_upsert_are_written_in_plain_sql(begin, file, monkeypatch):
    storage = begin()
    save_all(storage, many(1200))
    assert storage.flush(TIMEOUT)
    monkeypatch.setattr(saver_module, "_upsert", lambda connection, _, rows: saver_module.update_or_insert(connection, rows))
    newer = many(600, exp=1) | {"new": record("new")}
    save_all(storage, newer)
    assert storage.flush(TIMEOUT)
    save_all(storage, {"p1": record("p1", 2)})
    assert storage.stop() == 0
    assert begin().records == many(1200) | newer | {"p1": record("p1", 2)}


def test_save_never_waits_for_a_commit(begin, file):
    storage = begin()
    held = Held(storage)
    storage.save(record("anna", 1))
    assert not storage.flush(0)
    assert held.reached.wait(TIMEOUT)
    # The writer hangs in its commit. Were save() to wait for it, this test would never get to the release.
    save_all(storage, many(1000))
    storage.save(record("anna", 2))
    status = storage.status()
    assert (status.ok, status.pending, status.saved) == (True, 1001, 0)
    assert not storage.flush(0)
    held.release()
    assert storage.flush(TIMEOUT)
    assert storage.status().saved == 1002
    assert ("anna", 2) in rows(file)


def test_a_commit_that_takes_too_long_is_a_problem_to_be_shown(begin, monkeypatch):
    storage = begin()
    held = Held(storage)
    storage.save(record())
    storage.flush(0)
    assert held.reached.wait(TIMEOUT)
    monkeypatch.setattr(storage_module, "_OVERDUE", -1.0)
    assert "no answer for" in storage.status().problem and not storage.status().ok
    held.release()
    assert storage.flush(TIMEOUT)
    assert storage.status().ok


# The database is away


def test_an_outage_is_told_once_and_loses_nothing(begin, file, caplog):
    storage = begin()
    save_all(storage, many(10))
    assert storage.flush()
    outage = Outage(storage)
    save_all(storage, many(5, exp=1))
    assert not storage.flush(TIMEOUT)
    storage.save(record("p0", 2))
    storage.save(record("late"))
    assert not storage.flush(TIMEOUT)
    status = storage.status()
    assert (status.ok, status.pending, status.saved, status.failures) == (False, 6, 10, 2)
    assert "disk I/O error" in status.problem
    outage.on = False
    assert storage.flush(TIMEOUT)
    assert (storage.status().ok, storage.status().pending, storage.status().saved) == (True, 0, 16)
    told = [line.getMessage() for line in caplog.records]
    assert len(told) == 2, told
    assert "cannot save into" in told[0] and "disk I/O error" in told[0]
    assert "is back after" in told[1] and "6 players" in told[1]
    assert storage.stop() == 0
    expected = many(10) | many(5, exp=1) | {"p0": record("p0", 2), "late": record("late")}
    assert begin().records == expected


def test_it_tries_again_by_itself(begin, file):
    storage = begin(every=0.001, retry=0.001)
    outage = Outage(storage)
    storage.save(record())
    for _ in range(3):
        assert outage.attempts.acquire(timeout=TIMEOUT)
    committed = threading.Event()
    sqlalchemy.event.listen(storage._saver.engine, "commit", lambda connection: committed.set())
    outage.on = False
    assert committed.wait(TIMEOUT)
    assert storage.stop() == 0
    assert rows(file) == [("anna", 0)]


def test_after_a_failure_it_connects_anew(begin):
    storage = begin()
    storage.save(record("anna", 1))
    assert storage.flush(TIMEOUT)
    connected = []
    sqlalchemy.event.listen(storage._saver.engine, "connect", lambda connection, _: connected.append(connection))
    outage = Outage(storage)
    storage.save(record("anna", 2))
    assert not storage.flush(TIMEOUT)
    assert connected == []
    outage.on = False
    assert storage.flush(TIMEOUT)
    assert len(connected) == 1


def test_what_is_newer_than_a_failed_commit_is_not_overwritten_by_it(begin, file):
    storage = begin()
    held = Held(storage, fails=True)
    save_all(storage, {"anna": record("anna", 1), "zoe": record("zoe", 1)})
    assert not storage.flush(0)
    assert held.reached.wait(TIMEOUT)
    storage.save(record("anna", 2))
    held.release()
    until(lambda: storage.status().failures == 1)
    assert storage.flush(TIMEOUT)
    assert rows(file) == [("anna", 2), ("zoe", 1)]


def test_a_file_that_another_program_is_writing_is_tried_again(begin, file, monkeypatch):
    monkeypatch.setattr(saver_module, "BUSY_SECONDS", 0.01)
    storage = begin()
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    storage.save(record())
    assert not storage.flush(TIMEOUT)
    assert "locked" in storage.status().problem
    other.execute("ROLLBACK")
    other.close()
    assert storage.flush(TIMEOUT)
    assert rows(file) == [("anna", 0)]


@pytest.mark.skipif(WINDOWS, reason="Windows lets nobody move an open file")
def test_a_file_that_was_moved_away_is_noticed(begin, file, tmp_path):
    storage = begin()
    save_all(storage, many(2))
    assert storage.flush()
    for moved in [file, Path(f"{file}-wal"), Path(f"{file}-shm")]:
        moved.rename(tmp_path / f"away{moved.name}")
    storage.save(record())
    assert not storage.flush(TIMEOUT)
    assert "No such file" in storage.status().problem
    for moved in [file, Path(f"{file}-wal"), Path(f"{file}-shm")]:
        (tmp_path / f"away{moved.name}").rename(moved)
    assert storage.flush(TIMEOUT)
    assert len(rows(file)) == 3


def test_a_player_that_the_database_refuses_does_not_hold_up_the_others(begin, file, caplog):
    storage = begin()
    change(file, "CREATE TRIGGER rule BEFORE INSERT ON player WHEN new.exp > 9 BEGIN SELECT raise(ABORT, 'too much'); END")
    save_all(storage, many(50) | {"p7": record("p7", 10)})
    assert not storage.flush(TIMEOUT)
    status = storage.status()
    assert (status.ok, status.pending, status.saved) == (False, 1, 49)
    assert "'p7'" in status.problem and "too much" in status.problem
    assert not storage.flush(TIMEOUT)
    assert len([line for line in caplog.records if "refuses player" in line.getMessage()]) == 1
    assert storage.stop() == 1
    assert "refuses player 'p7'" in refused(file)
    change(file, "DROP TRIGGER rule")
    assert begin().records == many(50) | {"p7": record("p7", 10)}


# Wrong use


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "n" * 33), ("name", "a\0b"), ("name", "\ud800"), ("name", None), ("x", -1), ("y", 40_000),
        ("hp", 32_768), ("level", 0), ("exp", 2**31), ("exp", 1.5), ("exp", None),
    ],
)  # fmt: skip
def test_a_record_that_no_row_can_hold_names_the_field(field, value):
    with pytest.raises(ValueError, match=f"^{field} must be"):
        record(**{field: value})


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"where": ""}, "where"), ({"every": 0}, "every"), ({"every": float("nan")}, "every"), ({"retry": -1}, "retry")],
)
def test_wrong_arguments_are_named(arguments, named):
    with pytest.raises(ValueError, match=f"^{named} must be"):
        Storage(**{"where": "players.db", **arguments})


def test_calls_out_of_order_are_refused(file):
    storage = PatientStorage(str(file))
    assert storage.status().ok
    for early in (storage.start, storage.flush, lambda: storage.save(record())):
        with pytest.raises(RuntimeError):
            early()
    storage.load()
    with pytest.raises(RuntimeError):
        storage.load()
    storage.start()
    with pytest.raises(RuntimeError):
        storage.start()
    with pytest.raises(TypeError, match="record must be a Record"):
        storage.save({"name": "anna"})
    assert storage.stop() == 0
    with pytest.raises(RuntimeError):
        storage.save(record())


def test_stop_without_start_saves_and_lets_go(file):
    assert Storage(str(file)).stop() == 0
    storage = Storage(str(file))
    storage.load()
    storage.save(record())
    assert storage.stop() == 0
    again = Storage(str(file))
    assert again.load() == {"anna": record()}
    assert again.stop() == 0


def test_no_thread_is_left_after_stop(begin):
    storage = begin()
    assert "storage-writer" in [thread.name for thread in threading.enumerate()]
    storage.stop()
    assert "storage-writer" not in [thread.name for thread in threading.enumerate()]


def test_a_stop_in_a_hurry_waits_for_no_commit(begin, file):
    storage = begin(rescue=None)
    held = Held(storage)
    save_all(storage, many(3))
    assert not storage.flush(timeout=0)
    assert held.reached.wait(TIMEOUT)
    hurry = SignalFlag()
    # Once it waits.
    asker = threading.Thread(target=lambda: (until(lambda: storage._stopping), hurry.set()))
    asker.start()
    try:
        assert storage.stop(timeout=HOUR, hurry=hurry) == 3
        rescued = file.with_name("players.db-unsaved.jsonl").read_text(encoding="utf-8")
        assert all(f'"p{number}"' in rescued for number in range(3))
    finally:
        held.release()
        asker.join()
