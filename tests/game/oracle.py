"""The oracle for sight: what every client should have been told, worked out from where everything stands and nothing else.

It knows nothing of sectors, edges or audiences. `Truth` (truth.py) follows each piece by the calls that the world makes to its
view. A `Journal` compares, for each such event, who is within the radius before and after, of all pieces there are, and
notes for each client the packets that follow: an enter, a move or a leave, to the byte. What the client did receive,
over a socket or into a stand-in's list, must be exactly that, in order; only the packets of one event may come in any
order among themselves. `Sight` is what a client makes of its packets. In the end, and whenever a client has received all,
its sight is compared with the board itself.

For worlds without a plan against crowds (`crowd=0`), or as long as it does not set in; see `crowd_oracle.py` for crowds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import iocp
from iocp.game.piece import MONSTER_IDS, Player
from iocp.game.protocol import (
    Enter,
    Leave,
    LoginOk,
    Move,
    Moved,
    ProtocolError,
    Said,
    StatChange,
    Teleport,
    ToClient,
    pack_enter,
    pack_leave,
    pack_login_ok,
    pack_move,
    pack_move_timed,
    parse_client,
    parse_server,
)
from iocp.game.server import ChessServer
from iocp.game.world import World
from truth import Place, Truth


class Sight:
    """What one client sees, by its packets alone."""

    __slots__ = ("id", "place", "told")

    def __init__(self) -> None:
        self.id = 0
        self.place: Place = (-1, -1)
        self.told: dict[int, tuple[bytes, int, int, int]] = {}
        """Name, o_type, x and y of each piece it has been told of, by id."""

    def take(self, packet: bytes) -> str | None:
        """Receive one packet; what is wrong with it in the light of those before."""
        try:
            news = parse_server(packet)
        except ProtocolError as error:
            return str(error)
        if isinstance(news, Moved) and news.id != self.id:
            if news.id not in self.told:
                return f"{news} without an enter"
            self.told[news.id] = (*self.told[news.id][:2], news.x, news.y)
        elif isinstance(news, Moved):
            self.place = (news.x, news.y)
        elif isinstance(news, Enter):
            if news.id in self.told or news.id == self.id:
                return f"{news} a second time"
            self.told[news.id] = news[1:]
        elif isinstance(news, Leave):
            if self.told.pop(news.id, None) is None:
                return f"{news} without an enter"
        elif isinstance(news, LoginOk):
            if self.id:
                return f"{news} a second time"
            self.id, self.place = news.id, (news.x, news.y)
        elif isinstance(news, (Said, StatChange)) and news.id not in (0, self.id) and news.id not in self.told:
            return f"{news} of a piece out of sight"
        return None


class Stream:
    """What one client is to be told, and what it made of what it was told."""

    __slots__ = ("_group", "broken", "checked", "ended", "expected", "gone", "name", "sight", "timed", "unclaimed")

    def __init__(self, name: str, timed: bool) -> None:
        self.name = name
        self.timed = timed
        """The kind of moves it is sent."""
        self.expected: deque[bytes | list[bytes]] = deque()
        """Packets to come; a list holds those of one event, which may come in any order."""
        self.sight = Sight()
        self.checked = 0
        self.broken = False
        """A finding was noted: what follows from it is not."""
        self.ended = False
        """Its connection has ended: no more is received."""
        self.gone = False
        """Its player has left the board: no more is expected."""
        self.unclaimed = 0
        self._group: list[bytes] = []

    @property
    def waiting(self) -> bool:
        """Whether packets are to come."""
        return bool(self.expected or self._group)

    def take(self, packet: bytes) -> str | None:
        """Compare one packet with what is expected; what is wrong with it."""
        self.checked += 1
        finding = self.sight.take(packet)
        if finding or packet[1] > ToClient.LEAVE:
            return finding
        if not self._group:
            if not self.expected:
                return f"{parse_server(packet)}, which nothing explains"
            head = self.expected.popleft()
            self._group = [head] if isinstance(head, bytes) else head
        if packet not in self._group:
            return f"{parse_server(packet)} instead of {' or '.join(str(parse_server(other)) for other in self._group[:5])}"
        self._group.remove(packet)
        return None


class Journal(Truth):
    """All that happened, as the packets that each client is to receive."""

    def __init__(self, world: World, timed: bool = True) -> None:
        super().__init__(world, timed)
        self.streams: dict[int, Stream] = {}
        self.checked = 0
        """Packets compared so far."""

    # What is expected

    def changed(self, id: int, before: Place | None, after: Place | None) -> None:
        if before == after:
            return
        who = self.looks[id]
        saw, sees = self.players_near(before) - {id}, self.players_near(after) - {id}
        self._expect(saw - sees, pack_leave(id))
        if after is not None:
            self._expect(sees - saw, pack_enter(id, *who, *after))
            for timed, packet in (True, pack_move_timed(id, *after, 0)), (False, pack_move(id, *after)):
                self._expect([other for other in sees & saw if self.streams[other].timed is timed], packet)
        if id >= MONSTER_IDS:
            return
        if after is None:
            self.streams[id].gone = True
            if self.streams[id].ended:
                del self.streams[id]
            return
        if before is None:
            player = self.world.players[id]
            self.streams[id] = Stream(self.name(id), self.timed)
            self._expect([id], pack_login_ok(id, *after, player.health, player.level, player.exp))
        seen = self.in_sight(id, before) if before else set()
        sees = self.in_sight(id, after)
        news = [pack_leave(other) for other in seen - sees]
        news += [pack_enter(other, *self.looks[other], *self.at[other]) for other in sees - seen]
        if news and not self.streams[id].ended:
            self.streams[id].expected.append(news)

    def _expect(self, ids: Iterable[int], packet: bytes) -> None:
        for id in ids:
            if not self.streams[id].ended:
                self.streams[id].expected.append(packet)

    def asked(self, player: Player, request: object) -> None:
        if isinstance(request, Move):
            self.streams[player.id].timed = request.move_time is not None

    def answered(self, player: Player, request: Move | Teleport) -> None:
        move_time = request.move_time if isinstance(request, Move) else 0
        self._expect_place(player.id, move_time or 0)

    def carried_off(self, player: Player) -> None:
        self._expect_place(player.id, 0)

    def _expect_place(self, id: int, move_time: int) -> None:
        place = self.at[id]
        self._expect([id], pack_move_timed(id, *place, move_time) if self.streams[id].timed else pack_move(id, *place))

    # What was received

    def take(self, id: int, packets: Iterable[bytes]) -> None:
        stream = self.streams.get(id)
        if stream is None:
            return self.find(f"a client was told that it is {id}, whom there is not")
        stream.unclaimed = -1
        for packet in packets:
            self.checked += 1
            if not stream.broken and (finding := stream.take(packet)):
                stream.broken = True
                self.find(f"{stream.name} was told, as packet {stream.checked}, {finding}")

    def end(self, id: int, complete: bool) -> None:
        stream = self.streams.get(id)
        if stream is None:
            return self.find(f"the connection of {id} ended, whom there is not")
        if complete and not stream.broken and (stream.waiting or not stream.gone):
            self.find(f"{stream.name} was not told to the end, first {list(stream.expected)[:3]} is missing")
        stream.ended = True
        stream.expected.clear()
        if stream.gone:
            del self.streams[id]

    def behind(self) -> list[str]:
        """Who has not received all that is expected."""
        return [stream.name for stream in self.streams.values() if stream.waiting and not stream.broken]

    def compare(self) -> int:
        """Compare the sights of those who have received all with the board. How many those were."""
        self.check_board()
        compared = 0
        for id, stream in self.streams.items():
            if stream.waiting or stream.gone or stream.broken or stream.ended:
                continue
            compared += 1
            true = {other: (*self.looks[other], *self.at[other]) for other in self.in_sight(id)}
            if stream.sight.place != self.at[id] or stream.sight.told != true:
                stream.broken = True
                wrong = set(stream.sight.told.items()) ^ set(true.items())
                self.find(f"{stream.name} at {self.at[id]} sees itself at {stream.sight.place}, and differs in {wrong}")
        return compared

    def check(self) -> None:
        """When all that was sent has been received: each client sees exactly what there is, and what is seen is awake."""
        compared, behind = self.compare(), self.behind()
        if behind or (compared != len(self.world.players) and not self.findings):
            self.find(f"{behind} were not told all")
        awake = self.world.monsters.awake
        for id, place in self.at.items():
            if id >= MONSTER_IDS and id - MONSTER_IDS not in awake and self.players_near(place):
                self.find(f"{self.name(id)} sleeps on")

    def sweep(self) -> None:
        """Forget those who left the board and whose client never heard of its login: reset before. Now and then."""
        for id, stream in list(self.streams.items()):
            if stream.gone and stream.unclaimed >= 0:
                stream.unclaimed += 1
                if stream.unclaimed > 2:
                    del self.streams[id]


class WatchedServer(ChessServer):
    """A chess server whose world is followed by `truth`, which is to be a journal if not given."""

    def __init__(self, world: World, truth: Truth | None = None, **options: Any) -> None:
        super().__init__(world, **options)
        self.truth = truth if truth is not None else Journal(world, options.get("timed", True))

    def on_packet(self, session: iocp.Session, packet: bytes) -> None:
        player: Player = session.data
        request: object = None
        if player.online and not player.gone:
            try:
                request = parse_client(packet)
            except ProtocolError:
                pass  # The server will find the same.
            self.truth.asked(player, request)
        super().on_packet(session, packet)
        if isinstance(request, (Move, Teleport)) and player.online:
            self.truth.answered(player, request)
