"""Promises of each store about files on their way to people (`core.ports.files.FileStore`)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.engine_world import EPOCH, new_turn
from support.memory_store import MemoryStore
from support.postgres_server import dsn, fresh_schema

from bridge.core.files.kept import Consent, FileState, KeptFile
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Kind, Outcome, Reply, Ticket
from bridge.store.postgres import postgres_store
from bridge.store.sqlite import sqlite_store

ME = "owner-1"
MOST = 1000
FILE = KeptFile(
    id="f1",
    turn=7,
    name="report – ✓.pdf",
    type="application/pdf",
    content=b"%PDF-\x00\xff 1",
    state=FileState.OFFERED,
    conversation="chat",
    person="aad-ann",
    created=EPOCH,
    expires=EPOCH + 100,
)


@pytest.fixture(params=["sqlite", "postgres", "memory"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[TurnStore]:
    store = _store(request.param, tmp_path)
    await store.open()
    await store.join(ME)
    yield store
    await store.close()


def _store(name: str, folder: Path) -> TurnStore:
    if name == "sqlite":
        return sqlite_store(folder / "turns.db")
    return postgres_store(dsn(), schema=fresh_schema()) if name == "postgres" else MemoryStore()


def sized(id_: str, size: int, age: float = 0.0) -> KeptFile:
    return replace(FILE, id=id_, content=b"x" * size, created=EPOCH - age)


async def running(store: TurnStore, id_: str = "q") -> Ticket:
    accepted = await store.accept(new_turn(id_), ME, claim=True)
    assert accepted.claimed is not None
    return accepted.claimed


async def left(store: TurnStore, *ids: str) -> list[str]:
    return [id_ for id_ in ids if await store.files.find(id_, EPOCH) is not None]


async def test_a_file_comes_back_as_it_was(store: TurnStore) -> None:
    await store.files.keep(FILE, MOST)

    assert await store.files.find("f1", EPOCH) == FILE
    assert await store.files.find("f2", EPOCH) is None
    assert await store.files.find("f\0", EPOCH) is None


async def test_an_expired_file_is_not_found(store: TurnStore) -> None:
    await store.files.keep(FILE, MOST)

    assert await store.files.find("f1", EPOCH + 99) is not None
    assert await store.files.find("f1", EPOCH + 100) is None


async def test_a_file_kept_twice_stays_the_first(store: TurnStore) -> None:
    await store.files.keep(FILE, MOST)
    await store.files.keep(replace(FILE, name="other"), MOST)

    assert await store.files.find("f1", EPOCH) == FILE


async def test_the_oldest_files_make_room(store: TurnStore) -> None:
    for file in (sized("old", 400, 20), sized("middle", 400, 10), sized("new", 500)):
        await store.files.keep(file, MOST)

    assert await left(store, "old", "middle", "new") == ["middle", "new"]


async def test_an_offered_file_is_finished_once_and_its_bytes_are_dropped(store: TurnStore) -> None:
    await store.files.keep(FILE, MOST)

    assert await store.files.finish("f1", FileState.DECLINED)
    assert not await store.files.finish("f1", FileState.SAVED)
    assert not await store.files.finish("f2", FileState.SAVED)
    assert await store.files.find("f1", EPOCH) == replace(FILE, state=FileState.DECLINED, content=b"")


async def test_a_linked_file_is_no_offer(store: TurnStore) -> None:
    await store.files.keep(replace(FILE, state=FileState.LINKED), MOST)

    assert not await store.files.finish("f1", FileState.SAVED)


async def test_files_are_deleted_with_the_texts(store: TurnStore) -> None:
    await store.files.keep(sized("old", 1, 20), MOST)
    await store.files.keep(sized("new", 1), MOST)

    assert await store.forget_old(EPOCH - 10, EPOCH - 1000) == 1
    assert await left(store, "old", "new") == ["new"]
    assert await store.forget_old(EPOCH - 10, EPOCH - 1000) == 0


async def test_expired_files_are_deleted_even_if_texts_are_kept_longer(store: TurnStore) -> None:
    await store.files.keep(FILE, MOST)
    await store.files.keep(replace(FILE, id="f2", expires=EPOCH + 200), MOST)

    assert await store.forget_old(0, 0, EPOCH + 100) == 1
    assert await left(store, "f1", "f2") == ["f2"]


async def test_a_large_file_is_taken(store: TurnStore) -> None:
    large = replace(FILE, content=b"\x00\xff" * (12 * 1024 * 1024))
    await store.files.keep(large, 200 * 1024 * 1024)

    assert await store.files.find("f1", EPOCH) == large


async def test_questions_keep_their_files_and_consents_their_words(store: TurnStore) -> None:
    files = (SharedFile("a – ✓.txt", "https://x.sharepoint.com/a", FileKind.DOWNLOAD, "txt"),)
    consent = Consent("f1", accepted=True, card="m1", upload_url="https://x.sharepoint.com/u")
    base = new_turn("q")
    new = replace(base, payload=replace(base.payload, text="", files=files, consent=consent))
    n = (await store.accept(new, ME, claim=False)).n

    found = await store.find(n)

    assert found is not None
    assert found.payload == new.payload


async def test_only_the_owner_of_a_running_turn_may_replace_its_payload(store: TurnStore) -> None:
    ticket = await running(store)
    payload = replace(new_turn("q").payload, text="with the file's words")

    assert await store.replace_payload(ticket, payload)
    assert not await store.replace_payload(replace(ticket, owner="other"), replace(payload, text="foreign"))
    row = await store.find(ticket.n)
    assert row is not None
    assert row.payload == payload
    assert await store.record_answer(ticket, Reply(Outcome.DELIVERED, ()))
    assert not await store.replace_payload(ticket, payload)


async def test_a_file_turn_is_a_turn(store: TurnStore) -> None:
    accepted = await store.accept(new_turn("f", kind=Kind.FILE), ME, claim=True)
    row = await store.find(accepted.n)
    assert row is not None
    assert row.kind is Kind.FILE
