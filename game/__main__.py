"""`python -m iocp.game`: the same as `iocp-chess`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
