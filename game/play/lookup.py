"""Looks up the address of a host on a thread of its own: the resolver may take many seconds, and frames must not wait."""

from __future__ import annotations

import ipaddress
import socket
import threading


class Lookup:
    """One look-up of `host`, begun at once; ask `address` until there is one. An address needs no look-up."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._found: str | OSError | None = None
        try:
            ipaddress.ip_address(host)
        except ValueError:
            # A daemon: no resolver can be told to stop, and whoever leaves must not wait for it.
            threading.Thread(target=self._look_up, name="lookup", daemon=True).start()
        else:
            self._found = host

    def address(self) -> str | None:
        """The address; None: not known yet. Raises OSError if there is none."""
        if isinstance(self._found, OSError):
            raise self._found
        return self._found

    def _look_up(self) -> None:
        try:
            found = socket.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            self._found = OSError(f"{error}")
            return
        # As `iocp.Client` chooses: "localhost" is then where a server on "localhost" listens.
        found.sort(key=lambda entry: entry[0] != socket.AF_INET)
        address = found[0][4]
        scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
        self._found = f"{address[0]}{scope}"
