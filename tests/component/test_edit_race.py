"""Edits and deletions interleaved with claims, releases and merges, statement by statement, in both databases."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from support.engine_world import new_turn
from support.turn_stores import AT, CHAT, ME, queued, row, running, table

from bridge.core.edits import EditVerdict, MessageEdit
from bridge.core.turn import Edit, Lane, Outcome, State, Ticket
from bridge.store import edits, operations
from bridge.store.database import Operation

PREFIX = "msteams|19:x@thread"
DATABASES = pytest.mark.parametrize("name", ["sqlite", "postgres"])


def meanwhile(work: Operation[Any], interruption: Callable[[], Operation[Any]], after: int) -> Operation[Any]:
    """Run `work`, with all of `interruption` after statement number `after`."""
    rows: Any = None
    for count in range(100):
        if count == after:
            yield from interruption()
        try:
            asked = work.send(rows)  # None starts the generator
        except StopIteration as done:
            return done.value
        rows = yield asked
    raise AssertionError


def in_step(*works: Operation[Any]) -> Operation[list[Any]]:
    """Run the operations interleaved: a statement of each in turn."""
    results: dict[int, Any] = {}
    rows: dict[int, Any] = dict.fromkeys(range(len(works)))
    while len(results) < len(works):
        for at in set(rows) - set(results):
            try:
                asked = works[at].send(rows[at])
            except StopIteration as done:
                results[at] = done.value
            else:
                rows[at] = yield asked
    return [results[at] for at in sorted(results)]


def deletion(message: str) -> MessageEdit:
    return MessageEdit(message, Edit("", 1.0))


def released(ticket: Ticket) -> Generator[Any, Any, Any]:
    return edits.release({"n": ticket.n, "owner": ticket.owner, "fence": ticket.fence}, AT)


def claimed_and_released() -> Operation[None]:
    claimed = yield from operations.claim(CHAT, ME, AT)
    if claimed is not None:
        merged = yield from operations.merge(claimed, AT)
        yield from released(merged.ticket)


@pytest.mark.parametrize("after", range(1, 6))
@DATABASES
async def test_a_question_merged_with_a_message_while_it_is_deleted_is_still_asked(
    name: str, after: int, tmp_path: Path
) -> None:
    async with table(name, tmp_path) as store:
        _, last = await queued(store, "kept", "deleted")
        work = lambda: meanwhile(edits.edit(deletion("deleted"), AT), claimed_and_released, after)  # noqa: E731  a new generator each run
        await store._database.run(work)  # noqa: SLF001  runs an operation of the test
        claimed = await store.claim(CHAT, ME, merge=True)
        assert claimed is not None
        assert claimed.payload.text == "kept"
        assert not claimed.stop
        assert (await row(store, last)).words == ""


@pytest.mark.parametrize("after", range(1, 6))
@DATABASES
async def test_a_message_deleted_while_its_turn_is_released_is_not_asked(name: str, after: int, tmp_path: Path) -> None:
    async with table(name, tmp_path) as store:
        ticket = await running(store, "deleted")
        work = lambda: meanwhile(edits.edit(deletion("deleted"), AT), lambda: released(ticket), after)  # noqa: E731  a new generator each run
        changed = await store._database.run(work)  # noqa: SLF001  runs an operation of the test
        found = await row(store, ticket.n)
        assert (found.outcome is Outcome.WITHDRAWN) is (changed.verdict is EditVerdict.WITHDRAWN)
        assert found.state is State.CLOSED or found.withdrawn


@DATABASES
async def test_merged_messages_deleted_at_the_same_moment_end_their_run(name: str, tmp_path: Path) -> None:
    async with table(name, tmp_path) as store:
        _, last = await queued(store, "a", "b")
        await store.claim(CHAT, ME, merge=True)
        both = lambda: in_step(*(edits.edit(deletion(message), AT) for message in ("a", "b")))  # noqa: E731  a new generator each run
        await store._database.run(both)  # noqa: SLF001  runs an operation of the test
        assert (await row(store, last)).withdrawn


@DATABASES
async def test_a_turn_released_while_the_bot_is_removed_is_withdrawn(name: str, tmp_path: Path) -> None:
    async with table(name, tmp_path) as store:
        accepted = await store.accept(new_turn(f"{PREFIX}|message|1", lane=Lane("there")), ME, claim=True)
        ticket = accepted.claimed
        assert ticket is not None
        work = lambda: meanwhile(edits.withdraw_all(PREFIX, AT), lambda: released(ticket), 1)  # noqa: E731  a new generator each run
        await store._database.run(work)  # noqa: SLF001  runs an operation of the test
        found = await row(store, accepted.n)
        assert found.state is State.CLOSED or found.withdrawn
