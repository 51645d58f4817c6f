"""A recording's file: all that came into a chess server, when, and digests of what went out (`recorder.py`, `replay.py`).

    8 bytes     "iocp-rec"
    u32         the format's version
    blocks      u32 stored size; u32 CRC-32 of all that is stored so far; u32 CRC-32 of these eight bytes;
                then so many bytes, compressed with zlib

The first block is JSON: what determines the world, and who recorded it. The others are events, none of them cut in two: what a
server that was killed has written can be read up to the last block. An event is its kind (u8), its numbers, and for
some of them a u32 size and so many bytes more. Integers are little endian.

A recording has players' names and all they said in it, and the texts of the monsters' scripts, which a replay runs: whoever
gives you one to replay may do on your machine whatever Python may.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import threading
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from struct import Struct
from struct import error as StructError
from types import TracebackType
from typing import Any, BinaryIO, Final, NamedTuple, Self, TypeAlias

from iocp._version import __version__

from .setting import Setting

log = logging.getLogger("iocp.game")

VERSION: Final = 1
FLUSH_SECONDS: Final = 0.25
"""Between two writes: what the end of the process may take away."""
MOST_WAITING: Final = 500_000
"""Events that may wait for the disk, about 100 MB, before the recording is given up."""
_MAGIC: Final = b"iocp-rec"
_START: Final = Struct("<8sI")
_SIZES: Final = Struct("<II")
_U32: Final = Struct("<I")
_BLOCK_EVENTS: Final = 8_192
_CLOSE_SECONDS: Final = 10.0


class RecordingError(Exception):
    """A recording that cannot be written or read; the text names the file and says why."""


# Events. `now`: seconds of the server's clock, as the game was told. session: its id.


class Started(NamedTuple):
    """`on_start`; `world` tells one newly built world from another."""

    now: float
    world: int


class Connected(NamedTuple):
    """`on_connect`, with the peer's address."""

    now: float
    session: int
    host: str
    port: int


class Received(NamedTuple):
    """`on_packet`."""

    now: float
    session: int
    packet: bytes


class Ended(NamedTuple):
    """`on_disconnect`; `reason` is an `iocp.Reason`."""

    now: float
    session: int
    reason: int


class Ticked(NamedTuple):
    """The world's timer."""

    now: float


class ScriptChanged(NamedTuple):
    """`install_script`; no text: the script is gone."""

    now: float
    script: str
    text: str | None


class Stopped(NamedTuple):
    """`on_stop`. What is sent afterwards goes nowhere, and nothing more is recorded but the sums."""

    now: float


class Known(NamedTuple):
    """The player who is about to log in was known when the server started: the fields of its `Record`."""

    name: str
    x: int
    y: int
    hp: int
    level: int
    exp: int


class Sent(NamedTuple):
    """All that was sent to a session so far: its size in bytes, the first 32 bits of its digest."""

    session: int
    size: int
    digest: int


class Check(NamedTuple):
    """What was sent to those sessions to which something was sent since the last one of these."""

    sent: tuple[Sent, ...]


class Total(NamedTuple):
    """All that was sent to a session that has ended, or is open at the stop: its size in bytes, its BLAKE2b digest."""

    session: int
    size: int
    digest: bytes


class Finished(NamedTuple):
    """The recording's regular end, and how many events came in."""

    events: int


Event: TypeAlias = (
    Started | Connected | Received | Ended | Ticked | ScriptChanged | Stopped | Known | Check | Total | Finished
)

_SENT: Final = Struct("<IQI")


def _to_json(fields: tuple[Any, ...]) -> bytes:
    return json.dumps(fields).encode()


def _from_json(tail: bytes) -> tuple[Any, ...]:
    return tuple(json.loads(tail))


def _sent_to_bytes(fields: tuple[Any, ...]) -> bytes:
    return b"".join([_SENT.pack(*sent) for sent in fields[0]])


def _sent_from_bytes(tail: bytes) -> tuple[Any, ...]:
    return (tuple(Sent(*values) for values in _SENT.iter_unpack(tail)),)


class _Layout:
    """How one kind of event lies in the file: its first fields as `numbers`, the others as bytes of their own."""

    def __init__(
        self,
        code: int,
        kind: Callable[..., Event],
        numbers: str,
        to_tail: Callable[[tuple[Any, ...]], bytes] | None = None,
        from_tail: Callable[[bytes], tuple[Any, ...]] | None = None,
    ) -> None:
        self.code = code
        self.kind = kind
        self.struct = Struct("<" + numbers)
        self.count = len(self.struct.unpack(bytes(self.struct.size)))
        self.to_tail = to_tail
        self.from_tail = from_tail


_LAYOUTS: Final = (
    _Layout(1, Started, "dI"),
    _Layout(2, Connected, "dI", _to_json, _from_json),
    _Layout(3, Received, "dI", lambda fields: bytes(fields[0]), lambda tail: (tail,)),
    _Layout(4, Ended, "dIB"),
    _Layout(5, Ticked, "d"),
    _Layout(6, ScriptChanged, "d", _to_json, _from_json),
    _Layout(7, Stopped, "d"),
    _Layout(8, Known, "", _to_json, _from_json),
    _Layout(9, Check, "", _sent_to_bytes, _sent_from_bytes),
    _Layout(10, Total, "IQ16s"),
    _Layout(11, Finished, "Q"),
)
_BY_KIND: Final[dict[object, _Layout]] = {layout.kind: layout for layout in _LAYOUTS}
_BY_CODE: Final = {layout.code: layout for layout in _LAYOUTS}


def pack(event: Event) -> bytes:
    """An event as in the file."""
    layout = _BY_KIND[type(event)]
    head = bytes([layout.code]) + layout.struct.pack(*event[: layout.count])
    if layout.to_tail is None:
        return head
    tail = layout.to_tail(event[layout.count :])
    return head + _U32.pack(len(tail)) + tail


def unpack(data: bytes) -> Iterator[Event]:
    """The events of a block. Raises ValueError, and only that, for what `pack` did not make."""
    at = 0
    try:
        while at < len(data):
            layout = _BY_CODE[data[at]]
            fields = layout.struct.unpack_from(data, at + 1)
            at += 1 + layout.struct.size
            if layout.from_tail is not None:
                begin = at + _U32.size
                at = begin + _U32.unpack_from(data, at)[0]
                if at > len(data):
                    raise ValueError("an event is longer than its block")
                fields += layout.from_tail(data[begin:at])
            yield layout.kind(*fields)
    except (StructError, KeyError, TypeError) as error:
        raise ValueError(f"no such event: {error!r}") from None


def made_by() -> str:
    """The versions that decide what a world does: this package's, and Python's."""
    return f"pyiocp {__version__}, Python {platform.python_version()}"


class RecordingWriter:
    """Writes a recording of a game with this `setting` and these keyword arguments of its `ChessServer` to `path`.

    Events wait in memory for a thread that writes them, so a slow disk does not hold up the game. If the disk is full, or
    too slow for too long, that is logged once, the recording ends where it is, and the game goes on. A file that is there
    already is kept as `<path>.old`. Raises RecordingError if `path` cannot be written at all.
    """

    def __init__(self, path: Path, setting: Setting, game: dict[str, Any]) -> None:
        self.failed = False
        """Whether the recording was given up."""
        self._path = path
        self._header = json.dumps({"made_by": made_by(), "setting": setting.to_json(), "game": game}).encode()
        self._events: deque[Event] = deque()
        self._sum = 0
        self._closing = threading.Event()
        self._failing = threading.Lock()
        self._thread: threading.Thread | None = None
        try:
            known = path.exists()
            with path.open("ab"):
                pass
            if not known:
                path.unlink()
        except OSError as error:
            raise RecordingError(f"the recording {path} cannot be written: {error.strerror or error}") from None

    def begin(self) -> None:
        """Begin to write. Called once, by the game when it starts, on any thread."""
        self._thread = threading.Thread(target=self._run, name="iocp-chess recording", daemon=True)
        self._thread.start()

    def write(self, event: Event) -> None:
        """Note an event; never waits. Where handlers run."""
        if self.failed:
            return
        self._events.append(event)
        if len(self._events) > MOST_WAITING:
            self._fail("the disk does not keep up")
            self._events.clear()

    def close(self) -> None:
        """Write what waits, and close the file. After the server has stopped; on any thread, more than once."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(_CLOSE_SECONDS)
            if self._thread.is_alive():
                self._fail("the disk does not keep up")

    def _run(self) -> None:
        try:
            file = self._create()
            # To close is to try again to write what the disk would not take.
            with suppress(OSError), file:
                try:
                    self._write_all(file)
                except OSError as error:
                    self._fail(error.strerror or str(error))
        except Exception as error:
            self._fail(str(error))

    def _create(self) -> BinaryIO:
        path = self._path
        if path.is_file() and path.stat().st_size:
            os.replace(path, path.with_name(path.name + ".old"))
        return path.open("wb")

    def _write_all(self, file: BinaryIO) -> None:
        file.write(_START.pack(_MAGIC, VERSION))
        self._write_block(file, self._header)
        while not self._closing.wait(FLUSH_SECONDS) and not self.failed:
            self._write_waiting(file)
        self._write_waiting(file)

    def _write_waiting(self, file: BinaryIO) -> None:
        while self._events and not self.failed:
            packed = []
            with suppress(IndexError):  # Given up meanwhile, on the other thread.
                for _ in range(min(len(self._events), _BLOCK_EVENTS)):
                    packed.append(pack(self._events.popleft()))
            self._write_block(file, b"".join(packed))

    def _write_block(self, file: BinaryIO, content: bytes) -> None:
        stored = zlib.compress(content, 1)
        self._sum = zlib.crc32(stored, self._sum)
        sizes = _SIZES.pack(len(stored), self._sum)
        file.write(sizes + _U32.pack(zlib.crc32(sizes)) + stored)
        file.flush()

    def _fail(self, reason: str) -> None:
        with self._failing:
            if self.failed:
                return
            self.failed = True
        log.error("the recording %s ends here, and the game goes on: %s", self._path, reason)


class RecordingReader:
    """Reads the recording at `path`; iterate over it for its events, once. Raises RecordingError, also then."""

    def __init__(self, path: Path) -> None:
        self.complete = False
        """Whether the end was reached that a server writes when it stops: from the last event on."""
        self.path = path
        self._sum = 0
        self._at = 0
        try:
            self._file = path.open("rb")
            self._size = path.stat().st_size
        except OSError as error:
            raise RecordingError(f"{path}: {error.strerror or error}") from None
        try:
            self._read_header()
        except BaseException:
            self._file.close()
            raise

    def _read_header(self) -> None:
        start = self._read(_START.size)
        if not start:
            raise RecordingError(f"{self.path} is empty")
        if start[: len(_MAGIC)] != _MAGIC[: len(start)]:
            raise RecordingError(f"{self.path} is not a recording of iocp-chess serve --record")
        if len(start) == _START.size and _START.unpack(start)[1] != VERSION:
            found = _START.unpack(start)[1]
            raise RecordingError(f"{self.path} has version {found} of the format, this program knows version {VERSION}")
        content = self._read_block() if len(start) == _START.size else None
        if content is None:
            raise RecordingError(f"{self.path} ends before its first event: nothing was recorded")
        try:
            header = json.loads(content)
            self.setting = Setting.from_json(dict(header["setting"]))
            self.game: dict[str, Any] = dict(header["game"])
            self.made_by = str(header["made_by"])
        except (ValueError, TypeError, KeyError) as error:
            raise RecordingError(f"{self.path} does not say which world was recorded: {error!r}") from None

    @property
    def progress(self) -> float:
        """The part of the file that has been read, from 0 to 1."""
        return self._at / max(self._size, 1)

    def __iter__(self) -> Iterator[Event]:
        while not self.complete:
            begin = self._at
            content = self._read_block()
            if content is None:
                return
            try:
                for event in unpack(content):
                    self.complete = isinstance(event, Finished)
                    yield event
                    if self.complete:
                        return
            except ValueError as error:
                raise RecordingError(f"{self.path} is damaged in the block at byte {begin:,}: {error}") from None

    def _read_block(self) -> bytes | None:
        """The next block's content; None at the file's end, also if that is within a block."""
        begin = self._at
        head = self._read(_SIZES.size + _U32.size)
        if len(head) < _SIZES.size + _U32.size:
            return None
        if zlib.crc32(head[: _SIZES.size]) != _U32.unpack_from(head, _SIZES.size)[0]:
            raise RecordingError(f"{self.path} is damaged at byte {begin:,}")
        size, checksum = _SIZES.unpack_from(head)
        stored = self._read(size)
        if len(stored) < size:
            return None
        self._sum = zlib.crc32(stored, self._sum)
        if self._sum != checksum:
            raise RecordingError(f"{self.path} is damaged between bytes {begin:,} and {self._at:,}")
        try:
            return zlib.decompress(stored)
        except zlib.error as error:
            raise RecordingError(f"{self.path} is damaged in the block at byte {begin:,}: {error}") from None

    def _read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except OSError as error:
            raise RecordingError(f"{self.path}: {error.strerror or error}") from None
        self._at += len(data)
        return data

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
