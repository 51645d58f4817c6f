"""Spectators: who is let in, that the overview is what is there, what it costs at most, and that nobody else hears of it."""

from __future__ import annotations

from collections import Counter

import pytest
from boards import Game, kind
from chess_client import ChessClient
from commands import run, stop
from iocp.game.protocol import MAX_PACKET, Overview, Spectating, pack_logout, pack_spectate, pack_step, parse_server
from iocp.game.survey import BUDGET, MOST_ACROSS, MOST_PACKETS, SPECTATE_EVERY, SWEEP_EVERY, cell_shift
from iocp.game.violation import Violation
from iocp.game.world import Refusal, World
from stage import STONE


def game_of(size=40, *, monsters=0, view=7, spectators=2, seed=3):
    world = World(size, seed, view=view)
    if monsters:
        world.populate(monsters, [kind("stone", STONE)])
    return Game(world, most_spectators=spectators)


def spectate(game, name):
    """A player who is let in; its session."""
    session = game.login(name, knows=3)
    game.send(session, pack_spectate(True))
    assert game.told(session) == [Spectating(True, "")]
    return session


def picture(news):
    """What the overview packets say in the end: (players, monsters) by cell."""
    cells = {}
    for packet in news:
        if isinstance(packet, Overview):
            for cell in [cell for cell in cells if packet.first <= cell <= packet.last]:
                del cells[cell]
            cells.update({cell: (players, monsters) for cell, players, monsters in packet.cells})
    return cells


def truth(world):
    """The same, counted piece by piece."""
    shift = cell_shift(world.size)
    across = ((world.size - 1) >> shift) + 1
    players, monsters = Counter(), Counter()
    for player in world.players.values():
        players[(player.y >> shift) * across + (player.x >> shift)] += 1
    for number in range(len(world.monsters)):
        awake = world.monsters.awake.get(number)
        x, y = (awake.x, awake.y) if awake else (world.monsters.x[number], world.monsters.y[number])
        monsters[(y >> shift) * across + (x >> shift)] += 1
    return {cell: (min(255, players[cell]), min(255, monsters[cell])) for cell in players | monsters}


def sweep(game, session):
    """Let a whole sweep pass that begins from now on; what the session was told meanwhile."""
    game.run(SWEEP_EVERY * 2)
    survey, news = game.server.survey, game.told(session)
    while survey._band < survey._bands or survey._packed:
        game.run(0.025)
    began = survey._began
    while survey._began == began or survey._band < survey._bands or survey._packed:
        game.run(0.025)
    return news + game.told(session)


# Who is let in


def test_a_server_that_allows_no_spectators_says_so_and_sends_nothing():
    game = game_of(spectators=0)
    anna = game.login("anna", knows=3)
    game.send(anna, pack_spectate(True))
    (answer,) = game.told(anna)
    assert isinstance(answer, Spectating) and not answer.on and "no spectators" in answer.text
    game.run(3)
    assert game.told(anna) == []


def test_no_more_spectators_than_allowed_until_one_leaves_or_has_seen_enough():
    game = game_of(spectators=2)
    anna, ben = spectate(game, "anna"), spectate(game, "ben")
    carl = game.login("carl", knows=3)
    game.send(carl, pack_spectate(True))
    assert [packet for packet in game.told(carl) if isinstance(packet, Spectating)] == [Spectating(False, "no more than 2 may spectate at once")]
    # One who asks again takes no second place.
    game.run(SPECTATE_EVERY)
    game.send(anna, pack_spectate(True), pack_spectate(False))
    assert [packet for packet in game.told(anna) if isinstance(packet, Spectating)] == [Spectating(True, ""), Spectating(False, "")]
    game.send(carl, pack_spectate(True))
    assert game.told(carl)[-1] == Spectating(True, "")
    game.send(ben, pack_logout())
    game.told(ben)
    game.run(SPECTATE_EVERY)
    game.send(anna, pack_spectate(True))
    assert game.told(anna)[-1] == Spectating(True, "")
    game.run(2)
    assert not any(isinstance(packet, Overview) for packet in game.told(ben))
    assert picture(game.told(anna)) == picture(game.told(carl)) == truth(game.world)


def test_who_asks_too_soon_is_not_let_in_but_may_always_ask_for_no_more():
    game = game_of(spectators=1)
    anna, ben = spectate(game, "anna"), game.login("ben", knows=3)
    refused = game.server.counts.refused
    # Who is in stays in.
    game.send(anna, pack_spectate(True))
    assert game.told(anna) == [Spectating(True, "")] and refused[Refusal.TOO_FAST] == 1
    game.send(ben, pack_spectate(True))
    game.send(anna, pack_spectate(False))
    game.send(ben, pack_spectate(True))
    assert [packet for packet in game.told(anna) if isinstance(packet, Spectating)] == [Spectating(False, "")]
    assert [packet.text for packet in game.told(ben) if isinstance(packet, Spectating)] == [
        "no more than 1 may spectate at once", "asked too soon: ask again in 0.5 s",
    ]  # fmt: skip
    assert refused[Refusal.TOO_FAST] == 2 and not game.server.survey.spectators
    game.run(SPECTATE_EVERY)
    game.send(ben, pack_spectate(True))
    assert game.told(ben)[-1] == Spectating(True, "")


def test_who_asks_as_fast_as_it_can_is_cut():
    game = game_of(spectators=1)
    anna = spectate(game, "anna")
    game.send(anna, *[pack_spectate(True)] * 110)
    assert game.server.counts.violations == {Violation.CHEATING: 1} and not game.server.survey.spectators


def test_whoever_takes_over_a_name_does_not_take_over_its_place_among_the_spectators():
    game = game_of(spectators=1)
    spectate(game, "anna")
    game.login("anna", knows=3)
    assert not game.server.survey.spectators


def test_who_does_not_ask_is_told_nothing_of_it(start_chess):
    chess = start_chess(size=8, most_spectators=1)
    old, anna = chess.player("old"), chess.connect()
    anna.login("anna", 3)
    anna.send(pack_spectate(True))
    overviews = 0
    while overviews < 3:
        overviews += isinstance(anna.read(), Overview)
    types = set()
    old.send(pack_step(-1, 9))
    while True:
        packet = old.read_packet()
        types.add(packet[1])
        if packet[1] == 1 and packet[10:] == (9).to_bytes(4, "little"):
            break
    assert types <= {0, 1, 2, 3}


# That it is right


@pytest.mark.parametrize(
    ("size", "view", "monsters"),
    [(1, 1, 0), (8, 7, 5), (100, 7, 300), (129, 1, 200), (400, 7, 3_000), (300, 100, 500), (1_500, 12, 4_000), (32_767, 100, 300)],
)
def test_the_overview_is_what_stands_on_the_board(size, view, monsters):
    game = game_of(size, view=view, monsters=monsters)
    anna = spectate(game, "anna")
    for number in range(20):
        game.login(f"p{number}")
    assert picture(sweep(game, anna)) == truth(game.world)
    # Again, after everybody went somewhere else.
    for number in range(20):
        player = game.sessions[f"p{number}"].data
        game.world.view.jump(player, number % size, (number * 7) % size, [])
    assert picture(sweep(game, anna)) == truth(game.world)


def test_whoever_comes_in_the_middle_of_a_sweep_has_the_whole_picture_one_sweep_later():
    game = game_of(400, monsters=40_000)
    spectate(game, "anna")
    game.run(SWEEP_EVERY + 0.1)
    ben = spectate(game, "ben")
    assert picture(sweep(game, ben)) == truth(game.world)


def test_more_than_255_on_a_cell_are_told_as_255():
    game = game_of(8)
    anna = spectate(game, "anna")
    for number in range(300):
        game.login(f"p{number}", at=(3, 3))
    assert picture(sweep(game, anna))[3 * 8 + 3] == (255, 0)


def test_the_cells_of_any_board_are_few_enough_and_no_larger_than_need_be():
    for size in range(1, 32_768):
        shift = cell_shift(size)
        assert ((size - 1) >> shift) + 1 <= MOST_ACROSS
        assert shift == 0 or ((size - 1) >> (shift - 1)) + 1 > MOST_ACROSS


# What it costs


def test_what_is_sent_and_looked_at_in_a_tick_is_bounded_however_many_there_are(monkeypatch):
    game = game_of(128, monsters=60_000)
    anna = spectate(game, "anna")
    survey = game.server.survey
    # What was begun is finished: here a row of sectors.
    grid, columns = game.world.view.sectors.grid, game.world.view.sectors.columns
    most = max(columns + sum(sector.population for sector in grid[at : at + columns]) for at in range(0, len(grid), columns))
    looked_at = []
    look_on = survey._look_on
    monkeypatch.setattr(survey, "_look_on", lambda: looked_at.append(look_on()) or looked_at[-1])
    sent = 0
    for _ in range(400):
        looked_at.clear()
        game.run(0.025)
        packets = [packet for packet in anna.packets() if packet[1] == 9]
        anna.sent.clear()
        assert len(packets) <= MOST_PACKETS and all(len(packet) <= MAX_PACKET for packet in packets)
        assert sum(looked_at) <= BUDGET + most
        sent += len(packets)
    # Nearly every tile has a monster: 16,384 cells, 30 in a packet, and never more than 8 packets in a tick.
    assert sent >= 3 * 16_384 // 30


def test_the_overview_of_a_small_board_is_one_packet_twice_a_second():
    game = game_of(30, monsters=20)
    anna = spectate(game, "anna")
    game.run(10)
    overviews = [packet for packet in game.told(anna) if isinstance(packet, Overview)]
    assert 18 <= len(overviews) <= 21


def test_nothing_is_counted_while_nobody_spectates(monkeypatch):
    game = game_of(100, monsters=100)
    anna = spectate(game, "anna")
    game.run(1)
    game.send(anna, pack_spectate(False))
    monkeypatch.setattr(game.server.survey, "_look_on", lambda: pytest.fail("counted for nobody"))
    game.run(2)


# The command


@pytest.mark.timeout(300)
def test_a_recording_with_spectators_replays_to_the_same_bytes(serve, tmp_path):
    path = tmp_path / "game.rec"
    server = serve("--record", str(path), "--spectators", "1", "--world", "30", "--npcs", "10")
    anna = ChessClient(server.address)
    anna.login("anna", 3)
    anna.send(pack_spectate(True))
    overviews = 0
    while overviews < 3:
        overviews += isinstance(parse_server(anna.read_packet()), Overview)
    anna.close()
    assert server.end(stop)[0] == 0
    done = run("replay", str(path))
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "identical: every session was sent the same bytes"), done.stderr


@pytest.mark.timeout(300)
def test_the_command_allows_none_by_default_and_checks_the_number(serve):
    anna = ChessClient(serve().address)
    anna.login("anna", 3)
    anna.send(pack_spectate(True))
    while not isinstance(answer := anna.read(), Spectating):
        pass
    assert not answer.on and "--spectators" in answer.text
    anna.close()
    done = run("serve", "--spectators", "-1")
    assert done.returncode == 2 and "--spectators" in done.stderr
