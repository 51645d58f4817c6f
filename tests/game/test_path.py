"""Paths round obstacles: as short as a breadth-first search's, bounded in length and in work, always the same."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iocp.game.path import find_path
from iocp.game.terrain import Terrain

CUP = """\
..........
..........
..######..
.......#..
.......#..
.......#..
.......#..
..######..
..........
..........
"""


def distance(terrain, start, goal):
    """Steps of a shortest path, by breadth-first search; None if there is none. `start` may be an obstacle."""
    if not terrain.is_open(*goal):
        return None
    steps = {start: 0}
    queue = [start]
    for x, y in queue:
        for tile in ((x, y - 1), (x, y + 1), (x - 1, y), (x + 1, y)):
            if tile not in steps and terrain.is_open(*tile):
                steps[tile] = steps[x, y] + 1
                queue.append(tile)
    return steps.get(goal)


def check(terrain, start, goal, path):
    """That one can walk along `path`."""
    assert all(terrain.is_open(*tile) for tile in path)
    assert all(abs(x - a) + abs(y - b) == 1 for (x, y), (a, b) in pairwise([start, *path]))
    assert [start, *path][-1] == goal


def tiles(size):
    return st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))


@st.composite
def searches(draw):
    """A terrain, a start and a goal; dense ones of noise, and seeded ones with walls."""
    size = draw(st.integers(1, 12))
    if draw(st.booleans()):
        terrain = Terrain.seeded(size + 12, draw(st.integers(0, 99)), draw(st.integers(10, 50)))
    else:
        rows = draw(st.lists(st.text("...#", min_size=size, max_size=size), min_size=size, max_size=size))
        if "." not in "".join(rows):
            rows[0] = "." * size
        terrain = Terrain.from_text("\n".join(rows))
    return terrain, draw(tiles(terrain.size)), draw(tiles(terrain.size))


@settings(deadline=None, max_examples=300)
@given(search=searches())
def test_a_path_is_as_short_as_breadth_first_search_says(search):
    terrain, start, goal = search
    path = find_path(terrain, start, goal, limit=terrain.size**2)
    assert (None if path is None else len(path)) == distance(*search)
    if path is not None:
        check(*search, path)
    assert path == find_path(terrain, start, goal, limit=terrain.size**2)


@settings(deadline=None)
@given(search=searches(), within=st.integers(-1, 40))
def test_a_path_longer_than_wanted_is_none(search, within):
    terrain, start, goal = search
    steps = distance(*search)
    path = find_path(terrain, start, goal, within=within, limit=terrain.size**2)
    assert (None if path is None else len(path)) == (None if steps is None or steps > within else steps)


@settings(deadline=None)
@given(search=searches(), limit=st.integers(-1, 100))
def test_a_path_found_with_little_work_is_still_a_shortest_one(search, limit):
    terrain, start, goal = search
    path = find_path(terrain, start, goal, limit=limit)
    if path is not None:
        assert len(path) == distance(*search) <= max(limit, 0)
        check(*search, path)


class CountedBytes(bytes):
    """Counts how often a byte is read."""

    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        return super().__getitem__(index)


@pytest.mark.parametrize("limit", [1, 10, 400, 1000])
def test_the_limit_bounds_the_work(limit):
    # The goal is walled in, on a board on which a search could go on for 10,000 tiles.
    rows = ["." * 100] * 100
    rows[49] = rows[51] = "." * 49 + "###" + "." * 48
    rows[50] = "." * 49 + "#.#" + "." * 48
    terrain = Terrain.from_text("\n".join(rows))
    terrain.blocked = CountedBytes(terrain.blocked)
    assert find_path(terrain, (50, 47), (50, 50), limit=limit) is None
    assert terrain.blocked.reads <= 4 * limit + 10
    assert limit < 3 or terrain.blocked.reads > 3 * limit


def test_a_search_ends_when_all_tiles_are_seen():
    terrain = Terrain.from_text("...#.\n" * 5)
    assert find_path(terrain, (0, 0), (4, 4), limit=10**9) is None


def test_round_a_wall():
    terrain = Terrain.from_text(CUP)
    path = find_path(terrain, (6, 4), (8, 4))
    check(terrain, (6, 4), (8, 4), path)
    assert len(path) == 18 and set(path) >= {(1, 3), (8, 1)}
    assert find_path(terrain, (6, 4), (8, 4), within=18) == path
    assert find_path(terrain, (6, 4), (8, 4), within=17) is None


@pytest.mark.parametrize(
    ("goal", "path"),
    [
        ((4, 0), [(1, 0), (2, 0), (3, 0), (4, 0)]),
        ((0, 3), [(0, 1), (0, 2), (0, 3)]),
        ((2, 2), [(1, 0), (1, 1), (2, 1), (2, 2)]),
        ((1, 4), [(0, 1), (0, 2), (0, 3), (1, 3), (1, 4)]),
    ],
)
def test_on_open_ground_a_path_keeps_to_the_straight_line(goal, path):
    terrain = Terrain.open_board(5)
    assert find_path(terrain, (0, 0), goal) == path
    mirrored = [(4 - x, 4 - y) for x, y in path]
    assert find_path(terrain, (4, 4), mirrored[-1]) == mirrored


def test_the_goal_itself_is_no_step():
    assert find_path(Terrain.from_text(CUP), (3, 3), (3, 3), limit=0, within=0) == []


@pytest.mark.parametrize("goal", [(2, 2), (-1, 0), (0, -1), (10, 0), (0, 10), (99, 99), (-1, 5)])
def test_there_is_no_path_into_an_obstacle_or_off_the_board(goal):
    terrain = Terrain.from_text(CUP)
    assert find_path(terrain, (0, 0), goal) is None
    assert find_path(terrain, (2, 2), (2, 2)) is None


def test_who_stands_on_an_obstacle_can_leave_it():
    assert find_path(Terrain.from_text(CUP), (2, 2), (2, 0)) == [(2, 1), (2, 0)]


@pytest.mark.parametrize("start", [(-1, 0), (0, -1), (10, 0), (0, 10)])
def test_a_start_off_the_board_is_an_error(start):
    with pytest.raises(ValueError, match="start must be on the board"):
        find_path(Terrain.from_text(CUP), start, (0, 0))
