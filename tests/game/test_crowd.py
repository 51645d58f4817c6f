"""Sight in a crowd degrades by plan: shared packets, moves at ticks, the nearest alone; and a tick's work stays bounded."""

from __future__ import annotations

from crowd_oracle import CrowdOracle
from iocp.game.protocol import Enter, Leave
from stage import DOWN, LEFT, RIGHT, UP, Stage


def crowd_stage(crowd, size=60, crowded=None, **options):
    stage = Stage(size, crowd=crowd, truth=CrowdOracle, **options)
    if crowded is not None:
        # A sector is crowded with more than these, and not only with more than 256.
        stage.world.view.crowded = crowded
    return stage


def settle(stage):
    """Let more than a second pass in which nothing moves; then the nearest must be told."""
    for _ in range(3):
        stage.wait(1.1)
    stage.truth.check_settled()
    assert stage.truth.findings == [], stage.truth.findings


def ids(*players):
    return {player.id for player in players}


def test_whoever_has_no_room_is_ranked_when_somebody_comes_through_a_ranking():
    stage = crowd_stage(crowd=2, crowded=1)
    anna = stage.login("anna", (9, 9))
    far = [stage.login(f"far{number}", (13, 13)) for number in range(2)]
    settle(stage)
    assert anna.told.keys() == ids(*far)
    ben = stage.login("ben", (9, 9))
    settle(stage)
    assert ben.id in anna.told
