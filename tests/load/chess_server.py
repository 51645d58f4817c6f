"""A small chess server in Python with switches for what a server can do wrong: what the load tool must find.

Everyone sees everyone, on a board of 100 x 100, on one thread with asyncio. Without a fault it keeps to docs/wire.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from types import TracebackType
from typing import Self

from ports import reset_when_closed

SIZE = 100
STEPS = {0: (0, -1), 1: (0, 1), 2: (-1, 0), 3: (1, 0)}


@dataclass
class Faults:
    """What it does wrong. A number n: with each n-th move it answers (0: never)."""

    answer_late: float = 0.0
    """Seconds between each move and its answer."""
    stall: float = 0.0
    """Once, with the next move: seconds in which it does nothing at all. A test sets it when it may come."""
    drop_answer: int = 0
    answer_twice: int = 0
    swap_answers: int = 0
    """Hold an answer back until the next one has been sent."""
    jump: int = 0
    """Move the player five tiles."""
    answer_as_other: int = 0
    """With another player's id."""
    answer_as_stranger: int = 0
    stamp_moves: bool = False
    """Tell others the move with the mover's time in it."""
    enter_twice: bool = False
    enter_itself: bool = False
    leave_unseen: bool = False
    same_id: bool = False
    world_first: bool = False
    """Tell who is there before the answer to the login."""
    welcome_twice: bool = False
    wrong_kind: bool = False
    """Answer moves with a time by moves without one, and the other way round."""
    ignore_teleport: bool = False
    leave_twice: bool = False
    refuse: bool = False
    refuse_and_stay: bool = False
    """Refuse the login and leave the connection as it is."""
    refusal: str = "closed"
    hang: bool = False
    """Accept and never answer."""
    after_login: Callable[[Player], None] | None = None
    """Something else, once for each player."""
    after_moves: tuple[int, Callable[[Player], None]] | None = None
    """Something else, with so many-th move of each player: it has read the answer to its login then."""
    drop_fanout: int = 0
    """Each n-th move is told to nobody else (1: none is)."""
    lie_fanout: int = 0
    """Each n-th move is told to others with a place where nobody is."""
    tell_refused: bool = False
    """Refuse all moves, and tell others that they were made."""
    enter_elsewhere: bool = False
    """Who is in sight of a newcomer is said to be somewhere else."""
    stand_still: bool = False
    """Not a fault: refuse all moves."""
    tell_at_ticks: float = 0.0
    """Not a fault: others are told where somebody is so many seconds later."""
    tell_late: float = 0.0
    """Not a fault: others are told of each move so many seconds later."""
    relocate: int = 0
    """Not a fault: put the player somewhere else, of the server's own accord."""


@dataclass(eq=False)
class Player:
    """One connection."""

    server: ChessServer
    writer: asyncio.StreamWriter
    id: int = 0
    x: int = 0
    y: int = 0
    timed: bool = True
    online: bool = False
    moves: int = 0
    held_back: list[bytes] = field(default_factory=list)

    def send(self, packet: bytes) -> None:
        self.writer.write(packet)

    def enter_packet(self, apart: int = 0) -> bytes:
        return struct.pack("<BBi10sbhh", 21, 2, self.id, b"somebody", 0, self.x + apart, self.y)

    def move_packet(self, timed: bool, stamp: int = 0, apart: int = 0) -> bytes:
        """`apart`: tiles between where it is and where it is said to be."""
        if timed:
            return struct.pack("<BBihhI", 14, 1, self.id, self.x + apart, self.y, stamp)
        return struct.pack("<BBihh", 10, 1, self.id, self.x + apart, self.y)

    def reset(self) -> None:
        """End the connection with a reset."""
        reset_when_closed(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()


class ChessServer:
    """`with ChessServer(Faults(...)) as server: server.port`."""

    def __init__(self, faults: Faults | None = None, seed: int = 1) -> None:
        self.faults = faults or Faults()
        self.port = 0
        self.online: list[Player] = []
        self.moves = 0
        self.logins = 0
        self._random = Random(seed)
        self._loop = asyncio.new_event_loop()
        self.has_stalled = False
        self._late: deque[tuple[Player, bytes]] = deque()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """End at once, with all connections. On any thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(20)
            assert not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=200))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        player = Player(self, writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                while True:
                    head = await reader.readexactly(2)
                    self._told(player, head[1], await reader.readexactly(head[0] - 2))
        except asyncio.CancelledError:
            pass  # the end of the test
        finally:
            self._leave(player)
            writer.close()

    def _told(self, player: Player, kind: int, body: bytes) -> None:
        if self.faults.hang:
            return
        if kind == 0:
            self._login(player)
        elif kind == 5 and self.faults.ignore_teleport:
            pass
        elif kind == 5:
            player.x, player.y = self._random.randrange(SIZE), self._random.randrange(SIZE)
            player.send(player.move_packet(player.timed))
            self._tell_others(player, 0)
        else:
            self._move(player, body)

    def _login(self, player: Player) -> None:
        faults = self.faults
        if faults.refuse or faults.refuse_and_stay:
            words = faults.refusal.encode()
            player.send(bytes([len(words) + 3, 5, 3]) + words)
            if faults.refuse:
                player.writer.close()
            return
        self.logins += 1
        player.id = 1000 if faults.same_id else 1000 + self.logins
        player.x, player.y = self._random.randrange(SIZE), self._random.randrange(SIZE)
        welcome = struct.pack("<BBihhhhi", 18, 0, player.id, player.x, player.y, 100, 1, 0)
        world = b"".join(other.enter_packet(9 if faults.enter_elsewhere else 0) for other in self.online)
        if faults.world_first:
            player.send(world + player.enter_packet().replace(struct.pack("<i", player.id), struct.pack("<i", 7)) + welcome)
        else:
            player.send(welcome + world)
        if faults.welcome_twice:
            player.send(welcome)
        if faults.enter_itself:
            player.send(player.enter_packet())
        if faults.leave_unseen:
            player.send(struct.pack("<BBi", 6, 3, 4711))
        for other in self.online:
            for _ in range(2 if faults.enter_twice else 1):
                other.send(player.enter_packet())
        self.online.append(player)
        player.online = True
        if faults.after_login is not None:
            faults.after_login(player)

    def _move(self, player: Player, body: bytes) -> None:
        faults = self.faults
        self.moves += 1
        player.moves += 1
        if faults.after_moves is not None and player.moves == faults.after_moves[0]:
            faults.after_moves[1](player)
            return
        player.timed = len(body) == 5
        stamp = struct.unpack_from("<I", body, 1)[0] if player.timed else 0
        if faults.stall:
            seconds, faults.stall = faults.stall, 0.0
            threading.Event().wait(seconds)
            self.has_stalled = True
        dx, dy = STEPS[body[0]]
        jump = 5 if self._turn(faults.jump) else 1
        x, y = player.x + jump * dx, player.y + jump * dy
        stays = (player.x, player.y)
        if faults.stand_still:
            pass
        elif jump > 1 or (0 <= x < SIZE and 0 <= y < SIZE):
            player.x, player.y = x, y
            if not self._turn(faults.drop_fanout):
                self._tell_others(player, stamp if faults.stamp_moves else 0, 7 * SIZE if self._turn(faults.lie_fanout) else 0)
        if faults.tell_refused:
            player.x, player.y = stays
        answer = player.move_packet(player.timed != faults.wrong_kind, stamp)
        if self._turn(faults.answer_as_stranger):
            answer = answer[:2] + struct.pack("<i", 4711) + answer[6:]
        if self._turn(faults.answer_as_other) and len(self.online) > 1:
            other = next(other for other in self.online if other is not player)
            answer = answer[:2] + struct.pack("<i", other.id) + answer[6:]
        if self._turn(faults.swap_answers) and not player.held_back:
            player.held_back.append(answer)
            return
        if not self._turn(faults.drop_answer):
            self._answer(player, answer * (2 if self._turn(faults.answer_twice) else 1))
        if self._turn(faults.relocate):
            player.x, player.y = 50 + (player.x == 50), 50 + self.moves % 40
            player.send(player.move_packet(player.timed))
            self._tell_others(player, 0)

    def _answer(self, player: Player, answer: bytes) -> None:
        if self.faults.answer_late:
            self._loop.call_later(self.faults.answer_late, player.send, answer)
            return
        player.send(answer + b"".join(player.held_back))
        player.held_back.clear()

    def _tell_others(self, player: Player, stamp: int, apart: int = 0) -> None:
        """Of a move. `apart`: and lie about where it led."""
        late, ticks = self.faults.tell_late, self.faults.tell_at_ticks
        for other in self.online:
            if other is player:
                continue
            if ticks:
                self._loop.call_later(ticks, self._tell_place, player, other)
            elif late:
                self._late.append((other, player.move_packet(other.timed, stamp, apart)))
                self._loop.call_later(late, self._tell_next)
            else:
                other.send(player.move_packet(other.timed, stamp, apart))

    def _tell_next(self) -> None:
        # In order: of two that are due at the same time, by a coarse clock, the loop takes either one first.
        other, packet = self._late.popleft()
        if other.online:
            other.send(packet)

    def _tell_place(self, player: Player, other: Player) -> None:
        if player.online and other.online:
            other.send(player.move_packet(other.timed))

    def _turn(self, every: int) -> bool:
        return bool(every) and self.moves % every == 0

    def _leave(self, player: Player) -> None:
        if not player.online:
            return
        player.online = False
        self.online.remove(player)
        for other in self.online:
            other.send(struct.pack("<BBi", 6, 3, player.id) * (2 if self.faults.leave_twice else 1))
