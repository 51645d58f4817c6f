"""The way round obstacles: A* on a terrain, in four directions, as monsters and scripted players walk.

No network, no clock, no random: the same terrain and tiles give the same path. A step costs 1 and the heuristic is the
Manhattan distance, so a step either brings the goal nearer, and the estimate of the whole path stays as it is, or away,
and it grows by 2. That is why there is no heap: the tiles with the present estimate and those with the next one are all
that is ever queued, and two collections of them take half of heapq's time (26 microseconds instead of 48 for the chases
over 12 tiles that something stands in the way of, Python 3.11). Within one estimate the tile found last goes first, so
that a search heads for the goal.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from .terrain import Terrain

Tile: TypeAlias = tuple[int, int]
"""(x, y)"""

LIMIT: Final = 400
"""Tiles from which a search looks on, when nothing else is said: about those of a square of 20 x 20."""


def find_path(
    terrain: Terrain, start: Tile, goal: Tile, *, within: int | None = None, limit: int = LIMIT
) -> list[Tile] | None:
    """A shortest path from `start` to `goal`: the tiles after `start`, the last one is `goal`. [] if they are the same.

    None if `goal` is an obstacle or off the board, if every path has more than `within` steps, or if none was found
    after looking on from `limit` tiles, which bounds the time (about half a microsecond a tile). Where nothing is in
    the way the path is the one close to the straight line. `start` itself may be an obstacle. Any thread.
    Raises ValueError if `start` is off the board.
    """
    if not terrain.is_open(*goal):
        return None
    (x, y), size, stride = start, terrain.size, terrain.stride
    if not (0 <= x < size and 0 <= y < size):
        raise ValueError(f"start must be on the board, not {start!r}")
    longest = limit if within is None else min(within, limit)
    distance = abs(goal[0] - x) + abs(goal[1] - y)
    if distance > longest:
        return None
    begin = (y + 1) * stride + x + 1
    end = (goal[1] + 1) * stride + goal[0] + 1
    found = _walk(terrain.blocked, stride, begin, goal[0] - x, goal[1] - y)
    if found is None:
        found = _search(terrain.blocked, stride, begin, end, distance, longest, limit)
    return None if found is None else [(at % stride - 1, at // stride - 1) for at in found]


def _walk(blocked: bytes, stride: int, at: int, right: int, down: int) -> list[int] | None:
    """Straight to the goal, `right` and `down` tiles from here, without ever looking back. Most chases need no more."""
    sideways, columns = (1, right) if right > 0 else (-1, -right)
    onwards, rows = (stride, down) if down > 0 else (-stride, -down)
    path = []
    while columns or rows:
        # The longer way first: that keeps to the straight line.
        if columns >= rows and not blocked[at + sideways]:
            at += sideways
            columns -= 1
        elif rows and not blocked[at + onwards]:
            at += onwards
            rows -= 1
        elif columns and not blocked[at + sideways]:
            at += sideways
            columns -= 1
        else:
            return None
        path.append(at)
    return path


def _search(
    blocked: bytes, stride: int, begin: int, end: int, estimate: int, longest: int, limit: int
) -> list[int] | None:
    """As `_walk`, round obstacles. `estimate` is the distance of `begin` and `end`; longer than `longest` is given up."""
    goal_x = end % stride
    row_begin, row_end = end - goal_x, end - goal_x + stride
    # Where a tile was reached from first. Estimates never sink, so that is on a shortest path to it.
    before = {begin: begin}
    now = [begin]
    while now and estimate <= longest:
        later: dict[int, int] = {}
        while now:
            at = now.pop()
            if at == end:
                return _back(before, begin, end)
            limit -= 1
            if limit < 0:
                return None
            # Up, down, left, right; written out, since a loop over the directions takes half as long again.
            x = at % stride
            to = at - stride
            if not blocked[to] and to not in before:
                if at >= row_end:
                    before[to] = at
                    now.append(to)
                else:
                    later[to] = at
            to = at + stride
            if not blocked[to] and to not in before:
                if at < row_begin:
                    before[to] = at
                    now.append(to)
                else:
                    later[to] = at
            to = at - 1
            if not blocked[to] and to not in before:
                if x > goal_x:
                    before[to] = at
                    now.append(to)
                else:
                    later[to] = at
            to = at + 1
            if not blocked[to] and to not in before:
                if x < goal_x:
                    before[to] = at
                    now.append(to)
                else:
                    later[to] = at
        # The others of these were reached after all, by a way with the smaller estimate.
        now = [to for to in later if to not in before]
        for to in now:
            before[to] = later[to]
        estimate += 2
    return None


def _back(before: dict[int, int], begin: int, end: int) -> list[int]:
    """The path to `end`, found from there tile by tile."""
    path = []
    while end != begin:
        path.append(end)
        end = before[end]
    path.reverse()
    return path
