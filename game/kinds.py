"""The kinds of monsters: each is a Python script in a folder, read again when it changes (lecture row 26).

A script is a file such as `wolf.py` with some of these names, and one function:

    NAME = "wolf"       what players see, up to 10 bytes; default: the file's name
    O_TYPE = 4          what clients draw, 1 to 127 (0 is a player); default 1
    SHARE = 1           how many of all monsters are of this kind, in proportion to the other kinds; default 1
    HEALTH = 30         hit points; default 20
    LEVEL = 1           default 1
    DAMAGE = 5          hit points that an attack takes from a player; default 5
    EXP = 10            experience for whoever kills it; default 5
    SECONDS = 1.0       between two steps; default 1.0

    def step(me):       called for each monster of this kind that a player sees; `me` is a `Monster`
        ...

An exception in `step` is logged once and disables the kind, whose monsters then stand still, until the file changes again.
A file that cannot be read or run again leaves the kind as it was, with the reason in the log. SHARE counts only at the
start. Scripts are the operator's own code: they may do whatever Python may.
"""

from __future__ import annotations

import linecache
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .agenda import ticks
from .names import encode_name
from .violation import ProtocolError

if TYPE_CHECKING:
    from .monster import Monster
    from .world import World

log = logging.getLogger("iocp.game")

SCRIPTS: Final = Path(__file__).parent / "scripts"
"""The scripts that come with the game."""
_NUMBERS: Final = {
    "O_TYPE": (1, 1, 127), "SHARE": (1, 0, 1_000_000), "HEALTH": (20, 1, 32_767), "LEVEL": (1, 1, 32_767),
    "DAMAGE": (5, 0, 32_767), "EXP": (5, 0, 1_000_000), "SECONDS": (1.0, 0.025, 3_600),
}  # fmt: skip
"""Default, least, most."""


class ScriptError(ValueError):
    """A script that cannot be used; the text names the file and says why."""


class Kind:
    """One kind, made from `source`, the text of the file `script`. Raises ScriptError."""

    def __init__(self, script: str, source: str, name_encoding: str = "utf-8") -> None:
        self.script = script
        self._name_encoding = name_encoding
        self.world: World
        """Whose monsters are of this kind: given when the world is populated."""
        self.failed = False
        self.install(source)

    def install(self, source: str) -> None:
        """Take over another text of the same script. Raises ScriptError, and then nothing has changed."""
        names: dict[str, Any] = {"__name__": f"iocp.game.scripts.{self.script}"}
        file = f"<script {self.script}.py>"
        # So that tracebacks show the lines of what runs, and not of what the file has become since.
        linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
        try:
            exec(compile(source, file, "exec", dont_inherit=True), names)
        except (Exception, SystemExit) as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise ScriptError(f"script {self.script}.py{line}: {type(error).__name__}: {error}") from error
        numbers = {name: self._number(names, name) for name in _NUMBERS}
        step = names.get("step")
        if not callable(step):
            raise ScriptError(f"script {self.script}.py: there is no function step(me)")
        name = names.get("NAME", self.script)
        try:
            self.packed_name = encode_name(name, self._name_encoding)
        except (ProtocolError, AttributeError) as error:
            raise ScriptError(f"script {self.script}.py: NAME: {error}") from None
        self.name: str = name
        self.o_type, self.share = int(numbers["O_TYPE"]), numbers["SHARE"]
        self.health, self.level = int(numbers["HEALTH"]), int(numbers["LEVEL"])
        self.damage, self.exp = int(numbers["DAMAGE"]), int(numbers["EXP"])
        self.ticks = ticks(numbers["SECONDS"])
        self.step: Callable[[Monster], object] | None = step
        self.failed = False

    def _number(self, names: dict[str, Any], name: str) -> float:
        default, least, most = _NUMBERS[name]
        value = names.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
            raise ScriptError(f"script {self.script}.py: {name} must be a number from {least} to {most}, not {value!r}")
        return value

    def fail(self) -> None:
        """Log the exception that is being handled, and disable the kind until the script changes."""
        self.step = None
        self.failed = True
        log.exception("script %s.py failed: its monsters stand still until the file changes", self.script)


def read_scripts(folder: Path) -> dict[str, str]:
    """The texts of all scripts of a folder, by name without `.py`. Raises ScriptError."""
    try:
        files = _files(folder)
        if not files:
            raise ScriptError(f"there is no script (NAME.py) in {folder}")
        return {path.stem: _text(path) for path in files}
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"scripts in {folder} cannot be read: {error}") from None


def _files(folder: Path) -> list[Path]:
    """The scripts of a folder. Editors keep files of their own beside them, which begin with a dot or other marks."""
    return sorted(path for path in folder.iterdir() if path.suffix == ".py" and path.stem.isidentifier() and path.stem[0] != "_")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8-sig")


class ScriptWatcher:
    """Looks every `every` seconds, on a thread of its own, whether scripts changed, and calls `changed(name, text)`.

    known: the texts as they are in use, by name. `changed` is called on that thread; a text of None says that the file is gone.
    """

    def __init__(
        self, folder: Path, known: dict[str, str], changed: Callable[[str, str | None], object], every: float = 1.0
    ) -> None:
        self._folder = folder
        self._changed = changed
        self._every = every
        self._texts = dict(known)
        self._stamps: dict[str, tuple[int, int]] = {}
        self._failed: set[str] = set()
        self._lost = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="iocp-chess scripts", daemon=True)

    def start(self) -> None:
        """Begin to look. On any thread."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more; waits for the thread. On any thread but its own."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self.look()
            except Exception:
                log.exception("looking for changed scripts failed; it goes on")

    def look(self) -> None:
        """Look once."""
        try:
            files = {path.stem: path for path in _files(self._folder)}
        except OSError as error:
            if not self._lost:
                log.error("scripts in %s cannot be read, and do as before: %s", self._folder, error)
                self._lost = True
            return
        self._lost = False
        for name, path in files.items():
            try:
                status = path.stat()
                stamp = (status.st_mtime_ns, status.st_size)
                if self._stamps.get(name) == stamp:
                    continue
                text = _text(path)
            except FileNotFoundError:
                continue  # In the middle of being replaced: the next look sees it whole, or gone.
            except (OSError, UnicodeDecodeError) as error:
                if name not in self._failed:
                    log.error("script %s.py cannot be read, and does as before: %s", name, error)
                    self._failed.add(name)
                continue
            self._failed.discard(name)
            self._stamps[name] = stamp
            if self._texts.get(name) != text:
                self._texts[name] = text
                self._changed(name, text)
        for name in self._texts.keys() - files.keys():
            del self._texts[name]
            self._stamps.pop(name, None)
            self._changed(name, None)
