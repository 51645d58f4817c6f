"""pyiocp: an I/O completion port under Python. See the README, and `docs/architecture.md` for the parts."""

from ._iocpcore import Client, Engine, Group, Server, Session, Timer, available_backends, backend_report, raise_open_files
from .framing import Framing
from .handler import Handler
from .limits import Limits
from .reason import Reason
from .runner import run, stopping_on_signals
from ._version import __version__
from .stats import Stats


__all__ = [
    "Client",
    "Engine",
    "Framing",
    "Group",
    "Handler",
    "Limits",
    "Reason",
    "Server",
    "Session",
    "Stats",
    "Timer",
    "__version__",
    "available_backends",
    "backend_report",
    "raise_open_files",
    "run",
    "stopping_on_signals",
]
