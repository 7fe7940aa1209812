"""The stores of the conformance suite, and functions that bring a turn into a state."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bridge.core.ports.store import TurnStore
from bridge.core.turn import Kind, Lane, Outcome, Reply, Stopped, Ticket, Turn
from bridge.store.postgres import postgres_store
from bridge.store.sqlite import sqlite_store
from bridge.store.table import TurnTable
from support.engine_world import EPOCH, new_turn, stop_command
from support.memory_store import MemoryStore
from support.postgres_server import dsn, fresh_schema

ME, OTHER = "owner-1", "owner-2"
CHAT = Lane("chat")
AT = EPOCH + 60


def a_store(name: str, folder: Path) -> TurnStore:
    if name == "sqlite":
        return sqlite_store(folder / "turns.db")
    return postgres_store(dsn(), schema=fresh_schema()) if name == "postgres" else MemoryStore()


@asynccontextmanager
async def table(name: str, folder: Path) -> AsyncIterator[TurnTable]:
    """A database store, joined by `ME`, for tests between two statements of an operation."""
    store = a_store(name, folder)
    assert isinstance(store, TurnTable)
    await store.open()
    await store.join(ME)
    try:
        yield store
    finally:
        await store.close()


def reply(parts: int = 1, outcome: Outcome = Outcome.DELIVERED) -> Reply:
    return Reply(outcome, tuple({"type": "message", "text": f"part {n} – ✓"} for n in range(parts)))


async def row(store: TurnStore, n: int) -> Turn:
    found = await store.find(n)
    assert found is not None
    return found


async def running(store: TurnStore, id_: str = "a", *, kind: Kind = Kind.ASK, lane: str = "chat") -> Ticket:
    accepted = await store.accept(new_turn(id_, kind=kind, lane=lane), ME, claim=True)
    assert accepted.claimed is not None
    return accepted.claimed


async def queued(store: TurnStore, *ids: str) -> list[int]:
    return [(await store.accept(new_turn(id_), ME, claim=False)).n for id_ in ids]


async def answered(store: TurnStore, id_: str = "a", parts: int = 1) -> Ticket:
    ticket = await running(store, id_)
    assert await store.record_answer(ticket, reply(parts))
    return ticket


async def stop(store: TurnStore, lane: Lane = CHAT, id_: str = "stop") -> Stopped:
    """`/stop` by Ann in the conversation with the lane's name."""
    return await store.stop(lane, stop_command(id_, where=lane), "Ann", AT)


async def closed(store: TurnStore, id_: str = "a", at: float = AT) -> int:
    ticket = await answered(store, id_)
    assert await store.close_turn(ticket, Outcome.DELIVERED, ("m1",), at)
    return ticket.n
