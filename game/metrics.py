"""A chess server's numbers for Prometheus (`serve --metrics PORT`), by the library prometheus-client (extra `metrics`).

The page is served on threads of its own; a look at it costs the game nothing but a snapshot.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from .vitals import Vitals

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from .storage import StorageStatus


class MetricsError(RuntimeError):
    """The page cannot be served; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class _Metric:
    """One value of the snapshot. `label` set: `value` gives a dictionary, a sample for each of its keys."""

    name: str
    kind: str
    text: str
    value: Callable[[Vitals], Any]
    label: str = ""


def _storage(now: Vitals) -> StorageStatus:
    assert now.storage is not None
    return now.storage


_METRICS: Final = (
    _Metric("players", "gauge", "Players on the board.", lambda v: v.players),
    _Metric("monsters", "gauge", "Monsters by what they do.",
            lambda v: {"awake": v.awake, "asleep": v.monsters - v.awake - v.dead, "dead": v.dead}, "state"),
    _Metric("late_calls", "gauge", "Things that were due and wait for the next tick.", lambda v: v.late),
    _Metric("moves", "counter", "Moves of players that were granted.", lambda v: v.moves),
    _Metric("refused", "counter", "Wishes of players that were not granted.", lambda v: v.refused, "cause"),
    _Metric("monster_steps", "counter", "Steps of monsters.", lambda v: v.steps),
    _Metric("attacks", "counter", "Attacks of players.", lambda v: v.attacks),
    _Metric("kills", "counter", "Monsters killed by players.", lambda v: v.kills),
    _Metric("deaths", "counter", "Players killed by monsters.", lambda v: v.deaths),
    _Metric("logins", "counter", "Logins.", lambda v: v.logins),
    _Metric("logouts", "counter", "Logouts.", lambda v: v.logouts),
    _Metric("taken_over", "counter", "Logins under a name that was online.", lambda v: v.taken_over),
    _Metric("turned_away", "counter", "Logins refused because the world was full.", lambda v: v.turned_away),
    _Metric("violations", "counter", "Connections cut for breaking the game's protocol.", lambda v: v.violations, "kind"),
    _Metric("ended", "counter", "Connections that ended, or were refused.",
            lambda v: {reason.name.lower(): count for reason, count in v.ended.items()}, "reason"),
    _Metric("scripts_failed", "gauge", "Scripts that are disabled because they failed.", lambda v: len(v.scripts_failed)),
    _Metric("ticks", "counter", "Ticks of the world's clock.", lambda v: v.ticks),
    _Metric("tick_lag_seconds", "gauge", "By how much the last tick came late.", lambda v: v.tick_lag),
    _Metric("tick_lag_max_seconds", "gauge", "By how much a tick came late at most.", lambda v: v.most_tick_lag),
    _Metric("sessions", "gauge", "Connections.", lambda v: v.engine.sessions),
    _Metric("accepted", "counter", "Connections accepted.", lambda v: v.engine.accepted),
    _Metric("received_bytes", "counter", "Bytes received.", lambda v: v.engine.bytes_received),
    _Metric("sent_bytes", "counter", "Bytes sent.", lambda v: v.engine.bytes_sent),
    _Metric("received_packets", "counter", "Packets received.", lambda v: v.engine.packets_received),
    _Metric("queued_packets", "counter", "Packets given to be sent, once for each receiver.", lambda v: v.engine.packets_queued),
    _Metric("sends", "counter", "System calls that sent.", lambda v: v.engine.sends),
    _Metric("queued_bytes", "gauge", "Bytes waiting to be sent.", lambda v: v.engine.queued_bytes),
    _Metric("handler_errors", "counter", "Exceptions in handlers.", lambda v: v.engine.handler_errors),
    _Metric("handler_seconds", "counter", "Seconds spent in handlers.", lambda v: v.engine.callback_time),
)  # fmt: skip
_STORAGE: Final = (
    _Metric("storage_up", "gauge", "Whether the database takes players.", lambda v: int(_storage(v).ok)),
    _Metric("storage_pending", "gauge", "Players whose newest values are not in the database yet.", lambda v: _storage(v).pending),
    _Metric("storage_saved", "counter", "Records written to the database.", lambda v: _storage(v).saved),
    _Metric("storage_failures", "counter", "Attempts to write that failed.", lambda v: _storage(v).failures),
)


class Metrics:
    """The page, from `start` to `stop`, at http://host:port/metrics. `look` gives the numbers, on the page's thread.

    Raises MetricsError if prometheus-client is missing or the port cannot be had.
    """

    def __init__(self, host: str, port: int, look: Callable[[], Vitals]) -> None:
        try:
            from prometheus_client import CollectorRegistry

            from .page import Page
        except ImportError:
            raise MetricsError("--metrics needs prometheus-client: pip install 'pyiocp[metrics]'") from None
        registry = CollectorRegistry()
        registry.register(_Collector(look))
        try:
            self._page = Page(host, port, registry)
        except OSError as error:
            raise MetricsError(f"metrics cannot be served on {host}:{port} ({error}): choose another port with --metrics") from None
        self.port: int = self._page.server_port
        self._thread = threading.Thread(target=self._page.serve_forever, name="iocp-chess metrics", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Serve it no more. On any thread."""
        self._page.shutdown()
        self._page.server_close()
        self._thread.join()


class _Collector:
    """What prometheus-client asks at each look."""

    def __init__(self, look: Callable[[], Vitals]) -> None:
        self._look = look

    def describe(self) -> list[Metric]:
        """Nothing, so that registering does not look."""
        return []

    def collect(self) -> Iterator[Metric]:
        """One family for each metric."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now = self._look()
        for metric in _METRICS + (_STORAGE if now.storage is not None else ()):
            family = GaugeMetricFamily if metric.kind == "gauge" else CounterMetricFamily
            value = metric.value(now)
            if metric.label:
                several = family(f"iocp_chess_{metric.name}", metric.text, labels=[metric.label])
                for key, number in value.items():
                    several.add_metric([key], number)
                yield several
            else:
                yield family(f"iocp_chess_{metric.name}", metric.text, value=value)
