"""A recording's file: what is written is read, damage is found, and neither a full nor a slow disk holds up the game."""

from __future__ import annotations

import errno
import io
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iocp.game import recording
from iocp.game.recording import (
    Check,
    Connected,
    Ended,
    Finished,
    Known,
    Received,
    RecordingError,
    RecordingReader,
    RecordingWriter,
    ScriptChanged,
    Sent,
    Started,
    Stopped,
    Ticked,
    Total,
    pack,
    unpack,
)
from iocp.game.setting import Setting

SETTING = Setting(size=9, seed=-5, move_interval=0.1, npcs=2, scripts={"b": "β = 1\r\n", "a": ""}, map_text="..\n#.\n")
GAME = {"timed": False, "name_encoding": "cp949", "most_players": None, "obstacles": [5, 1]}

u32 = st.integers(0, 2**32 - 1)
u64 = st.integers(0, 2**64 - 1)
i16 = st.integers(0, 32_767)
now = st.floats(allow_nan=False)
digest = st.binary(min_size=16, max_size=16)
events = st.one_of(
    st.builds(Started, now, u32),
    st.builds(Connected, now, u32, st.text(), st.integers(0, 65_535)),
    st.builds(Received, now, u32, st.binary(max_size=127)),
    st.builds(Ended, now, u32, st.integers(0, 17)),
    st.builds(Ticked, now),
    st.builds(ScriptChanged, now, st.text(), st.none() | st.text()),
    st.builds(Stopped, now),
    st.builds(Known, st.text(), i16, i16, i16, i16, st.integers(0, 2**31 - 1)),
    st.builds(Check, st.lists(st.builds(Sent, u32, u64, u32)).map(tuple)),
    st.builds(Total, u32, u64, digest),
    st.builds(Finished, u64),
)


def write(path, events):
    writer = RecordingWriter(path, SETTING, GAME)
    writer.begin()
    for event in events:
        writer.write(event)
    writer.close()
    assert not writer.failed
    return path


def read(path):
    with RecordingReader(path) as reader:
        return list(reader), reader.complete


def some_events(count):
    return [Received(0.1 * number, number % 7, bytes([number % 256, 1])) for number in range(count)]


@given(st.lists(events))
def test_events_come_back_as_they_were(events):
    back = list(unpack(b"".join(pack(event) for event in events)))
    assert back == events
    assert [type(event) for event in back] == [type(event) for event in events], "tuples of different kinds can be equal"


@given(st.binary(max_size=60))
def test_what_is_no_event_is_a_value_error_and_nothing_else(data):
    try:
        list(unpack(data))
    except ValueError:
        pass


def test_a_file_has_the_setting_the_options_and_all_events(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_BLOCK_EVENTS", 100)
    written = [*some_events(1_001), Finished(1_001)]
    path = write(tmp_path / "game.rec", written)
    with RecordingReader(path) as reader:
        assert (reader.setting, reader.game, reader.made_by) == (SETTING, GAME, recording.made_by())
        assert list(reader.setting.scripts) == ["b", "a"]
        assert list(reader) == written
        assert reader.complete and reader.progress == 1.0


def test_an_earlier_recording_is_kept_beside_it(tmp_path):
    path = tmp_path / "game.rec"
    write(path, [Finished(1)])
    write(path, [Finished(2)])
    assert read(path) == ([Finished(2)], True)
    assert read(tmp_path / "game.rec.old") == ([Finished(1)], True)


def test_a_game_that_never_began_leaves_no_file_and_touches_none(tmp_path):
    path = tmp_path / "game.rec"
    RecordingWriter(path, SETTING, GAME).close()
    assert list(tmp_path.iterdir()) == []
    before = write(path, [Finished(1)]).read_bytes()
    RecordingWriter(path, SETTING, GAME).close()
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["missing/game.rec", "."])
def test_a_file_that_cannot_be_created_is_said_before_the_game_begins(tmp_path, where):
    with pytest.raises(RecordingError, match="cannot be written"):
        RecordingWriter(tmp_path / where, SETTING, GAME)


def test_a_file_that_is_no_recording_is_said(tmp_path):
    path = tmp_path / "game.rec"
    for content, words in [
        (b"", "is empty"),
        (b"SQLite format 3\0 and so on", "is not a recording"),
        (b"ioc", "nothing was recorded"),
        (b"iocp-rec\1\0\0\0", "nothing was recorded"),
        (b"iocp-rec\2\0\0\0", "version 2 of the format, this program knows version 1"),
    ]:
        path.write_bytes(content)
        with pytest.raises(RecordingError, match=words) as caught:
            RecordingReader(path)
        assert str(path) in str(caught.value)
    for nothing in (tmp_path / "missing", tmp_path):
        with pytest.raises(RecordingError, match=nothing.name):
            RecordingReader(nothing)


def test_a_header_without_a_world_is_said(tmp_path):
    wrong_game, wrong_setting = b'{"made_by": "", "setting": {}, "game": 1}', b'{"made_by": "", "setting": 1, "game": {}}'
    for header in (b"[]", b"{}", b"\xff", wrong_game, wrong_setting):
        writer = RecordingWriter(tmp_path / "game.rec", SETTING, GAME)
        writer._header = header
        writer.begin()
        writer.close()
        with pytest.raises(RecordingError, match="does not say which world"):
            RecordingReader(tmp_path / "game.rec")


def test_each_flipped_bit_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_BLOCK_EVENTS", 5)
    path = write(tmp_path / "game.rec", [*some_events(20), Finished(20)])
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises(RecordingError):
            read(path)


def test_blocks_that_change_places_are_found(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_BLOCK_EVENTS", 1)
    path = write(tmp_path / "game.rec", [Ticked(1.0), Ticked(2.0), Ticked(3.0)])
    *before, first, second, third = blocks(path.read_bytes())
    path.write_bytes(b"".join([*before, second, first, third]))
    with pytest.raises(RecordingError, match="damaged between bytes"):
        read(path)


def blocks(content):
    """The file's start, its header, and its blocks."""
    parts, at = [content[:12]], 12
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "little")
        parts.append(content[at:end])
        at = end
    return parts


def test_a_file_cut_anywhere_is_read_up_to_its_last_whole_block(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "_BLOCK_EVENTS", 5)
    written = [*some_events(19), Finished(19)]
    path = write(tmp_path / "game.rec", written)
    whole = path.read_bytes()
    parts = blocks(whole)
    begin = len(parts[0] + parts[1])
    ends = [begin + sum(map(len, parts[2 : 2 + number])) for number in range(len(parts) - 1)]
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        if size < begin:
            with pytest.raises(RecordingError, match=r"is empty|nothing was recorded"):
                read(path)
        else:
            count = 5 * (sum(end <= size for end in ends) - 1)
            assert read(path) == (written[:count], False), f"cut at {size}"


class Disk(io.BytesIO):
    """A file on a disk that does as it is told."""

    def __init__(self, room=None, gate=None):
        super().__init__()
        self.room, self.gate = room, gate

    def write(self, data):
        if self.gate is not None:
            self.gate.wait(20)
        if self.room is not None and self.tell() + len(data) > self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(data)


def on_disk(tmp_path, monkeypatch, disk):
    writer = RecordingWriter(tmp_path / "game.rec", SETTING, GAME)
    monkeypatch.setattr(writer, "_create", lambda: disk)
    writer.begin()
    return writer


def test_a_full_disk_ends_the_recording_and_is_said_once(tmp_path, monkeypatch, caplog):
    writer = on_disk(tmp_path, monkeypatch, Disk(room=1_000))
    noise = zlib.compress(bytes(range(127))) * 20
    for number in range(5_000):
        writer.write(Received(0.0, number, noise[number % 1000 :][:127]))
    writer.close()
    for _ in range(2):
        writer.write(Ticked(1.0))
        writer.close()
    assert writer.failed
    assert [record.message for record in caplog.records] == [
        f"the recording {tmp_path / 'game.rec'} ends here, and the game goes on: No space left on device"
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_really_full_disk_ends_the_recording(caplog):
    writer = RecordingWriter(Path("/dev/full"), SETTING, GAME)
    writer.begin()
    writer.write(Ticked(1.0))
    writer.close()
    assert writer.failed and "No space left on device" in caplog.text and len(caplog.records) == 1


def test_a_disk_that_hangs_never_holds_up_the_game_and_ends_the_recording(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(recording, "MOST_WAITING", 1_000)
    monkeypatch.setattr(recording, "_CLOSE_SECONDS", 0.01)
    gate = threading.Event()
    writer = on_disk(tmp_path, monkeypatch, Disk(gate=gate))
    for event in some_events(1_000):
        writer.write(event)
    assert not writer.failed
    writer.write(Ticked(1.0))
    assert writer.failed
    writer.close()
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == ["the disk does not keep up"]
    gate.set()


def test_a_disk_that_hangs_for_a_while_loses_nothing(tmp_path, monkeypatch):
    gate = threading.Event()
    disk = Disk(gate=gate)
    monkeypatch.setattr(disk, "close", lambda: None)
    writer = on_disk(tmp_path, monkeypatch, disk)
    written = [*some_events(5_000), Finished(5_000)]
    for event in written:
        writer.write(event)
    gate.set()
    writer.close()
    path = tmp_path / "copy.rec"
    path.write_bytes(disk.getvalue())
    assert read(path) == (written, True)


def test_what_was_noted_is_on_the_disk_a_moment_later(tmp_path, monkeypatch):
    monkeypatch.setattr(recording, "FLUSH_SECONDS", 0.01)
    writer = RecordingWriter(tmp_path / "game.rec", SETTING, GAME)
    written = threading.Event()
    write_block = writer._write_block

    def see(file, content):
        write_block(file, content)
        if content == pack(Ticked(1.0)):
            written.set()

    monkeypatch.setattr(writer, "_write_block", see)
    writer.begin()
    writer.write(Ticked(1.0))
    assert written.wait(20)
    # The server is killed here: nobody closes the file.
    assert read(tmp_path / "game.rec") == ([Ticked(1.0)], False)
    writer.close()
