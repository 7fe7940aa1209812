"""An append-only file of JSON lines: records written before a `kill -9` are found at the next start.

The file is not synced to disk: records survive the end of the process, not of the machine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson


def replay(path: Path) -> list[dict[str, Any]]:
    """The file's records. Damaged lines, such as a last line cut off by a kill, are skipped. Raises: OSError."""
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
    """Replace the file by `records` in a single step, so the file does not grow for ever. Raises: OSError."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.writelines(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE) for record in records)
    fresh.replace(path)


class Journal:
    """Appends records in the order of the calls, through a single writer thread."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal")

    async def append(self, record: dict[str, Any]) -> None:
        """Write a record; returns when the operating system has the line. Raises: OSError."""
        line = orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._write, line)

    def _write(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    async def close(self) -> None:
        """Write the waiting records and close the file."""
        await asyncio.to_thread(self._writer.shutdown)
        self._file.close()
