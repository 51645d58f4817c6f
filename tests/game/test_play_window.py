"""What the client draws is what the server knows: pixels against the world's own books. And what keys and the mouse do."""

from __future__ import annotations

import iocp
import pytest
from iocp.game.play import looks
from iocp.game.play.model import Model
from iocp.game.protocol import O_PLAYER, pack_overview, pack_spectating, pack_world
from iocp.game.server import FRAMING, ChessServer
from iocp.game.terrain import Terrain
from iocp.game.world import Refusal, World
from play_client import NANUM, WindowClient, like
from ports import free_port
from stage import shipped_kinds

pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")

SEED, PERCENT = 6, 12


@pytest.fixture
def join(backend, monkeypatch):
    """A function that starts a client with a window on this backend, on the board already."""
    # However long a test takes: no questions of the client's own, no step taken again for a late answer, no bubble gone.
    for seconds in ("connection.PING_EVERY", "walk._LOST_AFTER", "tiles.BUBBLE_SECONDS"):
        monkeypatch.setattr(f"iocp.game.play.{seconds}", 1e6)
    started = []

    def join(chess, name="anna", **options):
        client = WindowClient(chess.server.address, name, backend=backend, **options)
        started.append(client)
        return client.arrive()

    yield join
    for client in started:
        client.stop()


def board(start_chess, size=60, view=7, monsters=0, **options):
    world = World(size, SEED, view=view, terrain=Terrain.seeded(size, SEED, PERCENT))
    if monsters:
        kinds = shipped_kinds()
        for kind in kinds:
            # They stay where they are, so that a picture can be compared with places.
            kind.step = lambda me: None
        world.populate(monsters, kinds)
    return start_chess(world=world, obstacles=(PERCENT, SEED), **options)


def put(chess, name, x, y):
    """The server puts a player to that tile, as a teleport does."""

    def jump():
        player, news = chess.handler.world.names[name], []
        chess.handler.world.view.jump(player, x, y, news)
        player.session.send(b"".join([*news, player.moved(player.timed)]))

    chess.call(jump)


def open_tile(chess, x, y):
    """The nearest open tile to x, y."""
    terrain = chess.handler.world.terrain
    tiles = ((a, b) for a in range(terrain.size) for b in range(terrain.size) if terrain.is_open(a, b))
    return min(tiles, key=lambda tile: abs(tile[0] - x) + abs(tile[1] - y))


def server_sees(chess, name):
    """What the server has told this player of: {id: (x, y, o_type)}, and where it stands."""
    world = chess.handler.world
    player = world.names[name]
    return {piece.id: (piece.x, piece.y, piece.o_type) for piece in player.told.values()}, (player.x, player.y)


def test_every_tile_of_the_picture_is_what_the_server_says_that_it_is(start_chess, join):
    chess = board(start_chess, monsters=500)
    for number in range(40):
        chess.player(f"p{number}")
    anna = join(chess, "홍길동")
    for number in range(40):
        put(chess, f"p{number}", *open_tile(chess, 20 + number % 9, 20 + number // 9 * 2))
    put(chess, "홍길동", *open_tile(chess, 25, 25))
    seen, place = server_sees(chess, "홍길동")
    anna.until(lambda: (anna.model.me.x, anna.model.me.y) == place and anna.model.others.keys() == seen.keys())
    # What stands now is compared, so nothing may be on its way.
    anna.still()
    assert len(seen) > 40
    drawn = {piece.id: piece for piece in anna.window.drawn}
    me = chess.handler.world.names["홍길동"].id
    standing = {}
    for id, (x, y, o_type) in [*seen.items(), (me, (*place, O_PLAYER))]:
        standing.setdefault((x, y), []).append((id, o_type))
    camera, terrain = anna.window.screen.camera, chess.handler.world.terrain
    columns, rows = camera.tiles()
    assert len(columns) == len(rows) == 20, "20 x 20 tiles"
    kinds, counted = set(), 0
    for x in columns:
        for y in rows:
            here = standing.get((x, y), [])
            in_sight = max(abs(x - place[0]), abs(y - place[1])) <= 7
            if len(here) == 1:
                id, o_type = here[0]
                assert drawn[id].square.center == camera.middle(x, y)
                expected = looks.ME if id == me else looks.PLAYERS[id % len(looks.PLAYERS)] if o_type == O_PLAYER else looks.MONSTERS[o_type]
                assert like(anna.pixel(x, y), expected), (x, y, o_type)
                kinds.add(o_type if id != me else "me")
                counted += 1
            elif here:
                assert {id for id, _ in here} & drawn.keys()
                counted += len(here)
            elif in_sight and terrain.is_open(x, y):
                assert anna.pixel(x, y) == ((looks.LIGHT, looks.DARK)[(x + y) % 2]), (x, y)
            elif in_sight:
                assert like(anna.pixel(x, y), looks.STONE), (x, y)
    assert kinds == {"me", 0, 1, 2, 3, 4} and counted == len(seen) + 1
    assert drawn.keys() <= seen.keys() | {me}
    assert {"홍길동", "p3", "wolf"} <= anna.text_of()


def test_obstacles_out_of_sight_are_drawn_darker_and_pieces_there_are_not_known(start_chess, join):
    chess = board(start_chess)
    chess.player("far")
    anna = join(chess)
    put(chess, "far", *open_tile(chess, 21, 30))
    put(chess, "anna", *open_tile(chess, 30, 30))
    anna.until(lambda: (anna.model.me.x, anna.model.me.y) == server_sees(chess, "anna")[1])
    anna.still()
    assert not anna.model.others and [piece.id for piece in anna.window.drawn] == [anna.model.me.id]
    x, y = open_tile(chess, anna.model.me.x - 9, anna.model.me.y)
    square = (looks.LIGHT, looks.DARK)[(x + y) % 2]
    assert like(anna.pixel(x, y), looks.mixed(square, (14, 18, 30), looks.UNSEEN / 255), 3) and not like(anna.pixel(x, y), square, 40)


def test_arrow_keys_and_letters_walk_and_the_piece_glides(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    put(chess, "anna", *open_tile(chess, 30, 30))
    anna.until(lambda: (anna.model.me.x, anna.model.me.y) == server_sees(chess, "anna")[1])
    anna.still()
    me = anna.model.me
    for keys, (dx, dy) in {
        (pygame.K_RIGHT, pygame.K_d): (1, 0), (pygame.K_LEFT, pygame.K_a): (-1, 0),
        (pygame.K_UP, pygame.K_w): (0, -1), (pygame.K_DOWN, pygame.K_s): (0, 1),
    }.items():  # fmt: skip
        for key in keys:
            x, y = me.x + dx, me.y + dy
            if not chess.handler.world.terrain.is_open(x, y):
                x, y = me.x, me.y
            answers, between = anna.model.answers, False
            anna.key(key)
            anna.until(lambda: anna.model.answers > answers)
            assert (me.x, me.y) == (x, y) == server_sees(chess, "anna")[1]
            motion = anna.window.screen.motion
            for _ in range(200):
                anna.turn()
                between = between or motion.place(me)[0] % 1 > 0 or motion.place(me)[1] % 1 > 0
                if motion.place(me) == (me.x, me.y):
                    break
            anna.still()


def test_a_click_leads_round_obstacles(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    terrain = chess.handler.world.terrain
    # Two open tiles with an obstacle right between them.
    x, y = next((x, y) for x in range(20, 40) for y in range(20, 40)
                if terrain.is_open(x - 1, y) and not terrain.is_open(x, y) and terrain.is_open(x + 1, y))  # fmt: skip
    put(chess, "anna", x - 1, y)
    anna.until(lambda: (anna.model.me.x, anna.model.me.y) == (x - 1, y))
    anna.still()
    anna.click(x + 1, y)
    anna.until(lambda: anna.window.walk.goal == (x + 1, y), "a path")
    anna.until(lambda: server_sees(chess, "anna")[1] == (x + 1, y), "the end of the way")
    assert not chess.handler.counts.refused[Refusal.OBSTACLE], "it never bumped into anything"
    # And nowhere, where nobody can stand.
    anna.click(x, y)
    anna.until(lambda: "no way there" in [line.text for line in anna.model.log])
    assert anna.window.walk.goal is None


def test_space_attacks_and_the_monsters_hit_points_are_shown(start_chess, join):
    chess = board(start_chess, monsters=1)
    anna = join(chess)
    monsters = chess.handler.world.monsters
    put(chess, "anna", *open_tile(chess, monsters.x[0] + 1, monsters.y[0]))
    anna.until(lambda: anna.model.others)
    (wolf,) = anna.model.others.values()
    assert abs(wolf.x - anna.model.me.x) + abs(wolf.y - anna.model.me.y) <= 1
    anna.still()
    anna.key(pygame.K_SPACE)
    anna.until(lambda: wolf.health is not None)
    assert wolf.health == wolf.most_health - 10 == monsters.awake[0].health
    anna.still()
    square = next(piece.square for piece in anna.window.drawn if piece.id == wolf.id)
    bar = anna.window.surface.get_at((square.centerx - square.width // 4, square.top - 1))
    assert like(tuple(bar)[:3], looks.health_colour(wolf.health / wolf.most_health), 40)


def test_what_is_typed_is_said_and_shown_as_a_bubble_at_both(start_chess, join):
    chess = board(start_chess)
    anna, ben = join(chess), join(chess, "벤")
    x, y = open_tile(chess, 30, 30)
    put(chess, "anna", x, y), put(chess, "벤", *open_tile(chess, x + 2, y))
    anna.until(lambda: anna.model.others), ben.until(lambda: ben.model.others)
    anna.still()
    before = pygame.image.tobytes(anna.window.surface, "RGB")
    anna.key(pygame.K_RETURN)
    # A key that walks, while a line is typed, does not.
    anna.key(pygame.K_w)
    anna.type("안녕 ben!")
    anna.key(pygame.K_BACKSPACE)
    anna.key(pygame.K_RETURN)
    anna.until(lambda: anna.model.me.said == "안녕 ben")
    ben.until(lambda: [piece.said for piece in ben.model.others.values()] == ["안녕 ben"])
    assert ben.model.log[-1].who == "anna" and anna.model.log[-1].who == "you"
    assert (anna.model.me.x, anna.model.me.y) == (x, y) and anna.window.outlook.typing is None
    anna.turn()
    square = next(piece.square for piece in anna.window.drawn if piece.id == anna.model.me.id)
    assert pygame.image.tobytes(anna.window.surface, "RGB") != before
    above = {tuple(anna.window.surface.get_at((square.centerx + dx, square.top - 14)))[:3] for dx in range(-20, 20)}
    assert looks.BUBBLE in above, "a bubble above the piece"


def test_a_line_that_is_dropped_is_not_said_and_one_too_long_is_cut_while_it_is_typed(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    anna.key(pygame.K_RETURN)
    anna.type("가" * 60)
    anna.turn()
    assert len(anna.window.outlook.typing.encode()) <= 121
    anna.key(pygame.K_ESCAPE)
    anna.turn()
    assert anna.window.outlook.typing is None and not anna.window.leaving
    assert not [line for line in anna.model.log if line.who], "nothing was said"


@pytest.mark.skipif(not NANUM.exists(), reason="no Nanum font here: apt install fonts-nanum")
def test_hangul_is_drawn_as_hangul(start_chess, join):
    chess = board(start_chess)
    anna = join(chess, "홍길동", font=NANUM)
    fonts = anna.window.screen.fonts
    assert fonts.advice == ""
    pictures = {pygame.image.tobytes(fonts.line(letter, 24, looks.TEXT), "RGBA") for letter in "홍길동"}
    assert len(pictures) == 3, "three boxes would be the same"
    anna.still()
    square = anna.window.drawn[-1].square
    label = anna.window.surface.subsurface((square.left - 10, square.bottom - 3, square.width + 20, 16))
    assert any(like(tuple(label.get_at((x, y)))[:3], looks.ACCENT, 12) for x in range(label.get_width()) for y in range(16))


def test_without_a_font_with_hangul_the_client_says_what_to_do(start_chess, join, monkeypatch):
    from iocp.game.play import fonts

    monkeypatch.setattr(fonts, "_folders", list)
    chess = board(start_chess)
    anna = join(chess, "홍길동")
    anna.still()
    assert "no font with Hangul" in anna.model.log[0].text and "--font FILE" in anna.model.log[0].text


def test_zooming_out_ends_at_the_sight_where_the_server_allows_no_spectators(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    anna.key(pygame.K_PLUS)
    anna.turn()
    assert anna.window.screen.camera.across == 16
    anna.key(pygame.K_MINUS)
    anna.key(pygame.K_MINUS)
    anna.until(lambda: any("no spectators" in line.text for line in anna.model.log))
    anna.turn()
    assert anna.window.screen.camera.across == 20 and not anna.window.outlook.whole


@pytest.mark.parametrize("size", [50, 300])
def test_a_spectator_sees_all_players_of_the_whole_world(start_chess, join, size):
    chess = board(start_chess, size=size, most_spectators=1)
    for number in range(30):
        chess.player(f"p{number}")
    anna = join(chess)
    chess.call(lambda: chess.handler.world.carry_off(chess.handler.world.names["anna"]))
    anna.post(pygame.MOUSEWHEEL, y=-1, x=0)
    world = chess.handler.world
    shift = chess.handler.survey.shift
    across = chess.handler.survey.across
    cells = {(player.y >> shift) * across + (player.x >> shift) for player in world.players.values()}
    anna.until(lambda: {cell for cell, (players, _) in anna.model.cells.items() if players} == cells)
    anna.until(lambda: any("the whole world: 31 players" in text for text in anna.text_of()))
    # The ground is painted in a few frames, the crowd twice a second.
    anna.until(lambda: not anna.window.screen._maps._whole.queue)
    assert anna.window.screen.camera is None and not anna.window.drawn
    scale = 800 / (size / (1 << shift))
    for cell in cells:
        x, y = round((cell % across + 0.5) * scale), round((cell // across + 0.5) * scale)
        if (anna.model.me.y >> shift) * across + (anna.model.me.x >> shift) != cell:
            shown = tuple(anna.window.surface.get_at((min(x, 799), min(y, 799))))[:3]
            close = any(like(shown, colour, 60) for colour in (*looks.DENSITY, looks.ME, (255, 255, 255), looks.CARD, looks.INK))
            assert close, (cell, shown)
    anna.post(pygame.MOUSEWHEEL, y=1, x=0)
    anna.until(lambda: not anna.model.spectating and not chess.handler.survey.spectators)
    anna.turn()
    assert anna.window.screen.camera is not None


def test_the_whole_world_says_that_it_waits_instead_of_nought(join, balanced, backend):
    server = iocp.Server(ChessServer(World(50), most_spectators=1), "127.0.0.1", 0, workers=1, backend=backend, framing=FRAMING)
    server.start()
    balanced.append(server)
    anna = join(type("There", (), {"server": server}))
    said = []
    draw = anna.window.screen._draw_legend
    anna.window.screen._draw_legend = lambda surface, area, text: said.append(text) or draw(surface, area, text)
    anna.key(pygame.K_m)
    anna.until(lambda: said and said[-1] == "the whole world: 1 player, 0 monsters")
    server.stop()
    anna.until(lambda: not anna.connection.online)
    said.clear()
    anna.until(lambda: said and said[-1] == "the whole world: waiting for the server's overview")
    assert not [text for text in said if ": 0 players" in text]


def test_no_overview_yet_is_not_nobody_there():
    from iocp.game.play.map import _Crowd

    model = Model()
    model.told(pack_world(50, 7, 0, 0, 0), 0.0)
    model.told(pack_spectating(True, ""), 0.0)
    assert _Crowd(model, 50, 200, 0.0).text == "the whole world: waiting for the server's overview"
    model.told(pack_overview(0, 0, 9, [(3, 1, 2)]), 0.0)
    assert _Crowd(model, 50, 200, 0.0).text == "the whole world: 1 player, 2 monsters"


def test_frames_per_second_are_a_line_until_they_have_been_counted(start_chess, join):
    anna = join(board(start_chess))
    # Some were drawn already, while the first answer was waited for.
    anna.window._clock = pygame.time.Clock()
    seen = []
    for _ in range(30):
        anna.turn()
        seen.append(anna.window.frames_per_second)
        assert "0/s" not in anna.text_of()
    assert seen[0] is None and seen[-1] > 0, "none is counted before ten frames are over"
    assert any(text.endswith("/s") for text in anna.text_of())
    assert "0 players, 0 monsters" in anna.text_of()


@pytest.mark.parametrize(("size", "across"), [(100, 100), (300, 75), (32_767, 128)])
def test_the_map_of_a_world_of_which_nothing_is_known_yet_is_as_small_as_its_cells(monkeypatch, size, across):
    from iocp.game.play.map import _Crowd

    made, surface = [], pygame.Surface
    monkeypatch.setattr(pygame, "Surface", lambda size, *options: made.append(size) or surface(size, *options))
    model = Model()
    model.told(pack_world(size, 7, 0, 0, 0), 0.0)
    model.told(pack_spectating(True, ""), 0.0)
    _Crowd(model, size, 200, 0.0)
    assert made == [(across, across), (200, 200)]


def test_the_small_map_shows_where_one_has_been(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    for place in ((10, 10), (50, 50)):
        put(chess, "anna", *open_tile(chess, *place))
        anna.until(lambda: (anna.model.me.x, anna.model.me.y) == server_sees(chess, "anna")[1])
        anna.still()
    ground = anna.window.screen._maps._seen
    anna.until(lambda: not ground.queue)
    seen = [(x, y) for x in range(60) for y in range(60) if tuple(ground.picture.get_at((x, y)))[:3] != (22, 24, 32)]
    assert seen == [(x, y) for x in range(60) for y in range(60) if anna.model.explored.seen[y * 60 + x]]
    assert 2 * 169 <= len(seen) <= 700 and (30, 30) not in seen


def test_a_lost_connection_is_shown_and_the_board_comes_back(join, balanced, backend):
    def start(port):
        server = iocp.Server(ChessServer(World(30, view=7)), "127.0.0.1", port, workers=1, backend=backend, framing=FRAMING)
        server.start()
        balanced.append(server)
        return server

    class There:
        server = start(free_port())

    anna = join(There)
    There.server.stop()
    anna.until(lambda: any("trying again" in text for text in anna.text_of()))
    anna.turn()
    assert like(tuple(anna.window.surface.get_at((400, 22)))[:3], (168, 52, 58))
    start(There.server.address[1])
    anna.until(lambda: anna.connection.online)
    anna.still()
    assert not like(tuple(anna.window.surface.get_at((400, 22)))[:3], (168, 52, 58))
    assert "connected again" in [line.text for line in anna.model.log]


def test_who_is_taken_over_can_take_the_piece_back_with_enter(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    thief = chess.connect()
    thief.login("anna")
    anna.until(lambda: any("somebody else has logged in as anna" in text for text in anna.text_of()))
    for _ in range(50):
        anna.turn()
    assert not anna.connection.online
    anna.key(pygame.K_RETURN)
    anna.until(lambda: anna.connection.online)
    assert thief.read_to_end() is not None


@pytest.mark.parametrize("size", [(560, 360), (900, 500), (700, 1_200), (2_000, 900)])
def test_a_window_of_any_size_shows_all_of_its_parts(start_chess, join, size):
    chess = board(start_chess, monsters=100)
    anna = join(chess, size=size)
    anna.key(pygame.K_F1)
    anna.key(pygame.K_n)
    anna.still()
    assert anna.window.surface.get_size() == size
    assert {"anna", "level 1", "round trip", "this help"} <= anna.text_of()
    anna.key(pygame.K_ESCAPE)
    anna.turn()
    assert not anna.window.outlook.help and not anna.window.leaving
    anna.key(pygame.K_ESCAPE)
    anna.turn()
    assert anna.window.leaving


def test_a_window_made_too_small_is_still_the_same_window(start_chess, join, monkeypatch):
    chess = board(start_chess)
    anna = join(chess)
    monkeypatch.setattr(pygame.display, "set_mode", lambda *arguments: pytest.fail("that makes a new window, which loses the keyboard"))
    shown = pygame.Surface((300, 200))
    monkeypatch.setattr(pygame.display, "get_surface", lambda: shown)
    anna.post(pygame.VIDEORESIZE, w=300, h=200, size=(300, 200))
    anna.turn(), anna.turn()
    # What there is no room for is cut.
    assert anna.window.surface.get_size() == (560, 360)
    assert all(shown.get_at((x, y)) == anna.window.surface.get_at((x, y)) for x in range(0, 300, 7) for y in range(0, 200, 7))
    shown = pygame.Surface((900, 600))
    anna.turn()
    assert anna.window.surface is shown


def test_a_key_held_while_the_window_loses_the_keyboard_is_let_go(start_chess, join):
    chess = board(start_chess)
    anna = join(chess)
    anna.post(pygame.KEYDOWN, key=pygame.K_RIGHT, mod=0, unicode="", scancode=0)
    anna.post(pygame.WINDOWFOCUSLOST)
    anna.turn()
    assert anna.window.walk.next(anna.model, 1e9) is None
