"""A blocking socket that speaks the chess wire, for tests: it reads whole packets, each with a time-out."""

from __future__ import annotations

import socket

from iocp.game.names import encode_name
from iocp.game.protocol import (
    LoginOk,
    Moved,
    ServerPacket,
    pack_login,
    pack_logout,
    pack_step,
    pack_teleport,
    parse_server,
)

TIMEOUT = 60.0
"""Seconds for what only a failure does not bring: also the start of another client, which takes many where a machine is busy."""
NOWHERE = -1
"""A direction that there is not: the server answers with the true position."""


class ChessClient:
    """One connection. `timed`: whether it sends (and so is to be sent) the moves with a time in them."""

    def __init__(self, address: tuple[str, int], timed: bool = True) -> None:
        self.timed = timed
        self.id = 0
        self.x = self.y = -1
        self.socket = socket.create_connection(address[:2], timeout=TIMEOUT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received = b""

    def send(self, *packets: bytes) -> None:
        self.socket.sendall(b"".join(packets))

    def read_packet(self) -> bytes:
        """The next whole packet. Raises EOFError when the server ended the connection, TimeoutError when none came."""
        while not self._received or len(self._received) < self._received[0]:
            try:
                data = self.socket.recv(65536)
            except (ConnectionResetError, ConnectionAbortedError):
                data = b""
            if not data:
                assert not self._received, f"connection ended within a packet: {self._received!r}"
                raise EOFError("the server ended the connection")
            self._received += data
        size = self._received[0]
        packet, self._received = self._received[:size], self._received[size:]
        return packet

    def read(self) -> ServerPacket:
        return parse_server(self.read_packet())

    def read_to_end(self) -> list[ServerPacket]:
        """All that comes until the server ends the connection."""
        packets = []
        while True:
            try:
                packets.append(self.read())
            except EOFError:
                return packets

    def login(self, name: str, knows: int | None = None) -> LoginOk:
        self.send(pack_login(encode_name(name), knows))
        answer = self.read()
        assert isinstance(answer, LoginOk), answer
        self.id, self.x, self.y = answer.id, answer.x, answer.y
        return answer

    def step(self, direction: int, move_time: int = 0) -> tuple[list[ServerPacket], Moved]:
        """Move; return what came before the answer, and the answer."""
        return self._answered(pack_step(direction, move_time if self.timed else None))

    def teleport(self, x: int | None = None, y: int | None = None) -> tuple[list[ServerPacket], Moved]:
        """Teleport; return what came before the answer, and the answer."""
        return self._answered(pack_teleport(x, y))

    def _answered(self, packet: bytes) -> tuple[list[ServerPacket], Moved]:
        self.send(packet)
        before: list[ServerPacket] = []
        while True:
            told = self.read()
            if isinstance(told, Moved) and told.id == self.id:
                self.x, self.y = told.x, told.y
                return before, told
            before.append(told)

    def seen(self) -> list[ServerPacket]:
        """All that the server had sent by now: a refused move's answer comes after it."""
        return self.step(NOWHERE)[0]

    def logout(self) -> None:
        self.send(pack_logout())

    def close(self) -> None:
        self.socket.close()


def inwards(client: ChessClient) -> tuple[int, int, int]:
    """(direction, x, y) of a step along x that stays on the board, and where it leads. For boards of 2 and more."""
    return (3, client.x + 1, client.y) if client.x == 0 else (2, client.x - 1, client.y)
