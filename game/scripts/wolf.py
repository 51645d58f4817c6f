"""Aggressive, and roams: chases whoever it sees within five tiles."""

NAME = "wolf"
O_TYPE = 4
HEALTH = 40
LEVEL = 2
DAMAGE = 5
EXP = 40


def step(me):
    prey = me.nearest(within=5)
    if prey is None:
        me.wander()
    elif not me.attack(prey):
        me.chase(prey)
