"""Clients that keep every byte they were sent, and a crowd of them which does what a seed says."""

from __future__ import annotations

from random import Random

from chess_client import ChessClient
from iocp.game.protocol import Moved, pack_attack, pack_say, pack_step, pack_teleport


class Peer(ChessClient):
    """A client that keeps every byte it was sent."""

    def __init__(self, address, timed):
        super().__init__(address, timed)
        self.log = bytearray()
        self.steps = 0

    def read_packet(self):
        packet = super().read_packet()
        self.log += packet
        return packet

    def catch_up(self):
        """Read all that the server has sent until it comes to a move that goes nowhere."""
        self.steps += 1
        self.send(pack_step(-1, self.steps))
        while not (isinstance(packet := self.read(), Moved) and packet.id == self.id and packet.move_time == self.steps):
            pass


class Crowd:
    """Peers on one server, which do what a seed says."""

    def __init__(self, address):
        self.address = address
        self.random = Random(3)
        self.rounds = 0
        self.here = []
        self.told_all = []
        """Whom the server ended after it had told them all."""
        self.cut_off = []
        """Who may have been told less: cut, or gone without a word."""

    def come(self, name, knows):
        peer = Peer(self.address, timed=self.random.random() < 0.7)
        peer.login(name, knows)
        self.here.append(peer)

    def ended(self, peer, others):
        """The server has ended, or is about to end, its connection."""
        peer.read_to_end()
        others.append(peer)
        if peer in self.here:
            self.here.remove(peer)

    def round(self):
        """Each does something and moves. Those with timed moves read until theirs is answered, the others now and then."""
        self.rounds += 1
        for peer in self.here[:]:
            extra = self.random.choices(
                [b"", pack_attack(), pack_say("hello"), pack_teleport(), pack_teleport(1, 1), pack_step(2)],
                [50, 40, 1, 1, 1, 5],
            )[0]  # fmt: skip
            move_time = self.random.randrange(2**31, 2**32) if peer.timed else None
            try:
                peer.send(extra + pack_step(self.random.randrange(4), move_time))
                if peer.timed or self.rounds % 50 == 0:
                    peer.catch_up()
            except (EOFError, ConnectionError):  # Cut for cheating.
                self.ended(peer, self.cut_off)
