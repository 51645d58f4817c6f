"""The live board: what is drawn for small and large worlds, plain lines elsewhere, and life without rich."""

from __future__ import annotations

import io
import sys

import pytest
from iocp.game.board import Board, Mark, Meter, Scene, draw
from iocp.game.terrain import Terrain

STATUS = [("players", "3"), ("backend", "epoll")]


def scene(size, *marks):
    return Scene("a title", size, marks, STATUS, ["a note"])


def drawn(scene, width=80, height=24):
    """The lines of the drawing, without colours."""
    console = pytest.importorskip("rich.console", reason="needs rich (the extra demo)")
    out = io.StringIO()
    console.Console(file=out, width=width, height=height, legacy_windows=False).print(draw(scene, width, height))
    return out.getvalue().splitlines()


def test_the_demo_world_fills_a_terminal_of_80_by_24_with_a_tile_for_each_square():
    lines = drawn(scene(24, Mark(5, 0, 0, "anna"), Mark(6, 23, 23, "ben"), Mark(7, 4, 2, "watcher", True)))
    assert len(lines) == 24 and max(map(len, lines)) <= 80
    assert lines[0][0] in "♚♛♜♝♞" and lines[23][46] in "♚♛♜♝♞"
    assert lines[2][8] == "◉"
    text = "\n".join(lines)
    assert all(word in text for word in ("a title", "players", "epoll", "a note", "anna", "ben", "23,23"))


def test_pieces_on_one_tile_are_counted():
    lines = drawn(scene(24, Mark(1, 3, 1, "a"), Mark(2, 3, 1, "b"), Mark(3, 3, 1, "c")))
    assert lines[1][7] == "3"


def test_a_small_world_has_large_squares_with_names():
    lines = drawn(scene(8, Mark(1, 2, 1, "anna"), Mark(2, 0, 7, "홍길동")))
    assert len(lines) <= 24
    assert "anna" in "\n".join(line[:48] for line in lines)
    assert "홍길동" in "\n".join(line[:48] for line in lines)


@pytest.mark.parametrize("size", [25, 100, 400, 32_767])
@pytest.mark.parametrize("screen", [(80, 24), (200, 60), (40, 10)])
def test_a_world_larger_than_the_screen_is_a_map_that_fits(size, screen):
    marks = [Mark(id, size - 1, id % size, f"p{id}") for id in range(200)]
    lines = drawn(scene(size, *marks), *screen)
    assert len(lines) <= screen[1] and max(map(len, lines)) <= screen[0]
    if screen == (80, 24):
        assert "▀" in lines[0] and "more" in "\n".join(lines)


def colours(scene):
    """The background of each tile of a board of 24 x 24, by its place."""
    console = pytest.importorskip("rich.console", reason="needs rich (the extra demo)")
    found = {}
    lines = console.Console(width=80, height=24).render_lines(draw(scene, 80, 24), pad=False)
    for y, line in enumerate(lines):
        x = 0
        for segment in line:
            for _ in range(segment.cell_length):
                if x % 2 == 0 and segment.style is not None and segment.style.bgcolor is not None:
                    found[x // 2, y] = segment.style.bgcolor.name
                x += 1
    return found


def test_obstacles_monsters_and_what_is_out_of_sight_are_told_apart():
    terrain = Terrain.seeded(24, 1, 10)
    marks = [Mark(1, 12, 12, "me", True), Mark(2, 13, 12, "wolf", o_type=4)]
    seen = Scene("a title", 24, marks, STATUS, obstacles=terrain, sight=7)
    assert "w" in drawn(seen)[12]
    colour = colours(seen)
    walls = {colour[x, y] for x in range(24) for y in range(24) if not terrain.is_open(x, y)}
    near = {colour[x, y] for x in range(5, 20) for y in range(5, 20) if terrain.is_open(x, y)}
    far = {colour[x, y] for x in range(24) for y in range(24) if terrain.is_open(x, y) and not (5 <= x < 20 and 5 <= y < 20)}
    assert len(walls) == 1 and len(near) == 2 and len(far) == 2
    assert not walls & near and not walls & far and not near & far


def test_an_empty_board_can_be_drawn():
    assert len(drawn(scene(24))) == 24
    assert len(drawn(scene(400))) <= 24


def test_not_on_a_terminal_it_is_a_plain_line_at_most_once_a_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("iocp.game.board.time.perf_counter", lambda: now[0])
    out = io.StringIO()
    with Board(out) as board:
        assert not board.live and board.interval == 1.0
        for _ in range(5):
            board.show(scene(8))
            now[0] += 0.1
        assert out.getvalue() == "players 3  backend epoll\n"
        now[0] += 0.5
        board.show(scene(8))
    assert out.getvalue() == "players 3  backend epoll\n" * 2


class Terminal(io.TextIOWrapper):
    """A stream that says it is a terminal."""

    def __init__(self, encoding="utf-8"):
        super().__init__(io.BytesIO(), encoding=encoding)

    def isatty(self):
        return True


def test_without_rich_a_message_names_the_command_and_lines_are_printed(monkeypatch, capsys):
    monkeypatch.setenv("TERM", "xterm")
    for module in ("rich", "rich.console", "rich.live"):
        monkeypatch.setitem(sys.modules, module, None)
    board = Board(Terminal())
    assert not board.live
    assert "pip install 'pyiocp[demo]'" in capsys.readouterr().err


@pytest.mark.parametrize(("encoding", "term"), [("cp949", "xterm"), ("utf-8", "dumb")])
def test_a_terminal_that_cannot_show_pieces_gets_lines(monkeypatch, encoding, term):
    monkeypatch.setenv("TERM", term)
    assert not Board(Terminal(encoding)).live


def test_a_meter_gives_the_rate_of_the_last_second(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("iocp.game.board.time.perf_counter", lambda: now[0])
    meter = Meter()
    assert meter.rate(1000) == 0
    for _ in range(40):
        now[0] += 0.125
        rate = meter.rate(round(1000 + (now[0] - 100) * 80))
    assert rate == 80


@pytest.mark.parametrize("size", [15, 201])
def test_a_part_of_a_board_is_drawn_from_its_origin_on_and_dark_beyond_the_edge(size):
    # The part begins three tiles off the board, at the left and above.
    marks = [Mark(1, 0, 0, "anna", True), Mark(2, size - 4, size - 4, "ben")]
    part = Scene("a title", size, marks, STATUS, (), Terrain.open_board(size - 4), size, (-3, -3))
    lines = drawn(part)
    assert len(lines) <= 24 and "anna" in "\n".join(lines)
    if size == 15:
        assert lines[3][6] == "◉" and lines[14][28] in "♚♛♜♝♞"


LONG = "no server at 127.0.0.1:3500: start one with iocp-chess serve --port 3500, or name another; trying again in 5 s"


@pytest.mark.parametrize("screen", [(80, 24), (120, 40), (60, 10)])
@pytest.mark.parametrize("size", [15, 24])
def test_a_notice_and_the_end_of_the_newest_note_are_seen_whatever_the_terminal(size, screen):
    status = [(f"number {number}", f"{number}") for number in range(7)]
    notes = [f"ben: {'lorem ipsum ' * 10}" for _ in range(6)] + ["say: " + "dolor " * 18 + "amet|"]
    lines = drawn(Scene("a title", size, [Mark(1, 0, 0, "anna", True)], status, notes, notice=LONG), *screen)
    assert len(lines) <= screen[1] and max(map(len, lines)) <= screen[0]
    panel = " ".join(" ".join(lines).replace("▀", " ").replace("◉", " ").split())
    assert "trying again in 5 s" in panel and "amet|" in panel
    if screen != (60, 10):
        assert "number 6" in panel


def test_a_notice_is_the_end_of_the_plain_line():
    assert Scene("a title", 8, (), STATUS, notice="gone").line() == "players 3  backend epoll  notice gone"


class Unread(io.StringIO):
    """A stream of which nobody reads any more."""

    def write(self, text):
        raise BrokenPipeError


def test_a_board_knows_that_its_reader_is_gone(monkeypatch):
    now, silenced = [100.0], []
    monkeypatch.setattr("iocp.game.board.time.perf_counter", lambda: now[0])
    monkeypatch.setattr("iocp.output.silence", silenced.append)
    out = Unread()
    board = Board(out)
    board.show(scene(8))
    assert board.unread and silenced == [out]
    # From then on what is written arrives nowhere.
    monkeypatch.setattr(out, "write", len)
    now[0] += 5
    board.show(scene(8))
    assert board.unread


def test_without_standard_output_nothing_is_drawn(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with Board() as board:
        board.show(scene(8))
        assert not board.live and not board.unread
