"""Monsters without a network: asleep until seen, awake while seen, walking, chasing, attacking, dying and coming back."""

from __future__ import annotations

import iocp
import pytest
from boards import Game, game_of, kind, put
from iocp.game.kinds import SCRIPTS, Kind, ScriptError, read_scripts
from iocp.game.piece import MONSTER_IDS
from iocp.game.protocol import Enter, Leave, Moved, StatChange, pack_attack, pack_step
from iocp.game.rescue import Record
from iocp.game.terrain import Terrain
from iocp.game.world import World

STILL = "def step(me): pass"
RIGHT = "SECONDS = 0.5\ndef step(me): me.walk(3)"


def awake(game):
    return sorted(game.world.monsters.awake)


def test_a_world_of_monsters_that_nobody_sees_has_nothing_to_do():
    game = game_of(RIGHT, monsters=500)
    assert not game.world.busy
    game.run(1.0)
    assert (game.world.monsters.asleep, game.world.monsters.steps, awake(game)) == (500, 0, [])


def test_a_monster_that_comes_into_sight_wakes_and_is_told():
    game = game_of(STILL, at=(18, 10))
    anna = game.login("anna", (10, 10))
    assert awake(game) == []
    game.send(anna, pack_step(3, 1))
    assert awake(game) == [0]
    [enter, own] = game.told(anna)
    assert enter == Enter(MONSTER_IDS, b"test".ljust(10, b"\0"), 1, 18, 10)
    assert own == Moved(anna.id, 11, 10, 1)


def test_a_monster_falls_asleep_soon_after_the_last_player_has_gone_and_keeps_its_place():
    game = game_of(RIGHT, at=(12, 10))
    anna = game.login("anna", (10, 10))
    game.run(2.0)
    assert awake(game) == [0]
    x = game.world.monsters.awake[0].x
    assert x > 12
    game.world.view.jump(anna.data, 39, 39, [])
    game.run(1.0)
    assert awake(game) == []
    assert (game.world.monsters.x[0], game.world.monsters.y[0]) == (x, 10)
    steps = game.world.monsters.steps
    game.run(5.0)
    assert game.world.monsters.steps == steps


def test_when_all_players_have_left_the_world_has_nothing_to_do_any_more():
    game = game_of(RIGHT, monsters=50)
    anna = game.login("anna", (10, 10))
    game.run(1.0)
    game.server.on_disconnect(anna, iocp.Reason.PEER_CLOSED)
    game.run(61.0)
    assert not game.world.busy
    assert awake(game) == []


def test_steps_come_at_the_scripts_pace_and_are_told_to_those_who_see_them():
    game = game_of(RIGHT, at=(12, 10))
    anna = game.login("anna", (10, 10))
    game.run(10.0)
    told = game.told(anna)
    moves = [packet for packet in told if isinstance(packet, Moved)]
    assert [packet.x for packet in moves] == [13, 14, 15, 16, 17], "then it is out of sight"
    assert told[len(moves)] == Leave(MONSTER_IDS)


def test_a_monster_walks_into_no_obstacle_and_off_no_board(tmp_path):
    (tmp_path / "map.txt").write_text("....\n.##.\n.##.\n....\n")
    game = game_of("SECONDS = 0.1\ndef step(me): me.wander()", at=(0, 0), terrain=Terrain.load(tmp_path / "map.txt"))
    game.login("anna", (3, 3))
    places = set()
    for _ in range(400):
        game.run(0.1)
        monster = game.world.monsters.awake[0]
        places.add((monster.x, monster.y))
        assert game.world.terrain.is_open(monster.x, monster.y)
    assert len(places) > 8


CHASE = "SECONDS = 0.1\ndef step(me):\n    prey = me.nearest(20)\n    if prey is not None: me.chase(prey)"


def test_a_chase_goes_straight_over_open_ground():
    game = game_of(CHASE, at=(10, 10))
    anna = game.login("anna", (15, 12))
    game.run(0.1 * 9)
    moves = [packet for packet in game.told(anna) if isinstance(packet, Moved)]
    assert len(moves) == 7 and (moves[-1].x, moves[-1].y) == (15, 12)


def test_a_chase_goes_round_an_obstacle_by_the_shortest_way(tmp_path):
    rows = ["." * 12 for _ in range(12)]
    for y in range(2, 9):
        rows[y] = rows[y][:6] + "#" + rows[y][7:]
    rows[8] = rows[8][:2] + "#####" + rows[8][7:]
    rows[2] = rows[2][:2] + "#####" + rows[2][7:]
    (tmp_path / "map.txt").write_text("\n".join(rows))
    game = game_of(CHASE, at=(5, 5), terrain=Terrain.load(tmp_path / "map.txt"), view=11)
    anna = game.login("anna", (8, 5))
    game.run(6.0)
    monster = game.world.monsters.awake[0]
    assert (monster.x, monster.y) == (8, 5), "out of the pocket and round the wall"
    moves = [packet for packet in game.told(anna) if isinstance(packet, Moved)]
    # 4 back to x=1, 4 up or down to y=1 or 9, 7 along, 4 to the player's row.
    assert len(moves) == 19


def test_a_chase_without_a_way_stays_where_it_is(tmp_path):
    (tmp_path / "map.txt").write_text(".....\n.....\n####.\n...#.\n.#.#.\n")
    game = game_of(CHASE, at=(0, 4), terrain=Terrain.load(tmp_path / "map.txt"))
    anna = game.login("anna", (2, 0))
    game.run(3.0)
    monster = game.world.monsters.awake[0]
    assert monster.y >= 3, "it may come nearer, and cannot get out"
    assert anna.data.online


ATTACK = "SECONDS = 0.5\nDAMAGE = 30\ndef step(me):\n    prey = me.nearest(1)\n    if prey is not None: me.attack(prey)"


def test_an_attack_hurts_and_is_told_to_clients_that_know_it():
    game = game_of(ATTACK)
    anna, ben, old = game.login("anna", (10, 11), knows=1), game.login("ben", (12, 12), knows=1), game.login("old", (13, 13))
    for session in (anna, ben, old):
        game.told(session)
    game.run(0.6)
    assert anna.data.health == 70
    assert StatChange(anna.id, 70, 100, 1, 0) in game.told(anna)
    assert StatChange(anna.id, 70, 100, 1, 0) in game.told(ben)
    assert all(packet[1] <= 3 for packet in old.packets())


def test_a_hurt_player_heals_a_tenth_every_five_seconds():
    game = game_of(STILL)
    anna = game.login("anna", (30, 30), knows=1)
    anna.data.health = 75
    game.world.combat.heal_later(anna.data)
    game.run(5.1)
    assert anna.data.health == 85
    game.run(10.0)
    assert anna.data.health == 100
    health = [packet.hp for packet in game.told(anna) if isinstance(packet, StatChange)]
    assert health == [85, 95, 100]
    game.run(20.0)
    assert not [packet for packet in game.told(anna) if isinstance(packet, StatChange)], "then no more"


def test_a_player_who_dies_is_whole_again_elsewhere_with_half_its_experience():
    game = game_of(ATTACK, size=2000)
    anna, ben = game.login("anna", (10, 11), knows=1), game.login("ben", (12, 12))
    anna.data.exp, anna.data.level, anna.data.most_health, anna.data.health = 150, 2, 120, 20
    game.told(anna), game.told(ben)
    game.run(0.6)
    player = anna.data
    assert (player.health, player.level, player.exp) == (100, 1, 75)
    told = game.told(anna)
    own = [packet for packet in told if isinstance(packet, Moved) and packet.id == anna.id]
    assert [(packet.x, packet.y) for packet in own] == [(player.x, player.y)] != [(10, 11)]
    assert told[-2] == StatChange(anna.id, 100, 100, 1, 75)
    assert told[-1].id == 0 and "test has killed you" in told[-1].text
    assert Leave(anna.id) in game.told(ben)
    assert game.world.combat.deaths == 1


def test_a_monster_that_is_hit_often_enough_dies_gives_experience_and_comes_back():
    game = game_of("HEALTH = 25\nEXP = 120\ndef step(me): pass")
    anna, ben = game.login("anna", (10, 11), knows=1), game.login("ben", (12, 12))
    game.told(anna), game.told(ben)
    game.send(anna, pack_attack(), pack_attack())
    game.run(0.5)
    assert game.told(anna) == [StatChange(MONSTER_IDS, 15, 25, 1, 0)], "the second came too soon"
    assert game.server.counts.refused["too fast"] == 1
    for _ in range(2):
        game.send(anna, pack_attack())
        game.run(0.525)
    told = game.told(anna)
    assert told == [StatChange(MONSTER_IDS, 5, 25, 1, 0), Leave(MONSTER_IDS), StatChange(anna.id, 120, 120, 2, 120)]
    assert game.told(ben) == [Leave(MONSTER_IDS)]
    assert (game.world.monsters.kills, game.world.monsters.dead, awake(game)) == (1, 1, [])
    game.run(31.0)
    assert game.world.monsters.dead == 0
    assert [packet for packet in game.told(ben) if isinstance(packet, Enter)] == [Enter(MONSTER_IDS, b"test".ljust(10, b"\0"), 1, 10, 10)]
    assert game.world.monsters.awake[0].health == 25


def test_a_monster_out_of_reach_is_not_hit():
    game = game_of(STILL)
    anna = game.login("anna", (11, 11), knows=1)
    game.told(anna)
    game.send(anna, pack_attack())
    assert game.told(anna) == []
    assert game.world.monsters.awake[0].health == 20


def test_experience_stops_at_what_the_wire_holds():
    game = game_of("HEALTH = 1\nEXP = 1000000\ndef step(me): pass")
    anna = game.login("anna", (10, 11), knows=1)
    anna.data.exp, anna.data.level = 2**31 - 5, 20
    game.send(anna, pack_attack())
    assert (anna.data.exp, anna.data.level) == (2**31 - 1, 20)
    game.server.on_disconnect(anna, iocp.Reason.PEER_CLOSED)
    assert game.world.records["anna"].exp == 2**31 - 1
    assert not game.world.players and not game.world.names


def test_a_kept_player_of_an_impossible_level_plays_with_the_highest():
    world = World(20)
    world.records["anna"] = Record("anna", 5, 5, 30_000, 30_000, 0)
    game = Game(world)
    anna = game.login("anna", knows=1)
    assert (anna.data.level, anna.data.health) == (20, 480)
    anna.data.health = 1
    world.combat.heal_later(anna.data)
    game.run(5.1)
    assert anna.data.health == 49


def test_many_hits_in_one_tick_are_told_once():
    game = game_of("HEALTH = 1000\ndef step(me): pass")
    players = [game.login(f"p{number}", (10, 11), knows=1) for number in range(30)]
    ben = game.login("ben", (12, 12), knows=1)
    for player in players:
        game.send(player, pack_attack())
    game.told(ben)
    game.run(0.1)
    assert game.told(ben) == [StatChange(MONSTER_IDS, 700, 1000, 1, 0)]


# Scripts


def test_the_four_kinds_that_come_with_the_game_do_what_they_say():
    kinds = {name: Kind(name, text) for name, text in read_scripts(SCRIPTS).items()}
    assert sorted(kinds) == ["cow", "guard", "sheep", "wolf"]
    assert len({each.o_type for each in kinds.values()}) == 4
    for name, moves, hurts in [("cow", False, False), ("sheep", True, False), ("guard", False, True), ("wolf", True, True)]:
        world = World(60, 5)
        world.populate(1, [kinds[name]])
        put(world, 0, 30, 30)
        game = Game(world)
        far, near = game.login("far", (36, 36)), None
        game.run(20.0)
        monster = game.world.monsters.awake.get(0)
        places = {(packet.x, packet.y) for packet in game.told(far) if isinstance(packet, Moved)}
        assert bool(places) is moves, f"{name} roams: {moves}"
        world.view.jump(far.data, 0, 59, [])
        game.run(3.0)
        put(world, 0, 30, 30)
        near = game.login("near", (32, 30))
        game.run(15.0)
        assert (near.data.health < 100 or world.combat.deaths > 0) is hurts, f"{name} is aggressive: {hurts}"
        assert monster is None or not monster.kind.failed


@pytest.mark.parametrize("name", ["cow", "sheep"])
def test_a_peaceful_monster_hits_back(name):
    world = World(60, 5)
    world.populate(1, [Kind(name, read_scripts(SCRIPTS)[name])])
    put(world, 0, 30, 30)
    game = Game(world)
    anna = game.login("anna", (31, 30), knows=1)
    game.send(anna, pack_attack())
    game.run(3.0)
    assert anna.data.health < 100 or world.combat.deaths


def test_names_of_monsters_are_in_the_servers_encoding():
    assert Kind("wolf", "NAME = '늑대'\ndef step(me): pass", "cp949").packed_name == "늑대".encode("cp949").ljust(10, b"\0")
    with pytest.raises(ScriptError, match="cp949"):
        Kind("wolf", "NAME = 'é'\ndef step(me): pass", "cp949")


def test_shares_decide_how_many_are_of_which_kind():
    world = World(100, 3)
    world.populate(3000, [kind("one", "SHARE = 1\n" + STILL), kind("two", "SHARE = 2\n" + STILL), kind("none", "SHARE = 0\n" + STILL)])
    counts = [list(world.monsters._kind).count(number) for number in range(3)]
    assert sum(counts) == 3000 and counts[2] == 0
    assert 900 < counts[0] < 1100


def test_what_scripts_do_is_decided_by_the_seed():
    def moves():
        world = World(30, 9)
        world.populate(40, [Kind(name, text) for name, text in read_scripts(SCRIPTS).items()])
        game = Game(world)
        anna = game.login("anna", (15, 15))
        game.run(10.0)
        return anna.sent

    first = moves()
    assert first == moves() and len(first) > 30


def test_monsters_beyond_a_ticks_budget_wait_their_turn_and_none_is_forgotten():
    game = game_of("SECONDS = 0.025\ndef step(me): me.memory['steps'] = me.memory.get('steps', 0) + 1", size=15, monsters=2500)
    game.world.view.most = 10_000
    game.login("anna", (7, 7))
    game.run(0.5)
    assert len(awake(game)) > 2000
    assert game.world.agenda.late > 0, "more was due than one tick does"
    game.run(2.0)
    steps = [monster.memory.get("steps", 0) for monster in game.world.monsters.awake.values()]
    assert min(steps) >= 40 and max(steps) - min(steps) <= 4, "all in turn"
