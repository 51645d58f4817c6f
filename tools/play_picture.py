"""Make the pictures of `iocp-chess play` in the documentation: a server, a crowd of players and monsters, and the client without a screen.

    python3 tools/dev.py run python tools/play_picture.py [--film] [--folder docs/images]

Without --film: play.png. With it: play.webp, five seconds, made of the frames in build/film. Needs pygame-ce and Pillow.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import pygame
from PIL import Image

import iocp
from iocp.game.names import encode_name
from iocp.game.play.connection import Connection
from iocp.game.play.film import Pictures
from iocp.game.play.model import Model
from iocp.game.play.obstacles import Obstacles
from iocp.game.play.play import FILM_FRAMES, arrive
from iocp.game.play.window import Window
from iocp.game.players import Players
from iocp.game.protocol import O_PLAYER, pack_attack, pack_login, pack_say
from iocp.game.server import FRAMING

PROJECT = Path(__file__).resolve().parents[1]
WORLD, VIEW, PLAYERS, MONSTERS, OBSTACLES = 32, 10, 88, 100, 9
NAMES = (
    "홍길동 이순신 김유신 박세리 성춘향 이몽룡 심청이 전우치 임꺽정 황진이 논개 장보고 을지문 강감찬 최무선 장영실 신사임 허준 김홍도 정약용 "
    "유관순 안중근 윤동주 방정환 주몽 온조 단군 박혁거 왕건 세종 ben clara dmitri eve frank grace heidi ivan judy karl lena mallory nina oscar "
    "peggy quentin rosa sybil trent ursula victor walter xenia yuri zoe aaron bella carlos diana emil fiona gustav hana igor jana kofi laura "
    "marco nadia olga pablo queenie rupert sofia tomas uma vera wanda ximena yves zora alan barbara conrad dennis edsger frances grete hedy"
).split()
SAYINGS = ("안녕하세요!", "who has seen the wolf?", "체크메이트", "this way!", "같이 가요", "good game")


class Crowd(Players):
    """Scripted players with names of people, who talk and fight."""

    def __init__(self) -> None:
        super().__init__(PLAYERS, rate=1.4, seed=4, kinds="timed", sight=VIEW, monsters=True)
        for player, name in zip(self.players, NAMES):
            player.name = encode_name(name)
        self.random = Random(7)

    def on_connect(self, session: iocp.Session) -> None:
        session.send(pack_login(session.data.name, 1))

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        # What players of a test have to say of chat and values is nothing here.
        if packet[1] <= 3:
            super().on_packet(session, packet)

    def live(self) -> None:
        """Where handlers run: some fight, now and then one says something."""
        for player in self.players:
            if player.session is not None and self.random.random() < 0.1:
                player.session.send(pack_attack())

    def talk(self) -> None:
        """One says something."""
        player = self.players[self.random.randrange(len(NAMES))]
        if player.session is not None:
            player.session.send(pack_say(self.random.choice(SAYINGS)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", action="store_true")
    parser.add_argument("--folder", type=Path, default=PROJECT / "docs" / "images")
    options = parser.parse_args()
    command = [sys.executable, "-m", "iocp.game", "serve", "--port", "0", "--until-eof", "--db", "none", "--move-interval", "0"]
    command += ["--world", f"{WORLD}", "--view", f"{VIEW}", "--npcs", f"{MONSTERS}", "--obstacles", f"{OBSTACLES}", "--seed", "5"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().split()[2].rpartition(":")[2])
        crowd = Crowd()
        with iocp.Client(crowd, framing=FRAMING, limits=iocp.Limits.none()) as client:
            crowd.arrive(client, "127.0.0.1", port, within=0.5)
            assert crowd.wait(lambda: crowd.online == PLAYERS)
            client.call_every(0.6, crowd.live)
            client.call_every(0.9, crowd.talk)
            draw(port, options)
            crowd.log_out()
    finally:
        server.stdin.close()
        server.wait()
    return 0


def draw(port: int, options: argparse.Namespace) -> None:
    pygame.display.init()
    frames = PROJECT / "build" / "film"
    model = Model()
    connection = Connection(model, "127.0.0.1", port, "anna")
    connection.start()
    arrive(connection)
    window = Window(model, connection, Obstacles(model), (1100, 800))
    if options.film:
        for old in frames.glob("*.png"):
            old.unlink()
    pictures = Pictures(None if options.film else options.folder / "play.png", frames if options.film else None, 5 * FILM_FRAMES if options.film else 1)
    # She needs some time to find monsters and to learn from them.
    end = time.monotonic() + 14
    while time.monotonic() < end and model.exp < 60:
        turn(window)
    middle = min(((x, y) for x in range(WORLD) for y in range(WORLD) if model.is_open(x, y)), key=lambda at: math.dist(at, (15, 16)))
    window.walk.go(model, middle)
    while window.walk.path:
        window.turn(30)
    while not pictures.take(window.surface):
        turn(window, FILM_FRAMES)
    connection.stop()
    if options.film:
        write_film(sorted(frames.glob("*.png")), options.folder / "play.webp")


def write_film(frames: list[Path], file: Path) -> None:
    """The frames as one moving picture, smaller than they are."""
    pictures = []
    for frame in frames:
        with Image.open(frame) as picture:
            pictures.append(picture.convert("RGB").resize((660, 480), Image.Resampling.LANCZOS))
    options = {"duration": 1000 // FILM_FRAMES, "loop": 0, "quality": 45, "method": 4, "minimize_size": True}
    pictures[0].save(file, save_all=True, append_images=pictures[1:], **options)


def turn(window: Window, frames: int = 30) -> None:
    """A frame in which the player hunts the nearest monster."""
    model, me, now = window.model, window.model.me, time.perf_counter()
    monsters = [piece for piece in model.others.values() if piece.o_type != O_PLAYER]
    if monsters:
        prey = min(monsters, key=lambda piece: math.dist((piece.x, piece.y), (me.x, me.y)))
        near = abs(prey.x - me.x) + abs(prey.y - me.y) <= 1
        if near and now - model.attacked_at > 0.55:
            window.walk.stop()
            window.connection.send(pack_attack())
            model.attacked_at = now
        elif not near and not window.walk.path:
            window.walk.go(model, (prey.x, prey.y))
    window.turn(frames)


if __name__ == "__main__":
    sys.exit(main())
