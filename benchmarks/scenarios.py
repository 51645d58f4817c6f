"""What is measured: the shapes of load, each with the unit of its result."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Kind = Literal["echo", "fanout", "idle", "second-cpu"]


@dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    kind: Kind
    load: tuple[str, ...]
    """Arguments of the load generator, without host and port."""
    connections: int
    compute: float = 0
    """Microseconds of Python that the server's handler computes for each packet."""

    @property
    def unit(self) -> str:
        return {"idle": "bytes/connection", "second-cpu": "packets/s"}.get(self.kind, "packets/CPU-s")

    @property
    def server_mode(self) -> str:
        return "fanout" if self.kind == "fanout" else "echo"

    @property
    def less_is_better(self) -> bool:
        return self.kind == "idle"


def echo(connections: int, window: int) -> Scenario:
    load = ("echo", "--connections", str(connections), "--window", str(window), "--size", "16")
    title = f"echo, {connections} connections x {window} outstanding"
    return Scenario(f"echo-{connections}x{window}", title, "echo", load, connections)


def few_active(active: int, connections: int) -> Scenario:
    """Echo where only some of the connections ever say anything."""
    load = ("echo", "--connections", str(connections), "--active", str(active), "--window", "1", "--size", "16")
    title = f"echo, {active} of {connections} connections active, 1 packet outstanding each"
    return Scenario(f"active-{active}-of-{connections}", title, "echo", load, connections)


def fanout(receivers: int, senders: int, window: int, suffix: str = "") -> Scenario:
    load = ("fanout", "--receivers", str(receivers), "--senders", str(senders), "--window", str(window), "--size", "16")
    title = f"fan-out to {receivers} receivers, {senders} sending, {window} packet{'s' * (window > 1)} at a time each"
    return Scenario(f"fanout-{receivers}{suffix}", title, "fanout", load, receivers)


def idle(connections: int, touched: bool) -> Scenario:
    load = ("idle", "--connections", str(connections), "--seconds", "60", *(["--touch"] if touched else []))
    after = "after one echo each" if touched else "that never spoke"
    return Scenario("idle-touched" if touched else "idle", f"{connections} idle connections {after}", "idle", load, connections)


def second_cpu(window: int) -> Scenario:
    shape = echo(100, window)
    title = f"echo, 100 connections x {window} outstanding, 10 us of Python per packet"
    return replace(shape, name=f"second-cpu-100x{window}", title=title, kind="second-cpu", compute=10)


# In fan-outs a server may join what it has for one receiver. How much it finds to join depends on its speed when many
# send one packet each: a slow server finds more waiting, makes fewer system calls, and looks good for it. So the
# fan-outs that we state aims for have one sender, whose packets arrive together or alone: every server that joins sends
# four packets at once to 200 receivers (a C server then reaches about 1.1 M deliveries per CPU-second), and one at a time
# to 1000 (0.28 M, the cost of a send). The shape with six independent senders is there for comparison.
SCENARIOS = [
    echo(100, 16),
    echo(100, 1),
    echo(1000, 4),
    fanout(200, 1, 4),
    fanout(1000, 1, 1),
    fanout(200, 6, 1, "-six"),
    idle(10_000, False),
    idle(10_000, True),
]
SECOND_CPU = [second_cpu(16), second_cpu(1)]
# Small enough for every test run: they prove that the servers work, their numbers mean nothing.
QUICK = [echo(20, 4), fanout(20, 2, 2), replace(idle(50, True), name="idle-touched")]
# Each system call of a server under Wine costs a hundred times what it costs elsewhere, so fewer connections do.
WINE = [echo(100, 16), echo(100, 1), fanout(200, 1, 4)]
# How models of I/O take to more connections: those that say nothing, and those that all speak.
FEW_ACTIVE = [few_active(10, connections) for connections in (10, 100, 1000, 10_000)]
ALL_ACTIVE = [echo(connections, 1) for connections in (100, 1000, 10_000)]  # with 10 it is the same as above
FEW_ACTIVE_QUICK, ALL_ACTIVE_QUICK = [few_active(2, 20)], [echo(20, 1)]
# Few, as the programs under Wine are many and start slowly.
FEW_ACTIVE_WINE, ALL_ACTIVE_WINE = FEW_ACTIVE[:3], ALL_ACTIVE[1:2]


def shrink_to(scenario: Scenario, descriptors: int) -> Scenario:
    """The same with 5,000 connections where the open-files limit does not permit more."""
    if scenario.kind == "idle" and scenario.connections + 200 > descriptors:
        return idle(5_000, scenario.name == "idle-touched")
    return scenario
