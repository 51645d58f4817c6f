"""Hit points, levels, experience: attack, death, healing (lecture row 13, "name, hp, x, y").

Only clients that have shown that they know extended packets can attack, and are told of all this. The values themselves are the
lecture's term project's: level L needs 100 * 2**(L - 1) experience for the next one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from .agenda import ticks
from .monster import Monster
from .piece import Piece, Player
from .protocol import pack_stat_change

if TYPE_CHECKING:
    from .world import World

MOST_LEVEL: Final = 20
MOST_EXP: Final = 2**31 - 1
"""What the wire's i32 holds."""
ATTACK_EVERY: Final = 0.5
"""Seconds between two attacks of a player."""
HEAL_TICKS: Final = ticks(5.0)
"""Between two times that a hurt player gets a tenth of its hit points back."""


def most_health(level: int) -> int:
    """Hit points of a whole player of that level."""
    return 100 + 20 * (level - 1)


def next_level(level: int) -> int:
    """Experience at which that level ends."""
    return 100 << (level - 1)


class Combat:
    """Who hits whom in `world`."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.attacks = 0
        self.deaths = 0
        """Players killed by monsters."""
        self.changed: dict[int, Piece] = {}
        """Pieces whose values changed since the last tick."""

    def attack(self, player: Player) -> bool:
        """`player` hits all monsters on its own tile and the four next to it. False: too soon after the last time."""
        now = self._world.now
        if now < player.limits.next_attack:
            return False
        player.limits.next_attack = now + ATTACK_EVERY
        self.attacks += 1
        for sector in self._world.view.sectors.around(player.x, player.y, 1):
            for monster in list(sector.awake.values()):
                if abs(monster.x - player.x) + abs(monster.y - player.y) <= 1:
                    self._hit_monster(player, monster)
        return True

    def _hit_monster(self, player: Player, monster: Monster) -> None:
        monster.health -= 10 * player.level
        monster.angry_at = player
        if monster.health > 0:
            self.tell(monster)
            return
        self._world.monsters.die(monster)
        player.exp = min(MOST_EXP, player.exp + monster.kind.exp)
        while player.level < MOST_LEVEL and player.exp >= next_level(player.level):
            player.level += 1
            player.most_health = player.health = most_health(player.level)
        self.tell(player)

    def hit_player(self, monster: Monster, player: Player) -> None:
        """`monster` hits `player`, who may die of it: then it is whole again, elsewhere, with half its experience."""
        player.health -= monster.kind.damage
        if player.health > 0:
            self.heal_later(player)
            self.tell(player)
            return
        self.deaths += 1
        player.exp //= 2
        while player.level > 1 and player.exp < next_level(player.level - 1):
            player.level -= 1
        player.health = player.most_health = most_health(player.level)
        self._world.carry_off(player)
        self.tell(player)
        self._world.whisper(player, f"{monster.kind.name} has killed you")

    def heal_later(self, player: Player) -> None:
        """A hurt player gets better with time."""
        if not player.healing and player.health < player.most_health:
            player.healing = True
            self._world.agenda.after(HEAL_TICKS, self._heal, player)

    def _heal(self, player: Player) -> None:
        player.healing = False
        if player.online:
            player.health = min(player.most_health, player.health + max(1, player.most_health // 10))
            self.tell(player)
            self.heal_later(player)

    def tell(self, piece: Piece) -> None:
        """Tell a player its own values at once, and at the next tick those of any piece to those who see it."""
        self.changed[piece.id] = piece
        if isinstance(piece, Player) and piece.knows:
            piece.session.send(_values(piece, piece.exp))

    def flush(self) -> None:
        """Tell the values that changed to those who see them and whose clients know the packet."""
        multicast = self._world.view.sender.multicast
        for piece in self.changed.values():
            sessions = [player.session for player in piece.watchers() if player.knows]
            if sessions:
                multicast(sessions, _values(piece, 0))
        self.changed.clear()


def _values(piece: Piece, exp: int) -> bytes:
    return pack_stat_change(piece.id, max(0, piece.health), piece.most_health, piece.level, exp)
