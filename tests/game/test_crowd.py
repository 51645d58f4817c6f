"""Sight in a crowd degrades by plan: shared packets, moves at ticks, the nearest alone."""

from __future__ import annotations

import pytest
from crowd_oracle import CrowdOracle
from iocp.game.crowd import CROWDED
from iocp.game.protocol import Enter, Leave, Moved, pack_step
from stage import DOWN, LEFT, NOWHERE, RIGHT, UP, Stage


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


# The cap


def test_the_nearest_are_told_up_to_the_cap():
    stage = crowd_stage(crowd=5)
    anna = stage.login("anna", (20, 20))
    players = [stage.login(f"p{distance}", (20 + distance, 20 - distance)) for distance in range(7, 0, -1)]
    assert anna.told.keys() == ids(*players[:5]), "whoever came first, until the next ranking"
    stage.ticks(1)
    assert anna.told.keys() == ids(*players[2:]), "then the nearest"
    settle(stage)
    assert anna.told.keys() == ids(*players[2:])


def test_who_is_told_stays_unless_somebody_is_nearer_by_a_tile():
    stage = crowd_stage(crowd=4)
    anna = stage.login("anna", (20, 20))
    first = [stage.login(f"a{number}", (23, 18 + number)) for number in range(4)]
    settle(stage)
    for number in range(8):
        stage.login(f"b{number}", (17, 17 + number % 7))
    settle(stage)
    assert anna.told.keys() == ids(*first), "as near is not nearer"
    stage.hush()
    settle(stage)
    assert stage.news(anna) == [], "nobody flickers"
    near = stage.login("near", (18, 20))
    settle(stage)
    kinds = [type(news) for news in stage.news(anna)]
    assert kinds == [Leave, Enter] and near.id in anna.told, "one leaves for one who is nearer"
    stage.step(first[0], RIGHT)
    stage.step(first[1], RIGHT)
    settle(stage)
    assert not ids(*first[:2]) & anna.told.keys(), "whoever goes further away makes room"


def test_of_a_crowd_on_one_tile_each_player_is_told_of_others():
    stage = crowd_stage(crowd=10)
    players = [stage.login(f"p{number}", (20, 20)) for number in range(60)]
    settle(stage)
    watchers = [len(player.watchers()) for player in players]
    assert sum(watchers) == 600
    # Whoever came first sees one another and stays so: the next one alone may be seen by nobody.
    assert sum(count == 0 for count in watchers) <= 1
    assert max(watchers) <= 25, "they are not all told of the same ten"


def test_all_in_sight_are_told_when_the_crowd_thins():
    stage = crowd_stage(crowd=6, crowded=4)
    anna = stage.login("anna", (20, 20))
    others = [stage.login(f"p{number}", (20 + number % 3, 20)) for number in range(20)]
    settle(stage)
    assert len(anna.told) == 6
    for number, player in enumerate(others[:14]):
        (stage.logout, stage.cut, lambda player: stage.teleport(player, 50, 50))[number % 3](player)
    stage.hush()
    stage.wait(1.1)
    assert anna.told.keys() == ids(*others[14:])
    assert {type(news) for news in stage.news(anna)} <= {Enter, Leave}
    settle(stage)


def test_whoever_walks_through_a_crowd_is_told_of_nobody_out_of_sight():
    stage = crowd_stage(crowd=8, crowded=6)
    for number in range(60):
        stage.login(f"p{number}", (25 + number % 5, 25 + number // 5 % 5))
    anna = stage.login("anna", (10, 27), timed=False)
    for _ in range(40):
        stage.step(anna, RIGHT)  # The oracle looks after each step.
        stage.ticks(1)
    settle(stage)
    assert not anna.told
    for direction in (LEFT, UP, LEFT, DOWN) * 12:
        stage.step(anna, direction)
    settle(stage)
    assert len(anna.told) == 8


def test_monsters_count_as_neighbours_and_only_those_told_stay_awake():
    places = [(20 + number % 5, 20 + number // 5) for number in range(25)]
    stage = crowd_stage(crowd=6, monsters=places)
    anna = stage.login("anna", (20, 20))
    settle(stage)
    assert len(anna.told) == 6
    stage.ticks(10)
    assert len(stage.world.monsters.awake) == 6, "the others sleep, although they are in sight"
    stage.wait(1.1)
    assert len(stage.world.monsters.awake) == 6, "also while anna is ranked again"
    stage.step(anna, *[RIGHT] * 4)
    settle(stage)
    stage.step(anna, *[RIGHT] * 10)
    settle(stage)
    assert not anna.told


@pytest.mark.parametrize("crowded", [None, 5], ids=["by the cap", "by the sector"])
def test_whoever_jumps_from_one_crowd_into_another_sees_it_at_the_next_tick(crowded):
    stage = crowd_stage(crowd=5, crowded=crowded)
    for number in range(8):
        stage.login(f"a{number}", (10, 10))
        stage.login(f"b{number}", (40, 40))
    anna = stage.login("anna", (10, 10))
    settle(stage)
    stage.teleport(anna, 40, 40)
    stage.ticks(1)
    assert len(anna.told) == 5


STEPS = {UP: (0, -1), DOWN: (0, 1), LEFT: (-1, 0), RIGHT: (1, 0)}


@pytest.mark.parametrize("direction", [UP, DOWN, LEFT, RIGHT], ids=["up", "down", "left", "right"])
def test_whoever_steps_or_jumps_to_where_a_crowd_is_just_in_sight_sees_it_and_is_seen(direction):
    dx, dy = STEPS[direction]
    x, y = 29 + 7 * dx, 29 + 7 * dy
    stage = crowd_stage(crowd=50, crowded=3)
    crowd = [stage.login(f"{side} {number}", (x + dy * side, y + dx * side)) for side in (-7, 0, 7) for number in range(5)]
    anna = stage.login("anna", (29 - dx, 29 - dy))
    settle(stage)
    assert not anna.told
    stage.step(anna, direction)
    settle(stage)
    assert anna.told.keys() == ids(*crowd)
    assert all(anna.id in player.told for player in crowd)
    stage.step(anna, {UP: DOWN, DOWN: UP, LEFT: RIGHT, RIGHT: LEFT}[direction])
    assert not anna.told
    stage.teleport(anna, 29, 29)
    settle(stage)
    assert anna.told.keys() == ids(*crowd)


def test_whoever_steps_to_where_many_monsters_sleep_sees_them():
    stage = crowd_stage(crowd=50, crowded=3, monsters=[(30, 20)] * 6)
    anna = stage.login("anna", (22, 20))
    settle(stage)
    stage.step(anna, RIGHT)
    stage.ticks(1)
    assert len(anna.told) == 6


def test_a_monster_for_which_there_was_no_room_is_told_of_when_there_is():
    stage = crowd_stage(crowd=2, monsters=[(30, 20)])
    anna = stage.login("anna", (22, 20))
    others = [stage.login(f"p{number}", (20, 20)) for number in range(2)]
    stage.step(anna, RIGHT)
    settle(stage)
    assert anna.told.keys() == ids(*others)
    stage.cut(others[0])
    stage.wait(1.1)
    assert len(anna.told) == 2


def test_nobody_leaves_for_somebody_for_whom_there_is_room():
    stage = crowd_stage(crowd=5, crowded=2)
    anna = stage.login("anna", (20, 20))
    west = [stage.login(f"w{number}", (13, 20)) for number in range(3)]
    south = [stage.login(f"s{number}", (20, 28)) for number in range(3)]
    settle(stage)
    assert anna.told.keys() == ids(*west)
    stage.hush()
    stage.teleport(anna, 20, 23)
    stage.ticks(1)
    assert [type(news) for news in stage.news(anna)] == [Moved, Leave, Enter, Enter, Enter]
    assert len(anna.told) == 5 and ids(*south) < anna.told.keys()


# Moves at ticks


def coalescing(stage, count):
    """anna, told of `count` others on her tile, of which the first is given too."""
    anna = stage.login("anna", (20, 20))
    others = [stage.login(f"p{number}", (20, 20)) for number in range(count)]
    stage.ticks(4)
    stage.hush()
    return anna, others


def test_below_sixty_four_moves_are_told_at_once():
    stage = crowd_stage(crowd=200)
    anna, others = coalescing(stage, 63)
    stage.step(others[0], RIGHT, DOWN)
    assert stage.news(anna) == [Moved(others[0].id, 21, 20, 0), Moved(others[0].id, 21, 21, 0)]


@pytest.mark.parametrize(("crowd", "count"), [(200, 64), (10, 10)])
def test_from_sixty_four_or_the_cap_on_moves_are_told_at_ticks_where_each_stands_by_then(crowd, count):
    stage = crowd_stage(crowd=crowd)
    anna, others = coalescing(stage, count)
    ben, carl = others[:2]
    stage.step(ben, RIGHT, DOWN, DOWN)
    stage.step(carl, LEFT)
    stage.step(carl, RIGHT)
    assert stage.news(anna) == []
    sends = len(anna.session.sent)
    stage.ticks(4)
    assert stage.news(anna) == [Moved(ben.id, 21, 22, 0), Moved(carl.id, 20, 20, 0)], "once each, the last place"
    assert sends == 0
    stage.ticks(8)
    assert stage.news(anna) == [], "and not again"


def test_a_crowd_hears_of_moves_ten_times_a_second():
    stage = crowd_stage(crowd=200)
    anna, others = coalescing(stage, 64)
    for number in range(40):
        stage.step(others[0], (RIGHT, LEFT)[number % 2])
        stage.ticks(1)
    assert 9 <= len(stage.news(anna)) <= 11


def test_in_a_crowd_enter_leave_and_ones_own_answers_are_told_at_once():
    stage = crowd_stage(crowd=200)
    anna, others = coalescing(stage, 70)
    stage.step(anna, RIGHT)
    assert stage.news(anna) == [Moved(anna.id, 21, 20, 7)]
    stage.cut(others[5])
    stage.teleport(others[6], 50, 50)
    assert stage.news(anna) == [Leave(others[5].id), Leave(others[6].id)]
    dora = stage.login("dora", (22, 22))
    assert stage.news(anna) == [Enter(dora.id, dora.name, 0, 22, 22)]


def test_the_kind_of_moves_may_change_in_a_crowd():
    stage = crowd_stage(crowd=200)
    anna, others = coalescing(stage, 64)
    stage.send(anna, pack_step(NOWHERE))
    stage.step(others[0], RIGHT)
    stage.hush()
    stage.ticks(4)
    assert stage.news(anna) == [Moved(others[0].id, 21, 20, None)]


@pytest.mark.parametrize("crowd", [200, 10, 2, 1])
def test_when_the_crowd_thins_moves_are_told_at_once_again(crowd):
    stage = crowd_stage(crowd=crowd)
    count = min(64, crowd)
    anna, others = coalescing(stage, count)
    stage.step(others[0], RIGHT)
    # Between the two limits nothing changes, so that nobody goes back and forth.
    least = max(1, count * 3 // 4)
    for player in others[least:]:
        stage.cut(player)
    assert Moved(others[0].id, 21, 20, 0) not in stage.news(anna)
    stage.cut(others[least - 1])
    if least > 1:
        assert stage.news(anna)[-1] == Moved(others[0].id, 21, 20, 0), "what it would have heard at the tick"
    stage.ticks(8)
    stage.hush()
    dora = others[0] if least > 1 else stage.login("dora", (21, 20))
    if crowd > 1:
        stage.hush()
        stage.step(dora, RIGHT)
        assert stage.news(anna) == [Moved(dora.id, 22, 20, 0)]
    assert not stage.server.world.view.crowd.moved or crowd == 1


# In this order


def test_the_plan_sets_in_in_its_declared_order():
    """Shared packets always; moves at ticks from 64; the cap last."""
    stage = crowd_stage(crowd=100, timed=False)
    shared = []
    multicast = stage.engine.multicast
    stage.engine.multicast = lambda sessions, packet: (shared.append((len(sessions), packet)), multicast(sessions, packet))
    ben = stage.login("ben", (20, 20))
    stages = []
    for count in range(1, 131):
        player = stage.login(f"p{count}", (20, 20))
        if count in (20, 60, 63, 65, 90, 99, 101, 130):
            stage.ticks(4)
            shared.clear()
            stage.step(ben, (RIGHT, LEFT)[len(stages) % 2])
            at_once = sum(number for number, _ in shared)
            stage.ticks(4)
            at_ticks = sum(number for number, _ in shared) - at_once
            stages.append((count, len(shared), at_once, at_ticks, len(player.told)))
    # (others in sight, packets packed, told at once, told at ticks, of whom the newest is told)
    assert stages == [
        (20, 1, 20, 0, 20), (60, 1, 60, 0, 60), (63, 1, 63, 0, 63),
        (65, 1, 0, 65, 65), (90, 1, 0, 90, 90), (99, 1, 0, 99, 99),
        # Those who came last found no room in the others' view.
        (101, 1, 0, 101, 100), (130, 1, 0, 101, 100),
    ]  # fmt: skip


def test_without_a_cap_there_is_no_plan_and_all_is_exact():
    stage = Stage(40, crowd=0)
    players = [stage.login(f"p{number}", (20, 20), check=False) for number in range(CROWDED + 20)]
    stage.check()
    assert {len(player.told) for player in players} == {CROWDED + 19}
    stage.step(players[0], *[RIGHT] * 3)
    stage.teleport(players[1], 28, 20)
    stage.logout(players[2])
    assert not stage.world.view.crowd.waiting


# What is left


def test_nothing_is_left_of_a_crowd_that_left():
    stage = crowd_stage(crowd=10, crowded=5, monsters=40)
    players = [stage.login(f"p{number}", (20 + number % 2, 20)) for number in range(30)]
    stage.step(players[0], RIGHT)
    for number, player in enumerate(players):
        (stage.logout, stage.cut)[number % 2](player)
    stage.ticks(8)
    assert not any(value for value in vars(stage.world.view.crowd).values() if isinstance(value, dict))
    assert not stage.world.view.crowd.waiting
    assert not stage.world.monsters.awake


def test_a_monster_that_waits_to_be_ranked_does_not_fall_asleep(monkeypatch):
    """Else those in whose sight it is would not hear of it before they move."""
    stage = crowd_stage(crowd=50, crowded=3, monsters=[(20, 21)])
    anna = stage.login("anna", (20, 20), knows=1)
    for number in range(5):
        stage.login(f"near{number}", (20, 19))
    others = [stage.login(f"far{number}", (40, 40)) for number in range(20)]
    settle(stage)
    for _ in range(2):
        stage.attack(anna)
    assert stage.world.monsters.dead == 1
    # It returns when many others, elsewhere, wait to be ranked, one at a tick.
    stage.wait(29.9)
    monkeypatch.setattr("iocp.game.crowd.BUDGET", 1)
    for player in others:
        stage.teleport(player, 41, 41)
    stage.ticks(10)
    assert stage.world.monsters.dead == 0
    stage.ticks(40)
    settle(stage)
    assert stage.world.monsters.awake
