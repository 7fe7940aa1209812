"""Ports for the demo: the wanted one, or a free one where it is taken; the choice is kept with the demo's state."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path


def choose_ports(wanted: dict[str, int], memory: Path) -> dict[str, int]:
    """A port for each name. What was used last time is tried first, so that addresses survive a restart."""
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
    # connecting tells more than binding: another program may share the port by SO_REUSEADDR
    with socket.socket() as probe:
        probe.settimeout(0.2)
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            return False
    with socket.socket() as probe:
        if os.name == "posix":
            # as the servers do: else the closed connections of a demo that just ended would cost it its address
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
