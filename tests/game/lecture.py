"""The lecture's client in C as a process that a test tells what to do, and a proxy that cuts its packets to bytes."""

from __future__ import annotations

import socket
import subprocess
import threading
from pathlib import Path

from chess_client import TIMEOUT
from iocp.game.names import decode_name
from iocp.game.protocol import Enter, Leave, LoginOk, Moved, ServerPacket, parse_server

_NAMES = {LoginOk: "login_ok", Moved: "move", Enter: "enter", Leave: "leave"}


def as_printed(packet: ServerPacket) -> str:
    """The line that the client must print for a packet, without its bytes."""
    fields = [_NAMES[type(packet)]]
    for name, value in packet._asdict().items():
        if value is not None:
            fields.append(f"{name}={decode_name(value) if name == 'name' else value}")
    return " ".join(fields)


class LectureClient:
    """`lecture_client` (see there), connected to a server. most_bytes: that it receives at once, None for as many as there are."""

    def __init__(self, program: Path, address: tuple[str, int], board: int, most_bytes: int | None = None) -> None:
        self.bytes = 0
        """Of the packets that it has printed."""
        self.packets = 0
        self.cut = 0
        """Of them, those that came in pieces; known at the end."""
        # Standard error too: under Wine a stream that is none would stop it before it starts.
        self.process = subprocess.Popen(
            [str(program), address[0], str(address[1]), str(board), *([] if most_bytes is None else [str(most_bytes)])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        self.watchdog = threading.Timer(2 * TIMEOUT, self.process.kill)
        self.watchdog.start()

    def tell(self, command: str) -> list[ServerPacket]:
        """Give it a command; the packets that it has printed, whose fields it must have read as we do."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        packets = []
        while (line := self.process.stdout.readline().rstrip("\n")) != ".":
            if not line:
                self.process.wait(TIMEOUT)
                raise AssertionError(f"{command}: exit code {self.process.returncode}, {self.error()}")
            bytes_, _, fields = line.partition(" ")
            if bytes_ == "end":
                totals = dict(word.split("=") for word in fields.split())
                assert (int(totals["packets"]), int(totals["bytes"])) == (self.packets, self.bytes)
                self.cut = int(totals["cut"])
                continue
            raw = bytes.fromhex(bytes_)
            packets.append(parse_server(raw))
            assert fields == as_printed(packets[-1])
            self.packets += 1
            self.bytes += len(raw)
        return packets

    def login(self, name: str) -> LoginOk:
        """Log in, and keep what the answer says."""
        (answer,) = self.tell(f"login {name}")
        assert isinstance(answer, LoginOk)
        self.id, self.x, self.y = answer.id, answer.x, answer.y
        return answer

    def bye(self) -> list[ServerPacket]:
        """Hang up; what still came. Its end must be a good one."""
        last = self.tell("bye")
        assert self.process.wait(TIMEOUT) == 0 and self.error() == ""
        return last

    def error(self) -> str:
        """What it had to complain of, once it has ended."""
        assert self.process.stderr
        return self.process.stderr.read().strip()

    def close(self) -> None:
        """End it, if it has not ended."""
        self.watchdog.cancel()
        self.process.kill()
        self.process.communicate()


class Crumbs:
    """A proxy to `address` for one connection, which passes each byte on by itself."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self.listener.getsockname()
        self.threads = [threading.Thread(target=self._serve, args=(address,), daemon=True)]
        self.threads[0].start()

    def _serve(self, address: tuple[str, int]) -> None:
        with self.listener, self.listener.accept()[0] as client, socket.create_connection(address[:2], TIMEOUT) as server:
            back = threading.Thread(target=self._pass_on, args=(server, client), daemon=True)
            back.start()
            self._pass_on(client, server)
            back.join()

    @staticmethod
    def _pass_on(source: socket.socket, target: socket.socket) -> None:
        target.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while data := source.recv(4096):
                for byte in data:
                    target.sendall(bytes([byte]))
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # one side has gone; the test will say which was not to

    def join(self) -> None:
        """Wait until both sides have hung up."""
        self.threads[0].join(TIMEOUT)
        assert not self.threads[0].is_alive()
