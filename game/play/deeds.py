"""What a player can do, no sooner than the server grants it: so a key that is held, or hit too often, is no cheating."""

from __future__ import annotations

import math

from ..combat import ATTACK_EVERY
from ..protocol import pack_attack, pack_say, pack_spectate, pack_teleport
from ..survey import SPECTATE_EVERY
from ..world import CHAT_EVERY, TELEPORT_EVERY
from .connection import Connection
from .model import Model
from .walk import Walk

_SLACK = 1.05
"""How much longer than the server's times one waits: packets do not come as evenly as they were sent."""


class Deeds:
    """The deeds of one player. Each returns whether it was done; it is not when it is too soon, or there is no connection.

    On the thread that draws. `now` in seconds of `time.perf_counter`.
    """

    def __init__(self, model: Model, connection: Connection, walk: Walk) -> None:
        self._model = model
        self._connection = connection
        self._walk = walk
        self._attack_at = self._say_at = self._teleport_at = self._spectate_at = -math.inf

    def step(self, now: float) -> bool:
        """The step of the walk that is due, if one is."""
        direction = self._walk.next(self._model, now)
        if direction is None or not self._connection.online:
            return False
        self._connection.step(direction, now)
        return True

    def attack(self, now: float) -> bool:
        """Hit all monsters around."""
        if now < self._attack_at or not self._connection.online:
            return False
        self._attack_at = now + ATTACK_EVERY * _SLACK
        self._model.attacked_at = now
        self._connection.send(pack_attack())
        return True

    def say(self, text: str, now: float) -> bool:
        """Say it to all in sight; not blank."""
        if now < self._say_at or not self._connection.online:
            return False
        self._say_at = now + CHAT_EVERY * _SLACK
        self._connection.send(pack_say(text))
        return True

    def teleport(self, now: float) -> bool:
        """To a random tile."""
        if now < self._teleport_at or not self._connection.online:
            return False
        self._teleport_at = now + TELEPORT_EVERY * _SLACK
        self._walk.stop()
        self._connection.send(pack_teleport())
        return True

    def spectate(self, now: float) -> bool:
        """Ask to be told of the whole world."""
        if now < self._spectate_at or not self._connection.online:
            return False
        self._spectate_at = now + SPECTATE_EVERY * _SLACK
        self._connection.send(pack_spectate(True))
        return True
