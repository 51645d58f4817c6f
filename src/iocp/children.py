"""Processes that a command starts of its own program."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any


def popen_options() -> dict[str, Any]:
    """What `subprocess.Popen` is told for a child that leaves Ctrl-C to its parent, who ends it in time, and whose text is UTF-8.

    A process group of its own gets no Ctrl-C (on Windows it does get Ctrl-Break), and pipes are in the system's code page otherwise.
    """
    env = {**os.environ, "PYTHONIOENCODING": "utf-8:backslashreplace"}
    if sys.platform == "win32":
        return {"env": env, "creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"env": env, "process_group": 0}
