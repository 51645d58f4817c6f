"""Python's collector of cycles, set up for a game server.

By default it looks at objects after every 700 new ones, and now and then at all of them: with tens of thousands of monsters awake that is
40 % of a step's time (7.7 us with, 4.6 us without; `benchmarks/game.py`), and a look at all is a pause that every player feels. The game
itself makes no cycles while it runs: a connection's is broken when it ends (`server.py`). So the world as it was built is set aside
for good, and the collector looks seldom, for the sake of scripts that do make cycles.
"""

from __future__ import annotations

import gc


def spare_the_world() -> None:
    """Call once, when the world is built and before players come. Affects the whole process."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
