"""The keys of the client on a connection that is none: when it asks for the whole world, and how it comes back."""

from __future__ import annotations

import pytest
from iocp.game.play.model import Model
from iocp.game.play.outlook import Outlook
from iocp.game.play.walk import Walk
from iocp.game.protocol import pack_spectate, pack_spectating

pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")

from iocp.game.play.keys import Keys  # noqa: E402  it imports pygame


class Wire:
    """A connection that keeps what is sent."""

    online = True

    def __init__(self):
        self.sent = []

    def send(self, packet):
        if self.online:
            self.sent.append(packet)


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
    assert wire.sent == [pack_spectate(True)]


def test_a_server_that_has_answered_is_asked_for_the_whole_world_after_each_connection():
    model, wire, outlook, keys = keys_on_a_wire()
    keys.look_at_all(True)
    for _ in range(2):
        model.told(pack_spectating(True, ""), 0.0)
        keys.act(0.0)
        wire.online = False
        keys.act(0.0)
        assert outlook.whole
        model.forget()
        wire.online = True
        keys.connected()
    assert wire.sent == [pack_spectate(True)] * 3


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
