"""The board without a network: moves, borders, and that a seed decides all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iocp.game.world import MAX_SIZE, World


def test_a_piece_enters_moves_and_leaves():
    world = World(8)
    piece = world.enter(7, "anna")
    assert (piece.id, piece.name, piece.hp, piece.level, piece.exp) == (7, "anna", 100, 1, 0)
    assert world.pieces == {7: piece}
    piece.x, piece.y = 3, 3
    places = []
    for direction in [0, 3, 1, 2]:
        assert world.move(7, direction)
        places.append((piece.x, piece.y))
    assert places == [(3, 2), (4, 2), (4, 3), (3, 3)], "up, right, down, left"
    assert world.leave(7) is piece
    assert world.pieces == {}


@pytest.mark.parametrize(("x", "y", "direction"), [(0, 0, 0), (0, 0, 2), (7, 7, 1), (7, 7, 3)])
def test_a_move_off_the_board_changes_nothing(x, y, direction):
    world = World(8)
    piece = world.enter(1, "anna")
    piece.x, piece.y = x, y
    assert not world.move(1, direction)
    assert (piece.x, piece.y) == (x, y)


@pytest.mark.parametrize("direction", [-128, -1, 4, 127])
def test_a_move_in_no_direction_changes_nothing(direction):
    world = World(8)
    piece = world.enter(1, "anna")
    piece.x, piece.y = 3, 3
    assert not world.move(1, direction)
    assert (piece.x, piece.y) == (3, 3)


def test_several_pieces_may_stand_on_one_tile():
    world = World(1)
    assert {(piece.x, piece.y) for piece in (world.enter(id, "p") for id in range(5))} == {(0, 0)}


def test_a_piece_enters_only_once():
    world = World(8)
    world.enter(1, "anna")
    with pytest.raises(ValueError, match="already"):
        world.enter(1, "ben")
    world.leave(1)
    with pytest.raises(KeyError):
        world.leave(1)
    with pytest.raises(KeyError):
        world.move(1, 0)


@pytest.mark.parametrize("size", [0, -1, MAX_SIZE + 1])
def test_a_size_that_does_not_fit_the_wire_is_an_error(size):
    with pytest.raises(ValueError, match="size"):
        World(size)


calls = st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["enter", "leave", "move"]), st.integers(-2, 5)))


@given(size=st.integers(1, 5), seed=st.integers(), calls=calls)
def test_the_same_seed_and_calls_give_the_same_world_and_no_piece_leaves_the_board(size, seed, calls):
    worlds = World(size, seed), World(size, seed)
    for id, what, direction in calls:
        for world in worlds:
            if what == "enter" and id not in world.pieces:
                world.enter(id, f"p{id}")
            elif what == "leave" and id in world.pieces:
                world.leave(id)
            elif what == "move" and id in world.pieces:
                world.move(id, direction)
        assert worlds[0].pieces == worlds[1].pieces
        assert all(0 <= piece.x < size and 0 <= piece.y < size for piece in worlds[0].pieces.values())
