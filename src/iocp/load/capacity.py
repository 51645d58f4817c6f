"""Whether this machine can make so many connections: open files, and ports of the addresses to connect from."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path
from typing import Final

from .settings import PARTS_IN_A_SEARCH, Settings

_OWN_FILES: Final = 64
"""Open files of a process that are no players."""
_PORTS_OF_WINDOWS: Final = 16_384
_PORTS_OF_LINUX: Final = 28_232
"""Where the system does not tell."""
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


class CapacityError(Exception):
    """The text says what there is too little of, and how to get more."""


def check_capacity(settings: Settings, argument: str = "--clients") -> None:
    """Raise this process's limit of open files, which its children inherit. Raises CapacityError naming `argument`."""
    clients = settings.clients
    possible = most_by_files(settings.processes)
    if possible is not None and clients > possible:
        files = -(-clients // settings.processes) + _OWN_FILES
        more = "" if settings.processes > 1 else ", or share them among several --processes"
        raise CapacityError(
            f"argument {argument}: {clients:,} players need {files:,} open files in each process, the limit is"
            f" {possible // settings.processes + _OWN_FILES:,}: raise it with 'ulimit -Hn {files}' as root, or in"
            f" /etc/security/limits.conf{more}"
        )
    search = settings.find_max is not None
    possible = most_by_ports(settings, search=search)
    if possible is not None and clients > possible:
        why = f", of which a search can use {_ports() // PARTS_IN_A_SEARCH:,} at a time" if search else ""
        raise CapacityError(
            f"argument {argument}: {clients:,} connections to one address and port need more than {max(len(settings.sources), 1)}"
            f" address(es) to connect from, each has {_ports():,} ports{why}: give more of them with --source A,B, each of which must be"
            " one of this machine (Linux: 'ip address add'), or use a server on 127.0.0.1, which needs none"
        )


def most_by_files(processes: int) -> int | None:
    """Players for whom there are open files; None: any number."""
    from .._iocpcore import raise_open_files

    limit = raise_open_files()
    return max(0, limit - _OWN_FILES) * processes if limit >= 0 else None


def most_by_ports(settings: Settings, *, search: bool) -> int | None:
    """Players for whom there are ports; None: as many as there are loopback addresses.

    In a `search` they leave and come back, and their ports stay taken for a minute.
    """
    if not settings.sources and has_many_addresses(settings.host):
        return None
    ports = _ports() // PARTS_IN_A_SEARCH if search else _ports()
    return ports * max(len(set(settings.sources)), 1)


def has_many_addresses(host: str) -> bool:
    """Whether `host` is reached from all of 127.0.0.0/8; IPv6 has one loopback address only."""
    address = ipaddress.ip_address(host)
    return address.version == 4 and address.is_loopback


def _ports() -> int:
    if sys.platform == "win32":
        return _PORTS_OF_WINDOWS
    try:
        first, last = _RANGE.read_text(encoding="ascii").split()
        return int(last) - int(first) + 1
    except (OSError, ValueError):
        return _PORTS_OF_LINUX
