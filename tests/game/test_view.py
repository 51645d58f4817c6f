"""Sight without a network: who is told of whom, when, and nothing else, held against the oracle after every call."""

from __future__ import annotations

import pytest
from iocp.game.kinds import Kind
from iocp.game.names import encode_name
from iocp.game.piece import MONSTER_IDS
from iocp.game.protocol import Enter, Leave, Moved, StatChange, pack_say, pack_step, pack_teleport
from stage import DOWN, LEFT, NOWHERE, RIGHT, STONE, UP, Stage

radii = pytest.mark.parametrize("radius", [1, 7, 20])
BACK = {UP: DOWN, DOWN: UP, LEFT: RIGHT, RIGHT: LEFT}
EAST = 'NAME = "east"\nSECONDS = 0.1\n\n\ndef step(me):\n    me.walk(3)\n'
"""The script of a monster that goes to the right."""


def enter_of(player):
    return Enter(player.id, player.name, 0, player.x, player.y)


def stone(number, x, y):
    return Enter(MONSTER_IDS + number, encode_name("stone"), 7, x, y)


def moved(player, timed=True):
    return Moved(player.id, player.x, player.y, 0 if timed else None)


def answer(player):
    return Moved(player.id, player.x, player.y, 7 if player.timed else None)


# Where sight ends


@radii
@pytest.mark.parametrize("kinds", [(True, False), (False, True)], ids=["timed-untimed", "untimed-timed"])
@pytest.mark.parametrize("across", [-1.0, -0.5, 0.0, 0.5, 1.0], ids=lambda part: f"across{part:+}")
@pytest.mark.parametrize("direction", [UP, DOWN, LEFT, RIGHT], ids=["up", "down", "left", "right"])
def test_steps_into_sight_within_it_and_out_of_it(radius, kinds, across, direction):
    """One stands; the other comes to its sight's edge, steps over it and back, on each side, in corners and between."""
    stage = Stage(4 * radius + 10, radius=radius)
    middle = 2 * radius + 5
    dx, dy = {UP: (0, -1), DOWN: (0, 1), LEFT: (-1, 0), RIGHT: (1, 0)}[direction]
    aside = int(across * radius)
    anna = stage.login("anna", (middle, middle), timed=kinds[0])
    ben = stage.login(
        "ben", (middle - dx * (radius + 1) + dy * aside, middle - dy * (radius + 1) + dx * aside), timed=kinds[1]
    )
    stage.step(ben, BACK[direction], direction)
    assert not any(isinstance(news, (Enter, Leave)) for player in (anna, ben) for news in stage.news(player))
    stage.step(ben, direction)
    assert stage.news(anna) == [enter_of(ben)]
    assert stage.news(ben) == [enter_of(anna), answer(ben)]
    stage.step(ben, direction)
    assert stage.news(anna) == [moved(ben, kinds[0])]
    assert stage.news(ben) == [answer(ben)]
    stage.step(ben, *[BACK[direction]] * 2)
    assert stage.news(anna) == [Moved(ben.id, ben.x + dx, ben.y + dy, 0 if kinds[0] else None), Leave(ben.id)]
    assert stage.news(ben)[1:] == [Leave(anna.id), answer(ben)]
    # All the way through, and out on the other side.
    stage.step(ben, *[direction] * (2 * radius + 2))
    assert stage.news(anna) == [
        Enter(ben.id, ben.name, 0, ben.x - dx * (2 * radius + 1), ben.y - dy * (2 * radius + 1)),
        *(
            Moved(ben.id, ben.x - dx * left, ben.y - dy * left, 0 if kinds[0] else None)
            for left in range(2 * radius, 0, -1)
        ),
        Leave(ben.id),
    ]


@radii
@pytest.mark.parametrize("direction", [UP, DOWN, LEFT, RIGHT], ids=["up", "down", "left", "right"])
def test_one_tile_beside_the_corner_nobody_is_told_of(radius, direction):
    stage = Stage(4 * radius + 10, radius=radius)
    middle = 2 * radius + 5
    dx, dy = {UP: (0, -1), DOWN: (0, 1), LEFT: (-1, 0), RIGHT: (1, 0)}[direction]
    anna = stage.login("anna", (middle, middle))
    for number, aside in enumerate([radius + 1, -radius - 1]):
        start = (middle - dx * (radius + 1) + dy * aside, middle - dy * (radius + 1) + dx * aside)
        ben = stage.login(f"ben{number}", start)
        stage.hush()
        stage.step(ben, *[direction] * (2 * radius + 2))
        assert stage.news(anna) == []
        assert {type(news) for news in stage.news(ben)} == {Moved}


@pytest.mark.parametrize("corner", [(0, 0), (39, 0), (0, 39), (39, 39)])
def test_at_the_boards_corners(corner):
    stage = Stage(40)
    anna = stage.login("anna", corner)
    x, y = (7 if corner[0] == 0 else 32), (7 if corner[1] == 0 else 32)
    ben = stage.login("ben", (x, y))
    assert stage.news(anna)[1:] == [enter_of(ben)]
    for direction in [RIGHT if corner[0] == 0 else LEFT, DOWN if corner[1] == 0 else UP]:
        stage.step(ben, direction)
        assert stage.news(anna) == [Leave(ben.id)]
        stage.step(ben, BACK[direction])
        assert stage.news(anna) == [enter_of(ben)]
    for direction in (UP, DOWN, LEFT, RIGHT):
        stage.step(anna, direction)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("radius", [7, 20, 100])
def test_a_board_smaller_than_the_view(size, radius):
    stage = Stage(size, radius=radius, monsters=5)
    players = [stage.login(f"p{number}") for number in range(6)]
    for number, player in enumerate(players * 5):
        stage.step(player, number % 4, number // 4 % 4)
    if size <= radius + 1:
        assert [len(player.told) for player in players] == [10] * 6, "all see all"
    stage.logout(players.pop())
    stage.cut(players.pop())


def test_a_refused_move_tells_only_the_mover():
    stage = Stage(8)
    anna, ben = stage.login("anna", (0, 0)), stage.login("ben", (1, 0))
    stage.hush()
    stage.step(anna, UP, LEFT, NOWHERE)
    assert stage.news(anna) == [answer(anna)] * 3
    assert stage.news(ben) == []


def test_who_stands_on_the_same_tile_sees_the_other():
    stage = Stage(8)
    anna, ben = stage.login("anna", (3, 3)), stage.login("ben", (3, 3))
    assert stage.news(anna)[1:] == [enter_of(ben)]
    assert stage.news(ben)[1:] == [enter_of(anna)]


# Coming and going


def test_a_login_is_seen_by_those_in_sight_alone():
    stage = Stage(40)
    near, far = stage.login("near", (10, 10)), stage.login("far", (18, 10))
    stage.hush()
    ben = stage.login("ben", (10, 17))
    assert stage.news(near) == [enter_of(ben)]
    assert stage.news(far) == []
    assert stage.news(ben)[1:] == [enter_of(near)]


@pytest.mark.parametrize("leave", [Stage.logout, Stage.cut], ids=["logout", "reset"])
def test_whoever_leaves_is_gone_for_those_in_sight_alone(leave):
    stage = Stage(40)
    near, far, ben = stage.login("near", (10, 10)), stage.login("far", (18, 10)), stage.login("ben", (10, 17))
    stage.hush()
    leave(stage, ben)
    assert stage.news(near) == [Leave(ben.id)]
    assert stage.news(far) == []
    assert not any(player.told for player in stage.world.players.values())


def test_a_login_under_the_same_name_is_a_leave_and_an_enter():
    stage = Stage(40)
    near, ben = stage.login("near", (10, 10)), stage.login("ben", (10, 17))
    stage.hush()
    again = stage.login("ben")
    assert (again.x, again.y) == (10, 17) and again.id != ben.id
    assert stage.news(near) == [Leave(ben.id), enter_of(again)]
    assert stage.news(ben) == []


def test_whoever_was_cut_for_cheating_is_told_no_more():
    stage = Stage(40, move_interval=0.1)
    near, ben = stage.login("near", (1, 1)), stage.login("ben", (0, 0))
    stage.hush()
    for _ in range(600):
        if ben.online:
            stage.step(ben, UP)
    assert not ben.online
    assert stage.news(near) == [Leave(ben.id)]


# Teleports


@pytest.mark.parametrize(
    ("x", "y", "seen"),
    [(13, 13, "moved"), (3, 3, "moved"), (17, 3, "moved"), (18, 10, "gone"), (10, 2, "gone"), (39, 39, "gone")],
)
def test_a_teleport_within_sight_and_out_of_it(x, y, seen):
    stage = Stage(40)
    anna, ben = stage.login("anna", (10, 10)), stage.login("ben", (12, 12))
    stage.hush()
    stage.teleport(ben, x, y)
    assert stage.news(anna) == [moved(ben) if seen == "moved" else Leave(ben.id)]
    assert [type(news) for news in stage.news(ben)] == ([Moved] if seen == "moved" else [Leave, Moved])
    stage.teleport(ben, 12, 12)
    assert stage.news(anna) == [moved(ben) if seen == "moved" else enter_of(ben)]


def test_a_teleport_from_some_to_others():
    stage = Stage(60)
    left, both, right = (stage.login(name, (x, 20)) for name, x in [("left", 10), ("both", 20), ("right", 30)])
    ben = stage.login("ben", (14, 20))
    stage.hush()
    stage.teleport(ben, 26, 20)
    assert stage.news(left) == [Leave(ben.id)]
    assert stage.news(both) == [moved(ben)]
    assert stage.news(right) == [enter_of(ben)]
    assert stage.news(ben) == [Leave(left.id), enter_of(right), moved(ben)]


def test_a_teleport_to_where_one_stands_and_a_refused_one():
    stage = Stage(40)
    anna, ben = stage.login("anna", (10, 10)), stage.login("ben", (12, 12))
    stage.hush()
    stage.teleport(ben, 12, 12)
    stage.send(ben, pack_teleport(13, 13))
    stage.teleport(ben, 40, 0)
    assert stage.news(anna) == []
    assert stage.news(ben) == [moved(ben)] * 3
    stage.teleport(ben)


# Kinds of clients


def test_a_client_is_told_moves_in_its_own_kind_and_may_change_it():
    stage = Stage(40, timed=False)
    anna, ben = stage.login("anna", (10, 10)), stage.login("ben", (12, 12))
    stage.hush()
    stage.send(ben, pack_step(LEFT, 5))
    assert stage.news(anna) == [Moved(ben.id, 11, 12, None)]
    assert stage.news(ben) == [Moved(ben.id, 11, 12, 5)]
    stage.send(anna, pack_step(LEFT, 6))
    assert stage.news(ben) == [Moved(anna.id, 9, 10, 0)]
    stage.send(ben, pack_step(LEFT))
    assert stage.news(anna)[1:] == [Moved(ben.id, 10, 12, 0)]
    stage.step(anna, RIGHT)
    assert stage.news(ben)[1:] == [Moved(anna.id, 10, 10, None)]


def test_others_are_told_only_what_their_clients_know():
    stage = Stage(40, monsters=[(10, 11)])
    plain, knows = stage.login("plain", (10, 10)), stage.login("knows", (10, 10), knows=1)
    stage.hush()
    stage.attack(knows)
    stage.ticks(1)
    stage.send(knows, pack_say("take that"))
    assert [type(news) for news in stage.news(plain)] == []
    assert [type(news).__name__ for news in stage.news(knows)] == ["StatChange", "Said"]


# Monsters


def test_a_sleeping_monster_that_comes_into_sight_wakes_and_is_told_of():
    stage = Stage(60, monsters=[(20, 20), (28, 20), (20, 28), (50, 50)])
    assert not stage.world.monsters.awake
    anna = stage.login("anna", (20, 20))
    assert stage.news(anna)[1:] == [stone(0, 20, 20)]
    stage.step(anna, RIGHT)
    assert stage.news(anna) == [stone(1, 28, 20), answer(anna)]
    stage.step(anna, DOWN)
    assert stage.news(anna) == [stone(2, 20, 28), answer(anna)]
    stage.teleport(anna, 43, 57)
    assert stage.news(anna) == [*(Leave(MONSTER_IDS + number) for number in range(3)), stone(3, 50, 50), moved(anna)]
    stage.ticks(10)
    assert list(stage.world.monsters.awake) == [3], "whoever is not seen sleeps again"
    stage.cut(anna)
    stage.ticks(10)
    assert not stage.world.monsters.awake


def test_a_monsters_steps_are_told_to_those_who_see_them():
    stage = Stage(60, monsters=[(14, 20)], kinds=[Kind("east", EAST)])
    sees = stage.login("sees", (20, 20), timed=False)
    ahead = stage.login("ahead", (31, 13))
    stage.hush()
    stage.ticks(60)
    name = encode_name("east")
    seen = [Moved(MONSTER_IDS, x, 20, None) for x in range(15, 28)] + [Leave(MONSTER_IDS)]
    assert stage.news(sees) == seen
    news = stage.news(ahead)
    assert news[0] == Enter(MONSTER_IDS, name, 1, 24, 20)
    assert news[1:4] == [Moved(MONSTER_IDS, x, 20, 0) for x in (25, 26, 27)]
    stage.teleport(ahead, 0, 0)
    stage.ticks(4)
    x = stage.world.monsters.x[0]
    steps = stage.world.monsters.steps
    stage.ticks(40)
    assert (stage.world.monsters.x[0], stage.world.monsters.steps) == (x, steps), "unseen, it sleeps where it is"
    stage.teleport(ahead, x, 20)
    assert stage.news(ahead)[-2] == Enter(MONSTER_IDS, name, 1, x, 20)


def test_the_death_of_a_monster_and_its_return():
    stage = Stage(40, monsters=[(10, 11)])
    anna = stage.login("anna", (10, 10), knows=1)
    ben, far = stage.login("ben", (10, 17)), stage.login("far", (20, 11))
    stage.hush()
    for _ in range(2):
        stage.attack(anna)
        stage.ticks(1)
    assert stage.news(ben) == [Leave(MONSTER_IDS)]
    assert stage.news(far) == []
    assert stage.news(anna) == [
        StatChange(MONSTER_IDS, 10, 20, 1, 0), Leave(MONSTER_IDS), StatChange(anna.id, 100, 100, 1, 5),
    ]  # fmt: skip
    assert stage.world.monsters.dead == 1
    stage.ticks(1198)
    stage.step(ben, RIGHT)
    stage.hush()
    stage.ticks(2)
    assert stage.news(anna) == stage.news(ben) == [stone(0, 10, 11)]
    assert stage.news(far) == []
    # Unseen, it returns asleep.
    for _ in range(2):
        stage.attack(anna)
    stage.teleport(anna, 30, 30)
    stage.teleport(ben, 30, 30)
    stage.ticks(1300)
    assert stage.world.monsters.dead == 0 and not stage.world.monsters.awake


def test_whoever_dies_is_carried_off_and_all_are_told():
    bear = Kind("bear", STONE.replace("pass", "me.attack(me.nearest(1))") + "\nDAMAGE = 60\n")
    stage = Stage(60, monsters=[(10, 10)], kinds=[bear])
    ben = stage.login("ben", (14, 10))
    anna = stage.login("anna", (10, 10), knows=1)
    stage.hush()
    stage.ticks(10)
    assert stage.world.combat.deaths == 1
    assert Leave(anna.id) in stage.news(ben)
    assert Moved(anna.id, anna.x, anna.y, 0) in stage.news(anna)
