"""Names in the client's picture: none hides another, nor a bar of hit points, if there is room; in a crowd one's own is on top."""

from __future__ import annotations

from random import Random

import pytest
from iocp.game.names import encode_name
from iocp.game.play import looks
from iocp.game.play.model import Model
from iocp.game.protocol import O_PLAYER, pack_enter, pack_login_ok, pack_stat_change, pack_world
from play_client import like

pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")

ME, SIZE, SIDE = 1, 21, 840
WOLF = 4


class Picture:
    """The board of a player, `anna`, who stands at `me` and is told of `others`: {(x, y): name}, monsters by the name `wolf`."""

    def __init__(self, me, others, hurt=(), side=SIDE, across=20):
        from iocp.game.play.camera import Camera
        from iocp.game.play.fonts import Fonts
        from iocp.game.play.motion import Motion
        from iocp.game.play.outlook import Outlook
        from iocp.game.play.tiles import Tiles

        pygame.display.init()
        self.model = model = Model()
        model.told(pack_login_ok(ME, *me, 100, 1, 0), 0.0)
        model.told(pack_world(SIZE, 20, 0, 0, 0), 0.0)
        model.me.name = "anna"
        self.names = {ME: "anna"}
        for id, ((x, y), name) in enumerate(others.items(), 2):
            o_type = WOLF if name == "wolf" else O_PLAYER
            model.told(pack_enter(id, encode_name(name), o_type, x, y), 0.0)
            self.names[id] = name
            if name in hurt:
                model.told(pack_stat_change(id, 40, 100, 1, 0), -9.0)
        motion = Motion()
        motion.advance([*model.others.values(), model.me], 0.1)
        self.fonts = Fonts()
        self.surface = pygame.display.set_mode((side, side))
        camera = Camera(0, 0, side, across, *me, SIZE)
        self.drawn = {piece.id: piece for piece in Tiles(self.fonts).draw(self.surface, camera, model, motion, Outlook(), None, 10.0)}
        self.pixels = pygame.image.tobytes(self.surface, "RGB")
        self.id = {name: id for id, name in self.names.items()}

    def can_be_read(self, name):
        """Whether every pixel of a name is there, somewhere near its piece."""
        label = next((picture for key, picture in self.fonts._lines.items() if key[0] == name), None)
        if label is None:
            return False
        inked = [(x, y, label.get_at((x, y))) for x in range(label.get_width()) for y in range(label.get_height())]
        inked = sorted(((x, y, bytes(colour)[:3]) for x, y, colour in inked if colour[3] == 255), key=lambda pixel: -sum(pixel[2]))
        assert len(inked) > 20
        square, side = self.drawn[self.id[name]].square, self.surface.get_width()
        places = [3 * (top * side + left) for left in range(square.centerx - label.get_width(), square.centerx) if left >= -2
                  for top in range(max(-2, square.top - 40), min(square.bottom + 40, side - label.get_height() + 4))]  # fmt: skip
        offsets = [(3 * (y * side + x), colour) for x, y, colour in inked]
        return any(all(self.pixels[place + offset : place + offset + 3] == colour for offset, colour in offsets) for place in places)

    def shows_health(self, name):
        """Whether the bar above that piece is not covered: both of its ends are there, and the part that is left."""
        square = self.drawn[self.id[name]].square
        row = [tuple(self.surface.get_at((x, square.top - 1)))[:3] for x in range(square.centerx - 14, square.centerx + 14)]
        return all(like(colour, looks.health_colour(0.4), 8) for colour in row[:10]) and all(like(colour, looks.INK, 8) for colour in row[14:])


def test_a_hurt_piece_below_does_not_hide_the_name_above_nor_the_name_its_bar():
    picture = Picture((3, 3), {(10, 10): "홍길동", (10, 11): "rosa", (10, 12): "성춘향"}, hurt=("rosa", "성춘향"))
    for name in ("홍길동", "rosa", "성춘향"):
        assert picture.can_be_read(name), name
    assert picture.shows_health("rosa") and picture.shows_health("성춘향")


def test_long_names_side_by_side_are_both_readable():
    picture = Picture((3, 3), {(9, 10): "박혁거", (10, 10): "wwwwwwwwww", (11, 10): "mmmmmmmmmm"})
    assert all(map(picture.can_be_read, ("wwwwwwwwww", "mmmmmmmmmm")))


def test_two_on_one_tile_are_both_readable():
    picture = Picture((10, 10), {(10, 10): "heidi"})
    assert picture.can_be_read("heidi") and picture.can_be_read("anna")


@pytest.mark.parametrize("place", [(0, 0), (20, 0), (0, 20), (20, 20), (10, 20)])
def test_at_the_edge_of_the_board_a_name_is_not_cut(place):
    picture = Picture((3, 3), {place: "wwwwwwwwww"}, across=21)
    assert picture.can_be_read("wwwwwwwwww")


def test_no_name_lies_across_ones_own_piece():
    for neighbour in ("wolf", "홍길동"):
        alone, picture = Picture((10, 10), {}), Picture((10, 10), {(10, 9): neighbour}, hurt=(neighbour,))
        assert picture.can_be_read(neighbour)
        square = picture.drawn[ME].square
        king = square.inflate(-square.width // 4, 0).move(0, 4)
        assert all(picture.surface.get_at((x, y)) == alone.surface.get_at((x, y))
                   for x in range(king.left, king.right) for y in range(king.top, square.bottom))  # fmt: skip


def test_in_a_crowd_everybody_can_be_read_ones_own_name_is_on_top_and_those_of_monsters_give_way():
    random = Random(3)
    crowd = {}
    for x in range(5, 16):
        for y in range(5, 16):
            if (x, y) != (10, 10):
                crowd[x, y] = "wolf" if random.random() < 0.3 else f"{x:x}{y:x}"
    picture = Picture((10, 10), crowd, hurt=set(crowd.values()))
    for name in ["anna", *(name for name in crowd.values() if name != "wolf")]:
        assert picture.can_be_read(name), name
        assert name == "anna" or picture.shows_health(name), name
    # And no figure has a name across its face.
    for id, piece in picture.drawn.items():
        assert like(tuple(picture.surface.get_at(piece.square.center))[:3], piece.colour), picture.names[id]


def test_where_there_is_no_room_at_all_ones_own_name_is_on_top():
    crowd = {(x, y): f"{x:x}{y:x}wwwwwwww" for x in range(5, 16) for y in range(5, 16) if (x, y) != (10, 10)}
    picture = Picture((10, 10), crowd)
    assert picture.can_be_read("anna")
    assert sum(map(picture.can_be_read, crowd.values())) >= 40
