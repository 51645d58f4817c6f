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

    def __init__(self, script: str, source: str) -> None:
        self.script = script
        self.world: World
        """Whose monsters are of this kind: given when the world is populated."""
        self.failed = False
        self.install(source)

    def install(self, source: str) -> None:
        """Take over another text of the same script. Raises ScriptError, and then nothing has changed."""
        names: dict[str, Any] = {"__name__": f"iocp.game.scripts.{self.script}"}
        try:
            exec(compile(source, f"{self.script}.py", "exec"), names)
        except Exception as error:
            line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
            raise ScriptError(f"script {self.script}.py{line}: {type(error).__name__}: {error}") from error
        numbers = {name: self._number(names, name) for name in _NUMBERS}
        step = names.get("step")
        if not callable(step):
            raise ScriptError(f"script {self.script}.py: there is no function step(me)")
        name = names.get("NAME", self.script)
        try:
            self.packed_name = encode_name(name)
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
        files = sorted(path for path in folder.iterdir() if path.suffix == ".py" and not path.name.startswith("_"))
        if not files:
            raise ScriptError(f"there is no script (NAME.py) in {folder}")
        return {path.stem: path.read_text(encoding="utf-8") for path in files}
    except (OSError, UnicodeDecodeError) as error:
        raise ScriptError(f"scripts in {folder} cannot be read: {error}") from None


class ScriptWatcher:
    """Looks every `every` seconds, on a thread of its own, whether scripts changed, and calls `changed(name, text)`.

    `changed` is called on that thread; a text of None says that the file is gone.
    """

    def __init__(self, folder: Path, changed: Callable[[str, str | None], object], every: float = 1.0) -> None:
        self._folder = folder
        self._changed = changed
        self._every = every
        self._known = self._stamps()
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

    def _stamps(self) -> dict[str, tuple[int, int]]:
        stamps = {}
        try:
            for path in sorted(self._folder.glob("*.py")):
                if not path.name.startswith("_"):
                    status = path.stat()
                    stamps[path.stem] = (status.st_mtime_ns, status.st_size)
        except OSError:
            pass  # In the middle of being replaced: the next look sees it whole.
        return stamps

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            now = self._stamps()
            for name in now.keys() | self._known.keys():
                if now.get(name) != self._known.get(name):
                    self._tell(name, name in now)
            self._known = now

    def _tell(self, name: str, there: bool) -> None:
        if not there:
            self._changed(name, None)
            return
        try:
            text = (self._folder / f"{name}.py").read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            log.error("script %s.py cannot be read: %s", name, error)
        else:
            self._changed(name, text)
