"""What a client knows is what the server has told it: against the server's own books, without a network; walking; obstacles."""

from __future__ import annotations

import threading
from random import Random

import pytest
from boards import Game, kind, put
from hypothesis import given
from hypothesis import strategies as st
from iocp.game.combat import MOST_LEVEL
from iocp.game.names import encode_name
from iocp.game.play.camera import Camera, zoom_levels
from iocp.game.play.explored import Explored
from iocp.game.play.model import Model, Sighted
from iocp.game.play.motion import STEP, Motion
from iocp.game.play.obstacles import Obstacles
from iocp.game.play.outlook import Outlook
from iocp.game.play.walk import PACE, Walk
from iocp.game.protocol import (
    pack_attack,
    pack_chat,
    pack_enter,
    pack_login_fail,
    pack_login_ok,
    pack_move_timed,
    pack_overview,
    pack_say,
    pack_spectate,
    pack_spectating,
    pack_stat_change,
    pack_step,
    pack_teleport,
    pack_world,
)
from iocp.game.terrain import MAX_SIZE, Terrain
from iocp.game.world import World
from stage import shipped_kinds

BULL = 'NAME = "bull"\nO_TYPE = 9\nHEALTH = 25\nEXP = 150\nDAMAGE = 10\n\n\ndef step(me):\n    if me.angry_at is not None:\n        me.attack(me.angry_at)\n'


def feed(model, session, at=0.0):
    """Tell the model what its session was sent."""
    for packet in session.packets():
        model.told(packet, at)
    session.sent.clear()


def same(model, player):
    """The model knows exactly the pieces that the server has told this player of, where they are and what they are."""
    assert {(p.id, p.x, p.y, p.o_type, p.name) for p in model.others.values()} == {
        (p.id, p.x, p.y, p.o_type, p.text) for p in player.told.values()
    }
    assert (model.me.x, model.me.y) == (player.x, player.y)
    assert (model.me.health, model.me.most_health, model.me.level, model.exp) == (
        player.health, player.most_health, player.level, player.exp,
    )  # fmt: skip
    for other in model.others.values():
        if other.health is not None:
            assert (other.health, other.most_health) == (max(0, player.told[other.id].health), player.told[other.id].most_health)
    assert model.odd == 0


@pytest.mark.parametrize("seed", range(4))
def test_a_model_knows_what_the_server_has_told_however_its_player_and_others_walk_fight_and_die(seed):
    random = Random(seed)
    world = World(40, seed, view=6, terrain=Terrain.seeded(40, seed, 12))
    world.populate(120, shipped_kinds())
    game = Game(world, obstacles=(12, seed))
    model = Model()
    sessions = [game.login(name, knows=3) for name in ["홍길동", *(f"p{number}" for number in range(14))]]
    watched = sessions[0]
    watched.sent.clear()
    player = watched.data
    model.told(pack_login_ok(player.id, player.x, player.y, player.health, player.level, player.exp), 0.0)
    model.told(pack_world(40, 6, 12, seed, world.terrain.checksum), 0.0)
    for other in player.told.values():
        model.told(other.enter, 0.0)
    for _ in range(250):
        for session in sessions:
            choice = random.random()
            if choice < 0.75:
                game.send(session, model.step(random.randrange(4), 1.0) if session is watched else pack_step(random.randrange(4), 5))
            elif choice < 0.9:
                game.send(session, pack_attack())
            elif choice < 0.93:
                session.data.limits.next_teleport = 0.0
                game.send(session, pack_teleport())
            else:
                game.send(session, pack_say("안녕"))
        game.run(0.1)
        feed(model, watched, 1.25)
        same(model, player)
        assert not model.unanswered and (not model.answers or model.round_trip == pytest.approx(0.25))
    assert model.answers > 100
    assert model.log and model.explored is not None and sum(model.explored.seen) > 169


def test_values_of_the_own_piece_and_the_words_of_the_dead():
    world = World(20, view=5)
    world.populate(1, [kind("bull", BULL)])
    put(world, 0, 10, 10)
    game = Game(world)
    anna = game.login("anna", (10, 11), knows=3)
    model, player = Model(), anna.data
    model.told(pack_login_ok(player.id, 10, 11, 100, 1, 0), 0.0)
    for other in player.told.values():
        model.told(other.enter, 0.0)
    game.send(anna, pack_attack())
    game.run(5)
    feed(model, anna, 3.0)
    assert model.me.health < 100 and model.me.hit_at == 3.0
    player.limits.next_attack = 0.0
    game.send(anna, pack_attack())
    player.limits.next_attack = 0.0
    game.send(anna, pack_attack())
    feed(model, anna, 4.0)
    # 150 experience: the second level.
    assert (model.me.level, model.exp) == (2, 150) and 0 < model.level_progress < 1
    assert "level 2!" in [line.text for line in model.log]
    world.combat.hit_player(type("Foe", (), {"kind": type("Kind", (), {"damage": 500, "name": "bull"})})(), player)
    feed(model, anna, 5.0)
    assert model.deaths == 1 and (model.me.x, model.me.y) == (player.x, player.y) and model.exp == 75


def test_the_overview_replaces_what_it_is_about_and_nothing_else():
    model = Model()
    model.told(pack_world(200, 7, 0, 0, 0), 0.0)
    model.told(pack_overview(1, 0, 99, [(3, 1, 0), (50, 2, 7)]), 0.0)
    model.told(pack_overview(1, 100, 400, [(100, 9, 9)]), 0.0)
    model.told(pack_overview(1, 0, 49, [(4, 1, 1)]), 0.0)
    assert model.cells == {4: (1, 1), 50: (2, 7), 100: (9, 9)}
    # Another server, another size.
    model.told(pack_world(400, 7, 0, 0, 0), 0.0)
    model.told(pack_overview(2, 0, 10, [(1, 1, 0)]), 0.0)
    assert model.cells == {1: (1, 0)} and model.odd == 0


def test_a_refused_spectator_knows_why():
    game = Game(World(20))
    anna = game.login("anna", knows=3)
    model = Model()
    game.send(anna, pack_spectate(True))
    feed(model, anna)
    assert not model.spectating and "no spectators" in model.spectate_refusal


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
def test_korean_names_are_read_in_either_encoding_whatever_was_said(encoding):
    model = Model()
    model.told(pack_enter(7, encode_name("홍길동", encoding), 0, 1, 1), 0.0)
    assert model.others[7].name == "홍길동"


@given(st.lists(st.binary(min_size=1, max_size=126), max_size=20))
def test_no_bytes_of_a_server_are_too_odd_for_a_model(bodies):
    model = Model()
    for body in bodies:
        model.told(bytes([len(body) + 1]) + body, 0.0)


@pytest.mark.parametrize("size", [0, MAX_SIZE + 1, 65_535])
def test_a_world_of_a_size_that_there_is_not_changes_nothing(size):
    model = Model()
    model.told(pack_world(size, 7, 0, 0, 0), 0.0)
    assert (model.odd, model.world, model.explored) == (1, None, None)


@pytest.mark.parametrize("size", [None, 100, 300])
def test_an_overview_of_other_cells_than_the_boards_changes_nothing(size):
    model = Model()
    if size is not None:
        model.told(pack_world(size, 7, 0, 0, 0), 0.0)
    model.told(pack_overview(1, 0, 99, [(3, 1, 0)]), 0.0)
    model.told(pack_overview(255, 0, 99, [(3, 1, 0)]), 0.0)
    assert model.odd == 2 and not model.cells


def test_a_level_that_there_is_not_is_the_highest_one():
    model = Model()
    model.told(pack_login_ok(1, 0, 0, 100, 32_767, 0), 0.0)
    assert model.me.level == MOST_LEVEL and model.level_progress == 0
    model.told(pack_enter(2, encode_name("ben"), 0, 1, 1), 0.0)
    for id in (1, 2):
        model.told(pack_stat_change(id, 1, 1, 32_767, 0), 0.0)
    assert model.me.level == model.others[2].level == MOST_LEVEL and not model.log


def test_no_text_of_a_server_reaches_the_terminal_as_a_command_to_it():
    model = Model()
    model.told(pack_enter(2, b"\x1b[2J\x9b\r\n\0\0\0", 0, 1, 1), 0.0)
    model.told(pack_chat(2, "\x1b]0;안녕\x07"), 0.0)
    model.told(pack_login_fail(1, "\x1b[31m no"), 0.0)
    model.told(pack_spectating(False, "no\x1b\u202e"), 0.0)
    texts = [model.others[2].name, model.others[2].said, *model.log[0][:2], model.failed.text, model.spectate_refusal]
    assert all(text.isprintable() for text in texts)
    assert model.others[2].said == "?]0;안녕?" and model.failed.text == "?[31m no" and model.spectate_refusal == "no??"


def test_obstacles_that_were_made_for_the_server_before_are_not_this_ones(monkeypatch):
    model, go_on = Model(), threading.Event()
    obstacles = Obstacles(model)
    seeded = Terrain.seeded

    def slow(size, seed, percent):
        if seed == 1:
            assert go_on.wait(20)
        return seeded(size, seed, percent)

    monkeypatch.setattr(Terrain, "seeded", slow)
    model.told(pack_world(30, 7, 10, 1, seeded(30, 1, 10).checksum), 0.0)
    obstacles.poll(0.0)
    second = seeded(30, 2, 10)
    model.told(pack_world(30, 7, 10, 2, second.checksum), 0.0)
    obstacles.poll(0.0)
    go_on.set()
    # One after the other: the second begins when the first is over.
    for _ in range(2):
        for thread in threading.enumerate():
            if thread.name == "obstacles":
                thread.join(20)
        obstacles.poll(0.0)
    assert model.terrain.checksum == second.checksum and obstacles.why == "" and not model.log


# Walking, without a network


class Track:
    """A model on a terrain, which is answered as a server would: after `delay` seconds, and by the terrain."""

    def __init__(self, rows, at, known=True):
        self.terrain = Terrain.from_text("\n".join(rows))
        self.model = Model()
        self.model.told(pack_login_ok(1, *at, 100, 1, 0), 0.0)
        self.model.told(pack_world(self.terrain.size, 7, 255, 0, self.terrain.checksum), 0.0)
        if known:
            assert self.model.adopt(self.terrain)
        self.walk = Walk()
        self.now = 0.0
        self.steps = []

    def run(self, seconds, delay=0.01):
        """Frames of a 60th of a second."""
        due = None
        for _ in range(round(seconds * 60)):
            self.now += 1 / 60
            if due and self.now >= due[0]:
                _, stamp, x, y = due
                due = None
                self.model.told(pack_move_timed(1, x, y, stamp), self.now)
            direction = self.walk.next(self.model, self.now)
            if direction is not None:
                assert due is None or delay > 2, "a step is under way already"
                self.steps.append((self.now, direction))
                self.model.step(direction, self.now)
                x, y = self.model.me.x + (0, 0, -1, 1)[direction], self.model.me.y + (-1, 1, 0, 0)[direction]
                if not self.terrain.is_open(x, y):
                    x, y = self.model.me.x, self.model.me.y
                due = (self.now + delay, self.model.unanswered[-1][0], x, y)

    @property
    def place(self):
        return self.model.me.x, self.model.me.y


MAZE = ["......", ".####.", ".#..#.", ".#.##.", ".#....", "......"]


def test_a_click_leads_round_obstacles_by_the_shortest_way_at_the_pace():
    track = Track(MAZE, (0, 0))
    assert track.walk.go(track.model, (3, 2))
    track.run(3)
    assert track.place == (3, 2) and track.walk.goal is None
    # Down, along the bottom, up and in: no step more than needed, none too soon.
    assert len(track.steps) == 11
    gaps = [later - sooner for (sooner, _), (later, _) in zip(track.steps, track.steps[1:])]
    assert min(gaps) > PACE - 1 / 60 - 1e-9 and sum(gaps) / len(gaps) < PACE * 1.25


@pytest.mark.parametrize("goal", [(2, 1), (-1, 3), (6, 6)], ids=["obstacle", "beside the board", "below the board"])
def test_a_click_on_what_cannot_be_reached_leads_nowhere(goal):
    track = Track(MAZE, (0, 0))
    assert not track.walk.go(track.model, goal)
    track.run(1)
    assert track.place == (0, 0) and not track.steps


def test_a_click_while_one_stands_beside_the_known_board_leads_nowhere():
    track = Track(MAZE, (0, 0))
    for x, y in ((100, 0), (0, 6), (-1, 0)):
        track.model.told(pack_move_timed(1, x, y, 0), 0.0)
        assert not track.walk.go(track.model, (0, 1)) and track.walk.goal is None


def test_a_tap_is_one_step_and_a_held_key_is_many_until_it_is_up():
    track = Track(["." * 30] * 30, (5, 5))
    track.walk.press(3)
    track.walk.release(3)
    track.run(1)
    assert track.place == (6, 5)
    track.walk.press(1)
    track.run(1)
    assert 14 <= track.place[1] <= 16
    # The key that was pressed last counts, then the other one again.
    track.walk.press(3)
    track.run(0.5)
    track.walk.release(3)
    x = track.place[0]
    assert x > 9
    track.run(0.5)
    assert track.place[0] - x <= 1 and track.place[1] > 18
    track.walk.release_all()
    before = track.place
    track.run(1)
    assert abs(track.place[1] - before[1]) <= 1


def test_a_key_ends_a_walk_to_a_clicked_tile():
    track = Track(["." * 30] * 30, (5, 5))
    track.walk.go(track.model, (25, 5))
    track.run(0.5)
    track.walk.press(1)
    track.walk.release(1)
    track.run(1)
    assert track.walk.goal is None and track.place[1] == 6 and track.place[0] < 15


def test_a_slow_answer_is_waited_for_and_a_lost_one_is_not_for_ever():
    track = Track(["." * 30] * 30, (5, 5))
    track.walk.press(3)
    track.run(2, delay=0.25)
    assert 7 <= len(track.steps) <= 9
    track.run(6, delay=100.0)
    track.run(0.1)
    assert 9 <= len(track.steps) <= 13


def test_whoever_is_carried_off_on_the_way_goes_on_from_there():
    track = Track(["." * 30] * 30, (5, 5))
    track.walk.go(track.model, (10, 5))
    track.run(0.3)
    track.model.told(pack_move_timed(1, 20, 20, 0), track.now)
    track.run(4)
    assert track.place == (10, 5)


def test_obstacles_that_are_not_known_stop_a_walk():
    track = Track(["......", "..####", "......", "......", "......", "......"], (5, 0), known=False)
    assert track.walk.go(track.model, (5, 3))
    track.run(6)
    assert track.place == (5, 0) and track.walk.goal is None
    assert track.walk.pace > PACE, "it might have been too fast"


# What is on the screen


def test_zoom_ends_at_the_sight_or_at_twenty_tiles():
    assert zoom_levels(7)[-1] == 20 and zoom_levels(15)[-1] == 31 and zoom_levels(100)[-1] == 60
    outlook = Outlook()
    assert not outlook.zoom(False, 7) and outlook.across == 20
    assert outlook.zoom(True, 7) and outlook.across == 16
    while outlook.across > 8:
        assert outlook.zoom(True, 7)
    assert outlook.zoom(False, 15) and outlook.across == 10


@pytest.mark.parametrize("size", [None, 5, 20, 100])
@pytest.mark.parametrize("across", [8, 20, 33])
@pytest.mark.parametrize("at", [(0, 0), (4, 2.5), (99, 99)])
def test_the_tile_under_a_tiles_middle_is_that_tile_and_the_player_is_on_the_screen(size, across, at):
    x, y = (min(value, (size or 1_000) - 1) for value in at)
    camera = Camera(17, 40, 640, across, x, y, size)
    columns, rows = camera.tiles()
    assert int(x) in columns and int(y) in rows
    assert camera.tile_at(*camera.middle(int(x), int(y))) == (int(x), int(y))
    for tile in [(columns.start + 1, rows.start + 1), (columns.stop - 2, rows.stop - 2)]:
        assert camera.tile_at(*camera.middle(*tile)) == tile
    assert camera.tile_at(16, 100) is None and camera.tile_at(17 + 640, 100) is None


def test_pieces_glide_to_the_next_tile_in_time_and_jump_when_carried_off():
    piece, motion = Sighted(1, "a", 0, 5, 5), Motion()
    motion.advance([piece], 0.0)
    piece.x = 6
    places = []
    for _ in range(4):
        motion.advance([piece], STEP / 4)
        places.append(motion.place(piece)[0])
    assert places == pytest.approx([5.25, 5.5, 5.75, 6.0])
    piece.x, piece.y = 30, 2
    motion.advance([piece], 0.001)
    assert motion.place(piece) == (30, 2)


def test_where_one_has_been_is_remembered_and_told_once():
    explored = Explored(10)
    explored.look(0, 0, 2)
    assert sorted(explored.fresh) == [0, 1, 2, 10, 11, 12, 20, 21, 22]
    explored.fresh.clear()
    explored.look(1, 0, 2)
    assert sorted(explored.fresh) == [3, 13, 23] and sum(explored.seen) == 12
    large = Explored(32_767)
    large.look(32_766, 32_766, 7)
    assert large.across == 1_024 and large.seen[-1] and sum(large.seen) == 1
