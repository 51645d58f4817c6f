"""The load tool `iocp-load`: players in native code, sends on an open schedule, every packet checked.

`protocol` is the plug-in API; `chess` and `echo` are protocols; `run` is one run and `report` what it came to; `cli` the command.
Needs the package `hdrhistogram` (`pip install pyiocp[load]`).
"""

from .protocol import Field, Packet, Protocol, Step

__all__ = ["Field", "Packet", "Protocol", "Step"]
