"""Aggressive, and stays where it is: goes for whoever comes near its post, and back to it."""

NAME = "guard"
O_TYPE = 3
HEALTH = 60
LEVEL = 2
DAMAGE = 8
EXP = 20


def step(me):
    foe = me.nearest(within=3)
    if foe is not None and me.distance(me.home_x, me.home_y) < 6:
        if not me.attack(foe):
            me.chase(foe)
    else:
        me.go_home()
