"""The command `iocp-chess` as a process of its own, for tests."""

from __future__ import annotations

import ctypes
import signal
import subprocess
import sys
import threading

import pytest

WINDOWS = sys.platform == "win32"
TIMEOUT = 240.0
"""Seconds until a process is given up. A server must outlive all the commands of its test, and under a busy Wine each takes many seconds
to start; tests that need more than pytest's own limit are marked with one."""
COMMAND = [sys.executable, "-m", "iocp.game"]


class Serve:
    """`iocp-chess serve` as a process of its own."""

    def __init__(self, backend, *arguments):
        flags = subprocess.CREATE_NEW_PROCESS_GROUP if WINDOWS else 0
        self.process = subprocess.Popen(
            [*COMMAND, "serve", "--port", "0", "--until-eof", "--db", "none", "--backend", backend, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True, encoding="utf-8", creationflags=flags,
        )  # fmt: skip
        self.watchdog = threading.Timer(TIMEOUT, self.process.kill)
        self.watchdog.start()
        self.first_line = self.process.stdout.readline()
        if not self.first_line:
            pytest.fail(f"did not start: {self.process.stderr.read()}")
        where = self.first_line.split()[2]
        host, _, port = where.rpartition(":")
        self.address = (host, int(port))

    def end(self, how):
        """Stop it; (exit code, standard output, standard error)."""
        how(self.process)
        output, errors = self.process.communicate(timeout=TIMEOUT)
        self.watchdog.cancel()
        return self.process.returncode, output, errors


def interrupt(process):
    if not WINDOWS:
        process.send_signal(signal.SIGINT)
        return
    if hasattr(ctypes.windll.ntdll, "wine_get_version"):
        # Asking would do harm: os.kill of Python 3.11 then leaves an exception set, which a later call stumbles over.
        pytest.skip("Wine 8 delivers no Ctrl-Break; Ctrl-C there is tested with iocp.run()")
    process.send_signal(signal.CTRL_BREAK_EVENT)


def terminate(process):
    process.send_signal(signal.SIGTERM)


def end_input(process):
    process.stdin.close()
    process.stdin = None


stop = end_input if WINDOWS else interrupt
"""For tests of something else: it always works."""


def run(*arguments, **options):
    """A command to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], capture_output=True, text=True, encoding="utf-8", stdin=subprocess.DEVNULL,
        timeout=TIMEOUT, **options,
    )  # fmt: skip
