"""A server that tells the client of places off the board, or of more than can be drawn: frames go on, and memory does not fill."""

from __future__ import annotations

import threading

import pytest
from iocp import Reason
from iocp.game.play import connection as module
from iocp.game.play.connection import Connection, State
from iocp.game.play.model import Model
from iocp.game.play.obstacles import Obstacles
from iocp.game.protocol import pack_enter, pack_login_ok, pack_move_timed, pack_overview, pack_spectating, pack_world
from iocp.game.terrain import Terrain
from stand_ins import Session

ME, OTHER = 1, 2


class Clock:
    """A millisecond goes by each time that somebody looks."""

    now = 0.0

    def __call__(self):
        self.now += 0.001
        return self.now


@pytest.fixture
def online(backend):
    """A connection that is on the board, with packets as if from the engine's worker, and its session."""
    connection = Connection(Model(), "127.0.0.1", 1, "anna", backend=backend)
    session = connection._session = Session(1)
    connection.on_connect(session)
    for packet in (pack_login_ok(ME, 2, 3, 100, 1, 0), pack_world(100, 7, 0, 0, 0), pack_enter(OTHER, b"ben", 0, 5, 5)):
        connection.on_packet(session, packet)
    connection.poll(0.0)
    assert connection.online and not connection._events
    return connection, session


def test_a_flood_does_not_hold_up_a_frame(online, monkeypatch):
    connection, session = online
    monkeypatch.setattr(module.time, "perf_counter", Clock())
    monkeypatch.setattr(module, "MOST_WAITING", 1_000)
    for x in range(900):
        connection.on_packet(session, pack_move_timed(OTHER, x % 100, 7, 0))
    waiting = len(connection._events)
    connection.poll(1.0)
    done = waiting - len(connection._events)
    assert 0 < done <= module.POLL_SECONDS / 0.001 and connection.online
    for _ in range(900):
        connection.poll(1.0)
    assert not connection._events and connection.model.others[OTHER].x == 99


def test_more_than_can_be_drawn_ends_the_connection_and_says_so(online):
    connection, session = online
    for _ in range(500_000):
        connection.on_packet(session, pack_move_timed(OTHER, 7, 7, 0))
    assert session.end is Reason.PROTOCOL and len(connection._events) <= module.MOST_WAITING
    connection.poll(0.0)
    assert connection.state is State.LOST and connection.why == "127.0.0.1:1 sends more than can be drawn"
    assert not connection._events


class Counted(dict):
    """A dictionary that counts how often something was taken out."""

    pops = 0

    def pop(self, *arguments):
        self.pops += 1
        return super().pop(*arguments)


@pytest.mark.parametrize(("size", "cells"), [(4, 16), (300, 75**2)])
def test_an_overview_of_cells_that_there_are_not_costs_no_more_than_the_board_has(size, cells):
    model = Model()
    model.told(pack_world(size, 7, 0, 0, 0), 0.0)
    model.told(pack_spectating(True, ""), 0.0)
    shift = 2 if size == 300 else 0
    model.told(pack_overview(shift, 0, 9, [(3, 1, 2), (cells - 1, 1, 1)]), 0.0)
    model.cells = Counted(model.cells)
    model.told(pack_overview(shift, 0, 65_535, []), 0.0)
    assert model.cells.pops <= cells and not model.cells and not model.odd


def test_worlds_told_one_after_another_make_one_thread_at_a_time(monkeypatch):
    model, go_on, made = Model(), threading.Event(), []
    obstacles, seeded = Obstacles(model), Terrain.seeded

    def slow(size, seed, percent):
        made.append(seed)
        assert go_on.wait(20)
        return seeded(size, seed, percent)

    monkeypatch.setattr(Terrain, "seeded", slow)
    for seed in range(20):
        model.told(pack_world(30, 7, 10, seed, seeded(30, seed, 10).checksum), 0.0)
        obstacles.poll(0.0)
    assert sum(thread.name == "obstacles" for thread in threading.enumerate()) == 1
    go_on.set()
    for _ in range(2):
        obstacles._maker.join(20)
        obstacles.poll(0.0)
    obstacles._maker.join(20)
    obstacles.poll(0.0)
    # The first one, and the one that it is now.
    assert made == [0, 19] and not model.needs_terrain


@pytest.mark.parametrize("place", [(5, 30_000), (30_000, 5), (30_000, 30_000)])
def test_a_place_off_the_board_is_drawn_without_pictures_larger_than_the_window(place, monkeypatch):
    pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")
    from iocp.game.play import looks
    from iocp.game.play.fonts import Fonts
    from iocp.game.play.outlook import Outlook
    from iocp.game.play.panel import Numbers
    from iocp.game.play.screen import Screen
    from play_client import like

    pygame.display.init()
    made, surface = [], pygame.Surface
    monkeypatch.setattr(pygame, "Surface", lambda size, *options: made.append(size) or surface(size, *options))
    window = pygame.display.set_mode((1100, 800))
    model, screen = Model(), Screen(Fonts())
    for packet in (pack_login_ok(ME, 2, 3, 100, 1, 0), pack_world(100, 7, 0, 0, 0), pack_move_timed(ME, *place, 0)):
        model.told(packet, 0.0)
    for _ in range(2):
        screen.draw(window, model, Outlook(), Numbers(None, "here", "none"), name="anna", now=1.0, seconds=0.1)
    # The squares are some tiles more each way, and so are pieces, which are scaled down.
    assert max(max(size) for size in made) <= 1_000
    # Nothing there is in sight: all is dark.
    columns, rows = screen.camera.tiles()
    x, y = columns[len(columns) // 2], rows[len(rows) // 2]
    square = looks.mixed((looks.LIGHT, looks.DARK)[(x + y) % 2], (14, 18, 30), looks.UNSEEN / 255)
    assert like(tuple(window.get_at(screen.camera.middle(x, y)))[:3], square, 3)
    pygame.quit()
