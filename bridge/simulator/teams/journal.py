"""An append-only file of JSON lines: what was written before a `kill -9` is there at the next start.

Nothing is synced to the platter: the simulator survives the death of its process, not of the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson


def replay(path: Path) -> list[dict[str, Any]]:
    """The records written so far. A last line that a kill cut off is left out, as is any other damage."""
    if not path.exists():
        return []
    records: list[dict[str, Any]] = []
    for line in path.read_bytes().splitlines():
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        if isinstance(record, dict):
            records.append(record)
    return records


def rewrite(path: Path, records: Iterable[dict[str, Any]]) -> None:
    """Replace the file in one step, so that it does not grow with every edit for ever."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.writelines(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
    fresh.replace(path)


class Journal:
    """Appends records in the order of the calls, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    async def append(self, record: dict[str, Any]) -> None:
        """Returns when the line has left this process. Raises OSError when the disk refuses it."""
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._write, line)

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    async def close(self) -> None:
        await asyncio.to_thread(self._writer.shutdown)
        self._file.close()
