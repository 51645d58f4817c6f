"""What shows a run to a person while it goes on: plain lines (`lines`), a live screen, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .report import Report
    from .settings import Settings
    from .snapshot import Snapshot


class Progress(Protocol):
    """All are called on the thread that runs the program, in this order; `update` once for each interval."""

    def begin(self, settings: Settings) -> None:
        """The run is about to start."""

    def update(self, snapshot: Snapshot) -> None:
        """An interval has ended."""

    def end(self, report: Report) -> None:
        """The run has ended, interrupted or not. Called once, and not if the generator itself failed."""

    def close(self) -> None:
        """Give the terminal back, whatever happened. Called last, also when the generator itself failed."""
