"""Players' position and stats, kept in a database from one run of the server to the next.

    storage = Storage("players.db")         # or postgresql+psycopg://chess@localhost/chess
    records = storage.load()                # before the server starts; StorageError: don't start it
    storage.start()
    storage.save(Record("anna", x=3, y=4, hp=100, level=1, exp=0))      # any thread, never waits
    storage.stop()                          # after the server has stopped

All players stay in the game's memory, so neither a login nor a move ever waits for the database. One thread writes: the
newest record of each player, all in one transaction, every few seconds. What a commit has not confirmed is kept and
tried again, and as long as the database is away it is in a file too (rescue.py), so that it survives also the end of
this process. A process that is killed while all is well loses at most what was saved in the last `every` seconds.
"""

from __future__ import annotations

import logging
import tempfile
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from .quantity import counted
from .rescue import Record, RescueFile, StorageError

if TYPE_CHECKING:
    from iocp.signals import SignalFlag

    from .saver import Saver

__all__ = ["Record", "Storage", "StorageError", "StorageStatus"]

log = logging.getLogger("iocp.game")

_LONGEST_RETRY: Final = 30.0
_PATIENCE_STEP: Final = 0.05
_OVERDUE: Final = 10.0
"""Seconds after which a commit that has neither succeeded nor failed is a problem to be shown."""


@dataclass(frozen=True, slots=True)
class StorageStatus:
    """How the storage is. `problem` is why players are not kept right now, "" if `ok`, and has no password in it."""

    ok: bool
    problem: str
    pending: int
    """Players whose newest record is not committed."""
    saved: int
    """Records committed since the start."""
    failures: int
    """Attempts to commit that failed."""
    last_commit_seconds: float
    """How long the last commit that succeeded took; 0 before the first."""


class Storage:
    """Players kept at `where`: a file (SQLite), or a URL of SQLAlchemy, told by its ://.

    every: seconds between commits. retry: seconds from the first failure to the next attempt; doubled from then on, up to
    30. rescue: the file for what the database would not take; by default beside the SQLite file (`<file>-unsaved.jsonl`),
    or `chess-unsaved.jsonl` in the working directory. Needs the extra `db`: pip install 'pyiocp[db]'.

    `load`, `start` and `stop` are called once each, in this order, on any one thread. Raises ValueError for a number of
    seconds that is not positive, or an empty `where`.
    """

    def __init__(self, where: str, *, every: float = 5.0, retry: float = 2.0, rescue: Path | None = None) -> None:
        if not where:
            raise ValueError("where must be a file or a URL, not empty")
        for name, seconds in (("every", every), ("retry", retry)):
            if not seconds > 0:
                raise ValueError(f"{name} must be more than 0 seconds, not {seconds!r}")
        self._where = where
        self._every = every
        self._retry = retry
        self._rescue_path = rescue
        self._rescue: RescueFile
        self._saver: Saver | None = None
        self._thread: threading.Thread | None = None
        # Guards all below; never held while anything waits for a disk or a network.
        self._changed = threading.Condition()
        self._pending: dict[str, Record] = {}
        self._writing: dict[str, Record] = {}
        self._asked = False
        self._stopping = False
        self._unsaved = 0
        self._saves = 0
        # So many of the saves, the first ones, are committed for certain.
        self._safe = 0
        self._attempts = 0
        self._began: float | None = None
        self._problem = ""
        self._saved = 0
        self._failures = 0
        self._last_commit_seconds = 0.0
        # The writer's own.
        self._outage: float | None = None
        self._failed_in_a_row = 0
        self._refused: dict[str, str] = {}
        self._rescue_failed = False

    # From start to stop

    def load(self) -> dict[str, Record]:
        """All players by name. On the caller's thread, which waits for the database; before `start`.

        Creates what is missing, and takes in the rescue file of an earlier run. Raises StorageError if the players cannot
        be read: a game that started without them would overwrite them.
        """
        if self._saver is not None:
            raise RuntimeError("load() was called already")
        try:
            from .saver import Saver
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != "sqlalchemy":
                raise
            raise StorageError("keeping players needs SQLAlchemy: pip install 'pyiocp[db]'") from None
        saver = Saver(self._where)
        beside = f"{saver.path}-unsaved.jsonl" if saver.path else "chess-unsaved.jsonl"
        self._rescue = RescueFile((self._rescue_path or Path(beside)).absolute(), saver.owner)
        try:
            saver.open()
            records = saver.read()
            records |= self._take_in_rescued(saver)
        except BaseException:
            saver.close()
            raise
        self._saver = saver
        return records

    def _take_in_rescued(self, saver: Saver) -> dict[str, Record]:
        """What the last run could not save, now saved. The file goes only when that is committed."""
        path = self._rescue.path
        rescued = self._rescue.read()
        if rescued:
            try:
                refused = saver.write(rescued)
            except Exception as error:
                reason = saver.explain(error)
                raise StorageError(f"the players in {path} cannot be saved ({reason}): start again later") from None
            for name, reason in refused.items():
                raise StorageError(f"{saver.name} refuses player {name!a} of {path} ({reason}): correct or remove that line")
        try:
            self._rescue.remove()
        except OSError as error:
            # It would overwrite newer records at the next start.
            raise StorageError(f"the players in {path} are saved, but it cannot be removed ({error}): remove it") from error
        if rescued:
            count = counted(len(rescued), "player")
            log.warning("storage: %s from %s, which an earlier run left, saved into %s", count, path, saver.name)
        return {record.name: record for record in rescued}

    def start(self) -> None:
        """Start the thread that writes. Raises RuntimeError before `load`, or the second time."""
        if self._saver is None or self._thread is not None or self._stopping:
            raise RuntimeError("start() is called once, after load()")
        self._thread = threading.Thread(target=self._run, args=(self._saver,), name="storage-writer", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0, *, hurry: SignalFlag | None = None) -> int:
        """Save what is pending, wait for that up to `timeout` seconds; the number of players that could not be saved.

        Those are in the rescue file then, and taken in by the next `load`. Call it when nobody saves any more. Once `hurry` is set
        it waits no longer.
        """
        with self._changed:
            if self._stopping:
                return self._unsaved
            self._stopping = True
            self._changed.notify_all()
        if self._saver is None:
            return 0
        if self._thread is None:
            self._attempt(self._saver)
            self._saver.close()
        else:
            # One that hangs in a commit is left behind. It keeps the claim of the database until it or the process ends.
            ends = time.perf_counter() + timeout
            while self._thread.is_alive() and (left := ends - time.perf_counter()) > 0:
                # In short steps: Windows lets no signal into a wait.
                self._thread.join(min(left, _PATIENCE_STEP))
                if hurry is not None and hurry.is_set():
                    break
        with self._changed:
            unsaved = {**self._writing, **self._pending}
            self._unsaved = len(unsaved)
        if unsaved:
            self._rescue_for_good(self._saver, unsaved)
        return len(unsaved)

    def _rescue_for_good(self, saver: Saver, unsaved: dict[str, Record]) -> None:
        reason = self.status().problem or "no answer"
        what = f"storage: {counted(len(unsaved), 'player')} not saved into {saver.name} ({reason})"
        path = self._rescue.path
        try:
            self._rescue.write(unsaved.values(), last=True)
            return log.error("%s; they are in %s: leave it there, the next start saves them", what, path)
        except (OSError, StorageError) as error:
            what += f", nor into {path} ({error})"
        try:
            # Better in a place where nobody looks by himself than nowhere.
            other = RescueFile(Path(tempfile.mkdtemp(prefix="chess-unsaved-"), path.name), saver.owner)
            other.write(unsaved.values())
            log.error("%s; they are in %s: move it to %s before the next start", what, other.path, path)
        except OSError as error:
            log.critical("%s, nor anywhere else (%s): they are lost", what, error)

    # While it runs

    def save(self, record: Record) -> None:
        """Keep `record`, instead of any earlier one of that name. Any thread; returns at once.

        Raises RuntimeError before `load` and after `stop`, when nothing could come of it.
        """
        if not isinstance(record, Record):
            raise TypeError(f"record must be a Record, not {type(record).__name__}")
        with self._changed:
            if self._saver is None or self._stopping:
                raise RuntimeError("save() is for between load() and stop()")
            self._pending[record.name] = record
            self._saves += 1

    def flush(self, timeout: float = 5.0) -> bool:
        """Commit now, and wait for it up to `timeout` seconds; whether all that was saved before this call is committed.

        Any thread, but with a `timeout` other than 0 not where handlers run. Raises RuntimeError before `start`.
        """
        with self._changed:
            if self._thread is None:
                raise RuntimeError("flush() is called after start()")
            wanted = self._saves
            # One that is under way may have begun too early for the newest.
            enough = self._attempts + (1 if self._began is None else 2)
            self._asked = True
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._safe >= wanted or self._attempts >= enough, timeout)
            return self._safe >= wanted

    def status(self) -> StorageStatus:
        """How it is now. Any thread; returns at once."""
        with self._changed:
            problem = self._problem
            if self._began is not None and not problem and (waited := time.perf_counter() - self._began) > _OVERDUE:
                problem = f"no answer for {waited:.0f} seconds"
            return StorageStatus(
                ok=not problem,
                problem=problem,
                pending=len(self._pending.keys() | self._writing.keys()),
                saved=self._saved,
                failures=self._failures,
                last_commit_seconds=self._last_commit_seconds,
            )

    # On the writer's thread

    def _run(self, saver: Saver) -> None:
        pause = self._every
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._asked or self._stopping, pause)
                    self._asked = False
                    last = self._stopping
                self._attempt(saver)
                if last:
                    return
                pause = self._every
                if self._failed_in_a_row:
                    pause = min(self._retry * 2 ** min(self._failed_in_a_row - 1, 10), _LONGEST_RETRY)
        finally:
            saver.close()

    def _attempt(self, saver: Saver) -> None:
        """Commit all that is pending; what that fails for is pending again."""
        with self._changed:
            batch, self._pending = self._pending, {}
            self._writing = batch
            upto = self._saves
            began = self._began = time.perf_counter()
        problem = ""
        refused: dict[str, str] = {}
        if batch:
            if self._rescue.written:
                # While the file is there it must be what is about to be committed: it wins over the database at a start.
                self._put_into_rescue(batch.values())
            try:
                refused = saver.write(list(batch.values()))
            except Exception as error:
                problem = saver.explain(error)
        back = batch if problem else {name: batch[name] for name in refused}
        if back and (refused or not self._rescue.written):
            self._put_into_rescue(back.values())
        elif not back and self._rescue.written:
            self._remove_rescue()
        now = time.perf_counter()
        self._tell(saver, problem, refused, len(batch), now)
        with self._changed:
            self._pending = {**back, **self._pending}
            self._writing = {}
            self._began = None
            self._attempts += 1
            self._problem = problem
            if problem:
                self._failures += 1
            elif batch:
                self._saved += len(batch) - len(back)
                self._last_commit_seconds = now - began
            if refused:
                name, reason = next(iter(refused.items()))
                self._problem = f"{counted(len(refused), 'player')} refused, such as {name!a}: {reason}"
            if not back:
                self._safe = upto
            self._changed.notify_all()

    def _tell(self, saver: Saver, problem: str, refused: dict[str, str], count: int, now: float) -> None:
        """Log what is new: the beginning and the end of an outage, a player that is refused."""
        if problem:
            self._failed_in_a_row += 1
            if self._outage is None:
                self._outage = now
                log.warning(
                    "storage: cannot save into %s: %s; the game goes on, and this is tried again (%s wait)",
                    saver.name,
                    problem,
                    counted(count, "player"),
                )
            return
        self._failed_in_a_row = 0
        if self._outage is not None:
            seconds, saved = now - self._outage, counted(count - len(refused), "player")
            log.warning("storage: %s is back after %.1f s: %s saved", saver.name, seconds, saved)
            self._outage = None
        for name in refused.keys() - self._refused.keys():
            log.warning("storage: %s refuses player %a: %s; this is tried again", saver.name, name, refused[name])
        self._refused = refused

    def _put_into_rescue(self, records: Collection[Record]) -> None:
        try:
            self._rescue.write(records)
            self._rescue_failed = False
        except (OSError, StorageError) as error:
            if not self._rescue_failed:
                what = counted(len(records), "player")
                log.warning("storage: cannot keep %s in %s meanwhile: %s", what, self._rescue.path, error)
            self._rescue_failed = True

    def _remove_rescue(self) -> None:
        try:
            self._rescue.remove()
        except OSError as error:
            log.error("storage: %s is out of date: remove it before the next start (%s)", self._rescue.path, error)
