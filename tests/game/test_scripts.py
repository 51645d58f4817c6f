"""The scripts of monsters: they may fail, change and be broken while the game runs, and only their own kind notices."""

from __future__ import annotations

import logging

import pytest
from boards import Game, game_of, kind
from iocp.game.kinds import Kind, ScriptError, ScriptWatcher, read_scripts
from iocp.game.protocol import Moved
from iocp.game.world import World

RIGHT = "SECONDS = 0.5\ndef step(me): me.walk(3)"

def test_an_exception_in_a_script_is_logged_once_and_disables_that_kind_alone(caplog):
    world = World(40, 3)
    world.populate(60, [kind("bad", "def step(me): 1 / 0"), kind("good", RIGHT)])
    game = Game(world)
    anna = game.login("anna", (20, 20))
    with caplog.at_level(logging.WARNING):
        game.run(3.0)
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == 1 and "bad.py" in errors[0].getMessage() and "ZeroDivisionError" in caplog.text
    bad, good = world.monsters.kinds
    assert bad.failed and not good.failed
    assert any(isinstance(packet, Moved) for packet in game.told(anna))
    assert anna.end is None


def test_a_script_that_changed_is_what_its_monsters_do_from_then_on():
    game = game_of("def step(me): 1 / 0", at=(12, 10))
    anna = game.login("anna", (10, 10))
    game.run(3.0)
    assert game.world.monsters.kinds[0].failed
    game.server.install_script("test", RIGHT)
    game.told(anna)
    game.run(2.0)
    assert any(isinstance(packet, Moved) for packet in game.told(anna))
    assert not game.world.monsters.kinds[0].failed


def test_a_change_that_does_not_run_leaves_the_kind_as_it_was():
    game = game_of(RIGHT, at=(12, 10))
    anna = game.login("anna", (10, 10))
    with pytest.raises(ScriptError, match=r"test\.py, line 1: SyntaxError"):
        game.server.install_script("test", "def step(me) pass")
    with pytest.raises(ScriptError, match="HEALTH"):
        game.server.install_script("test", "HEALTH = 'many'\ndef step(me): pass")
    game.told(anna)
    game.run(2.0)
    assert any(isinstance(packet, Moved) for packet in game.told(anna))


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def step(me) pass", "SyntaxError"), ("import no_such_module", "no_such_module"), ("x = 1", "step"),
        ("step = 3", "step"), ("SHARE = -1\ndef step(me): pass", "SHARE"), ("O_TYPE = 0\ndef step(me): pass", "O_TYPE"),
        ("SECONDS = 0\ndef step(me): pass", "SECONDS"), ("NAME = 'much too long a name'\ndef step(me): pass", "NAME"),
        ("NAME = 3\ndef step(me): pass", "NAME"), ("HEALTH = True\ndef step(me): pass", "HEALTH"),
    ],
)  # fmt: skip
def test_a_script_that_cannot_be_used_is_an_error_that_names_it(source, says):
    with pytest.raises(ScriptError, match=r"bad\.py") as caught:
        Kind("bad", source)
    assert says in str(caught.value)


@pytest.mark.parametrize("source", ["raise SystemExit(0)", "def step(me): raise SystemExit(0)"])
def test_a_script_cannot_end_the_server(source):
    if "step" not in source:
        with pytest.raises(ScriptError, match="SystemExit"):
            Kind("bad", source)
        return
    game = game_of(source)
    game.login("anna", (10, 10))
    game.run(2.0)
    assert game.world.monsters.kinds[0].failed


def test_scripts_may_use_dataclasses_and_begin_with_a_byte_order_mark(tmp_path):
    source = "from dataclasses import dataclass\n@dataclass\nclass Plan:\n    x: int = 0\ndef step(me): Plan()\n"
    (tmp_path / "planner.py").write_text(source, encoding="utf-8-sig")
    assert Kind("planner", read_scripts(tmp_path)["planner"]).step is not None


class Changes:
    """What a watcher told; `look()` lets it look once."""

    def __init__(self, folder):
        self.told = []
        self.watcher = ScriptWatcher(folder, read_scripts(folder), lambda name, text: self.told.append((name, text)))

    def look(self):
        self.watcher.look()
        told, self.told = self.told, []
        return told


def test_the_watcher_tells_of_changes_and_of_nothing_else(tmp_path):
    (tmp_path / "wolf.py").write_text("one")
    (tmp_path / "cow.py").write_text("cow")
    changes = Changes(tmp_path)
    (tmp_path / "wolf.py").write_text("two!")
    assert changes.look() == [("wolf", "two!")], "also what changed before the first look"
    assert changes.look() == []
    (tmp_path / "cow.py").touch()
    assert changes.look() == [], "the same text again"
    (tmp_path / "new.py").write_text("new")
    assert changes.look() == [("new", "new")]
    (tmp_path / "wolf.py").unlink()
    assert changes.look() == [("wolf", None)]


def test_what_editors_leave_beside_a_script_is_no_script(tmp_path):
    (tmp_path / "wolf.py").write_text("one")
    changes = Changes(tmp_path)
    for name in (".#wolf.py", "#wolf#.py", ".wolf.py", "_notes.py", "wolf.py~"):
        (tmp_path / name).write_text("other")
    try:
        (tmp_path / ".#cow.py").symlink_to(tmp_path / "nowhere")
        (tmp_path / "dangling.py").symlink_to(tmp_path / "nowhere")
    except (OSError, NotImplementedError):
        pass  # Windows, without the right to make links.
    assert changes.look() == []



def test_a_script_that_cannot_be_read_is_tried_again_and_logged_once(tmp_path, caplog):
    (tmp_path / "wolf.py").write_text("one")
    changes = Changes(tmp_path)
    (tmp_path / "wolf.py").write_bytes(b"\xff\xfe broken")
    assert changes.look() == [] and changes.look() == []
    assert len(caplog.records) == 1 and "wolf.py" in caplog.text
    (tmp_path / "wolf.py").write_text("three")
    assert changes.look() == [("wolf", "three")]


def test_a_folder_that_is_gone_is_logged_once_and_looked_at_again(tmp_path, caplog):
    folder, away = tmp_path / "scripts", tmp_path / "away"
    folder.mkdir()
    (folder / "wolf.py").write_text("one")
    changes = Changes(folder)
    for times in (1, 2):
        folder.rename(away)
        assert [changes.look() for _ in range(3)] == [[], [], []], "the kinds are as they were"
        assert len(caplog.records) == times and str(folder) in caplog.records[-1].getMessage()
        assert caplog.records[-1].exc_info is None
        (away / "wolf.py").write_text("changed" * times)
        away.rename(folder)
        assert changes.look() == [("wolf", "changed" * times)]


def test_a_folder_without_scripts_or_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ScriptError, match="no script"):
        read_scripts(tmp_path)
    with pytest.raises(ScriptError, match="missing"):
        read_scripts(tmp_path / "missing")
