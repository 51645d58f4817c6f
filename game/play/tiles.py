"""The board on the screen: squares, obstacles, pieces with their names and hit points, bubbles of what they say."""

from __future__ import annotations

from typing import Final, NamedTuple

import pygame

from ..protocol import O_PLAYER
from . import looks
from .camera import Camera
from .figures import Figures
from .fonts import Fonts
from .labels import Labels
from .looks import Colour
from .model import Model, Sighted
from .motion import Motion
from .outlook import Outlook

BUBBLE_SECONDS: Final = 6.0
_BUBBLE_LINES: Final = 4
"""Of a longer message the log has the rest."""
ATTACK_SECONDS: Final = 0.3
FLASH_SECONDS: Final = 0.25
_SLOTS: Final = (((0.0, 0.0),), ((-0.22, 0.0), (0.22, 0.0)), ((-0.22, -0.2), (0.22, -0.2), (0.0, 0.2)),
                 ((-0.22, -0.2), (0.22, -0.2), (-0.22, 0.2), (0.22, 0.2)))  # fmt: skip
"""Where pieces that share a tile stand, in tiles from its middle: one, two, three, four; of more the first four are drawn."""


class Drawn(NamedTuple):
    """A piece that was drawn: its square on the screen, and the colour in the middle of it."""

    id: int
    square: pygame.Rect
    colour: Colour


class Tiles:
    """Draws the board of a model. For the thread that has the window."""

    def __init__(self, fonts: Fonts) -> None:
        self._fonts = fonts
        self._figures = Figures()
        self._squares: tuple[tuple[int, int], pygame.Surface] | None = None
        self._shade: pygame.Surface | None = None

    def draw(
        self, surface: pygame.Surface, camera: Camera, model: Model, motion: Motion, outlook: Outlook, goal: tuple[int, int] | None, now: float
    ) -> list[Drawn]:
        """Draw it, and tell where each piece stands."""
        area = pygame.Rect(camera.left, camera.top, camera.side, camera.side)
        before = surface.get_clip()
        surface.set_clip(area)
        surface.fill(looks.VOID, area)
        self._draw_squares(surface, camera)
        self._draw_obstacles(surface, camera, model)
        if model.me is not None:
            self._draw_shade(surface, camera, motion.place(model.me), model.view)
        self._draw_marks(surface, camera, model, outlook, goal, now)
        drawn = self._draw_pieces(surface, camera, model, motion, outlook, now)
        surface.set_clip(before)
        return drawn

    # The ground

    def _draw_squares(self, surface: pygame.Surface, camera: Camera) -> None:
        tile = camera.tile
        columns, rows = camera.tiles()
        if not columns or not rows:
            return
        count = camera.side // tile + 4
        if self._squares is None or self._squares[0] != (tile, count):
            # Two tiles more each way, so that it can begin with either colour.
            squares = pygame.Surface((count * tile, count * tile)).convert(surface)
            squares.fill(looks.LIGHT)
            for y in range(count):
                for x in range((y + 1) % 2, count, 2):
                    squares.fill(looks.DARK, (x * tile, y * tile, tile, tile))
            self._squares = ((tile, count), squares)
        left, top = camera.pixel(columns.start, rows.start)
        begin = (columns.start + rows.start) % 2 * tile
        surface.blit(self._squares[1], (left, top), (begin, 0, len(columns) * tile, len(rows) * tile))

    def _draw_obstacles(self, surface: pygame.Surface, camera: Camera, model: Model) -> None:
        terrain = model.terrain
        if terrain is None or model.needs_terrain:
            return
        tile, stride, blocked = camera.tile, terrain.stride, terrain.blocked
        columns, rows = camera.tiles()
        for y in rows:
            if not 0 <= y < terrain.size:
                continue
            start = (y + 1) * stride + 1
            for x in columns:
                if 0 <= x < terrain.size and blocked[start + x]:
                    front = not blocked[start + x + stride] or y == terrain.size - 1
                    surface.blit(self._figures.obstacle(tile, front), camera.pixel(x, y))

    def _draw_shade(self, surface: pygame.Surface, camera: Camera, place: tuple[float, float], view: int) -> None:
        """What is out of sight is darker: the obstacles there are known, the pieces are not."""
        left, top = camera.pixel(place[0] - view, place[1] - view)
        right, bottom = camera.pixel(place[0] + view + 1, place[1] + view + 1)
        seen = pygame.Rect(left, top, right - left, bottom - top)
        area = pygame.Rect(camera.left, camera.top, camera.side, camera.side)
        # Of a place off the board, which a server may tell as well, nothing that is seen is shown: then the first part is all there is.
        inside = seen.clip(area) or pygame.Rect(area.bottomleft, (0, 0))
        if self._shade is None or self._shade.get_size() != area.size:
            self._shade = pygame.Surface(area.size, pygame.SRCALPHA)
            self._shade.fill((14, 18, 30, looks.UNSEEN))
        for part in (
            pygame.Rect(area.left, area.top, area.width, inside.top - area.top),
            pygame.Rect(area.left, inside.bottom, area.width, area.bottom - inside.bottom),
            pygame.Rect(area.left, inside.top, inside.left - area.left, inside.height),
            pygame.Rect(inside.right, inside.top, area.right - inside.right, inside.height),
        ):
            if part.width > 0 and part.height > 0:
                surface.blit(self._shade, part, ((0, 0), part.size))
        pygame.draw.rect(surface, (255, 255, 255), seen.inflate(2, 2), 1)

    def _draw_marks(
        self, surface: pygame.Surface, camera: Camera, model: Model, outlook: Outlook, goal: tuple[int, int] | None, now: float
    ) -> None:
        tile = camera.tile
        if goal is not None:
            middle = camera.middle(*goal)
            pulse = 0.5 + 0.5 * abs((now * 1.6) % 2 - 1)
            pygame.draw.circle(surface, looks.INK, middle, tile * 0.42 * pulse + 2, 5)
            pygame.draw.circle(surface, looks.ACCENT, middle, tile * 0.42 * pulse + 1, 3)
        if outlook.mouse is not None and (under := camera.tile_at(*outlook.mouse)) is not None and model.is_open(*under):
            pygame.draw.rect(surface, looks.INK, (*camera.pixel(*under), tile, tile), 2)
        me = model.me
        part = (now - model.attacked_at) / ATTACK_SECONDS
        if me is not None and 0 <= part < 1:
            flash = pygame.Surface((tile, tile), pygame.SRCALPHA)
            flash.fill((255, 90, 60, round(190 * (1 - part))))
            for x, y in ((0, 0), (0, -1), (0, 1), (-1, 0), (1, 0)):
                surface.blit(flash, camera.pixel(me.x + x, me.y + y))

    # The pieces

    def _draw_pieces(
        self, surface: pygame.Surface, camera: Camera, model: Model, motion: Motion, outlook: Outlook, now: float
    ) -> list[Drawn]:
        me = model.me
        pieces = [*model.others.values(), *([me] if me is not None else [])]
        standing: dict[tuple[int, int], list[Sighted]] = {}
        for piece in pieces:
            standing.setdefault((piece.x, piece.y), []).append(piece)
        drawn: list[Drawn] = []
        labels: list[tuple[Sighted, pygame.Rect, bool]] = []
        # Farther down is nearer: it covers what stands behind it, and one's own piece covers all on its tile.
        for tile_place in sorted(standing, key=lambda place: (place[1], place[0])):
            sharing = sorted(standing[tile_place], key=lambda piece: (piece is me, piece.id))
            crowd = len(sharing)
            shown = sharing[-len(_SLOTS) :]
            slots = _SLOTS[len(shown) - 1]
            for piece, (dx, dy) in zip(shown, slots, strict=True):
                square = self._square(camera, motion.place(piece), dx, dy, len(shown))
                drawn.append(self._draw_piece(surface, piece, piece is me, square, now))
                labels.append((piece, square, len(shown) > 1))
            if crowd > len(shown):
                self._draw_count(surface, camera, tile_place, crowd)
        bars = {piece.id: bar for piece, square, _ in labels if (bar := self._draw_health(surface, piece, square, piece is me)) is not None}
        self._draw_names(surface, camera, labels, bars, me, outlook.names)
        for piece, square, _ in labels:
            if now - piece.said_at < BUBBLE_SECONDS:
                self._draw_bubble(surface, camera, piece, square, now)
        return drawn

    def _square(self, camera: Camera, place: tuple[float, float], dx: float, dy: float, sharing: int) -> pygame.Rect:
        size = camera.tile if sharing == 1 else round(camera.tile * 0.62)
        x, y = camera.middle(place[0] + dx, place[1] + dy)
        return pygame.Rect(x - size // 2, y - size // 2, size, size)

    def _draw_piece(self, surface: pygame.Surface, piece: Sighted, mine: bool, square: pygame.Rect, now: float) -> Drawn:
        colour = looks.colour_of(piece, mine)
        size = square.width
        if size < 9:
            pygame.draw.circle(surface, looks.INK, square.center, size / 2)
            pygame.draw.circle(surface, colour, square.center, size / 2 - 1)
            return Drawn(piece.id, square, colour)
        shadow = pygame.Rect(0, 0, size * 0.72, size * 0.2)
        shadow.center = (square.centerx, square.bottom - round(size * 0.1))
        if mine:
            halo = square.inflate(round(size * 0.08), round(size * 0.08))
            pygame.draw.ellipse(surface, (255, 255, 255), halo, max(2, size // 16))
            pygame.draw.ellipse(surface, looks.ME, halo.inflate(-2, -2), max(1, size // 24))
        pygame.draw.ellipse(surface, (70, 82, 62), shadow)
        figure = self._figures.figure(piece.o_type, mine, colour, size)
        if now - piece.hit_at < FLASH_SECONDS:
            figure = figure.copy()
            figure.fill((160, 20, 10, 0), special_flags=pygame.BLEND_RGBA_ADD)
        surface.blit(figure, square)
        return Drawn(piece.id, square, colour)

    def _draw_health(self, surface: pygame.Surface, piece: Sighted, square: pygame.Rect, mine: bool) -> pygame.Rect | None:
        """Where it was drawn, if it was."""
        if piece.health is None or piece.most_health <= 0 or square.width < 16 or (piece.health >= piece.most_health and not mine):
            return None
        part = min(1.0, max(0.0, piece.health / piece.most_health))
        bar = pygame.Rect(0, 0, max(14, square.width * 8 // 10), max(4, square.width // 9))
        bar.midbottom = (square.centerx, square.top + 1)
        rim = bar.inflate(2, 2)
        pygame.draw.rect(surface, looks.INK, rim, border_radius=2)
        pygame.draw.rect(surface, looks.health_colour(part), (bar.left, bar.top, round(bar.width * part), bar.height), border_radius=2)
        return rim

    def _draw_names(
        self, surface: pygame.Surface, camera: Camera, standing: list[tuple[Sighted, pygame.Rect, bool]],
        bars: dict[int, pygame.Rect], me: Sighted | None, names: int,
    ) -> None:  # fmt: skip
        """After all bars. One's own has the first choice of a place, then players, then monsters, who may stay without."""
        own = [square.inflate(-square.width // 4, -square.height // 8) for piece, square, _ in standing if piece is me]
        labels = Labels(pygame.Rect(camera.left, camera.top, camera.side, camera.side), [*bars.values(), *own])
        for piece, square, shared in sorted(standing, key=lambda one: (one[0] is not me, one[0].o_type != O_PLAYER, one[0].id)):
            monster = piece.o_type != O_PLAYER
            if not piece.name or square.width < 20 or names < (2 if monster else 1) or (monster and (shared or square.width < 30)):
                continue
            size = max(10, min(20, square.width * 3 // 10))
            colour = looks.ACCENT if piece is me else (214, 218, 224) if monster else (255, 255, 255)
            label = self._fonts.line(piece.name, size - 2 if monster else size, colour, True)
            labels.add(label, square, bars.get(piece.id), must=not monster)
        labels.draw(surface)

    def _draw_count(self, surface: pygame.Surface, camera: Camera, place: tuple[int, int], count: int) -> None:
        label = self._fonts.line(f"{count}", max(10, camera.tile // 3), (255, 255, 255))
        x, y = camera.pixel(*place)
        badge = label.get_rect(topright=(x + camera.tile, y)).inflate(6, 2)
        pygame.draw.rect(surface, looks.BAD, badge, border_radius=6)
        surface.blit(label, label.get_rect(center=badge.center))

    def _draw_bubble(self, surface: pygame.Surface, camera: Camera, piece: Sighted, square: pygame.Rect, now: float) -> None:
        size = max(12, min(18, camera.tile // 3))
        lines = self._fonts.wrapped(piece.said, size, max(90, min(220, camera.side // 3)))
        if len(lines) > _BUBBLE_LINES:
            lines[_BUBBLE_LINES - 1 :] = [f"{lines[_BUBBLE_LINES - 1][:-1]}…"]
        pictures = [self._fonts.line(line, size, looks.INK) for line in lines]
        wide = max(picture.get_width() for picture in pictures) + 16
        high = sum(picture.get_height() for picture in pictures) + 10
        box = pygame.Rect(0, 0, wide, high)
        box.midbottom = (square.centerx, square.top - 6)
        box.clamp_ip(pygame.Rect(camera.left, camera.top, camera.side, camera.side).inflate(-4, -4))
        whole = pygame.Surface((wide, high + 8), pygame.SRCALPHA)
        tail = min(max(10, square.centerx - box.left), wide - 10)
        pygame.draw.rect(whole, looks.INK, (0, 0, wide, high), border_radius=9)
        pygame.draw.polygon(whole, looks.INK, ((tail - 7, high - 2), (tail + 7, high - 2), (tail, high + 7)))
        pygame.draw.rect(whole, looks.BUBBLE, (2, 2, wide - 4, high - 4), border_radius=7)
        pygame.draw.polygon(whole, looks.BUBBLE, ((tail - 5, high - 3), (tail + 5, high - 3), (tail, high + 4)))
        y = 5
        for picture in pictures:
            whole.blit(picture, (8, y))
            y += picture.get_height()
        # It fades in its last second.
        whole.set_alpha(round(255 * min(1.0, BUBBLE_SECONDS - (now - piece.said_at))))
        surface.blit(whole, box)
