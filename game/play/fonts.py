"""Text in the window, in a font that has Hangul if there is one on this machine: pygame's own has none."""

from __future__ import annotations

import os
import sys
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pygame

from .looks import Colour

_KNOWN: Final = (
    "nanumgothic", "nanumbarungothic", "pretendard", "notosanscjk", "notosanskr", "sourcehansans", "malgun", "applesdgothicneo",
    "undotum", "d2coding", "baekmuk", "gulim", "nanum", "applegothic", "arialuni", "wqy-zenhei", "droidsansfallbackfull",
)  # fmt: skip
"""What the files of fonts with Hangul are called, the nicest first; one that draws nothing at all for letters it lacks is not."""
_SUFFIXES: Final = (".ttf", ".ttc", ".otf")
_MOST_KEPT: Final = 600
_NO_LETTER: Final = "\U0010ffff"
"""What no font has: it is drawn as that font draws whatever it lacks."""


class FontError(Exception):
    """A font file that was asked for and cannot be used; the text says which and why."""


def _folders() -> list[Path]:
    home = Path.home()
    if sys.platform == "win32":
        folders = [Path(os.environ.get("WINDIR", r"C:\Windows"), "Fonts")]
        if "LOCALAPPDATA" in os.environ:
            folders.append(Path(os.environ["LOCALAPPDATA"], "Microsoft", "Windows", "Fonts"))
        return folders
    if sys.platform == "darwin":
        return [home / "Library/Fonts", Path("/Library/Fonts"), Path("/System/Library/Fonts")]
    return [home / ".local/share/fonts", home / ".fonts", Path("/usr/local/share/fonts"), Path("/usr/share/fonts")]


def _candidates() -> Iterator[Path]:
    """Files of this machine that by their names should have Hangul, the best first; of one family the regular cut."""
    found: list[tuple[int, int, str, Path]] = []
    for folder in _folders():
        for place, _, names in os.walk(folder):
            for name in names:
                plain = name.lower().replace(" ", "").replace("_", "")
                if plain.endswith(_SUFFIXES):
                    rank = next((rank for rank, known in enumerate(_KNOWN) if plain.startswith(known)), None)
                    if rank is not None:
                        found.append((rank, len(plain), plain, Path(place, name)))
    for _, _, _, path in sorted(found):
        yield path


def has_hangul(font: pygame.font.Font) -> bool:
    """Whether the font can draw Korean. Its metrics do not tell: they are those of the box in place of what it lacks."""
    # Syllables of KS X 1001: fonts with no others draw nearly all that is written.
    return len({_ink(font, "가"), _ink(font, "한")} - {_ink(font, _NO_LETTER), b""}) == 2


def _ink(font: pygame.font.Font, text: str) -> bytes:
    """What the text looks like; empty if there is nothing to be seen."""
    picture = font.render(text, True, (255, 255, 255))
    return pygame.image.tobytes(picture.subsurface(picture.get_bounding_rect()), "RGBA")


def find_hangul_font() -> Path | None:
    """A font with Hangul on this machine, or None. pygame's fonts must have been initialised."""
    for path in _candidates():
        try:
            if has_hangul(pygame.font.Font(path, 12)):
                return path
        except (pygame.error, OSError):
            continue
    return None


def _bold_cut(path: Path) -> Path:
    """The bold font of the same family, if it lies beside it."""
    for name in (f"{path.stem}Bold{path.suffix}", f"{path.stem}bd{path.suffix}", path.name.replace("Regular", "Bold")):
        if (path.parent / name).is_file():
            return path.parent / name
    return path


class Fonts:
    """Lines of text as pictures, each drawn once. file: a font file to use. Raises FontError if it cannot be used.

    `advice` says what to do if Korean text cannot be drawn; else it is empty.
    """

    def __init__(self, file: Path | None = None) -> None:
        pygame.font.init()
        self.advice = ""
        self._fonts: dict[tuple[int, bool], pygame.font.Font] = {}
        self._lines: OrderedDict[tuple[str, int, Colour, bool], pygame.surface.Surface] = OrderedDict()
        if file is not None:
            try:
                font = pygame.font.Font(file, 12)
                # Some files that are no fonts are noticed only now.
                hangul = has_hangul(font)
            except (pygame.error, OSError) as error:
                raise FontError(f"{file}: not a font that can be used ({error})") from None
            self.path: Path | None = file
            if not hangul:
                self.advice = f"{file.name} has no Hangul: Korean text shows as boxes"
        else:
            self.path = find_hangul_font()
            if self.path is None:
                self.advice = f"no font with Hangul found: Korean text shows as boxes; {_install_advice()}"
        self._bold = self.path if file is not None or self.path is None else _bold_cut(self.path)

    def font(self, size: int, bold: bool = False) -> pygame.font.Font:
        """The font, `size` pixels high."""
        found = self._fonts.get((size, bold))
        if found is None:
            found = self._fonts[size, bold] = pygame.font.Font(self._bold if bold else self.path, size)
        return found

    def line(self, text: str, size: int, colour: Colour, outlined: bool = False) -> pygame.surface.Surface:
        """One line of text; `outlined`: bold, with a dark rim, to be read on anything."""
        key = (text, size, colour, outlined)
        found = self._lines.get(key)
        if found is not None:
            self._lines.move_to_end(key)
            return found
        found = self._draw(text, size, colour, outlined)
        if outlined:
            rim = self._draw(text, size, (16, 18, 24), True)
            inner, found = found, pygame.Surface((found.get_width() + 4, found.get_height() + 4), pygame.SRCALPHA)
            for dx, dy in ((0, 1), (1, 0), (2, 1), (1, 2), (0, 2), (2, 0), (0, 0), (2, 2), (1, 3), (3, 1), (3, 2), (2, 3), (3, 3)):
                found.blit(rim, (dx, dy))
            found.blit(inner, (1, 1))
        self._lines[key] = found
        if len(self._lines) > _MOST_KEPT:
            self._lines.popitem(last=False)
        return found

    def _draw(self, text: str, size: int, colour: Colour, bold: bool) -> pygame.surface.Surface:
        font = self.font(size, bold)
        try:
            if not text.isascii() and not _ink(font, _NO_LETTER):
                text = "".join(letter if letter.isspace() or _ink(font, letter) else "?" for letter in text)
            return font.render(text, True, colour)
        except (pygame.error, ValueError, UnicodeError):
            # A NUL, or what the font cannot lay out at all.
            printable = "".join(letter if letter.isprintable() else "?" for letter in text)
            return font.render(printable.encode("ascii", "replace").decode(), True, colour)

    def wrapped(self, text: str, size: int, width: int) -> list[str]:
        """The text in lines of at most `width` pixels: between words, else between letters."""
        lines: list[str] = []
        line = ""
        for word in text.split(" "):
            longer = f"{line} {word}" if line else word
            if self.font(size).size(longer)[0] <= width:
                line = longer
                continue
            if line:
                lines.append(line)
            while self.font(size).size(word)[0] > width and len(word) > 1:
                end = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or self.font(size).size(word[:n])[0] <= width)
                lines.append(word[:end])
                word = word[end:]
            line = word
        return [*lines, line]


def _install_advice() -> str:
    if sys.platform == "win32":
        return "add Korean in the settings of Windows, or give a font with --font FILE"
    return "install one (on Debian and Ubuntu: apt install fonts-nanum), or give a file with --font FILE"
