"""Chooses the demo's ports: the wanted port, or a free port where the wanted port is taken; remembers the choice."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path


def choose_ports(wanted: dict[str, int], memory: Path) -> dict[str, int]:
    """A port for each name of `wanted`, written to the JSON file `memory`.

    The port of the last start is tried first, then the wanted port, so addresses survive a restart. Raises: OSError.
    """
    try:
        last = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        last = {}
    chosen: dict[str, int] = {}
    for name, port in wanted.items():
        candidates = [last.get(name), port]
        chosen[name] = next((p for p in candidates if isinstance(p, int) and _free(p)), None) or _any_free()
    memory.write_text(json.dumps(chosen), encoding="utf-8")
    return chosen


def _free(port: int) -> bool:
    # connect before bind: with SO_REUSEADDR a bind can succeed on a port where a program listens
    with socket.socket() as probe:
        probe.settimeout(0.2)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        if os.name == "posix":
            # as the servers do: else closed connections of a demo just ended would block the demo's old port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _any_free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
