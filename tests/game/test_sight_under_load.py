"""Hundreds of players over real sockets who move, join, leave, are cut and come back, all that they are told compared
with the true world, to the byte, on every backend."""

from __future__ import annotations

import logging
import sys
import sysconfig

import pytest
from iocp.game.terrain import Terrain
from iocp.game.world import World
from stage import shipped_kinds
from wanderers import Trial

# Under Wine every call is a message to another process. Without the interpreter lock each of the two, server and wanderers, is less
# than half as fast.
SCALE = 3 if sys.platform == "win32" or sysconfig.get_config_var("Py_GIL_DISABLED") else 1


WAYS = ("reset", "closed", "logged out", "came again", "broke the protocol")
"""In which a wanderer leaves."""
pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Broken packets are part of it: the server need not say so each time."""
    caplog.set_level(logging.ERROR, "iocp.game")


def world_of(size, obstacles=0, monsters=0, crowd=0, **options):
    world = World(size, 1, terrain=Terrain.seeded(size, 1, obstacles), crowd=crowd, **options)
    if monsters:
        world.populate(monsters, shipped_kinds())
    return world


@pytest.mark.parametrize(
    ("world", "timed", "count", "actions"),
    [
        # So wide that the plan against crowds never sets in.
        pytest.param({"size": 400, "monsters": 4000, "crowd": 200}, True, 400, 20_000, id="wide, with monsters"),
        pytest.param({"size": 60, "obstacles": 15, "monsters": 300}, False, 200, 16_000, id="busy, with walls and monsters"),
        pytest.param({"size": 24, "view": 3}, False, 150, 12_000, id="narrow, short sight"),
        pytest.param({"size": 12}, True, 40, 5_000, id="all see all"),
    ],
)
def test_every_client_is_told_exactly_what_it_sees(backend, world, timed, count, actions):
    count, actions = count // SCALE, actions // SCALE**2
    # Ten times as fast, so that the dead come back within the test.
    with Trial(world_of(**world), count, 40.0, backend=backend, timed=timed, speed=10.0) as trial:
        counts = trial.wanderers.counts

        def enough():
            # A slow machine lets the wanderers be far ahead of the server, which shares the interpreter with them: most of what they
            # would do then waits for an answer, so it is not the actions alone that say how much has happened.
            if SCALE == 1 and not all(counts[way] > 5 for way in WAYS):
                return False
            return trial.wanderers.actions >= actions < trial.journal.checked and trial.handler.counts.moves > actions / 4

        trial.until(enough, 300.0)
        compared = trial.finish()
    assert trial.findings == []
    assert compared == count, "all were online at the end"
    assert trial.journal.streams == {} and not trial.handler.world.players
    for engine in (trial.server, trial.client):
        stats = engine.stats()
        assert (stats.sessions, stats.ops_in_flight, stats.buffers_in_use, stats.handler_errors) == (0, 0, 0, 0)


def test_a_leave_that_is_not_sent_is_found(backend):
    """The oracle can fail over sockets too."""
    with Trial(world_of(12), 20, 30.0, backend=backend) as trial:
        trial.until(lambda: trial.wanderers.actions > 100)

        def forget():
            view = trial.handler.world.view
            vanish = view._vanish
            view._vanish = lambda piece, players: vanish(piece, players[1:])

        trial.ask(forget)
        trial.until(lambda: False, 120.0)
    assert trial.findings
