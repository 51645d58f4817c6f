"""The board without a network: places, borders, obstacles, pace, names, and that a seed decides all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iocp.game.agenda import TICK
from iocp.game.names import encode_name
from iocp.game.piece import Player
from iocp.game.terrain import MAX_SIZE, Terrain
from iocp.game.world import Refusal, World
from stand_ins import Engine, Session


def world_of(size=8, seed=1, **options):
    world = World(size, seed, **options)
    world.attach(Engine())
    return world


def entered(world, id=1, name=None, at=None):
    """A player on the board, put on tile `at` if given."""
    player = Player(Session(id), True)
    name = name or f"p{id}"
    world.enter(player, name, encode_name(name), lambda: b"")
    if at is not None:
        world.view.jump(player, *at, [])
    return player


def place(player):
    return player.x, player.y


def test_a_player_enters_moves_and_leaves():
    world = world_of()
    anna = entered(world, 7, "anna", (3, 3))
    assert (anna.id, anna.text_name, anna.health, anna.level, anna.exp) == (7, "anna", 100, 1, 0)
    assert world.players == {7: anna} and world.names == {"anna": anna}
    places = []
    for direction in [0, 3, 1, 2]:
        assert world.move(anna, direction, []) is None
        places.append(place(anna))
    assert places == [(3, 2), (4, 2), (4, 3), (3, 3)], "up, right, down, left"
    world.leave(anna)
    assert world.players == {} and world.names == {}


@pytest.mark.parametrize(("x", "y", "direction"), [(0, 0, 0), (0, 0, 2), (7, 7, 1), (7, 7, 3)])
def test_a_move_off_the_board_changes_nothing(x, y, direction):
    world = world_of()
    anna = entered(world, at=(x, y))
    assert world.move(anna, direction, []) is Refusal.OFF_THE_BOARD
    assert place(anna) == (x, y)


@pytest.mark.parametrize("direction", [-128, -1, 4, 127])
def test_a_move_in_no_direction_changes_nothing(direction):
    world = world_of()
    anna = entered(world, at=(3, 3))
    assert world.move(anna, direction, []) is Refusal.NO_DIRECTION
    assert place(anna) == (3, 3)


def test_a_move_into_an_obstacle_changes_nothing(tmp_path):
    (tmp_path / "map.txt").write_text("...\n.#.\n...\n")
    world = world_of(terrain=Terrain.load(tmp_path / "map.txt"))
    for at, direction in [((1, 0), 1), ((1, 2), 0), ((0, 1), 3), ((2, 1), 2)]:
        anna = entered(world, at=at)
        assert world.move(anna, direction, []) is Refusal.OBSTACLE
        assert place(anna) == at
        world.leave(anna)


def test_nobody_appears_on_an_obstacle():
    terrain = Terrain.seeded(40, 3, 30)
    world = world_of(terrain=terrain)
    players = [entered(world, id) for id in range(1, 300)]
    assert all(terrain.is_open(*place(player)) for player in players)
    assert len({place(player) for player in players}) > 100


def test_moves_faster_than_the_interval_are_refused_but_a_bunch_from_the_network_is_not():
    world = world_of(move_interval=0.1)
    anna = entered(world, at=(0, 0))
    world.now = 100.0
    answers = [world.move(anna, [3, 2][number % 2], []) for number in range(20)]
    granted = answers.index(Refusal.TOO_FAST)
    assert 5 <= granted <= 7, "half a second's worth at once"
    assert set(answers[granted:]) == {Refusal.TOO_FAST}
    world.now += 1.0
    answers = [world.move(anna, [3, 2][number % 2], []) for number in range(20)]
    assert 5 <= answers.index(Refusal.TOO_FAST) <= 7, "waiting longer does not save up more"


def test_at_the_allowed_pace_every_move_is_granted():
    world = world_of(move_interval=0.1)
    anna = entered(world, at=(0, 0))
    for number in range(500):
        world.now = number * 0.1001
        assert world.move(anna, [3, 2][number % 2], []) is None


def test_a_refused_move_into_a_wall_costs_no_time():
    world = world_of(move_interval=0.1)
    anna = entered(world, at=(0, 0))
    assert {world.move(anna, 0, []) for _ in range(50)} == {Refusal.OFF_THE_BOARD}
    assert world.move(anna, 1, []) is None


def test_a_teleport_goes_where_it_may_and_not_too_often(tmp_path):
    (tmp_path / "map.txt").write_text("....\n.##.\n....\n....\n")
    world = world_of(terrain=Terrain.load(tmp_path / "map.txt"))
    world.now = 10.0
    anna = entered(world, at=(0, 0))
    assert world.teleport(anna, 1, 1, []) is Refusal.OBSTACLE
    assert world.teleport(anna, 4, 0, []) is Refusal.OFF_THE_BOARD
    assert world.teleport(anna, 0, -1, []) is Refusal.OFF_THE_BOARD
    assert place(anna) == (0, 0)
    assert world.teleport(anna, 3, 3, []) is None
    assert place(anna) == (3, 3)
    assert world.teleport(anna, 0, 0, []) is Refusal.TOO_FAST
    world.now += 1.0
    assert world.teleport(anna, None, None, []) is None
    assert world.terrain.is_open(*place(anna))


def test_several_pieces_may_stand_on_one_tile():
    world = world_of(1)
    assert {place(entered(world, id)) for id in range(1, 6)} == {(0, 0)}


def test_a_name_is_on_the_board_once():
    world = world_of()
    anna = entered(world, 1, "anna")
    with pytest.raises(ValueError, match="already"):
        entered(world, 2, "anna")
    world.leave(anna)
    assert entered(world, 3, "anna").online


def test_limits_are_remembered_for_a_minute_from_the_last_time_that_a_player_left():
    world = world_of()

    def wait(seconds):
        for _ in range(round(seconds / TICK)):
            world.now += TICK
            world.run()

    world.leave(entered(world, 1, "anna"))
    wait(59)
    anna = entered(world, 2, "anna")
    limits = anna.limits
    world.leave(anna)
    wait(59)
    anna = entered(world, 3, "anna")
    assert anna.limits is limits, "the minute of the first time is over"
    world.leave(anna)
    wait(61)
    assert entered(world, 4, "anna").limits is not limits


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"size": 0}, "size"), ({"size": -1}, "size"), ({"size": MAX_SIZE + 1}, "size"), ({"view": 0}, "view"),
        ({"view": 101}, "view"), ({"crowd": -1}, "crowd"), ({"move_interval": -0.1}, "move_interval"),
        ({"move_interval": float("nan")}, "move_interval"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_named(options, named):
    with pytest.raises(ValueError, match=named):
        World(**options)


calls = st.lists(st.tuples(st.integers(1, 5), st.sampled_from(["enter", "leave", "move"]), st.integers(-2, 5)))


@given(size=st.integers(1, 5), seed=st.integers(), calls=calls)
def test_the_same_seed_and_calls_give_the_same_world_and_no_piece_leaves_the_board(size, seed, calls):
    worlds = world_of(size, seed), world_of(size, seed)
    for id, what, direction in calls:
        for world in worlds:
            player = world.players.get(id)
            if what == "enter" and player is None:
                entered(world, id)
            elif what == "leave" and player is not None:
                world.leave(player)
            elif what == "move" and player is not None:
                world.move(player, direction, [])
        places = [{id: place(player) for id, player in world.players.items()} for world in worlds]
        assert places[0] == places[1]
        assert all(0 <= x < size and 0 <= y < size for x, y in places[0].values())
