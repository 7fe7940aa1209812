"""Promises of the shared database only: races of replicas, lost connections, restarts, versions and grants."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from support.engine_world import new_turn
from support.postgres_proxy import PostgresProxy
from support.postgres_server import database, dsn, fresh_schema, socket_path

from bridge.core.edits import EditVerdict, MessageEdit
from bridge.core.errors import StoreUnavailable
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Edit, Kind, Lane, Outcome, Reply, State, StopVerdict
from bridge.store import postgres_schema
from bridge.store.postgres import POSTGRES, Waits, postgres_store
from bridge.store.statements import load_migrations

A, B = "owner-a", "owner-b"
CHAT = Lane("chat")
ANSWER = Reply(Outcome.DELIVERED, ({"type": "message", "text": "hello"},))


@asynccontextmanager
async def two(where: str | None = None, waits: Waits | None = None) -> AsyncIterator[tuple[TurnStore, TurnStore]]:
    """The stores of two replicas on the same schema, opened at the same time."""
    schema = fresh_schema()
    stores = [postgres_store(where or dsn(), schema=schema, waits=waits) for _ in range(2)]
    await asyncio.gather(*(store.open() for store in stores))
    try:
        for store, owner in zip(stores, (A, B), strict=True):
            await store.join(owner)
        yield stores[0], stores[1]
    finally:
        for store in stores:
            await store.close()


# races


async def test_the_same_activity_at_two_replicas_is_kept_once() -> None:
    async with two() as stores:
        for n in range(30):
            results = await asyncio.gather(*(s.accept(new_turn(f"q{n}"), A, claim=True) for s in stores * 3))
            assert sorted(result.duplicate for result in results) == [False] + [True] * 5
            assert len({result.n for result in results}) == 1


async def test_of_many_first_turns_of_a_lane_one_is_claimed_and_the_rest_wait() -> None:
    async with two() as stores:
        for n in range(20):
            results = await asyncio.gather(
                *(
                    store.accept(new_turn(f"q{n}-{k}", lane=f"lane-{n}"), owner, claim=True)
                    for k in range(4)
                    for store, owner in zip(stores, (A, B), strict=True)
                    for k in [k + (10 if owner == B else 0)]
                )
            )
            assert not any(result.duplicate or result.full for result in results)
            assert sum(result.claimed is not None for result in results) == 1


async def test_of_many_claims_one_succeeds_and_no_turn_is_overtaken() -> None:
    async with two() as (a, b):
        for n in range(20):
            await a.accept(new_turn(f"q{n}"), A, claim=False)
        seen = []
        for _ in range(20):
            claims = await asyncio.gather(*(s.claim(CHAT, o) for s, o in ((a, A), (b, B)) * 4))
            (turn,) = [claim for claim in claims if claim]
            seen.append(turn.id)
            await a.close_turn(turn.ticket, Outcome.DELIVERED, (), 1.0)
        assert seen == [f"q{n}" for n in range(20)]


async def test_two_takeovers_at_once_take_each_row_once() -> None:
    async with two() as (a, b):
        for n in range(40):
            await a.accept(new_turn(f"q{n}", lane=f"lane-{n}"), "expired", claim=n % 2 == 0)
        first, second = await asyncio.gather(a.take_over(A), b.take_over(B))
        taken = [turn.n for turn in (*first.turns, *second.turns)]
        assert len(taken) == len(set(taken)) == 20
        lanes = [*first.lanes, *second.lanes]
        assert len(lanes) == len(set(lanes)) == 20


async def test_of_a_stop_and_an_answer_at_once_one_wins() -> None:
    async with two() as (a, b):
        note = new_turn("s", lane="notice", kind=Kind.NOTE)
        for n in range(30):
            accepted = await a.accept(new_turn(f"q{n}", lane=f"lane-{n}"), A, claim=True)
            assert accepted.claimed is not None
            stop = new_turn(f"s{n}", lane="notice", kind=Kind.NOTE)
            answered, stopped = await asyncio.gather(
                a.record_answer(accepted.claimed, ANSWER), b.stop(Lane(f"lane-{n}"), stop, "Bob", 1.0)
            )
            # a single part cannot be stopped any more
            assert answered is (stopped.verdict is StopVerdict.NOTHING)
        assert note.kind is Kind.NOTE


async def test_an_edit_during_a_merge_at_another_replica_is_asked_or_reported_as_late() -> None:
    async with two() as (a, b):
        seen = set()
        for n in range(30):
            lane = f"lane-{n}"
            for k in range(3):
                await a.accept(new_turn(f"{lane}-{k}", "old", lane=lane), A, claim=False)
            edits = [MessageEdit(f"{lane}-{k}", Edit(f"new {k}", 1.0), "aad-ann") for k in range(3)]
            claiming = asyncio.ensure_future(b.claim(Lane(lane), B, merge=True))
            changed = await asyncio.gather(*(a.edit(edit, 1.0) for edit in edits))
            claimed = await claiming
            assert claimed is not None
            for edit, result in zip(edits, changed, strict=True):
                seen.add(result.verdict)
                asked = edit.edit.text in claimed.payload.text
                late = await a.current_question(result.n)
                assert late is not None
                assert edit.edit.text in late[1]
                assert asked or result.verdict is EditVerdict.LATE or result.n != claimed.n
        assert seen <= {EditVerdict.USED, EditVerdict.LATE}


async def test_an_edit_that_comes_together_with_its_message_is_never_refused() -> None:
    async with two() as (a, b):
        for n in range(30):
            edit = MessageEdit(f"q{n}", Edit("new", 1.0), "aad-ann")
            accepted, changed = await asyncio.gather(
                a.accept(new_turn(f"q{n}", "old", lane=f"lane-{n}"), A, claim=True), b.edit(edit, 1.0)
            )
            assert not accepted.duplicate
            assert changed.verdict in (EditVerdict.KEPT, EditVerdict.LATE, EditVerdict.USED)


async def test_no_turn_is_missed_between_closing_here_and_accepting_at_another_replica() -> None:
    """Write, commit, then look: the replica that looks last finds the turn."""
    async with two() as (a, b):
        for n in range(40):
            lane = Lane(f"lane-{n}")
            first = await a.accept(new_turn(f"first-{n}", lane=lane), A, claim=True)
            assert first.claimed is not None

            async def close_and_look() -> bool:
                await a.close_turn(first.claimed, Outcome.DELIVERED, (), 1.0)  # type: ignore[arg-type]  # noqa: B023  awaited in the same iteration
                return await a.claim(lane, A) is not None  # noqa: B023  as above

            async def accept_and_look() -> bool:
                accepted = await b.accept(new_turn(f"second-{n}", lane=lane), B, claim=True)  # noqa: B023  as above
                return accepted.claimed is not None or await b.claim(lane, B) is not None  # noqa: B023  as above

            assert sorted(await asyncio.gather(close_and_look(), accept_and_look())) == [False, True]


# announcements and shared values


async def test_a_stop_is_announced_to_the_other_replica() -> None:
    async with two() as (a, b):
        heard: asyncio.Queue[int] = asyncio.Queue()
        a.on_stop(heard.put_nowait)
        accepted = await a.accept(new_turn("q"), A, claim=True)
        for attempt in range(50):  # until the replica listens
            note = new_turn(f"s{attempt}", lane="notice", kind=Kind.NOTE)
            await b.stop(CHAT, note, "Bob", 1.0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.2):
                    assert await heard.get() == accepted.n
                    return
        pytest.fail("no stop was announced")


async def test_budgets_and_the_pause_are_shared() -> None:
    async with two() as (a, b):
        await a.exhaust("gateway", 60.0, 5)
        assert await b.spend("gateway", 60.0, 5) > 55.0
        await a.pause(True)
        assert (await b.heartbeat(B, 2)).paused
        assert (await a.heartbeat(A, 3)).running == 5


async def test_an_expired_replica_learns_from_its_heartbeat_that_it_was_taken_over() -> None:
    async with two() as (a, b):
        assert (await a.heartbeat(A, 0)).alive
        await b.take_over(B, frozenset({A}))
        assert not (await a.heartbeat(A, 0)).alive


# lost connections


# short, and long enough for a busy machine to answer the calls on sound connections
HASTY = Waits(answer=2.0, connection=2.0)


async def test_a_cut_connection_fails_no_call() -> None:
    proxy = PostgresProxy(socket_path())
    async with proxy.listening() as through, two(through) as (a, _):
        for n in range(5):
            await asyncio.gather(*(a.accept(new_turn(f"q{n}-{k}", lane=f"l{n}-{k}"), A, claim=True) for k in range(5)))
            proxy.cut()
        assert (await a.accept(new_turn("last"), A, claim=True)).claimed is not None


async def test_a_silent_connection_is_given_up_at_the_time_limit_and_replaced() -> None:
    proxy = PostgresProxy(socket_path())
    async with proxy.listening() as through, two(through, HASTY) as (a, _):
        await a.accept(new_turn("before"), A, claim=True)
        proxy.silent = True
        async with asyncio.timeout(30):  # TCP itself would wait for minutes
            with pytest.raises(StoreUnavailable):
                await a.accept(new_turn("during", lane="d"), A, claim=True)
        proxy.silent = False
        for _ in range(40):
            with contextlib.suppress(StoreUnavailable):
                await a.accept(new_turn("after", lane="e"), A, claim=True)
                break
        for n in range(20):  # a call on a dead connection would fail
            await a.accept(new_turn(f"then{n}", lane=f"f{n}"), A, claim=True)


async def test_the_store_works_again_after_a_restart_of_the_server() -> None:
    with database() as server:
        async with two(server.dsn) as (a, b):
            accepted = await a.accept(new_turn("q"), A, claim=True)
            server.stop()
            with pytest.raises(StoreUnavailable) as caught:
                await b.accept(new_turn("refused"), B, claim=True)
            assert "q" not in caught.value.detail.replace("sqlstate", "")
            server.start()
            for _ in range(100):
                with contextlib.suppress(StoreUnavailable):
                    assert await a.record_answer(accepted.claimed, ANSWER)  # type: ignore[arg-type]
                    break
                await asyncio.sleep(0.1)
            row = await b.find(accepted.n)
            assert row is not None
            assert row.state is State.ANSWERED


async def test_a_server_that_became_read_only_is_unavailable() -> None:
    async with two() as (a, _):
        async with await psycopg.AsyncConnection.connect(dsn(), autocommit=True) as admin:
            await admin.execute("ALTER DATABASE postgres SET default_transaction_read_only = on")
            try:
                await a._database._forget_connections()  # type: ignore[attr-defined]  # noqa: SLF001  new sessions only
                with pytest.raises(StoreUnavailable):
                    await a.accept(new_turn("q"), A, claim=True)
            finally:
                await admin.execute("SET default_transaction_read_only = off")
                await admin.execute("ALTER DATABASE postgres RESET default_transaction_read_only")
        await a._database._forget_connections()  # type: ignore[attr-defined]  # noqa: SLF001  new sessions only
        for _ in range(50):
            with contextlib.suppress(StoreUnavailable):
                assert (await a.accept(new_turn("q"), A, claim=True)).claimed is not None
                break


# versions


async def _version(schema: str, version: int) -> None:
    async with await psycopg.AsyncConnection.connect(dsn(), autocommit=True) as connection:
        await connection.execute(f"INSERT INTO {schema}.schema_version VALUES ({version})".encode())  # noqa: S608  a schema of the test


async def test_a_version_works_on_the_schema_of_the_next_version() -> None:
    schema, known = fresh_schema(), len(load_migrations(POSTGRES))
    store = postgres_store(dsn(), schema=schema)
    await store.open()
    await store.close()
    async with await psycopg.AsyncConnection.connect(dsn(), autocommit=True) as connection:
        await connection.execute(f"ALTER TABLE {schema}.turns ADD COLUMN later TEXT NOT NULL DEFAULT 'x'".encode())
    await _version(schema, known + 1)
    store = postgres_store(dsn(), schema=schema)
    await store.open()
    accepted = await store.accept(new_turn("q"), A, claim=True)
    assert accepted.claimed is not None
    assert await store.record_answer(accepted.claimed, ANSWER)
    assert (await store.find(accepted.n)) is not None
    await store.close()


async def test_a_schema_two_versions_ahead_is_refused_in_a_sentence() -> None:
    schema, known = fresh_schema(), len(load_migrations(POSTGRES))
    store = postgres_store(dsn(), schema=schema)
    await store.open()
    await store.close()
    await _version(schema, known + 2)
    with pytest.raises(StoreUnavailable, match=f"has version {known + 2}; this version works with versions up to"):
        await postgres_store(dsn(), schema=schema).open()


async def test_an_old_schema_is_brought_up_to_date_and_keeps_its_rows() -> None:
    schema, (first, *_) = fresh_schema(), load_migrations(POSTGRES)
    with psycopg.connect(dsn(), options=f"-c search_path={schema}") as connection:
        connection.execute(f"CREATE SCHEMA {schema}".encode())
        connection.execute(b"CREATE TABLE schema_version (version INTEGER NOT NULL, at TIMESTAMPTZ DEFAULT now())")
        connection.execute(b"INSERT INTO schema_version VALUES (1)")
        connection.execute(first.encode())
        # empty for some minutes
        connection.execute(b"INSERT INTO budgets (name, tat) SELECT 'gateway', extract(epoch FROM now()) + 299")
    store = postgres_store(dsn(), schema=schema)
    await store.open()
    assert await store.spend("gateway", 60.0, 5) > 0.0  # the row of the old schema is still there
    assert (await store.accept(new_turn("q"), A, claim=True)).claimed is not None
    await store.close()


@asynccontextmanager
async def another_replica_migrates() -> AsyncIterator[None]:
    async with await psycopg.AsyncConnection.connect(dsn()) as connection:
        await connection.execute("SELECT pg_advisory_xact_lock(%s)", (postgres_schema._LOCK,))  # noqa: SLF001  the lock of a migrating replica
        yield
        await connection.rollback()


async def test_bringing_the_schema_up_to_date_may_take_longer_than_a_statement() -> None:
    store = postgres_store(dsn(), schema=fresh_schema(), waits=Waits(answer=1.0))
    async with another_replica_migrates():
        opening = asyncio.create_task(store.open())
        await asyncio.wait({opening}, timeout=3.0)
        assert not opening.done()
    await opening
    await store.close()


async def test_a_migration_that_takes_too_long_makes_the_store_unavailable_and_is_tried_again() -> None:
    store = postgres_store(dsn(), schema=fresh_schema(), waits=Waits(migration=0.2))
    async with another_replica_migrates():
        with pytest.raises(StoreUnavailable, match="no answer"):
            await store.open()
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(StoreUnavailable):
                await store.open()
                break
    await store.close()


@pytest.fixture
def role() -> Iterator[str]:
    name = fresh_schema().replace("test", "role")
    with psycopg.connect(dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN".encode())
        yield name


async def test_a_role_that_owns_only_its_schema_is_enough(role: str) -> None:
    schema = fresh_schema()
    with psycopg.connect(dsn(), autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}".encode())
    store = postgres_store(dsn().replace("postgres:@", f"{role}:@"), schema=schema)
    await store.open()
    assert (await store.accept(new_turn("q"), A, claim=True)).claimed is not None
    await store.close()


async def test_a_role_that_may_not_make_the_schema_is_told_what_to_do(role: str) -> None:
    with pytest.raises(StoreUnavailable, match="the role may not change it: CREATE SCHEMA"):
        await postgres_store(dsn().replace("postgres:@", f"{role}:@"), schema=fresh_schema()).open()


# secrets


async def test_a_server_without_tls_is_refused_in_a_sentence_where_tls_is_demanded() -> None:
    """Over a TCP port: libpq asks for no TLS on a Unix socket."""
    proxy, sentence = PostgresProxy(socket_path()), "the server speaks no TLS, which sslmode in BRIDGE_STORE demands"
    async with proxy.listening() as through:
        for mode in ("require", "verify-full"):
            with pytest.raises(StoreUnavailable, match=sentence):
                await postgres_store(f"{through}?sslmode={mode}", schema=fresh_schema()).open()


async def test_no_error_tells_the_password_or_the_host(tmp_path: Path) -> None:
    store = postgres_store(f"postgresql://ann@/postgres?host={tmp_path}/nowhere", password="s3cret")
    with pytest.raises(StoreUnavailable) as caught:
        await store.open()
    assert "s3cret" not in str(caught.value)
    assert "nowhere" not in str(caught.value)
    with pytest.raises(StoreUnavailable, match="closed"):
        await store.find(1)
