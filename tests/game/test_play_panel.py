"""The panel beside the board, and bubbles: all of it is there in the smallest window, and nothing runs into something else."""

from __future__ import annotations

import pytest
from iocp.game.play.model import Model
from iocp.game.play.outlook import Outlook
from iocp.game.protocol import pack_chat, pack_login_ok, pack_world

pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")

from iocp.game.play import looks  # noqa: E402  it imports pygame
from iocp.game.play.fonts import Fonts  # noqa: E402
from iocp.game.play.panel import Numbers  # noqa: E402
from iocp.game.play.screen import LEAST_SIZE, Screen  # noqa: E402
from play_client import like  # noqa: E402


@pytest.fixture
def draw():
    """A function that draws what a player of that name, who types that, sees; it returns the picture and the lines of text."""
    pygame.display.init()

    def draw(size, name="anna", typing=None, said=()):
        model, screen = Model(), Screen(Fonts())
        for packet in (pack_login_ok(1, 2, 3, 100, 20, 0), pack_world(100, 7, 0, 0, 0), *(pack_chat(1, text) for text in said)):
            model.told(packet, 0.5)
        window = pygame.display.set_mode(size)
        screen.draw(window, model, Outlook(typing=typing), Numbers(None, "here", "none"), name=name, now=0.5, seconds=0.1)
        return window, screen.fonts._lines

    yield draw
    pygame.quit()


@pytest.mark.parametrize("height", [LEAST_SIZE[1], 380, 400, 500, 800])
def test_what_is_typed_and_what_was_said_last_are_seen_at_any_height(draw, height):
    window, lines = draw((LEAST_SIZE[0], height), typing="abc", said=["hello"])
    texts = {key[0] for key in lines}
    assert "abc|" in texts and "you: hello" in texts
    # The line is typed at the bottom of the panel.
    assert like(tuple(window.get_at((window.get_width() - 30, height - 30)))[:3], looks.RAISED, 3)


@pytest.mark.parametrize("name", ["anna", "WWWWWWWWWW", "홍길동님짱"])
def test_a_name_ends_before_the_level(draw, name):
    _, lines = draw((1100, 800), name=name)
    pictures = {key[0]: picture for key, picture in lines.items() if key[2] in (looks.ACCENT, looks.INK) and not key[3]}
    # Within the card of 280 pixels: 12 before the name; behind the level 18, and 7 of its badge before it.
    assert 12 + pictures[name].get_width() < 280 - 18 - pictures["level 20"].get_width() - 7


def test_a_long_message_in_a_bubble_says_that_there_is_more(draw):
    _, lines = draw((1100, 800), said=["WWWWWW " * 17])
    assert any(key[0].endswith("…") for key in lines)
    _, lines = draw((1100, 800), said=["a few words"])
    assert not any(key[0].endswith("…") for key in lines)
