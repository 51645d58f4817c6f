"""What the asyncio servers share: the choice of the event loop, the command line, a computation of known length."""

from __future__ import annotations

import argparse
import asyncio
import selectors
import sys
import time
from collections.abc import Callable

BACKLOG = 4096
ProtocolFactory = Callable[[], asyncio.BaseProtocol]


def new_loop(name: str) -> asyncio.AbstractEventLoop:
    """The event loop of that name, or an exit that says what is missing."""
    try:
        if name == "uvloop":
            import uvloop

            return uvloop.new_event_loop()
        if name == "winloop":
            import winloop  # type: ignore[import-not-found, unused-ignore]

            loop: asyncio.AbstractEventLoop = winloop.new_event_loop()
            return loop
    except ImportError as error:
        sys.exit(f"{name} is not installed: {error}")
    if name == "proactor":
        if sys.platform != "win32":
            sys.exit("the Proactor event loop is there on Windows only")
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop(selectors.SelectSelector() if name == "asyncio-select" else None)


def busy(microseconds: float) -> Callable[[], None]:
    """A function that computes for about that long in pure Python, holding the interpreter as game logic does.

    It counts rather than looks at the clock, so that being interrupted makes it end later, not do less.
    """
    if microseconds <= 0:
        return lambda: None

    def count(turns: int) -> None:
        for _ in range(turns):
            pass

    probe = 20_000
    # The fastest of many: the others were interrupted.
    best = min(_timed(count, probe) for _ in range(50))
    empty = min(_timed(count, 0) for _ in range(50))
    turns = max(1, round(probe * (microseconds * 1e-6 - empty) / best))
    return lambda: count(turns)


def _timed(function: Callable[[int], None], argument: int) -> float:
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


def parser(description: str | None, modes: tuple[str, ...] = ("echo", "fanout")) -> argparse.ArgumentParser:
    """The options that every server here has."""
    result = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    result.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    result.add_argument("--mode", choices=modes, default="echo")
    result.add_argument("--compute", type=float, default=0, metavar="US", help="microseconds of Python per packet")
    return result


def announce(address: tuple[str, int], remark: str = "") -> None:
    """The line that run.py waits for; the remark goes into the results."""
    print(f"listening on {address[0]}:{address[1]} {remark}".rstrip(), flush=True)


def serve(loop: str | asyncio.AbstractEventLoop, port: int, factory: ProtocolFactory) -> None:
    """Listen and serve until killed, or until the loop is stopped. loop: its name, or one that is there."""
    if isinstance(loop, str):
        loop = new_loop(loop)
    asyncio.set_event_loop(loop)
    try:
        server = loop.run_until_complete(loop.create_server(factory, "127.0.0.1", port, backlog=BACKLOG))
        announce(server.sockets[0].getsockname())
        loop.run_forever()
    except KeyboardInterrupt:
        pass
