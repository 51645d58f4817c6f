"""A PostgreSQL server of the tests' own: in a temporary folder, on a Unix socket, with a password, gone with the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

USER = "chess"
# With everything that has a meaning in a URL.
PASSWORD = "s3cr3t@/%?:word"
TIMEOUT = 60.0
# The server ends when its standard input does, so that it cannot outlive tests that were killed. QUIT is its immediate
# stop: no goodbye to anyone, a recovery at the next start.
UNTIL_EOF = 'postgres=$0; "$postgres" "$@" & read -r nothing; kill -QUIT $!; wait $!'


def programs() -> Path | None:
    """The folder with initdb and postgres; Debian keeps it out of PATH."""
    found = shutil.which("initdb")
    places = [Path(found).resolve().parent] if found else []
    places += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    return next((place for place in places if (place / "initdb").exists() and (place / "postgres").exists()), None)


class PostgreSQL:
    """A server that can be stopped at once and started again. `create()` makes a database and gives its URL."""

    def __init__(self, folder: Path, bin: Path) -> None:
        self.folder = folder
        self.bin = bin
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        # As root the server refuses to run.
        self._identity: dict[str, object] = {"cwd": folder, "env": {**os.environ, "LC_ALL": "C", "HOME": str(folder)}}
        if os.geteuid() == 0:
            import pwd

            user = pwd.getpwnam("nobody")
            self._identity |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        done = subprocess.run(
            [bin / "initdb", "--pgdata", folder / "data", "--username", USER, "--pwfile", password, "--auth", "scram-sha-256",
             "--encoding", "UTF8", "--locale", "C", "--no-sync"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **self._identity,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start it if it is not running, and wait until it answers."""
        if self._process is not None:
            return
        # Without fsync what was committed is in the system's hands, which is enough: it is the server that is killed here.
        options = ["-D", self.folder / "data", "-k", self.folder, "-c", "listen_addresses=", "-c", "fsync=off"]
        with open(self.folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", UNTIL_EOF, self.bin / "postgres", *options],
                stdin=subprocess.PIPE, stdout=log, stderr=log, **self._identity,
            )  # fmt: skip
        deadline = time.monotonic() + TIMEOUT
        while subprocess.run([self.bin / "pg_isready", "-q", "-h", self.folder], stdin=subprocess.DEVNULL).returncode:
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        if self._process is not None:
            self._process.communicate(timeout=TIMEOUT)
            assert not (self.folder / "data" / "postmaster.pid").exists(), "the server is still there"
            self._process = None

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg://{user}:{quote(password, safe='')}@/{database}?host={self.folder}"

    def create(self, options: str = "") -> str:
        """The URL of a new empty database."""
        self._databases += 1
        name = f"chess{self._databases}"
        self.execute(f"CREATE DATABASE {name} {options}")
        return self.url(name)

    def connect(self, url: str | None = None) -> "psycopg.Connection":  # noqa: F821
        import psycopg

        address = (url or self.url("postgres")).replace("+psycopg", "")
        return psycopg.connect(address, autocommit=True)

    def execute(self, statement: str, url: str | None = None) -> list[tuple]:
        """The rows of a statement, which is committed."""
        with self.connect(url) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A running server, one for all tests."""
    if sys.platform == "win32":
        pytest.skip("the server runs as a Unix program here")
    bin = programs()
    if bin is None:
        pytest.skip("no PostgreSQL server on this machine (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="needs psycopg")
    # Not below pytest's own folder, which other users may not enter; and a socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="pyiocp-"))
    server = None
    try:
        server = PostgreSQL(folder, bin)
        server.start()
        yield server
    finally:
        if server is not None:
            server.stop()
        shutil.rmtree(folder)
