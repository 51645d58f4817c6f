"""Obstacles: the tiles of the board on which nothing can stand (lecture row 25, slide "collision").

No network, no clock. A server and its clients make the same terrain, from the same seed or from the same file, and
compare checksums. Tiles as in world.py: 0 at the top left, x to the right, y downwards.

A seeded terrain is cut into blocks of about 12 x 12 tiles with one wall in each, off the block's border: so there is a
street two tiles wide between any two walls, and all open tiles are one area. Text maps are drawn with '#' and '.',
pictures are PNG files in which what is dark is an obstacle (the extra `map`, imported only when a picture is read or
written).
"""

from __future__ import annotations

import re
import warnings
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from os import PathLike, fstat
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Final, TypeAlias
from zlib import crc32

MAX_SIZE: Final = 32_767
"""Tiles along a side, so that a coordinate fits the wire's i16."""
MAX_PERCENT: Final = 50
"""Obstacles among 100 tiles of a seeded terrain: with streets between them there is not room for many more."""

_BLOCK: Final = 12
# Streets that run straight across the whole board look dull: blocks end up to this many tiles earlier or later.
_STAGGER: Final = 2
# How many walls a block's is chosen from, for each size of block.
_SHAPES: Final = 160
# In order of their tiles, how far apart two of them may be and still do for each other.
_REACH: Final = 4
_OUTLINES: Final = ("bar", "solid", "corner", "cup", "cup", "cup", "tee", "cross", "ladder", "room", "room")

_EDGE: Final = b"\x01"
# The largest text map, with CRLF and a byte order mark.
_LONGEST_FILE: Final = MAX_SIZE * (MAX_SIZE + 2) + 3
_PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_NOT_A_TILE: Final = re.compile(r"[^#. ]")
_FROM_TEXT: Final = bytes.maketrans(b"#. ", b"\x01\x00\x00")
_TO_TEXT: Final = bytes.maketrans(b"\x00\x01", b".#")
_FROM_LUMINANCE: Final = bytes(luminance < 128 for luminance in range(256))
_TO_LUMINANCE: Final = bytes.maketrans(b"\x00\x01", b"\xff\x00")

Rectangle: TypeAlias = tuple[int, int, int, int]
"""Left, top, right, bottom, in tiles; right and bottom are outside."""


class TerrainError(ValueError):
    """A map that cannot be used; the text names the file, the place in it and what is wrong."""


class Terrain:
    """The obstacles of a board of `size` x `size` tiles. Never changes, so any thread may use it.

    blocked     bytes, (size + 2) squared: 1 for an obstacle, 0 for an open tile. The tile (x, y) is at
                (y + 1) * stride + x + 1; a border of ones around the board makes a step off it a step onto an obstacle
    stride      size + 2, from a tile to the one below it
    obstacles   how many tiles of the board are blocked
    checksum    zlib.crc32 of the size (u16, little endian) and the tiles row by row, a byte 0 or 1 each, no border
    """

    __slots__ = ("_before", "_reachable", "_starts", "blocked", "checksum", "obstacles", "size", "stride")

    def __init__(self, size: int, rows: Iterable[bytes], connected: bool = False) -> None:
        """`rows` are `size` times `size` bytes, 1 for an obstacle. `connected`: at least about half of the tiles are
        open, and they are one area; otherwise the largest area is looked for, half a second for 2000 x 2000 of noise.

        Raises ValueError if `size` is not in 1 to 32,767 or the rows don't fit it, TerrainError if no tile is open.
        """
        _check_size(size)
        self.size = size
        self.stride = size + 2
        self.obstacles = 0
        self.checksum = crc32(size.to_bytes(2, "little"))
        # A BytesIO gives its bytes away uncopied, which a bytearray cannot.
        tiles = BytesIO()
        tiles.write(_EDGE * self.stride)
        for row in rows:
            tiles.write(_EDGE + row + _EDGE)
            self.obstacles += row.count(1)
            self.checksum = crc32(row, self.checksum)
        tiles.write(_EDGE * self.stride)
        self.blocked = tiles.getvalue()
        if len(self.blocked) != self.stride**2:
            raise ValueError(f"rows must be {size} times {size} bytes")
        if self.obstacles == size**2:
            raise TerrainError("no tile is open")
        # Runs of open tiles in the largest area: where they start, how many tiles are in the runs before.
        self._starts: array[int] | None = None
        self._before: array[int] = array("i")
        self._reachable = size**2 - self.obstacles
        if not connected:
            self._starts, self._before, self._reachable = _largest_area(self.blocked, self.stride)

    @classmethod
    def open_board(cls, size: int) -> Terrain:
        """No obstacles. Raises ValueError if `size` is not in 1 to 32,767."""
        _check_size(size)
        row = bytes(size)
        return cls(size, (row for _ in range(size)), connected=True)

    @classmethod
    def seeded(cls, size: int, seed: int, percent: int, progress: Callable[[float], object] | None = None) -> Terrain:
        """About `percent` of the tiles (0 to 50) are obstacles; the same numbers give the same terrain everywhere.

        All open tiles are one area. `progress` is called now and then with the part that is done, in the end with 1.0.
        Boards of fewer than 8 x 8 tiles have fewer obstacles. Raises ValueError if `size` or `percent` is out of range.
        """
        _check_size(size)
        if not 0 <= percent <= MAX_PERCENT:
            raise ValueError(f"percent must be between 0 and {MAX_PERCENT}, not {percent!r}")
        # From a text, so that it is not the sequence of a world with the same seed, and -1 differs from 1.
        random = Random(f"terrain {seed}")
        return cls(size, _seeded_rows(size, random, percent, progress or (lambda done: None)), connected=True)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Terrain:
        """A text map or a PNG file, square, with as many characters or pixels as there are tiles.

        Text: '#' is an obstacle, '.' and ' ' are open; lines end with LF or CRLF. Picture: pixels with a luminance
        below 128, as they look on white paper, are obstacles. Open tiles may be several areas; see `random_open`.
        Raises TerrainError if the file cannot be read or is no such map, or if it is a picture and Pillow is missing.
        """
        try:
            with open(path, "rb") as file:
                # Not read(most bytes): that takes as much memory before it has read any.
                length = fstat(file.fileno()).st_size
                if length > _LONGEST_FILE:
                    raise TerrainError(f"{path}: the file has {length} bytes, no map has more than {_LONGEST_FILE}")
                content = file.read()
        except OSError as error:
            raise TerrainError(f"{path}: {error.strerror or error}") from error
        if content.startswith(_PNG_SIGNATURE):
            return cls._from_picture(content, str(path))
        if Path(path).suffix.lower() == ".png":
            raise TerrainError(f"{path}: this is not a PNG file")
        return cls.from_text(content.decode("utf-8-sig", "replace"), str(path))

    @classmethod
    def from_text(cls, text: str, name: str = "the map") -> Terrain:
        """A text map as in a file; the inverse of `to_text`. Raises TerrainError, in which the map is called `name`."""
        lines = text.split("\n")
        if not lines[-1]:
            lines.pop()
        if not lines:
            raise TerrainError(f"{name}: the map is empty")
        size = len(lines[0].removesuffix("\r"))
        rows = []
        for number, line in enumerate(lines, 1):
            line = line.removesuffix("\r")
            wrong = _NOT_A_TILE.search(line)
            if wrong:
                place = f"{name}, line {number}, column {wrong.start() + 1}"
                raise TerrainError(f"{place}: {wrong.group()!a} is neither '#' (obstacle) nor '.' or ' ' (open)")
            if not line:
                raise TerrainError(f"{name}, line {number}, column 1: the line is empty")
            if number > size:
                raise TerrainError(f"{name}, line {number}, column 1: {_not_square(size, len(lines))}")
            if len(line) != size:
                place = f"{name}, line {number}, column {min(len(line), size) + 1}"
                raise TerrainError(f"{place}: the line has {len(line)} tiles, the first one {size}")
            if size > MAX_SIZE:
                raise TerrainError(f"{name}, line {number}, column {MAX_SIZE + 1}: {_too_large(size)}")
            rows.append(line.encode("ascii").translate(_FROM_TEXT))
        if len(rows) < size:
            raise TerrainError(f"{name}, line {len(rows) + 1}, column 1: {_not_square(size, len(rows))}")
        return cls._named(size, rows, name)

    @classmethod
    def _from_picture(cls, content: bytes, name: str) -> Terrain:
        image_module = _pillow("read")
        bombs = (image_module.DecompressionBombWarning, image_module.DecompressionBombError)
        try:
            with warnings.catch_warnings():
                # From 89 million pixels on Pillow warns, from twice as many it refuses: one limit is enough.
                warnings.simplefilter("error", image_module.DecompressionBombWarning)
                with image_module.open(BytesIO(content), formats=["PNG"]) as image:
                    width, height = image.size
                    if max(width, height) > MAX_SIZE:
                        raise TerrainError(f"{name}: {_too_large(max(width, height))}")
                    if width != height:
                        raise TerrainError(f"{name}: {_not_square(width, height)}")
                    if image.mode.startswith("I"):
                        # 16 bits of grey, which Pillow would cut off at 255.
                        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
                    paper = image_module.new("RGBA", image.size, "white")
                    paper.alpha_composite(image.convert("RGBA"))
                    tiles = paper.convert("L").tobytes().translate(_FROM_LUMINANCE)
        except TerrainError:
            raise
        except bombs as error:
            raise TerrainError(f"{name}: the picture has too many pixels; as a text map it may be larger") from error
        except Exception as error:  # A decoder has many ways to say that a file is broken.
            raise TerrainError(f"{name}: the picture cannot be read: {error}") from error
        return cls._named(width, (tiles[start : start + width] for start in range(0, len(tiles), width)), name)

    @classmethod
    def _named(cls, size: int, rows: Iterable[bytes], name: str) -> Terrain:
        try:
            return cls(size, rows)
        except TerrainError as error:
            raise TerrainError(f"{name}: {error}") from None

    def is_open(self, x: int, y: int) -> bool:
        """Whether a piece can stand at (x, y); False off the board."""
        return 0 <= x < self.size and 0 <= y < self.size and not self.blocked[(y + 1) * self.stride + x + 1]

    def random_open(self, random: Random) -> tuple[int, int]:
        """An open tile (x, y), each with the same probability; of several areas only the largest one's.

        So two players can always meet. The same state of `random` gives the same tile. Takes about a microsecond.
        """
        if self._starts is None:
            while True:
                y, x = divmod(int(random.random() * self.size**2), self.size)
                if not self.blocked[(y + 1) * self.stride + x + 1]:
                    return x, y
        nth = int(random.random() * self._reachable)
        run = bisect_right(self._before, nth) - 1
        y, x = divmod(self._starts[run] + nth - self._before[run], self.stride)
        return x - 1, y - 1

    def to_text(self) -> str:
        """The terrain as a text map, which `from_text`, and from a file `load`, make the same terrain of."""
        return "".join(row.translate(_TO_TEXT).decode("ascii") + "\n" for row in self._rows())

    def save_png(self, path: str | PathLike[str]) -> None:
        """Write the terrain as a PNG file, black on white, a pixel for each tile.

        Raises OSError if that fails, TerrainError if Pillow is not installed.
        """
        image_module = _pillow("write")
        pixels = b"".join(self._rows()).translate(_TO_LUMINANCE)
        image_module.frombytes("L", (self.size, self.size), pixels).convert("1").save(path, "PNG")

    def _rows(self) -> Iterator[bytes]:
        for start in range(self.stride + 1, self.stride * (self.size + 1), self.stride):
            yield self.blocked[start : start + self.size]


def _check_size(size: int) -> None:
    if not 1 <= size <= MAX_SIZE:
        raise ValueError(f"size must be between 1 and {MAX_SIZE}, not {size!r}")


def _not_square(width: int, height: int) -> str:
    return f"the map is {width} tiles wide and {height} high; it has to be square"


def _too_large(size: int) -> str:
    return f"the map has {size} tiles along a side, {MAX_SIZE} are the most"


def _pillow(purpose: str) -> ModuleType:
    try:
        import PIL.Image
    except ImportError as error:
        raise TerrainError(f"to {purpose} a picture, Pillow is needed: pip install 'pyiocp[map]'") from error
    return PIL.Image


def _largest_area(blocked: bytes, stride: int) -> tuple[array[int], array[int], int]:
    """The largest area of open tiles, of equal ones that which begins first: for each run of tiles in a row the index
    at which it starts and the number of tiles in the runs before; then the number of all tiles.
    """
    starts: list[int] = []
    ends: list[int] = []
    # The border parts the runs of one row from those of the next.
    for found in re.finditer(rb"\x00+", blocked):
        starts.append(found.start())
        ends.append(found.end())
    # The root of a tree of runs that touch each other is its first run; parents have smaller numbers than children.
    parents = list(range(len(starts)))
    above = 0
    for run, start in enumerate(starts):
        # In order as they are, runs of the row above are met by going through the list a second time, a stride behind.
        left, right = start - stride, ends[run] - stride
        while ends[above] <= left:
            above += 1
        touching = above
        root = run
        while starts[touching] < right:
            other = touching
            while parents[other] != other:
                parents[other] = parents[parents[other]]
                other = parents[other]
            if other < root:
                root, other = other, root
            parents[other] = root
            touching += 1
    areas = [0] * len(starts)
    for run, parent in enumerate(parents):
        parents[run] = parents[parent]
        areas[parents[run]] += ends[run] - starts[run]
    largest = areas.index(max(areas))
    chosen, before, total = array("i"), array("i"), 0
    for run, root in enumerate(parents):
        if root == largest:
            chosen.append(starts[run])
            before.append(total)
            total += ends[run] - starts[run]
    return chosen, before, total


def _seeded_rows(size: int, random: Random, percent: int, progress: Callable[[float], object]) -> Iterator[bytes]:
    """The tiles of a seeded terrain, row by row. Only random.random() is used: all versions of Python have the same."""
    choices: dict[tuple[int, int], tuple[list[int], list[list[bytes]]]] = {}
    # Tiles that the walls so far are short of `percent`.
    owed = 0.0
    done = 0
    for height in _blocks(size, random):
        walls = []
        for width in _blocks(size, random):
            if (width, height) not in choices:
                choices[width, height] = _shapes(width, height, random)
            counts, shapes = choices[width, height]
            share = width * height * percent / 100
            # Some blocks are fuller than others, but a district's average is soon right again.
            wanted = share * (0.25 + 1.5 * random.random()) + owed / 4
            # Among the walls of about that many tiles any will do.
            number = bisect_left(counts, wanted)
            reach = min(number, _REACH)
            number = min(number + _below(random, 2 * reach + 1) - reach, len(counts) - 1)
            owed += share - counts[number]
            walls.append(shapes[number])
        for y in range(height):
            yield b"".join([wall[y] for wall in walls])
        done += height
        progress(done / size)


def _blocks(size: int, random: Random) -> Iterator[int]:
    """The sizes of the blocks along a row or a column."""
    count = max(1, round(size / _BLOCK))
    begin = 0
    for number in range(1, count):
        end = number * size // count + _below(random, 2 * _STAGGER + 1) - _STAGGER
        yield end - begin
        begin = end
    yield size - begin


def _shapes(width: int, height: int, random: Random) -> tuple[list[int], list[list[bytes]]]:
    """Blocks with a wall each, and one without, by the number of their obstacles: these numbers, the blocks' rows."""
    shapes = [[bytes(width)] * height]
    if min(width, height) >= 3:
        shapes += [_shape(width, height, random) for _ in range(_SHAPES)]
    counted = sorted(((sum(row.count(1) for row in shape), shape) for shape in shapes), key=lambda pair: pair[0])
    return [count for count, _ in counted], [shape for _, shape in counted]


def _shape(width: int, height: int, random: Random) -> list[bytes]:
    """The rows of a block with a wall in it. All its open tiles hang together, and the block's border is open."""
    turned = random.random() < 0.5
    if turned:
        width, height = height, width
    # The larger of two: walls are long rather than short, and the smaller of two: thin rather than thick.
    across = 1 + max(_below(random, width - 2), _below(random, width - 2))
    down = 1 + max(_below(random, height - 2), _below(random, height - 2))
    thick = min(1 + min(_below(random, 4), _below(random, 4)), across, down)
    left = 1 + _below(random, width - 1 - across)
    top = 1 + _below(random, height - 1 - down)
    rows = [bytearray(width) for _ in range(height)]
    for row in rows[top : top + down]:
        row[left : left + across] = _EDGE * across
    outline = _OUTLINES[_below(random, len(_OUTLINES))]
    for begin, first, end, last in _openings(outline, across, down, thick, _below(random, across)):
        for row in rows[top + first : top + last]:
            row[left + begin : left + end] = bytes(max(0, end - begin))
    if random.random() < 0.5:
        rows.reverse()
    if turned:
        return [bytes(column) for column in zip(*rows, strict=True)]
    return [bytes(row) for row in rows]


def _openings(outline: str, across: int, down: int, thick: int, place: int) -> list[Rectangle]:
    """What is taken away from a rectangle of `across` x `down` tiles to leave a wall `thick` tiles thick.

    Each opening reaches the rectangle's edge, or one before it does and they touch: no open tile is ever walled in.
    """
    middle, half = (across - thick) // 2, (down - thick) // 2
    right, bottom = across - thick, down - thick
    match outline:
        case "bar":
            return [(0, 0, across, bottom)]
        case "corner":
            return [(thick, 0, across, bottom)]
        case "cup":
            return [(thick, 0, right, bottom)]
        case "tee":
            return [(0, 0, middle, bottom), (middle + thick, 0, across, bottom)]
        case "cross":
            columns = (0, middle), (middle + thick, across)
            return [
                (begin, first, end, last) for begin, end in columns for first, last in ((0, half), (half + thick, down))
            ]
        case "ladder":
            return [(thick, 0, right, half), (thick, half + thick, right, down)]
        case "room":
            door = max(thick, min(place, right - 1))
            return [(door, 0, door + 1, thick), (thick, thick, right, bottom)]
    return []


def _below(random: Random, end: int) -> int:
    return int(random.random() * end)
