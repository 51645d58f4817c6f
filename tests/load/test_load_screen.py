"""The live screen: drawn from made-up snapshots at several sizes, and run on a terminal of its own."""

from __future__ import annotations

import io
from array import array
from dataclasses import replace

import pytest

pytest.importorskip("rich")
pytest.importorskip("hdrh")

from figures import faulty, report, settings, snapshots
from rich.cells import cell_len
from rich.console import Console

from iocp.load.density import Extent
from iocp.load.pictures import bar, columns, density_map
from iocp.load.screen import Picture, Screen, can_draw
from iocp.load.settings import Stage
from iocp.load.snapshot import Snapshot
from iocp.load.words import duration, milliseconds, printable, quantity, size

SIZES = [(80, 24), (100, 30), (132, 43), (220, 60), (60, 20)]


def drawn(found: list[Snapshot], width: int = 80, height: int = 24, **options: object) -> list[str]:
    picture = Picture(settings(**options))
    for snapshot in found:
        picture.add(snapshot)
    console = Console(width=width, height=height, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False)
    console.print(picture.draw(width, height), end="")
    text = console.file.getvalue()
    return text.rstrip("\n").split("\n")


@pytest.mark.parametrize(("width", "height"), SIZES, ids=str)
def test_screen_fills_the_terminal_and_no_more(width: int, height: int) -> None:
    for found in (snapshots(), [faulty(snapshot) for snapshot in snapshots()], snapshots()[:1]):
        lines = drawn(found, width, height)
        assert max(map(cell_len, lines)) <= width
        assert len(lines) == max(height, 22)


def test_screen_of_80_by_24_says_all_that_matters() -> None:
    text = "\n".join(drawn(snapshots(7)))
    for part in (
        "chess", "127.0.0.1:3500", "measuring", "5 s left", "1,000 of 1,000", "sent 1,000/s", "received 4,000/s", "p99.9",
        "answer now", "others now", "generator", "30%", "server", "60%", "50.0 MB", "valid", "map, 400 x 400", "errors 0, violations 0",
    ):  # fmt: skip
        assert part in text, part


def test_faults_are_shown_with_an_example() -> None:
    text = "\n".join(drawn([*snapshots(5), faulty(snapshots(6)[-1])], 132, 43))
    assert "errors 3, violations 12" in text
    assert "12 x moved unseen" in text
    assert "3 x closed by the server in the middle" in text
    assert "4242 moves to 18,99" in text


def test_no_map_without_positions_and_no_server_elsewhere() -> None:
    text = "\n".join(drawn([replace(snapshot, positions=b"", server=None) for snapshot in snapshots()]))
    assert "map" not in text
    assert "not seen on this machine" in text


def test_late_generator_is_called_invalid() -> None:
    found = snapshots(6)
    for snapshot in found:
        snapshot.measured.lateness = snapshot.measured.planned
    assert "run is invalid" in "\n".join(drawn(found))


def test_generator_without_processor_time_is_named() -> None:
    found = snapshots(6)
    found[-1].cpu = 0.99
    assert "no processor time left" in "\n".join(drawn(found))


def test_control_characters_of_a_server_do_not_get_to_the_terminal() -> None:
    found = [*snapshots(4, server="evil\x1b[2J\u202e"), faulty(snapshots(5)[-1], "\x1b]0;owned\x07\u202eabc")]
    text = "\n".join(drawn(found, 132, 43))
    assert "\x1b" not in text and "\x07" not in text and "\u202e" not in text
    assert "owned" in text


def test_stages_show_their_number_and_what_became_of_the_last() -> None:
    found = snapshots(6)
    found[-2].note = "stage 1 held"
    last = replace(found[-1], stage=1, wanted=2000, phase="ramp")
    text = "\n".join(drawn([*found[:-1], last], stages=(Stage(1000, 4.0), Stage(2000, 30.0)), clients=2000))
    assert "stage 2" in text and "1,000 of 2,000" in text and "stage 1 held" in text
    assert "32 s left" in text


def test_screen_gives_the_terminal_back_and_prints_the_report() -> None:
    console = Console(width=80, height=24, file=io.StringIO(), force_terminal=True, color_system=None, legacy_windows=False)
    screen = Screen(console)
    found = snapshots()
    screen.begin(settings())
    for snapshot in found:
        screen.update(snapshot)
    screen.end(report(found))
    screen.close()
    text = console.file.getvalue()
    entered, left = text.index("\x1b[?1049h"), text.rindex("\x1b[?1049l")
    assert entered < left < text.index("objective p99=100ms: held")
    assert text.count("\x1b[?1049l") == 1


class Terminal(io.StringIO):
    def __init__(self, encoding: str, is_terminal: bool) -> None:
        super().__init__()
        self._encoding, self._is_terminal = encoding, is_terminal

    @property
    def encoding(self) -> str:
        return self._encoding

    def isatty(self) -> bool:
        return self._is_terminal


def test_only_a_terminal_that_knows_the_characters_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    assert can_draw(Terminal("UTF-8", True))
    assert not can_draw(Terminal("cp437", True))
    assert not can_draw(Terminal("utf-8", False))
    monkeypatch.setenv("TERM", "dumb")
    assert not can_draw(Terminal("utf-8", True))


def test_update_before_begin_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="begin"):
        Screen(Console(file=io.StringIO())).update(snapshots()[0])


def test_bar_is_full_at_one_and_never_longer() -> None:
    assert bar(0.5, 8, "red").plain == "████    "
    assert bar(7.0, 8, "red").plain == "████████"
    assert bar(-1.0, 8, "red").plain == " " * 8


def test_columns_reach_the_top_and_small_ones_are_seen() -> None:
    lines = [line.plain for line in columns([(0.0, 0.0), (0.0, 0.001), (50.0, 100.0)], 100.0, 5, 2, ("red", "blue"))]
    assert lines == ["  █  ", " ▁█  "]


def test_map_shows_who_stands_where() -> None:
    found = snapshots(1, players=2)[0]
    extent = Extent(side=100).including(found.positions)
    lines, most = density_map(found.positions, extent, 20)
    assert [cell_len(line.plain) for line in lines] == [20] * 10
    assert most == 8


def test_extent_is_rounded_up_and_only_grows() -> None:
    positions = array("h", [397, 0]).tobytes()
    extent = Extent().including(positions)
    assert extent == Extent(0, 0, 400)
    assert extent.including(b"") == extent
    assert extent.cells(positions, 40) == {(39, 0): 1}


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (milliseconds(None), "-"), (milliseconds(0.1234), "0.12"), (milliseconds(9.996), "10.0"), (milliseconds(99.96), "100"),
        (milliseconds(12345.0), "12,345"), (quantity(12.5), "12.5"), (quantity(600.0), "600"), (quantity(1234567), "1,234.6 k"),
        (size(999), "999 B"), (size(20_700_000), "20.7 MB"), (size(5e9), "5.0 GB"), (duration(59.4), "59 s"),
        (duration(61), "1:01 min"), (duration(3661), "1:01:01 h"), (printable("a\x1bb\u202e"), "a\ufffdb\ufffd"),
    ],
)  # fmt: skip
def test_numbers_have_three_digits_and_a_unit(shown: str, expected: str) -> None:
    assert shown == expected
