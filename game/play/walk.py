"""The player's steps: as long as a key is held, or along a path to a clicked tile, round obstacles; never faster than is allowed."""

from __future__ import annotations

from typing import Final

from ..monster import STEPS
from ..path import Tile, find_path
from .model import Model, Sighted

PACE: Final = 0.1
"""Seconds from a step to the next, as the server demands by default; one that demands more is noticed by its refusals."""
_SLOWEST: Final = 1.0
_LOST_AFTER: Final = 2.0
"""Seconds without an answer, after which another step is tried."""
_SEARCH: Final = 4_000
"""Tiles that a search for a path may look on from: some milliseconds."""
_MOST_REFUSALS: Final = 3


class Walk:
    """Where the player wants to go. Not thread-safe; times in seconds."""

    def __init__(self) -> None:
        self._held: list[int] = []
        self._tapped: int | None = None
        self.path: list[Tile] = []
        """Tiles still to be gone to, the next one first."""
        self.pace = PACE
        self._next_at = 0.0
        self._from: Tile | None = None
        self._to: Tile | None = None
        self._answers = 0
        self._refusals = 0

    @property
    def goal(self) -> Tile | None:
        """The tile that was clicked, until it is reached."""
        return self.path[-1] if self.path else None

    def press(self, direction: int) -> None:
        """The key of that direction is down: walk there until it is up, at least one step."""
        self.release(direction)
        self._held.append(direction)
        self._tapped = direction

    def release(self, direction: int) -> None:
        """That key is up; one that was pressed before it, and still is, counts again."""
        if direction in self._held:
            self._held.remove(direction)

    def release_all(self) -> None:
        """No key is down any more, as when the window loses the keyboard."""
        self._held.clear()
        self._tapped = None

    def go(self, model: Model, goal: Tile) -> bool:
        """Walk to that tile. False if there is no way, or none that is found in a few milliseconds."""
        self.stop()
        if model.me is None:
            return False
        here = (model.me.x, model.me.y)
        if model.terrain is not None and not model.needs_terrain:
            on_the_board = min(here) >= 0 and max(here) < model.terrain.size
            path = find_path(model.terrain, here, goal, limit=_SEARCH) if on_the_board else None
        else:
            path = _straight(here, goal) if model.is_open(*goal) else None
        self.path = path or []
        return path is not None

    def stop(self) -> None:
        """Stand still."""
        self.path = []
        self._refusals = 0

    def next(self, model: Model, now: float) -> int | None:
        """The direction of the step that is due now, if one is."""
        me = model.me
        if me is None:
            self.stop()
            return None
        if model.unanswered and now - model.unanswered[-1][1] < _LOST_AFTER:
            return None
        self._learn(model, me)
        while self.path and self.path[0] == (me.x, me.y):
            self.path.pop(0)
        if now < self._next_at:
            return None
        direction = self._held[-1] if self._held else self._tapped
        self._tapped = None
        if direction is not None:
            self.path = []
        elif self.path:
            direction = _direction((me.x, me.y), self.path[0])
            if direction is None:
                # Carried off, or teleported: there may be a way from here as well.
                self.go(model, self.path[-1])
                return None
        if direction is None:
            return None
        dx, dy = STEPS[direction]
        self._from, self._to, self._answers = (me.x, me.y), (me.x + dx, me.y + dy), model.answers
        # By the plan, not by the frame that happens to be drawn; but what was missed while standing is not made up for.
        self._next_at = (self._next_at if now - self._next_at < self.pace else now) + self.pace
        return direction

    def _learn(self, model: Model, me: Sighted) -> None:
        """What the answer to the last step says of the pace, and of a path that leads nowhere."""
        if self._to is None or model.answers == self._answers:
            return
        if (me.x, me.y) == self._from and not model.is_open(*self._to):
            if self.path:
                # The obstacles became known on the way.
                self.go(model, self.path[-1])
        elif (me.x, me.y) == self._from:
            self.pace = min(_SLOWEST, self.pace * 1.5)
            self._refusals += 1
            if self._refusals >= _MOST_REFUSALS and model.terrain is None:
                # An obstacle that this client does not know of.
                self.stop()
        else:
            self._refusals = 0
        self._to = None


def _direction(here: Tile, there: Tile) -> int | None:
    delta = (there[0] - here[0], there[1] - here[1])
    return STEPS.index(delta) if delta in STEPS else None


def _straight(here: Tile, goal: Tile) -> list[Tile]:
    """Tile by tile, along x and then along y, where obstacles are not known."""
    (x, y), path = here, []
    while (x, y) != goal:
        if x != goal[0]:
            x += 1 if goal[0] > x else -1
        else:
            y += 1 if goal[1] > y else -1
        path.append((x, y))
    return path
