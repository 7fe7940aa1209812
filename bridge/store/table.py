"""The turn table over a database: runs the operations for the methods of `core.ports.store.TurnStore`."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from bridge import metrics
from bridge.core.edits import EditResult, EditVerdict, MessageEdit
from bridge.core.errors import StoreUnavailable
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.ports.heartbeat import Heartbeat, Orphans, Stalled
from bridge.core.ports.store import TurnFilter
from bridge.core.turn import (
    Accepted,
    DropVerdict,
    Lane,
    LaneStatus,
    NewTurn,
    Outcome,
    Payload,
    Reply,
    Stopped,
    StopVerdict,
    Ticket,
    Turn,
)
from bridge.store import edits, operations
from bridge.store.codec import clean, dump_ids, dump_payload, dump_reply, step, turn_of
from bridge.store.database import Database
from bridge.store.files import FileTable

_log = structlog.get_logger()


class TurnTable:
    """Implements `core.ports.store.TurnStore`. `now`: clock in epoch seconds, for the rows' history."""

    def __init__(self, database: Database, *, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self.files = FileTable(database)
        self._now = now
        self._owner = ""
        self._made_at: float | None = None

    @property
    def shared(self) -> bool:
        return self._database.shared

    @property
    def made_at(self) -> float | None:
        return self._made_at

    async def open(self) -> None:
        await self._database.open()
        if self._database.created and self._made_at is None:
            metrics.STORES_CREATED.inc()
            hint = "expected at the first start only; then set BRIDGE_STORE_CREATE=false"
            _log.warning("store_created", store=self._database.name, hint=hint)
            await self._first_row("keep_creation", {"minutes": int(self._now() / 60)})
        row = await self._first_row("creation", {})
        self._made_at = row["value"] * 60.0 if row else None

    async def close(self) -> None:
        await self._database.close()

    async def join(self, owner: str) -> None:
        self._owner = owner
        if not self.shared:  # the file belongs to this process alone, so all earlier owners are gone
            await self._first_row("remove_all_owners", {})
        await self._first_row("join", {"owner": owner})

    async def leave(self, owner: str) -> None:
        await self._first_row("remove_owner", {"owner": owner})

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        counted = self.shared or self._database.failing
        return await self._database.run(lambda: operations.heartbeat(owner, running, counted=counted))

    async def take_over(self, owner: str, expired: frozenset[str] = frozenset()) -> Orphans:
        now = self._now()
        return await self._database.run(lambda: operations.take_over(owner, expired, now), atomic=True)

    async def accept(self, new: NewTurn, owner: str, *, claim: bool, room: int | None = None) -> Accepted:
        now = self._now()
        return await self._database.run(lambda: operations.accept(new, owner, claim=claim, room=room, now=now))

    async def head(self, lane: Lane) -> Turn | None:
        row = await self._first_row("head", {"lane": clean(lane)})
        return turn_of(row) if row else None

    async def claim(self, lane: Lane, owner: str, *, merge: bool = False) -> Turn | None:
        now = self._now()
        turn = await self._database.run(lambda: operations.claim(lane, owner, now))
        if turn is None or not merge:
            return turn
        claimed = turn
        try:
            return await self._database.run(lambda: operations.merge(claimed, now), atomic=True)
        except (operations.Interfered, StoreUnavailable):
            return claimed  # unmerged; if the merge was committed after all, the ticket of `claimed` is void

    async def release(self, ticket: Ticket) -> bool:
        return await self._database.run(lambda: edits.release(_claim_of(ticket), self._now()), atomic=True)

    async def record_answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        more = {"reply": dump_reply(reply), "parts": len(reply.activities), "anyway": even_if_stopped}
        return await self._write("record_answer", ticket, "answered", more)

    async def record_smaller_parts(self, ticket: Ticket, reply: Reply) -> bool:
        more = {"reply": dump_reply(reply), "parts": len(reply.activities)}
        return await self._write("record_smaller_parts", ticket, "", more)

    async def replace_payload(self, ticket: Ticket, payload: Payload) -> bool:
        return await self._write("replace_payload", ticket, "", {"payload": dump_payload(payload)})

    async def record_delivered(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        return await self._write("record_delivered", ticket, "", {"delivery": dump_ids(ids), "sent": len(ids)})

    async def record_live_message(self, ticket: Ticket, live: str) -> bool:
        return await self._write("record_live_message", ticket, "", {"live": live})

    async def count_attempt(self, ticket: Ticket) -> int:
        row = await self._first_row("count_attempt", _claim_of(ticket) | {"step": step(self._now(), "attempted")})
        return row["attempts"] if row else 0

    async def close_turn(
        self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = ""
    ) -> bool:
        more = {
            "outcome": outcome.value,
            "delivery": dump_ids(ids),
            "sent": len(ids),
            "at": at,
            "error": error,
        }
        return await self._write("close_turn", ticket, f"closed:{outcome.value}", more)

    async def stop(self, lane: Lane, note: NewTurn, by: str, at: float, *, only: int = 0) -> Stopped:
        owner = self._owner
        stopped = await self._database.run(lambda: operations.stop(lane, note, by, owner, at, only=only), atomic=True)
        if stopped.verdict is StopVerdict.STOPPING:
            await self._database.announce_stop(stopped.n)
        return stopped

    async def call_owner(self, lane: Lane) -> None:
        row = await self._first_row("running_in_lane", {"lane": clean(lane)})
        if row is not None:
            await self._database.announce_stop(row["n"])

    async def drop(self, n: int, note: NewTurn, at: float) -> DropVerdict:
        owner = self._owner
        verdict = await self._database.run(lambda: operations.drop(n, note, owner, at), atomic=True)
        if verdict is DropVerdict.STOPPING:
            await self._database.announce_stop(n)
        return verdict

    async def edit(self, wanted: MessageEdit, at: float) -> EditResult:
        return await self._announced(await self._database.run(lambda: edits.edit(wanted, at)))

    async def withdraw(self, seen: Turn, at: float) -> EditResult:
        return await self._announced(await self._database.run(lambda: edits.withdraw(seen, at)))

    async def withdraw_all(self, id_prefix: str, at: float) -> tuple[int, ...]:
        stopping = await self._database.run(lambda: edits.withdraw_all(id_prefix, at))
        for n in stopping:
            await self._database.announce_stop(n)
        return stopping

    async def current_question(self, n: int) -> tuple[Turn, str] | None:
        return await self._database.run(lambda: edits.current_question(n))

    async def rate(self, rating: Rating) -> int:
        return await self._database.run(lambda: operations.rate(rating))

    async def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        return await self._database.run(lambda: operations.ratings(after, limit))

    def on_stop(self, callback: Callable[[int], None]) -> None:
        self._database.on_stop(callback)

    async def stalled(self, owner: str, claimed_before: float, queued_before: float) -> Stalled:
        return await self._database.run(lambda: operations.stalled(owner, claimed_before, queued_before))

    async def find(self, n: int) -> Turn | None:
        row = await self._first_row("find", {"n": n})
        return turn_of(row) if row else None

    async def turns(self, wanted: TurnFilter, limit: int) -> tuple[Turn, ...]:
        return await self._database.run(lambda: operations.turns(wanted, limit))

    async def lane_status(self, lane: Lane) -> LaneStatus:
        return await self._database.run(lambda: operations.lane_status(lane))

    async def spend(self, budget: str, interval: float, burst: int) -> float:
        return await self._database.run(lambda: operations.spend(budget, interval, burst))

    async def refund(self, budget: str, interval: float) -> None:
        await self._first_row("refund", {"name": budget, "interval": interval})

    async def exhaust(self, budget: str, interval: float, burst: int) -> None:
        await self._first_row("exhaust", {"name": budget, "most": burst * interval})

    async def pause(self, paused: bool) -> None:
        await self._first_row("switch", {"name": "paused", "value": int(paused)})

    async def forget_old(self, blank_before: float, delete_before: float, now: float = 0.0) -> int:
        done = await self._database.run(lambda: operations.forget_old(blank_before, delete_before, now))
        if not done:  # the last batch is through
            await self._database.forget_log()
        return done

    async def _announced(self, result: EditResult) -> EditResult:
        if result.verdict is EditVerdict.STOPPING:
            await self._database.announce_stop(result.n)
        return result

    async def _first_row(self, name: str, parameters: dict[str, Any]) -> Any:
        return await self._database.run(lambda: operations.first_row(name, parameters))

    async def _write(self, name: str, ticket: Ticket, change: str, more: dict[str, Any] | None = None) -> bool:
        parameters = _claim_of(ticket) | (more or {})
        if change:
            parameters["step"] = step(self._now(), change)
        return await self._first_row(name, parameters) is not None


def _claim_of(ticket: Ticket) -> dict[str, Any]:
    return {"n": ticket.n, "owner": ticket.owner, "fence": ticket.fence}
