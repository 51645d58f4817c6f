"""All that determines a world before anybody plays: what `serve` is told, and what a recording must hold to rebuild it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .kinds import Kind, read_scripts
from .terrain import Terrain
from .world import World


@dataclass(frozen=True, slots=True)
class Setting:
    """A world to be built. Sizes in tiles, times in seconds; see `World`, `Terrain` and `kinds.py`.

    percent: of the tiles that are obstacles, by the seed. map_text: obstacles from a map instead; size and percent are
    then the map's. npcs: monsters. scripts: their kinds' texts, by name.
    """

    size: int = 400
    seed: int = 1
    view: int = 7
    crowd: int = 200
    move_interval: float = 0.0
    percent: int = 0
    map_text: str | None = None
    name_encoding: str = "utf-8"
    npcs: int = 0
    scripts: dict[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, *, map_file: Path | None, scripts_folder: Path, npcs: int, **others: Any) -> Setting:
        """A setting whose map and scripts are in files. Raises TerrainError, ScriptError."""
        text = None if map_file is None else Terrain.load(map_file).to_text()
        scripts = read_scripts(scripts_folder) if npcs else {}
        return cls(map_text=text, npcs=npcs, scripts=scripts, **others)

    @property
    def obstacles(self) -> tuple[int, int] | None:
        """The (percent, seed) that clients make the same obstacles from; None where a map file has them."""
        return None if self.map_text is not None else (self.percent, self.seed)

    def build(self, progress: Callable[[str, float], object] = lambda what, done: None) -> World:
        """The world, always the same for the same setting. `progress` is called with what is being made and the part done.

        Raises ValueError, TerrainError or ScriptError.
        """
        if self.map_text is not None:
            terrain = Terrain.from_text(self.map_text)
        elif self.percent:
            terrain = Terrain.seeded(self.size, self.seed, self.percent, lambda done: progress("obstacles", done))
        else:
            terrain = Terrain.open_board(self.size)
        world = World(
            terrain.size, self.seed, terrain=terrain, view=self.view, crowd=self.crowd, move_interval=self.move_interval
        )
        if self.npcs:
            kinds = [Kind(name, text, self.name_encoding) for name, text in sorted(self.scripts.items())]
            world.populate(self.npcs, kinds, lambda done: progress("monsters", done))
        return world

    def to_json(self) -> dict[str, Any]:
        """For a recording."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Setting:
        """The setting of a recording; what it does not know is ignored. Raises TypeError for values of other types."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})
