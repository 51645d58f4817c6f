"""A server of independent games: each session has a piece on a board of its own, and nothing is shared between two of them.

python independent.py [--workers 1] [--concurrent] [--turns N] [--backend B] [--port 0]
python independent.py --calibrate US

Per packet the piece makes N steps, in plain Python: it looks whether the next square is taken, and moves there. Then the packet goes
back. --calibrate prints how many steps take that many microseconds in this Python.
"""

from __future__ import annotations

import signal
import sys
import time

import event_loops
import iocp

SIZE = 32
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1), (1, 1), (-1, 1))


class Piece:
    """One player's game."""

    __slots__ = ("board", "turn", "x", "y")

    def __init__(self) -> None:
        self.x = self.y = SIZE // 2
        self.turn = 0
        self.board: dict[tuple[int, int], int] = {(x, x * 7 % SIZE): x for x in range(SIZE)}

    def play(self, turns: int) -> None:
        board = self.board
        for turn in range(self.turn, self.turn + turns):
            dx, dy = STEPS[turn % 6]
            place = ((self.x + dx) % SIZE, (self.y + dy) % SIZE)
            if place in board:
                continue
            board.pop((self.x, self.y), None)
            self.x, self.y = place
            board[place] = turn
        self.turn = (self.turn + turns) % 6_000


class Independent(iocp.Handler):
    def __init__(self, turns: int) -> None:
        self.turns = turns

    def on_connect(self, session: iocp.Session) -> None:
        session.data = Piece()

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        session.data.play(self.turns)
        session.send(packet)


def calibrate(microseconds: float) -> int:
    """How many steps take that long."""
    piece, probe = Piece(), 2_000
    best = 1.0
    for _ in range(100):  # the fastest of many: the others were interrupted
        start = time.perf_counter()
        piece.play(probe)
        best = min(best, time.perf_counter() - start)
    return max(1, round(probe * microseconds * 1e-6 / best))


def main() -> None:
    parser = event_loops.parser(__doc__, modes=("echo",))
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--backend", choices=["iocp", "io_uring", "epoll"], default=None)
    parser.add_argument("--concurrent", action="store_true", help="handlers of several sessions may run at the same time")
    parser.add_argument("--turns", type=int, default=0, help="steps per packet")
    parser.add_argument("--calibrate", type=float, metavar="US")
    options = parser.parse_args()
    if options.calibrate:
        print(calibrate(options.calibrate))
        return
    server = iocp.Server(
        Independent(options.turns),
        "127.0.0.1",
        options.port,
        workers=options.workers,
        backend=options.backend,
        concurrent=options.concurrent,
        limits=iocp.Limits.none(),
    )
    signal.signal(signal.SIGTERM, lambda *_: server.request_stop())
    locked = getattr(sys, "_is_gil_enabled", lambda: True)()
    with server:
        event_loops.announce(server.address, f"{server.backend}; {'lock' if locked else 'no lock'}")
        try:
            server.wait()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
