"""Ids on the wire: those of sessions, which go on for ever, where an id has 31 bits and monsters have the upper ones."""

from __future__ import annotations

from boards import Game
from iocp.game.names import encode_name
from iocp.game.piece import MONSTER_IDS
from iocp.game.protocol import LoginFail, LoginFailed, LoginOk, pack_login, parse_server
from stand_ins import Session


def login(game, session_id, name):
    """The connection with that number logs in; what it is told first."""
    session = Session(session_id)
    game.server.on_connect(session)
    game.server.on_packet(session, pack_login(encode_name(name), 1))
    return parse_server(session.packets()[0])


def test_ids_begin_again_below_those_of_monsters():
    game = Game()
    assert login(game, 1, "anna").id == 1
    assert login(game, MONSTER_IDS - 1, "ben").id == MONSTER_IDS - 1
    assert login(game, MONSTER_IDS + 4, "carl").id == 5
    assert 0 < login(game, 2**40, "dora").id < MONSTER_IDS


def test_nobody_gets_the_id_of_somebody_who_is_still_there():
    game = Game()
    assert isinstance(login(game, 1, "anna"), LoginOk)
    answer = login(game, MONSTER_IDS, "ben")
    assert isinstance(answer, LoginFailed) and answer.reason == LoginFail.WORLD_FULL
    assert list(game.world.names) == ["anna"]
