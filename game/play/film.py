"""Pictures of what the client draws, without a screen: one at the end (`--shot`), or one of each frame (`--film`)."""

from __future__ import annotations

from pathlib import Path

import pygame


class PictureError(Exception):
    """A picture that cannot be written; the text names the file and says why."""


class Pictures:
    """Takes `frames` frames. shot: the PNG file of the last one; film: the folder for `frame-00001.png` and so on.

    Raises PictureError if nothing can be written there.
    """

    def __init__(self, shot: Path | None, film: Path | None, frames: int) -> None:
        self._shot = shot
        self._film = film
        self._left = frames
        self._taken = 0
        if shot is not None:
            try:
                _check(shot)
            except OSError as error:
                raise PictureError(f"--shot {shot}: {error.strerror or error}") from None
        if film is not None:
            try:
                film.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise PictureError(f"--film {film}: {error.strerror or error}") from None

    def take(self, surface: pygame.Surface) -> bool:
        """One frame was drawn. True if it was the last. Raises PictureError."""
        self._taken += 1
        self._left -= 1
        if self._film is not None:
            _save(surface, self._film / f"frame-{self._taken:05}.png")
        if self._left > 0:
            return False
        if self._shot is not None:
            _save(surface, self._shot)
        return True


def _check(shot: Path) -> None:
    """Raises PictureError or OSError if there can be no such file: told now, and not after all frames."""
    if not shot.absolute().parent.is_dir():
        raise PictureError(f"--shot {shot}: there is no folder {shot.absolute().parent}")
    if shot.is_dir():
        raise PictureError(f"--shot {shot}: this is a folder, name a file")
    if shot.is_file():
        shot.open("ab").close()
    elif not shot.exists():
        shot.open("xb").close()
        # Until there is a picture there is no file.
        shot.unlink()


def _save(surface: pygame.Surface, file: Path) -> None:
    try:
        # In memory first would know the suffix no more; so whatever it is called, it is a PNG.
        with file.open("wb") as stream:
            pygame.image.save(surface, stream, "picture.png")
    except (pygame.error, OSError) as error:
        raise PictureError(f"{file}: cannot be written ({error})") from None
