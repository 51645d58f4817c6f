"""Worlds and games without a network, for tests: players on stand-in sessions, a clock that the test turns."""

from __future__ import annotations

from iocp.game.agenda import TICK
from iocp.game.kinds import Kind
from iocp.game.names import encode_name
from iocp.game.protocol import pack_login, parse_server
from iocp.game.server import ChessServer
from iocp.game.world import World
from stand_ins import Engine, Session


class Game:
    """A game on a world, its clock, and its clients by name."""

    def __init__(self, world=None, **options):
        self.now = 100.0
        self.world = world if world is not None else World(20)
        self.server = ChessServer(self.world, clock=lambda: self.now, **options)
        self.server.on_start(Engine())
        self.sessions = {}

    def login(self, name, at=None, knows=None):
        """A player, put on tile `at` if given; what it was told so far is forgotten."""
        session = Session(len(self.sessions) + 1)
        self.sessions[name] = session
        self.server.on_connect(session)
        self.server.on_packet(session, pack_login(encode_name(name), knows))
        if at is not None:
            self.world.view.jump(session.data, *at, [])
        session.sent.clear()
        return session

    def send(self, session, *packets):
        for packet in packets:
            self.server.on_packet(session, packet)

    def run(self, seconds):
        """Let time pass, tick by tick."""
        for _ in range(round(seconds / TICK)):
            self.now += TICK
            self.server.tick(self.now)

    def told(self, session):
        """What it was told since the last time, parsed."""
        found = [parse_server(packet) for packet in session.packets()]
        session.sent.clear()
        return found


def kind(script, source):
    """A kind of monsters with these lines."""
    return Kind(script, source)


def put(world, number, x, y):
    """Put the sleeping monster `number` to x, y, its home from now on."""
    monsters = world.monsters
    del world.view.sectors.at(monsters.x[number], monsters.y[number]).asleep[number]
    monsters.x[number], monsters.y[number] = x, y
    monsters._home_x[number], monsters._home_y[number] = x, y
    sector = world.view.sectors.at(x, y)
    if sector.asleep is None:
        sector.asleep = {}
    sector.asleep[number] = None


def game_of(source, at=(10, 10), size=40, monsters=1, terrain=None, **options):
    """A game with monsters of one kind; the first stands at `at`."""
    world = World(size, 3, terrain=terrain, **options)
    world.populate(monsters, [kind("test", source)])
    put(world, 0, *at)
    return Game(world)
