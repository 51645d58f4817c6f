"""Which backends the tests run on."""

from __future__ import annotations

import os
from collections.abc import Iterable


def wanted(names: Iterable[str]) -> list[str]:
    """Those that IOCP_TEST_BACKENDS names, such as `epoll,io_uring`; without it all."""
    given = os.environ.get("IOCP_TEST_BACKENDS")
    return [name for name in names if given is None or name in given.replace(" ", "").split(",")]
