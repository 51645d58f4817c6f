"""One generator in a process of its own: `python -m iocp.load.child`, started by `crew.py` and by nobody else.

The first message on standard input is (settings, share), the others are orders; what the generator says goes to standard output.
The end of standard input is the end, so no child outlives its parent, however that ended.
"""

from __future__ import annotations

import signal
import sys
from threading import Lock

from .generator import Generator, Told
from .messages import read_message, write_message


def main() -> None:
    """Until the parent closes the pipe."""
    if sys.platform == "win32":
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)  # for the parent, but Ctrl-Break asks no group
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what somebody prints is no message
    lock = Lock()

    def say(told: Told) -> None:
        if isinstance(told, BaseException):
            # Not every exception can be sent, and the text is all that anybody does with it.
            told = RuntimeError(f"{type(told).__name__}: {told}")
        with lock:
            write_message(stdout, told)

    try:
        settings, share = read_message(stdin)
        generator = Generator(settings, share, say)
        generator.start()
        try:
            while True:
                generator.tell(*read_message(stdin))
        finally:
            generator.stop()
    except EOFError:
        pass
    except Exception as error:
        say(error)


if __name__ == "__main__":
    main()
