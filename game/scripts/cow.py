"""Peaceful, and stays where it is: hits back whoever stands beside it and hit it."""

NAME = "cow"
O_TYPE = 1
HEALTH = 30
DAMAGE = 3
EXP = 5


def step(me):
    if me.angry_at is not None:
        me.attack(me.angry_at)
