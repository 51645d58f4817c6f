"""A chess server of which the tests know what it can do: up to so many players it answers at once, above that too late."""

from __future__ import annotations

from collections import Counter, defaultdict, deque

from chess_server import ChessServer, Faults, Player


class LimitedServer(ChessServer):
    """`capacity`: players whose moves it answers at once; with one more every answer comes `delay` seconds late, or once it is released.

    Nobody hears of the others: what a hundred players cost would else be that of this server and no choice of the test's.
    """

    def __init__(self, capacity: int = 1_000_000, delay: float = 1.0, faults: Faults | None = None) -> None:
        super().__init__(faults)
        self.capacity = capacity
        self.delay = delay
        self.names: Counter[bytes] = Counter()
        self.sources: Counter[str] = Counter()
        self.most_online = 0
        self._owed: defaultdict[Player, deque[bytes]] = defaultdict(deque)
        self._busy_until: dict[Player, float] = {}

    def _told(self, player: Player, kind: int, body: bytes) -> None:
        if kind == 0:
            self.names[body.rstrip(b"\0")] += 1
            self.sources[player.writer.get_extra_info("peername")[0]] += 1
        super()._told(player, kind, body)
        self.most_online = max(self.most_online, len(self.online))

    def _login(self, player: Player) -> None:
        others, self.online = self.online, []
        super()._login(player)
        self.online = [*others, *self.online]

    def _tell_others(self, player: Player, stamp: int, apart: int = 0) -> None:
        pass

    def _answer(self, player: Player, answer: bytes) -> None:
        # Never before what was owed earlier: answers come in order.
        now = self._loop.time()
        owed = self._owed[player]
        due = max(now + (self.delay if len(self.online) > self.capacity else 0.0), self._busy_until.get(player, 0.0))
        if due > now or owed:
            self._busy_until[player] = due
            owed.append(answer)
            self._loop.call_at(due, self._send_next, player)
        else:
            player.send(answer)

    def _send_next(self, player: Player) -> None:
        if self._owed[player]:  # not released before
            answer = self._owed[player].popleft()
            if player.online:
                player.send(answer)

    def release(self) -> None:
        """Answer all that is owed now, and from now on everybody at once. On any thread."""
        self._loop.call_soon_threadsafe(self._release)

    def _release(self) -> None:
        self.capacity = 1_000_000
        self._busy_until.clear()
        for player, owed in self._owed.items():
            while owed:
                self._send_next(player)

    def _leave(self, player: Player) -> None:
        if player.online:
            player.online = False
            self.online.remove(player)
