"""The machine that a figure was measured on. A number without it cannot be compared."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from pathlib import Path

from .._version import __version__
from .words import size


def machine_facts() -> dict[str, str]:
    """Names and values, as text. What the system does not tell is left out."""
    memory = _memory()
    facts = {
        "processor": _processor(),
        "processors": f"{os.cpu_count()}, {_usable()} for the generator",
        "memory": size(memory) if memory else "",
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "pyiocp": __version__,
    }
    return {name: value for name, value in facts.items() if value}


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _usable() -> int:
    if sys.platform == "win32":
        return os.cpu_count() or 1
    return len(os.sched_getaffinity(0))


def _memory() -> int:
    """Bytes; 0: unknown."""
    if sys.platform == "win32":
        installed = ctypes.c_ulonglong(0)
        if not ctypes.WinDLL("kernel32").GetPhysicallyInstalledSystemMemory(ctypes.byref(installed)):
            return 0
        return installed.value * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
