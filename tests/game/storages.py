"""What the tests of kept players share: storages that commit only when asked to, and databases that fail when asked to."""

from __future__ import annotations

import sqlite3
import sys
import threading
import time

import pytest

sqlalchemy = pytest.importorskip("sqlalchemy", reason="needs SQLAlchemy (the extra db)")

from iocp.game.storage import Record, Storage, StorageError

HOUR = 3600.0
TIMEOUT = 60.0
WINDOWS = sys.platform == "win32"


def record(name="anna", exp=0, **changes):
    return Record(**{"name": name, "x": 3, "y": 4, "hp": 100, "level": 1, "exp": exp, **changes})


def many(count, exp=0):
    return {f"p{number}": record(f"p{number}", exp) for number in range(count)}


def save_all(storage, players):
    for player in players.values():
        storage.save(player)


def rows(file, query="SELECT name, exp FROM player ORDER BY name"):
    """What another program sees in the database."""
    connection = sqlite3.connect(file)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def change(file, *statements):
    connection = sqlite3.connect(file)
    with connection:
        for statement in statements:
            connection.execute(*statement) if isinstance(statement, tuple) else connection.execute(statement)
    connection.close()


class PatientStorage(Storage):
    """Waits as long as tests do, and not the seconds that are good for a game: for a disk that is slow, or a writer that is held up."""

    def flush(self, timeout=TIMEOUT):
        return super().flush(timeout)

    def stop(self, timeout=TIMEOUT, **options):
        return super().stop(timeout, **options)


def refused(where, **options):
    """The message with which a start is refused."""
    with pytest.raises(StorageError) as caught:
        Storage(str(where), **options).load()
    return str(caught.value)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "players.db"


@pytest.fixture
def begin(file):
    """A function that opens a storage that commits only when asked to; what is left is stopped at the end."""
    begun = []

    def begin(where=file, **options):
        rescue = file.with_name("unsaved.jsonl") if "://" in str(where) else None
        storage = PatientStorage(str(where), **{"every": HOUR, "retry": HOUR, "rescue": rescue, **options})
        storage.records = storage.load()
        storage.start()
        begun.append(storage)
        return storage

    yield begin
    for storage in begun:
        storage.stop()


class Outage:
    """Makes every statement of a storage fail while `on`."""

    def __init__(self, storage):
        self.on = True
        self.attempts = threading.Semaphore(0)
        sqlalchemy.event.listen(storage._saver.engine, "before_cursor_execute", self._fail)

    def _fail(self, *_):
        if self.on:
            self.attempts.release()
            raise sqlalchemy.exc.OperationalError("a statement", {}, sqlite3.OperationalError("disk I/O error"))


class Held:
    """Holds every commit of a storage until `release()`; then the first one fails, if it is to."""

    def __init__(self, storage, fails=False):
        self._fails = fails
        self.reached = threading.Event()
        self._go = threading.Event()
        self.release = self._go.set
        sqlalchemy.event.listen(storage._saver.engine, "commit", self._hold)

    def _hold(self, *_):
        self.reached.set()
        assert self._go.wait(TIMEOUT)
        if self._fails:
            self._fails = False
            raise sqlalchemy.exc.OperationalError("COMMIT", {}, sqlite3.OperationalError("disk I/O error"))


def until(condition):
    """Wait until a counter of another thread or process has the value that it must get."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline, "this did not come true in time"
        time.sleep(0.002)
