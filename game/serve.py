"""The command `iocp-chess serve`: a chess server until Ctrl-C or SIGTERM, then a summary."""

from __future__ import annotations

import errno
import os
import socket
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import iocp
from iocp._iocpcore import raise_open_files
from iocp.runner import stopping_on_signals

from .board import Board, Mark, Meter, Scene
from .server import FRAMING, ChessServer
from .world import World

if TYPE_CHECKING:
    from iocp._iocpcore import Backend


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says. `workers` 0: one for each core. `until_eof`: also stop when standard input ends."""

    host: str
    port: int
    workers: int
    backend: Backend | None
    world: int
    seed: int
    timed: bool
    name_encoding: str
    show: bool
    until_eof: bool


def serve(options: ServeOptions) -> int:
    """Run the server; the exit code. On the main thread, whose signal handlers it sets meanwhile."""
    handler = ChessServer(
        World(options.world, options.seed), timed=options.timed, name_encoding=options.name_encoding
    )
    try:
        server = iocp.Server(
            handler,
            options.host,
            options.port,
            workers=options.workers,
            backend=options.backend,
            framing=FRAMING,
        )
    except (OSError, RuntimeError, ValueError) as error:
        return _refuse(error, options)
    raise_open_files()
    began = time.process_time()
    with stopping_on_signals(server):
        try:
            server.start()
        except (OSError, RuntimeError) as error:
            return _refuse(error, options)
        try:
            _serve(server, handler, options)
        finally:
            server.stop()
    print(summary(handler, server.stats(), time.process_time() - began), flush=True)
    return 0


def _refuse(error: Exception, options: ServeOptions) -> int:
    print(f"iocp-chess: {explain(error, options.host, options.port)}", file=sys.stderr)
    return 2


def _serve(server: iocp.Server, handler: ChessServer, options: ServeOptions) -> None:
    """Say where it listens, then wait until it is asked to stop."""
    where = printed(*server.address)
    workers = f"{server.workers} worker{'s' if server.workers != 1 else ''}"
    print(
        f"listening on {where} ({server.backend}, {workers}, world {options.world}x{options.world})", flush=True
    )
    if options.until_eof:
        threading.Thread(target=_stop_at_eof, args=(server,), name="stdin", daemon=True).start()
    if options.show:
        _show(server, handler, where)
    else:
        server.wait()


def printed(host: str, port: int) -> str:
    """H:P as people write it, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _stop_at_eof(server: iocp.Engine) -> None:
    try:
        # Not sys.stdin, whose lock this thread would still hold when the interpreter ends.
        while os.read(0, 4096):
            pass
    except OSError:
        pass  # No standard input is as good as its end.
    server.request_stop()


def _show(server: iocp.Server, handler: ChessServer, address: str) -> None:
    """Draw the board until the server is asked to stop. Scenes are made where handlers run, drawn on this thread."""
    board = Board()
    moves, packets = Meter(), Meter()
    newest: list[Scene] = []

    def look() -> None:
        stats = server.stats()
        pieces = handler.world.pieces.values()
        status = [
            ("players", f"{len(pieces):,}"),
            ("moves/s", f"{moves.rate(handler.counts.moves):,.0f}"),
            ("packets/s", f"{packets.rate(stats.packets_received + stats.packets_queued):,.0f}"),
            ("bad input", f"{handler.counts.violations.total():,}"),
            ("backend", f"{server.backend}, {server.workers} workers"),
            ("up", f"{stats.uptime:,.0f} s"),
        ]
        marks = [Mark(piece.id, piece.x, piece.y, piece.name) for piece in pieces]
        newest[:] = [Scene(f"chess on {address}", handler.world.size, marks, status)]

    timer = server.call_every(board.interval, look)
    with board:
        while not server.wait(board.interval):
            if newest:
                board.show(newest[0])
    timer.cancel()


def summary(handler: ChessServer, stats: iocp.Stats, cpu: float) -> str:
    """What happened, in lines; `cpu` in seconds of processor time."""
    counts = handler.counts
    uptime = max(stats.uptime, 1e-9)
    packets = stats.packets_received + stats.packets_queued
    refused = "".join(f", {number:,} refused ({cause})" for cause, number in sorted(counts.refused.items()))
    ended = ", ".join(f"{number:,} {reason.name.lower()}" for reason, number in stats.ended.items() if number)
    bad = ", ".join(f"{number:,} {kind}" for kind, number in sorted(counts.violations.items()))
    return "\n".join([
        f"stopped after {uptime:.1f} s on {stats.backend}",
        f"  players   {counts.logins:,} logged in, {counts.most_online:,} at once, {counts.online_at_stop:,} at the end",
        f"  moves     {counts.moves:,} ({counts.moves / uptime:,.0f}/s){refused}",
        f"  packets   {stats.packets_received:,} received, {stats.packets_queued:,} sent in {stats.sends:,} calls",
        f"  sessions  {stats.accepted:,} accepted; ended: {ended or 'none'}",
        f"  bad input {bad or 'none'}; errors in handlers: {stats.handler_errors:,}",
        f"  CPU       {cpu:.2f} s; {packets / max(cpu, 1e-9):,.0f} packets per CPU-second",
    ])  # fmt: skip


def explain(error: Exception, host: str, port: int) -> str:
    """Why the server cannot listen, and what to do about it."""
    where = printed(host, port)
    code = error.errno if isinstance(error, OSError) else None
    if isinstance(error, socket.gaierror):
        return f"host {host!r} is not known: give an address of this machine with --host, such as 127.0.0.1"
    if code in (errno.EADDRINUSE, 10048):
        return f"{where} is in use: choose another port with --port, or --port 0 for a free one"
    if code in (errno.EACCES, errno.EPERM, 10013):
        if 0 < port < 1024:
            return f"{where} is a privileged port: choose one from 1024 up with --port"
        return f"not allowed to listen on {where} ({error}): choose another port with --port"
    if code in (errno.EADDRNOTAVAIL, 10049):
        return f"{host} is no address of this machine: use --host 127.0.0.1, or 0.0.0.0 for all of its addresses"
    if code in (errno.EMFILE, errno.ENFILE, 10024):
        return f"no descriptors left ({error}): raise the limit of open files (ulimit -n)"
    return str(error) if where in str(error) else f"cannot listen on {where}: {error}"
