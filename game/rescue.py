"""What is kept of a player, and the file that keeps what the database would not take.

The file is JSON lines: one that says whose players they are, then a player on each. It is there only while there is
something in it: during an outage of the database, and after a stop in the middle of one.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

MAX_NAME: Final = 32
"""Characters of a name. The wire's field has ten bytes; a longer name must have come from somewhere else."""

# What the wire's fields hold (i16, i32), less what no player can have.
_RANGES: Final = {"x": (0, 32_767), "y": (0, 32_767), "hp": (0, 32_767), "level": (1, 32_767), "exp": (0, 2**31 - 1)}
_VERSION: Final = 1


class StorageError(Exception):
    """The players cannot be read or kept. The text says why and what to do, and never has a password in it."""


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept of one player. `name` is the key; x and y are tiles.

    Raises ValueError naming the field for a value that the wire or a database could not hold: a database that refuses one
    player would refuse all that are written with it.
    """

    name: str
    x: int
    y: int
    hp: int
    level: int
    exp: int

    def __post_init__(self) -> None:
        name = self.name
        if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME:
            raise ValueError(f"name must be text of 1 to {MAX_NAME} characters, not {name!a}")
        if "\0" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
            raise ValueError(f"name must be without NUL and lone surrogates, not {name!a}")
        for field, (least, most) in _RANGES.items():
            value = getattr(self, field)
            if not isinstance(value, int) or not least <= value <= most:
                raise ValueError(f"{field} must be between {least} and {most}, not {value!a}")


class RescueFile:
    """The file at `path` for players of the database named `owner`. Any thread; one at a time, others wait for the disk."""

    def __init__(self, path: Path, owner: str) -> None:
        self.path = path
        self.owner = owner
        self.written = False
        """Whether this object has put players there that are not in the database."""
        self._lock = threading.Lock()
        self._closed = False

    def read(self) -> list[Record]:
        """The players of the file, none if there is no file. Raises StorageError for a damaged one or another database's."""
        try:
            lines = self.path.read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            raise self._damaged(str(error)) from error
        if not lines:
            raise self._damaged("it is empty")
        self._check_owner(lines[0])
        records = []
        for number, line in enumerate(lines[1:], start=2):
            try:
                records.append(Record(**json.loads(line)))
            except (ValueError, TypeError) as error:
                raise self._damaged(f"line {number}: {error}") from error
        return records

    def write(self, records: Iterable[Record], *, last: bool = False) -> None:
        """Replace the file by one with `records`, all on the disk or nothing changed.

        With `last` nothing touches the file afterwards: a writer that is late by then must not take away what another
        server may be about to read. Raises OSError, or StorageError if another database's players are in the file.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = last
            if not self.written and self.path.exists():
                with self.path.open(encoding="utf-8") as file:
                    self._check_owner(file.readline())
            draft = self.path.with_name(self.path.name + ".part")
            with draft.open("w", encoding="utf-8", newline="\n") as file:
                file.write(json.dumps({"unsaved players of": self.owner, "version": _VERSION}) + "\n")
                file.writelines(json.dumps(asdict(record)) + "\n" for record in records)
                file.flush()
                os.fsync(file.fileno())
            os.replace(draft, self.path)
            self.written = True
            _sync_folder(self.path.parent)

    def remove(self) -> None:
        """Take the file away: its players are in the database. Raises OSError."""
        with self._lock:
            if not self._closed:
                self.path.unlink(missing_ok=True)
                self.written = False

    def _check_owner(self, line: str) -> None:
        try:
            head: Any = json.loads(line)
            owner, version = head["unsaved players of"], head["version"]
        except (ValueError, TypeError, KeyError):
            raise self._damaged("its first line does not say whose players they are") from None
        if version != _VERSION:
            raise self._damaged(f"its version is {version!a}, this program knows {_VERSION}")
        if owner != self.owner:
            raise StorageError(
                f"{self.path} has players that could not be saved into {owner}, and this is {self.owner}: if they belong "
                "here, correct the file's first line, otherwise move the file away"
            )

    def _damaged(self, reason: str) -> StorageError:
        return StorageError(
            f"{self.path} has players that could not be saved earlier, but cannot be used ({reason}): "
            "repair it, or move it away to go on without them"
        )


def _sync_folder(folder: Path) -> None:
    """Put the new name on the disk too. Windows does that by itself, and opens no folders."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
