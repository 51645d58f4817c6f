"""Peaceful, and roams about its home: follows whoever hit it, for as long as it sees that player."""

NAME = "sheep"
O_TYPE = 2
HEALTH = 20
DAMAGE = 2
EXP = 10


def step(me):
    foe = me.angry_at
    if foe is None:
        me.wander(within=20)
    elif not me.attack(foe):
        me.chase(foe)
