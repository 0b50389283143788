"""Ports for servers that cannot choose one themselves."""

from __future__ import annotations

import secrets
import socket
from contextlib import suppress

ADDRESS = "127.0.0.1"


def free_ports(n: int) -> list[int]:
    """Ports where nobody listens, from a range that systems give to no connection: nothing takes one before its server."""
    found: list[int] = []
    # Not by the seeded generator: two processes would draw the same.
    for port in secrets.SystemRandom().sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as one:
            one.bind((ADDRESS, port))
            found.append(port)
        if len(found) == n:
            return found
    raise RuntimeError("no free port among 100")
