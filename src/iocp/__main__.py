"""`python -m iocp`: what this installation is, which backend it uses and why, and the limits of this machine that matter."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

import iocp
from iocp._iocpcore import raise_open_files


def _ports() -> str:
    try:
        low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    except (OSError, ValueError):
        return "49152 to 65535 by default (see: netsh int ipv4 show dynamicport tcp)" if os.name == "nt" else "unknown"
    return f"{low} to {high}: {high - low + 1:,} outgoing connections from one address to one port"


def _backlog() -> str:
    try:
        return Path("/proc/sys/net/core/somaxconn").read_text().strip()
    except OSError:
        return "the system's"


def _open_files() -> str:
    if sys.platform == "win32":
        return "no limit of its own (handles are limited by memory)"
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    raised = raise_open_files()
    return f"{soft:,} now, {raised:,} after iocp.run() raised it (hard limit {hard:,})"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m iocp", description=__doc__)
    parser.parse_args(arguments)
    print(f"pyiocp {iocp.__version__} on Python {platform.python_version()}, {platform.system()} {platform.release()}")
    wanted = os.environ.get("IOCP_BACKEND")
    chosen = wanted or next(iter(iocp.available_backends()), None)
    print(f"\nbackend: {chosen or 'none works here'}" + (" (forced by IOCP_BACKEND)" if wanted else ""))
    for name, works, reason in iocp.backend_report():
        print(f"  {name:9} {'works' if works else 'does not work'}: {reason}")
    print("\nlimits of this machine")
    print(f"  open files       {_open_files()}")
    print(f"  outgoing ports   {_ports()}")
    print(f"  accept backlog   {_backlog()} at most")
    print(f"  processors       {os.cpu_count()}, of which this process may use {_processors()}")
    if wanted and wanted not in iocp.available_backends():
        print(f"\nIOCP_BACKEND={wanted} does not work here: unset it, or choose from {', '.join(iocp.available_backends())}")
        return 1
    return 0


def _processors() -> int:
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
