"""Obstacles: seeded ones are connected and the same everywhere, files are read, or refused with what is wrong where."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iocp.game.path import find_path
from iocp.game.progress import Progress
from iocp.game.terrain import MAX_SIZE, Terrain, TerrainError

MAP = "#..#.\n.##..\n.#.#.\n..#..\n....#\n"


def areas(terrain):
    """The connected areas as sets of tiles, in the order of their first tiles; found tile by tile."""
    left = {(x, y): None for y in range(terrain.size) for x in range(terrain.size) if terrain.is_open(x, y)}
    found = []
    while left:
        edge = [next(iter(left))]
        del left[edge[0]]
        area = set(edge)
        while edge:
            x, y = edge.pop()
            for tile in ((x, y - 1), (x, y + 1), (x - 1, y), (x + 1, y)):
                if tile in left:
                    del left[tile]
                    area.add(tile)
                    edge.append(tile)
        found.append(area)
    return found


class Ladder(Random):
    """Goes evenly from 0 to 1: of `count` numbers one falls to each of `count` equal parts."""

    def __init__(self, count):
        self.numbers = iter([(number + 0.5) / count for number in range(count)])

    def random(self):
        return next(self.numbers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One for all tests: each writes what it reads."""
    return tmp_path_factory.mktemp("maps")


def file_with(folder, content, name="map.txt"):
    path = folder / name
    path.write_bytes(content)
    return path


# ---- seeded ----


@settings(deadline=None)
@given(size=st.integers(1, 70), seed=st.integers(), percent=st.integers(0, 50))
def test_the_open_tiles_of_a_seeded_terrain_are_one_area(size, seed, percent):
    terrain = Terrain.seeded(size, seed, percent)
    assert len(areas(terrain)) == 1
    assert terrain.checksum == Terrain.seeded(size, seed, percent).checksum


@pytest.mark.parametrize(
    ("numbers", "checksum"), [((8, 1, 20), 0x8562C672), ((400, 1, 10), 0xDFFE7CD4), ((100, -7, 50), 0x7F791B44)]
)
def test_a_seed_gives_the_same_terrain_on_every_system_and_python(numbers, checksum):
    assert Terrain.seeded(*numbers).checksum == checksum


def test_other_seeds_give_other_terrains():
    assert len({Terrain.seeded(24, seed, 20).checksum for seed in range(-5, 6)}) == 11


@pytest.mark.parametrize("percent", [0, 1, 5, 10, 20, 35, 50])
def test_a_seeded_terrain_has_about_as_many_obstacles_as_asked_for(percent):
    terrain = Terrain.seeded(200, 3, percent)
    assert terrain.obstacles == terrain.blocked.count(1) - 4 * 201
    assert abs(100 * terrain.obstacles / 200**2 - percent) <= 0.5
    assert (terrain.obstacles == 0) == (percent == 0)


@pytest.mark.parametrize("percent", [5, 10, 25])
def test_some_walls_are_pockets_that_take_a_long_way_round(percent):
    terrain = Terrain.seeded(200, 1, percent)
    detours = Counter()
    for y in range(200):
        for x in range(197):
            if terrain.is_open(x, y) and terrain.is_open(x + 3, y):
                path = find_path(terrain, (x, y), (x + 3, y))
                detours[path is not None and len(path) >= 13] += 1
    assert detours[True] >= 20


def test_the_maker_of_a_seeded_terrain_tells_how_far_it_is():
    told = []
    with_progress = Terrain.seeded(100, 1, 10, told.append)
    assert len(told) > 5 and told == sorted(set(told)) and told[0] > 0 and told[-1] == 1
    assert with_progress.checksum == Terrain.seeded(100, 1, 10).checksum


def test_how_far_it_is_is_one_line_on_a_terminal_that_knows_no_sequences(monkeypatch):
    """As a console of Windows may be one."""
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    now = iter(range(1, 100))
    monkeypatch.setattr("iocp.game.progress.time.monotonic", lambda: next(now))
    show = Progress()
    for what, done in [("a long text", 0.5), ("short", 0.75), ("short", 1)]:
        show(what, done)
    *_, before, last, rest = terminal.getvalue().split("\r")
    assert before.rstrip() == "short: 75%" and len(before) >= len("a long text: 50%"), "what stood there is covered"
    assert last.isspace() and len(last) >= len("short: 75%") and rest == ""
    assert terminal.getvalue().replace("\r", "").isprintable()


@pytest.mark.parametrize("size", [-1, 0, MAX_SIZE + 1])
def test_a_size_that_does_not_fit_the_wire_is_an_error(size):
    with pytest.raises(ValueError, match="size must be"):
        Terrain.open_board(size)
    with pytest.raises(ValueError, match="size must be"):
        Terrain.seeded(size, 1, 10)


@pytest.mark.parametrize("percent", [-1, 51])
def test_a_percentage_out_of_range_is_an_error(percent):
    with pytest.raises(ValueError, match="percent must be"):
        Terrain.seeded(8, 1, percent)


@pytest.mark.parametrize("rows", [[], [b"\0\0"], [b"\0", b"\0\0"], [b"\0\0"] * 3])
def test_rows_that_do_not_fit_the_size_are_an_error(rows):
    with pytest.raises(ValueError, match="rows must be 2 times 2 bytes"):
        Terrain(2, rows)


# ---- tiles ----


def test_the_layout_that_the_server_reads():
    terrain = Terrain.from_text(".#.\n...\n##.\n")
    assert (terrain.size, terrain.stride, terrain.obstacles) == (3, 5, 3)
    assert terrain.blocked == bytes.fromhex("0101010101 0100010001 0100000001 0101010001 0101010101")
    assert terrain.checksum == zlib.crc32(bytes.fromhex("0300 000100 000000 010100"))


def test_an_open_board_has_a_border_and_no_obstacle():
    terrain = Terrain.open_board(3)
    assert terrain.blocked == b"\1" * 5 + b"\1\0\0\0\1" * 3 + b"\1" * 5
    assert terrain.obstacles == 0
    assert terrain.checksum == Terrain.from_text("...\n...\n...").checksum != Terrain.open_board(4).checksum


def test_nothing_is_open_off_the_board():
    terrain = Terrain.from_text(".#.\n...\n##.\n")
    opened = {(x, y) for x in range(-7, 8) for y in range(-7, 8) if terrain.is_open(x, y)}
    assert opened == {(0, 0), (2, 0), (0, 1), (1, 1), (2, 1), (2, 2)}


maps = st.integers(1, 9).flatmap(
    lambda size: st.lists(st.text("#.", min_size=size, max_size=size), min_size=size, max_size=size)
)


@settings(deadline=None)
@given(lines=maps.filter(lambda lines: any("." in line for line in lines)))
def test_of_a_map_with_several_areas_every_tile_of_the_largest_one_is_as_likely(lines):
    terrain = Terrain.from_text("\n".join(lines))
    largest = max(areas(terrain), key=len)
    random = Ladder(len(largest))
    assert sorted(terrain.random_open(random) for _ in largest) == sorted(largest)


@pytest.mark.parametrize("terrain", [Terrain.open_board(6), Terrain.seeded(9, 4, 50)], ids=["open", "seeded"])
def test_every_open_tile_of_a_connected_terrain_is_as_likely(terrain):
    random = Ladder(terrain.size**2)
    opened = areas(terrain)[0]
    assert sorted(terrain.random_open(random) for _ in opened) == sorted(opened)


@pytest.mark.parametrize("terrain", [Terrain.seeded(30, 1, 40), Terrain.from_text(MAP)], ids=["seeded", "map"])
def test_the_same_random_gives_the_same_open_tile(terrain):
    one, two = Random(5), Random(5)
    tiles = [terrain.random_open(one) for _ in range(100)]
    assert tiles == [terrain.random_open(two) for _ in range(100)]
    assert len(set(tiles)) > 5


# ---- text ----


@pytest.mark.parametrize(
    "content",
    [
        MAP.encode(),
        MAP.rstrip("\n").encode(),
        MAP.replace("\n", "\r\n").encode(),
        MAP.replace(".", " ").encode(),
        b"\xef\xbb\xbf" + MAP.encode(),
    ],
    ids=["lf", "no last newline", "crlf", "spaces", "byte order mark"],
)
def test_a_text_map_is_read(folder, content):
    terrain = Terrain.load(file_with(folder, content))
    assert terrain.to_text() == MAP
    assert terrain.checksum == Terrain.from_text(MAP).checksum


@pytest.mark.parametrize("percent", [0, 30])
def test_a_terrain_written_as_text_is_the_same_when_read(folder, percent):
    terrain = Terrain.seeded(40, 2, percent)
    again = Terrain.load(str(file_with(folder, terrain.to_text().encode())))
    assert (again.size, again.blocked, again.checksum) == (terrain.size, terrain.blocked, terrain.checksum)


BAD_TEXTS = {
    "empty": (b"", ": the map is empty"),
    "byte order mark only": (b"\xef\xbb\xbf", ": the map is empty"),
    "empty line": (b"\n", ", line 1, column 1: the line is empty"),
    "other character": (b"..\n.x\n", ", line 2, column 2: 'x' is neither '#' (obstacle) nor '.' or ' ' (open)"),
    "tabulator": (b"\t.\n..\n", r", line 1, column 1: '\t' is neither"),
    "carriage return inside": (b".\r.\n...\n...\n", r", line 1, column 2: '\r' is neither"),
    "letter of two bytes": ("..\n.é\n".encode(), r", line 2, column 2: '\xe9' is neither"),
    "no text": (b"\x7fELF\x02\x01", r", line 1, column 1: '\x7f' is neither"),
    "no UTF-8": (b".\xff\n..\n", r", line 1, column 2: '\ufffd' is neither"),
    "picture of another kind": (b"\xff\xd8\xff\xe0JFIF", r", line 1, column 1: '\ufffd' is neither"),
    "shorter line": (b"...\n..\n...\n", ", line 2, column 3: the line has 2 tiles, the first one 3"),
    "longer line": (b"...\n.....\n...\n", ", line 2, column 4: the line has 5 tiles, the first one 3"),
    "blank line inside": (b"..\n\n..\n", ", line 2, column 1: the line is empty"),
    "blank line at the end": (b"..\n..\n\n", ", line 3, column 1: the line is empty"),
    "too few lines": (b"...\n...\n", ", line 3, column 1: the map is 3 tiles wide and 2 high; it has to be square"),
    "too many lines": (b"..\n..\n..\n", ", line 3, column 1: the map is 2 tiles wide and 3 high; it has to be square"),
    "too large": (b"." * 32_768, ", line 1, column 32768: the map has 32768 tiles along a side, 32767 are the most"),
    "no open tile": (b"##\r\n##", ": no tile is open"),
}


@pytest.mark.parametrize("bad", BAD_TEXTS)
def test_a_bad_text_map_is_refused_with_the_place(folder, bad):
    content, message = BAD_TEXTS[bad]
    path = file_with(folder, content)
    with pytest.raises(TerrainError) as caught:
        Terrain.load(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_a_file_that_is_not_there_or_a_folder_is_refused(folder):
    for path in (folder / "nothing.txt", folder):
        with pytest.raises(TerrainError) as caught:
            Terrain.load(path)
        assert str(caught.value).startswith(f"{path}: ") and "errno" not in str(caught.value).lower()


def test_a_file_longer_than_any_map_is_refused_unread(folder, monkeypatch):
    # The real one is a gigabyte.
    monkeypatch.setattr("iocp.game.terrain._LONGEST_FILE", len(MAP) - 1)
    path = file_with(folder, MAP.encode())
    with pytest.raises(TerrainError) as caught:
        Terrain.load(path)
    assert str(caught.value) == f"{path}: the file has 30 bytes, no map has more than 29"


# ---- pictures ----


@pytest.fixture
def pillow():
    return pytest.importorskip("PIL.Image", reason="needs Pillow (the extra map)")


@pytest.mark.parametrize("percent", [0, 30])
def test_a_terrain_written_as_a_picture_is_the_same_when_read(folder, pillow, percent):
    terrain = Terrain.seeded(40, 2, percent)
    terrain.save_png(folder / "map.png")
    again = Terrain.load(folder / "map.png")
    assert (again.size, again.blocked, again.checksum) == (terrain.size, terrain.blocked, terrain.checksum)


def test_a_map_as_text_and_as_a_picture_is_the_same_terrain(folder, pillow):
    dark = {(x, y) for y, line in enumerate(MAP.split()) for x, tile in enumerate(line) if tile == "#"}
    picture = pillow.new("RGB", (5, 5), "white")
    for tile in dark:
        picture.putpixel(tile, (0, 0, 0))
    picture.save(folder / "map.png")
    text = Terrain.load(file_with(folder, MAP.encode()))
    assert Terrain.load(folder / "map.png").checksum == text.checksum
    # What it is does not depend on what it is called.
    assert Terrain.load((folder / "map.png").replace(folder / "other.txt")).checksum == text.checksum


COLOURS = {
    "black and white": ("1", [1, 0], ".#"),
    "grey": ("L", [0, 127, 128, 255], "##.."),
    "16 bits of grey": ("I;16", [0, 300, 0x7FFF, 0x8000, 0xFFFF], "###.."),
    "grey, transparent": ("LA", [(0, 255), (0, 0), (255, 255)], "#.."),
    "luminance, not brightness": ("RGB", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (127, 127, 127)], "#.##"),
    "transparent": ("RGBA", [(0, 0, 0, 0), (0, 0, 0, 255), (0, 0, 0, 40), (0, 0, 0, 220), (255, 255, 255, 9)], ".#.#."),
}


@pytest.mark.parametrize("colours", COLOURS)
def test_dark_pixels_are_obstacles(folder, pillow, colours):
    mode, pixels, tiles = COLOURS[colours]
    size = len(pixels)
    picture = pillow.new(mode, (size, size))
    for y in range(size):
        for x, pixel in enumerate(pixels):
            picture.putpixel((x, y), pixel)
    picture.save(folder / "map.png")
    assert Terrain.load(folder / "map.png").to_text() == f"{tiles}\n" * size


@pytest.mark.parametrize("transparent", [None, 1], ids=["opaque", "transparent"])
def test_a_picture_with_a_palette_is_read_by_its_colours(folder, pillow, transparent):
    picture = pillow.new("P", (3, 3))
    picture.putpalette([255, 255, 200, 0, 0, 80, 20, 20, 20])
    picture.putdata([0, 1, 2] * 3)
    picture.save(folder / "map.png", **({} if transparent is None else {"transparency": transparent}))
    assert Terrain.load(folder / "map.png").to_text() == (".##\n" if transparent is None else "..#\n") * 3


def png(width, height, data=b"", depth=8, kind=0):
    """A PNG file of which nothing need be true."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


WHITE_ROW = b"\0\xff\xff"
GOOD = png(2, 2, zlib.compress(WHITE_ROW * 2))
BAD_PICTURES = {
    "no PNG": (b"GIF89a", ": this is not a PNG file"),
    "empty": (b"", ": this is not a PNG file"),
    "signature only": (b"\x89PNG\r\n\x1a\n", ": the picture cannot be read: "),
    "cut off in the header": (GOOD[:20], ": the picture cannot be read: "),
    "cut off in the pixels": (GOOD[:45], ": the picture cannot be read: "),
    "pixels that are no deflate stream": (png(2, 2, b"nonsense"), ": the picture cannot be read: "),
    "wrong check sum": (
        GOOD.replace(struct.pack(">II", 2, 2), struct.pack(">II", 2, 3)),
        ": the picture cannot be read: ",
    ),
    "unknown kind": (png(2, 2, zlib.compress(WHITE_ROW * 2), kind=5), ": the picture cannot be read: "),
    "no pixel": (png(0, 0), ": the picture cannot be read: "),
    "not square": (png(2, 3), ": the map is 2 tiles wide and 3 high; it has to be square"),
    "too large": (png(32_768, 1), ": the map has 32768 tiles along a side, 32767 are the most"),
    "a decompression bomb": (png(10_000, 10_000), ": the picture has too many pixels; as a text map it may be larger"),
    "a larger one": (png(2**31 - 1, 2**31 - 1), ": the picture has too many pixels; as a text map it may be larger"),
    "no open tile": (png(2, 2, zlib.compress(b"\0\0\0" * 2)), ": no tile is open"),
}


def test_the_bad_pictures_come_from_a_good_one(folder, pillow):
    assert Terrain.load(file_with(folder, GOOD, "map.png")).to_text() == "..\n..\n"


@pytest.mark.parametrize("bad", BAD_PICTURES)
def test_a_bad_picture_is_refused_with_what_is_wrong(folder, pillow, bad):
    content, message = BAD_PICTURES[bad]
    path = file_with(folder, content, "map.png")
    with pytest.raises(TerrainError) as caught:
        Terrain.load(path)
    assert str(caught.value).startswith(f"{path}{message}")


def test_without_pillow_a_message_names_the_command_and_text_is_read(folder, monkeypatch):
    for module in ("PIL", "PIL.Image"):
        monkeypatch.setitem(sys.modules, module, None)
    terrain = Terrain.load(file_with(folder, MAP.encode()))
    with pytest.raises(TerrainError, match=r"pip install 'pyiocp\[map\]'"):
        Terrain.load(file_with(folder, GOOD, "map.png"))
    with pytest.raises(TerrainError, match=r"pip install 'pyiocp\[map\]'"):
        terrain.save_png(folder / "other.png")
