"""Makes the obstacles that the server tells of, on a thread of its own: a large board takes seconds, and frames must not wait."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from ..protocol import WorldInfo
from ..terrain import Terrain, TerrainError
from .model import FROM_A_FILE, Model

_LARGEST: Final = 8_192
"""Tiles along a side up to which it is made: 64 MB."""


class Obstacles:
    """Keeps a model's terrain as its server's. map_file: the server's map, for servers that were started with one.

    Raises TerrainError for a file that is no map. On the thread that owns the model.
    """

    def __init__(self, model: Model, map_file: Path | None = None) -> None:
        self._model = model
        self._from_file = None if map_file is None else Terrain.load(map_file)
        self._tried: WorldInfo | None = None
        self._made: list[tuple[WorldInfo, Terrain | str]] = []
        self._maker: threading.Thread | None = None
        self.why = ""
        """Why the obstacles are not known, in words that say what to do; else empty."""

    def poll(self, now: float) -> None:
        """Begin to make them if the model needs any, and give them to it once they are made."""
        model = self._model
        world = model.world
        if self._made:
            made_for, made = self._made.pop()
            # The server may have become another one while they were made.
            if made_for == world:
                self._take(made, now)
        # One board at a time: a server that tells of ever new ones must not get a thread for each.
        busy = self._maker is not None and self._maker.is_alive()
        if world is not None and model.needs_terrain and world != self._tried and not busy:
            self._tried = world
            self._maker = threading.Thread(target=self._make, args=(world,), name="obstacles", daemon=True)
            self._maker.start()

    def _take(self, made: Terrain | str, now: float) -> None:
        if isinstance(made, str):
            self.why = made
        elif self._model.adopt(made):
            self.why = ""
        else:
            self.why = "the obstacles here are not the server's: is the map file another one?"
        if self.why:
            self._model.note(self.why, now)

    def _make(self, world: WorldInfo) -> None:
        try:
            made = self._obstacles_of(world)
        except (TerrainError, ValueError, MemoryError) as error:
            made = f"the obstacles cannot be made: {error}"
        self._made.append((world, made))

    def _obstacles_of(self, world: WorldInfo) -> Terrain | str:
        """The obstacles, or why there are none."""
        if world.percent == FROM_A_FILE:
            return self._from_file or "the obstacles are from a map file of the server: to see them give the file with --map"
        if world.size > _LARGEST:
            return f"the board of {world.size:,} tiles a side is too large to draw its obstacles here"
        if world.percent == 0:
            return Terrain.open_board(world.size)
        return Terrain.seeded(world.size, world.seed, world.percent)
