"""A start on a database: which are refused, why, and what the message says. No password is in any of them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from storages import TIMEOUT, WINDOWS, Outage, begin, file  # noqa: F401
from storages import change, many, record, refused, rows, save_all, sqlalchemy

from iocp.game import saver as saver_module

COLUMNS = "name TEXT PRIMARY KEY, x INTEGER, y INTEGER, hp INTEGER, level INTEGER, exp INTEGER, updated TEXT"

# A start that is refused says why


def test_a_folder_that_is_missing_is_named(tmp_path):
    message = refused(tmp_path / "missing" / "players.db")
    assert str(tmp_path / "missing") in message and "create it" in message


def test_a_folder_is_no_file(tmp_path):
    assert "is a folder" in refused(tmp_path)


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder in which not even root can make files")
def test_a_file_that_may_not_be_made_says_so():
    message = refused("/proc/self/players.db")
    assert "unable to open" in message and "may be written" in message


def test_a_damaged_file_stops_the_start_and_stays(file):
    content = b"This is no database. " * 1000
    file.write_bytes(content)
    message = refused(file)
    assert "damaged" in message and "restore a copy" in message
    assert file.read_bytes() == content


def test_a_file_that_is_damaged_further_on_stops_the_start(begin, file):
    storage = begin()
    save_all(storage, many(1000))
    storage.stop()
    content = bytearray(file.read_bytes())
    content[len(content) // 4 : len(content) // 4 * 3] = b"\xa5" * (len(content) // 4 * 3 - len(content) // 4)
    file.write_bytes(content)
    assert "damaged" in refused(file)


@pytest.mark.parametrize(
    ("columns", "wrong"),
    [
        (COLUMNS.replace(", hp INTEGER", ""), "hp"),
        (COLUMNS.replace("hp INTEGER", "hp TEXT"), "hp"),
        (COLUMNS.replace("name TEXT", "name INTEGER"), "name"),
        (COLUMNS.replace(" PRIMARY KEY", ""), "primary key"),
        ("id INTEGER", "name, x, y, hp, level, exp, updated"),
    ],
)
def test_a_table_of_another_shape_is_left_alone(file, columns, wrong):
    change(file, f"CREATE TABLE player ({columns})")
    message = refused(file)
    assert f"another shape ({wrong})" in message and str(file) in message
    assert rows(file, "SELECT name FROM sqlite_schema WHERE type = 'table'") == [("player",)]


def test_a_table_with_more_columns_is_ours_all_the_same(begin, file):
    change(
        file,
        f"CREATE TABLE player ({COLUMNS}, note TEXT)",
        "INSERT INTO player VALUES ('anna', 3, 4, 100, 1, 0, '', 'mine')",
    )
    storage = begin()
    assert storage.records == {"anna": record()}
    storage.save(record("anna", 1))
    assert storage.stop() == 0
    assert rows(file, "SELECT exp, note FROM player") == [(1, "mine")]


def test_a_newer_schema_is_refused(begin, file):
    begin().stop()
    change(file, "UPDATE player_schema_version SET version = 2")
    assert "newer pyiocp" in refused(file)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("x", -1), ("y", 32_768), ("hp", 32_768), ("hp", -1), ("level", 0), ("exp", 2**31), ("exp", 1.5), ("x", "east"),
        ("name", ""), ("name", "n" * 33), ("name", b"\xff"), ("name", "a\0b"),
    ],
)  # fmt: skip
def test_rows_that_no_player_can_have_are_left_as_they_are(begin, file, caplog, column, value):
    first = begin()
    save_all(first, many(2) | {"odd": record("odd")})
    first.stop()
    change(file, (f"UPDATE player SET {column} = ? WHERE name = 'odd'", (value,)))
    before = rows(file, "SELECT hex(name), x, y, hp, level, exp, updated FROM player ORDER BY x, y, name")
    storage = begin()
    assert storage.records == many(2)
    assert f"{column} must be" in caplog.text
    save_all(storage, many(2))
    assert storage.stop() == 0
    after = rows(file, "SELECT hex(name), x, y, hp, level, exp, updated FROM player ORDER BY x, y, name")
    assert [row[:6] for row in after] == [row[:6] for row in before]


def test_a_name_that_is_no_utf8_text_spoils_only_its_row(begin, file):
    first = begin()
    save_all(first, many(2) | {"odd": record("odd")})
    first.stop()
    change(file, "UPDATE player SET name = CAST(x'ff41' AS TEXT) WHERE name = 'odd'")
    assert begin().records == many(2)


def test_many_bad_rows_do_not_flood_the_log(begin, file, caplog):
    first = begin()
    save_all(first, many(100))
    first.stop()
    change(file, "UPDATE player SET hp = -1")
    assert begin().records == {}
    assert len(caplog.records) == 21 and "100 rows" in caplog.records[-1].getMessage()


def test_a_second_server_is_refused_until_the_first_has_stopped(begin, file, monkeypatch):
    first = begin()
    with monkeypatch.context() as patch:
        patch.setattr(saver_module, "CLAIM_SECONDS", 0.0)
        message = refused(file)
        assert "another server" in message and str(file) in message
        if not WINDOWS:
            link = file.with_name("link.db")
            link.symlink_to(file)
            assert "another server" in refused(link)
    first.save(record())
    assert first.stop() == 0
    assert begin().records == {"anna": record()}


def test_a_refused_start_leaves_nothing_locked(begin, file):
    begin().stop()
    change(file, "UPDATE player_schema_version SET version = 2")
    refused(file)
    change(file, "UPDATE player_schema_version SET version = 1")
    assert begin().records == {}


# URLs


def test_an_sqlite_url_is_the_same_as_its_file(begin, file):
    storage = begin(sqlalchemy.URL.create("sqlite", database=str(file)).render_as_string())
    storage.save(record())
    assert storage.stop() == 0
    assert begin(file).records == {"anna": record()}


@pytest.mark.parametrize(
    "where", ["players.db", "/var/lib/a@b.db", r"C:\games\a@b.db", "C:/games/a@b.db", "C://x", r"\\host\x"]
)
def test_these_are_files(where):
    assert not saver_module.is_url(where)
    saver_module.Saver(where).close()


def test_a_relative_file_is_where_the_program_was_started(begin, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deeper").mkdir()
    storage = begin("relative.db")
    monkeypatch.chdir(tmp_path / "deeper")
    outage = Outage(storage)
    storage.save(record())
    assert not storage.flush(TIMEOUT)
    outage.on = False
    # Over a new connection.
    assert storage.stop() == 0
    assert rows(tmp_path / "relative.db") == [("anna", 0)]


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("nosuch://user:s3cr3t@host/x", ["nosuch://", "postgresql+psycopg"]),
        ("sqlite+nosuch:///x", ["sqlite+nosuch"]),
        ("postgresql://user:s3cr3t@host:port/x", ["KIND://USER"]),
        ("postgresql://user:half@s3cr3t@host/x", ["%40"]),
        ("postgresql://user:half@s3cr3t/t@host/x", ["%40"]),
        ("postgresql//user:s3cr3t@host/x", ["KIND://USER"]),
        ("postgresql:/user:s3cr3t@host/x", ["KIND://USER"]),
        ("user:s3/cr3t@host/x", ["KIND://USER"]),
        ("sqlite://", ["in memory"]),
        ("sqlite:///:memory:", ["in memory"]),
        ("sqlite:///file:s3cr3t?uri=true", ["in memory"]),
        ("sqlite+aiosqlite:///x", ["asyncio"]),
    ],
)  # fmt: skip
def test_a_wrong_url_says_what_is_wrong_and_shows_no_password(where, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(where)
    assert all(word in message for word in words), message
    assert "s3" not in message and "cr3t" not in message


@pytest.mark.parametrize(
    ("url", "module", "command"),
    [
        ("postgresql+psycopg://user:s3cr3t@host/x", "psycopg", "pip install 'psycopg[binary]'"),
        ("postgresql+psycopg2://user:s3cr3t@host/x", "psycopg2", "pip install 'psycopg2-binary'"),
        ("mysql+pymysql://user:s3cr3t@host/x", "pymysql", "pip install 'pymysql'"),
    ],
)
def test_a_missing_driver_is_named(monkeypatch, url, module, command):
    monkeypatch.setitem(sys.modules, module, None)
    message = refused(url)
    assert f"the driver {module}" in message and command in message
    assert "s3cr3t" not in message


def test_without_sqlalchemy_it_says_how_to_get_it(file, monkeypatch):
    monkeypatch.delitem(sys.modules, "iocp.game.saver")
    monkeypatch.delattr(sys.modules["iocp.game"], "saver")
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert "pip install 'pyiocp[db]'" in refused(file)


def test_the_game_imports_without_sqlalchemy():
    code = "import sys; sys.modules['sqlalchemy'] = None; import iocp.game.storage"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=TIMEOUT)


def test_passwords_are_taken_out_wherever_they_stand():
    url = "postgresql+psycopg://user:s3cr3t@host/x?passfile=/hidden&sslpassword=t0psecret"
    pytest.importorskip("psycopg", reason="needs psycopg")
    saver = saver_module.Saver(url)
    text = saver.name + saver.owner + saver.explain(RuntimeError("s3cr3t and t0psecret\nin /hidden"))
    assert not [secret for secret in ("s3cr3t", "t0psecret", "/hidden") if secret in text], text
    assert saver.name == "postgresql+psycopg://user:***@host/x" and saver.owner == "postgresql://host/x"


def test_mysql_gets_a_collation_that_tells_anna_from_Anna():
    from sqlalchemy.dialects import mysql
    from sqlalchemy.schema import CreateTable

    assert "utf8mb4_bin" in str(CreateTable(saver_module.player).compile(dialect=mysql.dialect()))
