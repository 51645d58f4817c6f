"""The database behind game/storage.py: the one file that knows SQLAlchemy, imported only when something is to be kept.

A saver is used by one thread at a time, and has one connection. Two servers must not save into one database: each has
all players in its memory, and would overwrite the other's. So a server claims its database: on SQLite with a lock on a
file beside it (`<file>-lock`, which stays there, unlocked, when nobody runs; other programs can read the players
meanwhile), on PostgreSQL with an advisory lock of the session for its schema (hence no pooler between them that shares
sessions). Elsewhere that is the administrator's care, and so is a collation in which `anna` and `Anna` differ.
"""

from __future__ import annotations

import logging
import os
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Column, DateTime, Integer, MetaData, String, Table, bindparam, event, false, func, insert, select, update
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import QueuePool

from .rescue import MAX_NAME, Record, StorageError

log = logging.getLogger("iocp.game")

SCHEMA_VERSION: Final = 1
CLAIM_SECONDS = 2.0
"""How long a start waits for the server before it to let go of the database."""
BUSY_SECONDS = 2.0
"""How long a commit waits for another program that writes into the SQLite file: less than a stop waits for the commit."""
_MOST_WARNINGS: Final = 20
_NUMBERS: Final = ("x", "y", "hp", "level", "exp")

_metadata = MetaData()
# MySQL's default collations take anna and Anna, or a and ä, for one key.
_NAME = String(MAX_NAME).with_variant(mysql.VARCHAR(MAX_NAME, charset="utf8mb4", collation="utf8mb4_bin"), "mysql", "mariadb")
player = Table(
    "player",
    _metadata,
    Column("name", _NAME, primary_key=True),
    *(Column(number, Integer, nullable=False) for number in _NUMBERS),
    Column("updated", DateTime(timezone=True), nullable=False),
)
schema_version = Table("player_schema_version", _metadata, Column("version", Integer, primary_key=True, autoincrement=False))

# Packages whose name is not their module's.
_PACKAGES: Final = {"psycopg": "psycopg[binary]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}
# So that a server that has vanished from the network is noticed in seconds, not after a quarter of an hour.
_LIBPQ: Final = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "pyiocp",
}


class _InUse(StorageError):
    """Another server has claimed the database."""


def is_url(where: str) -> bool:
    """Whether `where` is a URL, not a file. One letter before the colon is a drive of Windows."""
    return re.match(r"[A-Za-z][A-Za-z0-9_+.-]+://", where) is not None


class Saver:
    """The players' table in the database at `where`, a file (SQLite) or a URL. Raises StorageError if that is neither."""

    def __init__(self, where: str) -> None:
        url = _parse(where) if is_url(where) else _file_url(where)
        self._secrets = _secrets(url)
        self.path: Path | None = None
        """The SQLite file."""
        if url.get_backend_name() == "sqlite":
            if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
                raise StorageError("an SQLite database in memory keeps nothing: give the path of a file")
            self.path = Path(os.path.realpath(url.database))
        self.name = str(self.path) if self.path else _shown(url)
        """For messages."""
        self.owner = self.path.name if self.path else _address(url)
        """For the rescue file: the same wherever the folder is, whoever the user is."""
        self.engine = _create_engine(url)
        self._claim: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None
        if self.path:
            event.listen(self.engine, "connect", _prepare_sqlite)
        elif self.engine.dialect.name == "postgresql":
            event.listen(self.engine, "connect", self._prepare_postgresql)

    # At start

    def open(self) -> None:
        """Connect, claim the database, and make sure that there is a table of ours that may be written. Raises StorageError."""
        with self._explained():
            if self.path:
                self._claim_file(self.path)
            self._connect()
            with self.engine.begin() as connection:
                self._check_shape(connection)
                _metadata.create_all(connection)
                self._check_version(connection)
                # Rights and read-only databases show now, not when the first player wants to be saved.
                nobody = select(*player.columns).where(false())
                connection.execute(update(player).values(hp=player.c.hp).where(false()))
                connection.execute(insert(player).from_select(list(player.columns), nobody))

    def _claim_file(self, path: Path) -> None:
        if not path.parent.is_dir():
            raise StorageError(f"the folder of {path} does not exist: create it, or give another file")
        if path.is_dir():
            raise StorageError(f"{path} is a folder: give the path of a file")
        # SQLite's own lock on a file without content is the same everywhere, and gone with the process.
        self._claim = sqlite3.connect(
            f"{path}-lock", timeout=CLAIM_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            self._claim.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            raise _in_use(self.name) from None

    def _connect(self) -> None:
        """The first connection. A server that has just ended may hold its claim for a moment longer."""
        deadline = time.monotonic() + CLAIM_SECONDS
        while True:
            try:
                return self.engine.connect().close()
            except _InUse:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.05)

    def _prepare_postgresql(self, connection: Any, _record: object) -> None:
        """Each new connection: claim the schema, and never wait for ever."""
        try:
            with closing(connection.cursor()) as cursor:
                cursor.execute("SHOW server_encoding")
                encoding = cursor.fetchone()[0]
                if encoding != "UTF8":
                    raise StorageError(f"{self.name} is encoded in {encoding}, names need UTF8: createdb -T template0 -E UTF8")
                cursor.execute("SELECT pg_try_advisory_lock(hashtext('pyiocp'), hashtext(coalesce(current_schema(), '')))")
                if not cursor.fetchone()[0]:
                    raise _in_use(self.name)
                cursor.execute("SET lock_timeout = '10s'")
            connection.commit()
        except BaseException:
            connection.close()
            raise

    def _check_shape(self, connection: sqlalchemy.Connection) -> None:
        inspector = sqlalchemy.inspect(connection)
        if not inspector.has_table(player.name):
            return
        found = {column["name"]: column for column in inspector.get_columns(player.name)}
        wrong = [
            column.name
            for column in player.columns
            if column.name not in found
            or (column.name == "name" and not isinstance(found["name"]["type"], String))
            or (column.name in _NUMBERS and not isinstance(found[column.name]["type"], Integer))
        ]
        if not wrong and inspector.get_pk_constraint(player.name)["constrained_columns"] != ["name"]:
            wrong = ["primary key"]
        if wrong:
            raise StorageError(
                f"table {player.name} in {self.name} has another shape ({', '.join(wrong)}): "
                "it is some other program's; give another database, or rename that table"
            )

    def _check_version(self, connection: sqlalchemy.Connection) -> None:
        version = connection.execute(select(func.max(schema_version.c.version))).scalar()
        if version is None:
            connection.execute(insert(schema_version).values(version=SCHEMA_VERSION))
        elif version > SCHEMA_VERSION:
            raise StorageError(
                f"{self.name} was written by a newer pyiocp (schema {version}, this one knows {SCHEMA_VERSION}): install that one"
            )

    def read(self) -> dict[str, Record]:
        """All players. Rows that no player can have stay as they are, with a warning. Raises StorageError."""
        records: dict[str, Record] = {}
        skipped = 0
        statement = select(player.c.name, *(player.c[number] for number in _NUMBERS))
        with self._explained(), self.engine.connect() as connection:
            for row in connection.execution_options(yield_per=1000).execute(statement):
                try:
                    records[row[0]] = Record(*row)
                except ValueError as error:
                    skipped += 1
                    if skipped <= _MOST_WARNINGS:
                        log.warning("storage: row %a of %s is left out: %s", tuple(row), self.name, error)
        if skipped:
            log.warning(
                "storage: %d rows of %s are left out; they stay as they are until somebody of that name plays: "
                "correct them and start again",
                skipped,
                self.name,
            )
        return records

    # While it runs

    def write(self, records: Sequence[Record]) -> dict[str, str]:
        """Commit `records`; the names that the database refused for what they are, with its reason.

        Raises what SQLAlchemy or the driver raises, see `explain`; some of the records may have been committed then.
        """
        try:
            self._commit(records)
        except (IntegrityError, DataError) as error:
            # Somebody else's rule for the table. Halve until it is alone: one player must not hold up the others.
            if len(records) == 1:
                return {records[0].name: self.explain(error)}
            half = len(records) // 2
            return self.write(records[:half]) | self.write(records[half:])
        except BaseException:
            # Whatever was wrong, the next attempt begins with a new connection.
            self.engine.dispose()
            raise
        return {}

    def _commit(self, records: Sequence[Record]) -> None:
        if self._inode != (inode := self._find_inode()):
            self.engine.dispose()
            self._inode = inode
        rows = [asdict(record) for record in records]
        with self.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                _upsert(connection, sqlite.insert(player), rows)
            elif connection.dialect.name == "postgresql":
                _upsert(connection, postgresql.insert(player), rows)
            else:
                update_or_insert(connection, rows)

    def _find_inode(self) -> tuple[int, int] | None:
        """Which file has the path now. One that was moved away can still be written, but nobody would find what is in it."""
        if self.path is None or os.name != "posix":
            return None  # Windows moves no open file.
        status = self.path.stat()
        return status.st_dev, status.st_ino

    def close(self) -> None:
        """Let go of the connection and the claim."""
        self.engine.dispose()
        if self._claim is not None:
            self._claim.close()
            self._claim = None

    # What went wrong

    def explain(self, error: BaseException) -> str:
        """The reason in one line, without passwords."""
        cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        text = " ".join(str(cause).split()) or type(cause).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Whatever the database says becomes a StorageError that says what to do."""
        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, self.engine.dialect.loaded_dbapi.Error, OSError) as error:
            reason = self.explain(error)
            if "not a database" in reason or "malformed" in reason:
                advice = "the file is damaged or no SQLite database: restore a copy, or move it away to begin without players"
            elif self.path:
                advice = "see that the file and its folder may be written, or give another file"
            else:
                advice = "start the database or correct its URL, and see to this user's rights; nothing was changed in it"
            # Not chained: a traceback would show what `explain` has taken out.
            raise StorageError(f"cannot keep players in {self.name} ({reason}): {advice}") from None


def _in_use(name: str) -> _InUse:
    return _InUse(f"another server saves its players into {name}: stop that one, or give this one a database of its own")


def _file_url(where: str) -> URL:
    # Somebody forgot a colon or a slash. What follows would be shown as the name of a file.
    if re.search(r"(?:^|[/\\])(?![A-Za-z]:[/\\])[^/\\:]+:.*@", where):
        raise _unreadable()
    return URL.create("sqlite", database=where)


def _unreadable() -> StorageError:
    # Not quoted: there may be a password in it.
    return StorageError("the database's URL cannot be read: write KIND://USER:PASSWORD@HOST:PORT/DATABASE, or a file's path")


def _parse(where: str) -> URL:
    try:
        url = make_url(where)
        dialect = url.get_dialect()
    except (NoSuchModuleError, ImportError):
        kind = where.partition("://")[0]
        raise StorageError(f"{kind}:// is no database that SQLAlchemy knows here: try postgresql+psycopg://") from None
    except (ArgumentError, ValueError):
        raise _unreadable() from None
    if "@" in (url.host or "") or ("@" in (url.database or "") and url.get_backend_name() != "sqlite"):
        raise StorageError("the database's URL has an @ too many: within user and password write %40 for it")
    if dialect.is_async:
        raise StorageError(f"{url.drivername} is a driver for asyncio: name another, or write {url.get_backend_name()}://")
    return url


def _secrets(url: URL) -> list[str]:
    values = [url.password, *(url.query[key] for key in url.query if "pass" in key.lower())]
    return [str(value) for value in values if value]


def _shown(url: URL) -> str:
    """The URL without its password, wherever that stands."""
    query = {key: value for key, value in url.query.items() if "pass" not in key.lower()}
    return url.set(query=query).render_as_string(hide_password=True)


def _address(url: URL) -> str:
    """Which database it is, whatever it is reached with."""
    socket = url.query.get("host")
    host = url.host or (socket if isinstance(socket, str) else None)
    return URL.create(url.get_backend_name(), host=host, port=url.port, database=url.database).render_as_string()


def _create_engine(url: URL) -> sqlalchemy.Engine:
    arguments: dict[str, object] = {}
    if url.get_backend_name() == "sqlite":
        arguments = {"timeout": BUSY_SECONDS, "check_same_thread": False}
    elif url.get_driver_name() in ("psycopg", "psycopg2"):
        arguments = {key: value for key, value in _LIBPQ.items() if key not in url.query}
    try:
        return sqlalchemy.create_engine(
            url, poolclass=QueuePool, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=arguments, hide_parameters=True
        )
    except ImportError as error:
        module = error.name or url.get_driver_name()
        package = _PACKAGES.get(module, module)
        raise StorageError(f"the driver {module} for {url.drivername}:// is missing ({error}): pip install '{package}'") from None


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    """Each new connection. In WAL mode others can read while it writes; FULL, since a commit must outlive a power cut."""
    # One name that is no UTF-8 must not make the whole table unreadable: it becomes a row to leave out.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


def _upsert(
    connection: sqlalchemy.Connection, statement: sqlite.Insert | postgresql.Insert, rows: Sequence[dict[str, Any]]
) -> None:
    newest = {column: statement.excluded[column] for column in (*_NUMBERS, "updated")}
    statement = statement.values(updated=func.current_timestamp())
    connection.execute(statement.on_conflict_do_update(index_elements=["name"], set_=newest), rows)


def update_or_insert(connection: sqlalchemy.Connection, rows: Sequence[dict[str, Any]]) -> None:
    """The same in plain SQL, for databases that have no such statement."""
    known: set[str] = set()
    for start in range(0, len(rows), 500):
        names = [row["name"] for row in rows[start : start + 500]]
        known.update(connection.scalars(select(player.c.name).where(player.c.name.in_(names))))
    old = [{"key": row["name"], **{number: row[number] for number in _NUMBERS}} for row in rows if row["name"] in known]
    new = [row for row in rows if row["name"] not in known]
    now = func.current_timestamp()
    if old:
        connection.execute(update(player).where(player.c.name == bindparam("key")).values(updated=now), old)
    if new:
        connection.execute(insert(player).values(updated=now), new)
