"""A small game that records itself, without a network, as often as wanted; and its recording read, changed and compared."""

from __future__ import annotations

from random import Random

import iocp
from iocp.game.names import encode_name
from iocp.game.protocol import pack_attack, pack_login, pack_say, pack_step, pack_teleport
from iocp.game.recorder import RecordingServer
from iocp.game.recording import RecordingReader, RecordingWriter
from iocp.game.rescue import Record
from iocp.game.setting import Setting
from stand_ins import Engine, Session, Timer

HUNTER = """
O_TYPE, HEALTH, DAMAGE, SECONDS, EXP = 4, 20, 30, 0.05, 60

def step(me):
    me.memory["steps"] = me.memory.get("steps", 0) + 1
    prey = me.angry_at or me.nearest(within=5)
    if prey is None:
        me.wander()
    elif not me.attack(prey):
        me.chase(prey)
    if me.memory["steps"] % 20 == 0:
        me.say(f"step {me.memory['steps']}, {me.random():.17f}")
"""
ROAMER = "SECONDS = 0.1\ndef step(me): me.wander(within=3)"
SETTING = Setting(
    size=24, seed=11, view=6, crowd=12, move_interval=0.02, percent=8, npcs=40, scripts={"hunter": HUNTER, "roamer": ROAMER}
)
OPTIONS = {"timed": True, "name_encoding": "utf-8", "most_players": 24, "obstacles": SETTING.obstacles}


def server_on(path, setting=SETTING, options=OPTIONS, **others):
    """A game that records itself, and its recording."""
    writer = RecordingWriter(path, setting, options)
    return RecordingServer(setting.build(), recording=writer, **others, **options), writer


class Clock(Engine):
    """An engine whose one timer the test drives."""

    def call_every(self, interval, function, *arguments):
        self.timer = Timer()
        self.tick = function
        return self.timer


def play(path, setting=SETTING, events=3_000, seed=5):
    """A game of 12 connections, whose packets are good and bad; what each session was sent, by its id."""
    now = [12_345.678]
    game, writer = server_on(path, setting, clock=lambda: now[0])
    game.world.records = {"p3": Record("p3", 5, 5, 60, 4, 900), "p99": Record("p99", 1, 1, 1, 1, 1)}
    engine, inputs = Clock(), Random(seed)
    game.on_start(engine)
    sessions, all_sessions = [], []
    for number in range(events):
        now[0] += inputs.random() * 0.01
        if len(sessions) < 12:
            sessions.append(Session(len(all_sessions) + 1))
            all_sessions.append(sessions[-1])
            game.on_connect(sessions[-1])
        if number == events // 2:
            game.install_script("roamer", ROAMER.replace("0.1", "0.2"))
        if game.world.busy and number % 4 == 0 and engine.timer.active:
            engine.tick()
        session = inputs.choice(sessions)
        game.on_packet(session, packet_of(session, inputs))
        if session.end is not None or inputs.random() < 0.003:
            game.on_disconnect(session, iocp.Reason.PEER_CLOSED if session.end is None else session.end)
            sessions.remove(session)
    game.on_stop(engine)
    sent = {session.id: b"".join(session.sent) for session in all_sessions}
    for session in sessions:
        game.on_disconnect(session, iocp.Reason.SERVER_STOPPED)
    writer.close()
    assert not writer.failed
    return sent


def packet_of(session, inputs):
    if not session.data.online:
        return pack_login(encode_name(f"p{inputs.randrange(9)}"), inputs.choice([None, 0, 1, 2]))
    return inputs.choices(
        [pack_step(inputs.randrange(-1, 4), inputs.randrange(2**32)), pack_step(inputs.randrange(4)), pack_attack(),
         pack_say("hello"), pack_teleport(inputs.randrange(24), inputs.randrange(24)), pack_teleport(), b"\x02\x4d"],
        [30, 30, 10, 1, 1, 1, 0.1],
    )[0]  # fmt: skip


def files_of(folder):
    return {int(path.stem): path.read_bytes() for path in folder.iterdir()}


def rewrite(path, change):
    """The recording with other events: what `change` makes of their list."""
    with RecordingReader(path) as reader:
        events, setting, game = list(reader), reader.setting, reader.game
    changed = path.with_name("changed.rec")
    writer = RecordingWriter(changed, setting, game)
    writer.begin()
    for event in change(events):
        writer.write(event)
    writer.close()
    return changed


def index_of(events, condition, after=0):
    return next(number for number, event in enumerate(events) if number >= after and condition(event))
