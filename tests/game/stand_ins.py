"""Sessions and an engine without a network: what the game needs of them, and what was sent is kept."""

from __future__ import annotations

import iocp


class Session:
    """Keeps what is sent to it."""

    address = ("192.0.2.1", 1)

    def __init__(self, id):
        self.id = id
        self.data = None
        self.sent = []
        self.end = None

    def send(self, packet):
        self.sent.append(bytes(packet))

    def close(self, reason=iocp.Reason.CLOSED):
        self.end = reason

    def abort(self, reason=iocp.Reason.PROTOCOL):
        self.end = reason

    def packets(self):
        """All that was sent, packet by packet."""
        sent, found = b"".join(self.sent), []
        while sent:
            found.append(sent[: sent[0]])
            sent = sent[sent[0] :]
        return found


class Timer:
    """Whether it was cancelled."""

    active = True

    def cancel(self):
        self.active = False


class Engine:
    """Sends to many; its timers are driven by the test."""

    def multicast(self, sessions, packet):
        for session in sessions:
            session.send(packet)

    def call_every(self, interval, function, *arguments):
        return Timer()
