"""The keys of the client on a connection that is none: when it asks for the whole world, and how it comes back."""

from __future__ import annotations

import pytest
from iocp.game.play.connection import State
from iocp.game.play.model import Model
from iocp.game.play.outlook import Outlook
from iocp.game.play.walk import Walk
from iocp.game.protocol import pack_spectate, pack_spectating
from iocp.game.survey import SPECTATE_EVERY

pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")

from iocp.game.play.keys import Keys  # noqa: E402  it imports pygame


class Wire:
    """A connection that keeps what is sent."""

    online, state = True, State.ONLINE

    def __init__(self):
        self.sent = []

    def send(self, packet):
        if self.online:
            self.sent.append(packet)

    def again(self):
        self.online, self.state = True, State.ONLINE


def keys_on_a_wire():
    model, wire, walk, outlook = Model(), Wire(), Walk(), Outlook()
    return model, wire, outlook, Keys(model, wire, walk, outlook)


def test_a_server_that_cuts_who_asks_for_the_whole_world_is_not_asked_again():
    model, wire, outlook, keys = keys_on_a_wire()
    keys.look_at_all(True)
    keys.act(0.0)
    assert outlook.whole and wire.sent == [pack_spectate(True)]
    wire.online = False
    keys.act(1.0)
    assert not outlook.whole and "whole world" in model.log[-1].text
    wire.online = True
    keys.connected()
    keys.act(2.0)
    assert wire.sent == [pack_spectate(True)]


def test_a_server_that_has_answered_is_asked_for_the_whole_world_after_each_connection():
    model, wire, outlook, keys = keys_on_a_wire()
    keys.look_at_all(True)
    keys.act(0.0)
    for now in (1.0, 2.0):
        model.told(pack_spectating(True, ""), now)
        keys.act(now)
        wire.online = False
        keys.act(now)
        assert outlook.whole
        model.forget()
        wire.online = True
        keys.connected()
        keys.act(now)
    assert wire.sent == [pack_spectate(True)] * 3


def test_the_server_is_asked_for_the_whole_world_no_sooner_than_it_grants():
    _, wire, outlook, keys = keys_on_a_wire()
    keys.look_at_all(True)
    keys.act(0.0)
    keys.look_at_all(False)
    keys.look_at_all(True)
    keys.act(0.4)
    assert outlook.whole and wire.sent == [pack_spectate(True), pack_spectate(False)]
    for _ in range(10):
        keys.look_at_all(False)
        keys.look_at_all(True)
    keys.act(SPECTATE_EVERY * 1.1)
    keys.act(SPECTATE_EVERY * 2.2)
    assert wire.sent == [pack_spectate(True), pack_spectate(False), pack_spectate(True)]


def test_who_was_refused_does_not_ask_again_unseen():
    model, wire, outlook, keys = keys_on_a_wire()
    for whole in (True, False, True):
        keys.look_at_all(whole)
        keys.act(0.0)
    model.told(pack_spectating(False, "no room"), 0.1)
    keys.act(0.1)
    assert not outlook.whole
    keys.act(1.0)
    assert wire.sent == [pack_spectate(True), pack_spectate(False)]


def test_the_way_back_from_the_whole_world_needs_no_connection():
    model, wire, outlook, keys = keys_on_a_wire()
    keys.look_at_all(True)
    model.told(pack_spectating(True, ""), 0.0)
    keys.act(0.0)
    wire.online = False
    for key in (pygame.K_ESCAPE, pygame.K_m):
        outlook.whole = True
        keys.handle(pygame.event.Event(pygame.KEYDOWN, key=key, mod=0, unicode="", scancode=0), None, 0.0)
        assert not outlook.whole and not keys.leaving
    keys.look_at_all(True)
    assert not outlook.whole, "and there is none to it without one"


def pressed(key):
    return pygame.event.Event(pygame.KEYDOWN, key=key, mod=0, unicode="", scancode=0)


@pytest.mark.parametrize("key", [pygame.K_RETURN, pygame.K_ESCAPE])
def test_who_is_taken_over_while_typing_answers_the_notice_with_the_next_key(key):
    pygame.display.init()
    _, wire, outlook, keys = keys_on_a_wire()
    keys.handle(pressed(pygame.K_RETURN), None, 0.0)
    keys.handle(pygame.event.Event(pygame.TEXTINPUT, text="hello"), None, 0.0)
    keys.act(0.0)
    assert outlook.typing == "hello"
    wire.online, wire.state = False, State.TAKEN
    keys.act(0.0)
    keys.handle(pressed(key), None, 0.0)
    assert outlook.typing is None
    assert wire.online is (key == pygame.K_RETURN) and keys.leaving is (key == pygame.K_ESCAPE)
