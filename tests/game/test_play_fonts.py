"""Fonts of the client: whether one has Hangul is seen from what it draws, and what it lacks is not drawn as nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from play_client import NANUM

pygame = pytest.importorskip("pygame", reason="needs pygame-ce (the extra play)")

from iocp.game.play import fonts as module  # noqa: E402  it imports pygame
from iocp.game.play.fonts import Fonts, has_hangul  # noqa: E402

OWN = Path(pygame.font.__file__).parent / pygame.font.get_default_font()
BARUN = NANUM.with_name("NanumBarunGothic.ttf")
needs_nanum = pytest.mark.skipif(not (NANUM.exists() and BARUN.exists()), reason="no Nanum fonts here: apt install fonts-nanum")
WHITE = (255, 255, 255)


def ink(fonts, letter):
    return fonts.line(letter, 22, WHITE).get_bounding_rect()


def test_pygames_own_font_has_no_hangul():
    pygame.font.init()
    assert not has_hangul(pygame.font.Font(None, 12))


@needs_nanum
@pytest.mark.parametrize("file", [NANUM, BARUN], ids=["a box for what it lacks", "nothing for what it lacks"])
def test_a_korean_font_has_hangul(file):
    assert Fonts(file).advice == "" and has_hangul(pygame.font.Font(file, 12))


def test_a_font_without_hangul_that_was_asked_for_is_used_and_said_so():
    fonts = Fonts(OWN)
    assert fonts.path == OWN and f"{OWN.name} has no Hangul" in fonts.advice


def test_a_font_that_only_by_its_name_is_korean_is_passed_over(tmp_path, monkeypatch):
    (tmp_path / "NanumGothic.ttf").write_bytes(OWN.read_bytes())
    monkeypatch.setattr(module, "_folders", lambda: [tmp_path])
    fonts = Fonts()
    assert fonts.path is None and "no font with Hangul" in fonts.advice


@needs_nanum
def test_of_what_is_on_the_machine_a_font_with_accents_is_taken_first(monkeypatch):
    monkeypatch.setattr(module, "_folders", lambda: [NANUM.parent])
    assert Fonts().path == NANUM


@needs_nanum
@pytest.mark.parametrize("file", [NANUM, BARUN, OWN], ids=lambda file: file.stem)
def test_no_letter_is_drawn_as_nothing_whatever_the_font_lacks(file):
    fonts = Fonts(file)
    for letter in "éñ👑한":
        assert ink(fonts, letter).width > 0, letter
    assert fonts.line("José", 22, WHITE).get_width() > fonts.line("Jos", 22, WHITE).get_width() and ink(fonts, " ").width == 0
