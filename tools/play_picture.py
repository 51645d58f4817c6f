"""Make the pictures of `iocp-chess play` in the documentation: a server, a crowd of players and monsters, and the client without a screen.

    python3 tools/dev.py run python tools/play_picture.py [--film] [--folder docs/images]

Without --film: play.png. With it: play.webp, some seconds, and the frames beside it in build/. Needs pygame-ce and Pillow.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from random import Random

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import pygame

import iocp
from iocp.game.names import encode_name
from iocp.game.play.connection import Connection
from iocp.game.play.film import Pictures
from iocp.game.play.model import Model
from iocp.game.play.obstacles import Obstacles
from iocp.game.play.play import arrive
from iocp.game.play.window import Window
from iocp.game.player import Players
from iocp.game.protocol import pack_attack, pack_login, pack_say
from iocp.game.server import FRAMING

PROJECT = Path(__file__).resolve().parents[1]
WORLD, VIEW, PLAYERS, MONSTERS, OBSTACLES = 30, 10, 66, 44, 9
NAMES = (
    "홍길동", "ben", "이순신", "clara", "김유신", "dmitri", "박세리", "eve", "성춘향", "frank", "이몽룡", "grace",
    "심청이", "heidi", "전우치", "ivan", "임꺽정", "judy", "황진이", "karl", "논개", "lena", "장보고", "mallory",
)  # fmt: skip
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
            if player.session is not None and self.random.random() < 0.5:
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
    walker = threading.Thread(target=lambda: None)
    walker.start()
    if options.film:
        for old in frames.glob("*.png"):
            old.unlink()
    pictures = Pictures(None if options.film else options.folder / "play.png", frames if options.film else None, 100 if options.film else 1)
    goals = [(x, y) for x, y in ((8, 22), (22, 8), (15, 15)) if model.is_open(x, y)]
    end = time.monotonic() + 4
    while time.monotonic() < end:
        turn(window, goals)
    while not pictures.take(window.surface):
        turn(window, goals, 12)
    connection.stop()


def turn(window: Window, goals: list[tuple[int, int]], frames: int = 30) -> None:
    if not window.walk.path and goals:
        window.walk.go(window.model, goals[0])
        goals.append(goals.pop(0))
    if window.model.count(False) and time.monotonic() % 1.2 < 0.05:
        window.connection.send(pack_attack())
        window.model.attacked_at = time.perf_counter()
    window.turn(frames)


if __name__ == "__main__":
    sys.exit(main())
