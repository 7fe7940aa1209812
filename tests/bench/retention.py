"""Measures how much a million closed turns slow down accepting: `python tests/bench/retention.py [rows]`. Never in CI.

For both stores: the time to accept, answer and close 2,000 turns over 200 lanes, on an empty and on a full table.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.engine_world import new_turn
from support.postgres_server import dsn, fresh_schema

from bridge.core.ports.store import TurnStore
from bridge.core.turn import Outcome, Reply
from bridge.store.postgres import postgres_store
from bridge.store.sqlite import sqlite_store

_FILL = """
INSERT INTO {}turns (id, kind, lane, session, state, outcome, payload, reply, accepted, closed, history)
WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers WHERE i < {})
SELECT 'old-' || i, 'ask', 'lane-' || (i % 5000), 'agent:a:http:direct:u' || (i % 5000), 'closed', 'delivered',
       {}, NULL, i, i, '1.000 running x;2.000 answered;3.000 closed:delivered;' FROM numbers
"""


async def seconds(store: TurnStore, prefix: str, turns: int = 2000) -> float:
    """Seconds to accept, answer and close `turns` turns, 50 at once."""
    reply = Reply(Outcome.DELIVERED, ({"type": "message", "text": "x" * 600},))

    async def some(worker: int) -> None:
        for n in range(turns // 50):
            lane = f"lane-{worker}-{n % 4}"
            accepted = await store.accept(new_turn(f"{prefix}-{worker}-{n}", lane=lane), "me", claim=True)
            assert accepted.claimed is not None
            await store.record_answer(accepted.claimed, reply)
            await store.close_turn(accepted.claimed, Outcome.DELIVERED, ("m",), time.time())

    began = time.perf_counter()
    await asyncio.gather(*(some(worker) for worker in range(50)))
    return time.perf_counter() - began


async def median(store: TurnStore, prefix: str) -> float:
    """The median of five measurements, in seconds."""
    return sorted([await seconds(store, f"{prefix}{n}") for n in range(5)])[2]


async def measure(name: str, empty: TurnStore, full: TurnStore) -> str:
    """Compare a full with an empty store, both open; give a line for people."""
    for store in (empty, full):
        await store.join("me")
    ratio = await median(full, "full") / await median(empty, "empty")
    began, batches = time.perf_counter(), 0
    while batches < 100 and await full.forget_old(1e6, 20_000):
        batches += 1
    each = (time.perf_counter() - began) / max(1, batches)
    return f"{name}: accept to close {ratio:.2f}x of an empty table; a retention batch takes {each * 1000:.1f} ms\n"


async def in_a_file(rows: int) -> str:
    """Measure SQLite with `rows` closed turns."""
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder) / "empty.db", Path(folder) / "full.db"
        empty, full = (sqlite_store(file) for file in files)
        await empty.open()
        await full.open()
        await full.close()
        with contextlib.closing(sqlite3.connect(files[1])) as connection:
            connection.execute(_FILL.format("", rows, "zeroblob(400)"))
            connection.commit()
        await full.open()
        try:
            return await measure("SQLite", empty, full)
        finally:
            await empty.close()
            await full.close()


async def in_a_database(rows: int) -> str:
    """Measure PostgreSQL with `rows` closed turns."""
    schemas = fresh_schema(), fresh_schema()
    empty, full = (postgres_store(dsn(), schema=schema) for schema in schemas)
    await empty.open()
    await full.open()
    with psycopg.connect(dsn(), autocommit=True) as connection:
        payload = "convert_to(repeat('x', 400), 'UTF8')"
        connection.execute(_FILL.format(f"{schemas[1]}.", rows, payload).encode())
        connection.execute(b"ANALYZE")
    try:
        return await measure("PostgreSQL", empty, full)
    finally:
        await empty.close()
        await full.close()


async def main(rows: int) -> None:
    """Measure both stores and print the results."""
    for store in (in_a_file, in_a_database):
        sys.stdout.write(await store(rows))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000))
