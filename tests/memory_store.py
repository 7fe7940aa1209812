"""The turn table in memory: an honest second store, which keeps the conformance suite from testing SQLite's habits."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bridge.core.errors import StoreUnavailable
from bridge.core.turn import (
    Accepted,
    Kind,
    Lane,
    LaneStatus,
    NewTurn,
    Orphans,
    Outcome,
    Payload,
    Person,
    Reference,
    Reply,
    Scope,
    State,
    Stopped,
    StopVerdict,
    Ticket,
    Turn,
    turn_name,
)

_CLAIMED = (State.RUNNING, State.ANSWERED)
_EMPTY = Payload(Reference("", "", Scope.PERSONAL, "", "", ""), Person("", "", ""))
_BATCH = 500


class MemoryStore:
    """Implements ports.TurnStore. It survives `close`, as a file would.

    A call takes effect at once and comes back `latency` seconds later: a cancelled caller undoes nothing.
    `outages` counts, by method, how often it is still unavailable. `calls` holds the names of what was called.
    """

    def __init__(self, *, latency: float = 0.0) -> None:
        self.rows: dict[int, Turn] = {}
        self.outages: dict[str, int] = {}
        self.calls: list[str] = []
        self.latency = latency
        self._last = 0
        self._ids: dict[str, int] = {}
        self._lanes: dict[Lane, list[int]] = {}

    async def open(self) -> None:
        await self._commit()

    async def close(self) -> None:
        pass

    async def accept(self, new: NewTurn, owner: str | None) -> Accepted:
        self._enter("accept")
        known = self._ids.get(new.id)
        if known is None and new.again_of is not None:
            asked = any(row.again_of == new.again_of for row in self.rows.values())
            known = new.again_of if asked else None
        if known is not None:
            await self._commit()
            return Accepted(known, duplicate=True)
        idle = owner is not None and not self._open(new.lane)
        self._last += 1
        turn = Turn(
            n=self._last,
            id=new.id,
            kind=new.kind,
            lane=new.lane,
            state=State.RUNNING if idle else State.QUEUED,
            payload=new.payload,
            accepted=new.accepted,
            owner=(owner or "") if idle else "",
            fence=1 if idle else 0,
            again_of=new.again_of,
        )
        self._insert(turn)
        await self._commit()
        return Accepted(turn.n, claimed=turn.ticket if idle else None)

    async def claim(self, lane: Lane, owner: str) -> Turn | None:
        self._enter("claim")
        waiting = self._open(lane)
        claimed = None
        if waiting and waiting[0].state is State.QUEUED:
            head = waiting[0]
            claimed = self._put(replace(head, state=State.RUNNING, owner=owner, fence=head.fence + 1))
        await self._commit()
        return claimed

    async def release(self, ticket: Ticket) -> bool:
        self._enter("release")
        row = self._held(ticket, State.RUNNING)
        done = row is not None and not row.stop
        if row is not None and done:
            self._put(replace(row, state=State.QUEUED, owner=""))
        await self._commit()
        return done

    async def answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        self._enter("answer")
        row = self._held(ticket, State.RUNNING)
        done = row is not None and (even_if_stopped or not row.stop)
        if row is not None and done:
            self._put(replace(row, state=State.ANSWERED, reply=reply))
        await self._commit()
        return done

    async def shown(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        self._enter("shown")
        row = self._held(ticket, State.ANSWERED)
        if row is not None:
            self._put(replace(row, shown=ids))
        await self._commit()
        return row is not None

    async def attempted(self, ticket: Ticket) -> int:
        self._enter("attempted")
        row = self._held(ticket, State.ANSWERED)
        attempts = row.attempts + 1 if row is not None else 0
        if row is not None:
            self._put(replace(row, attempts=attempts))
        await self._commit()
        return attempts

    async def settle(self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = "") -> bool:
        self._enter("settle")
        row = self._held(ticket, *_CLAIMED)
        if row is not None:
            self._put(replace(row, state=State.CLOSED, outcome=outcome, shown=ids, closed=at, error=error))
        await self._commit()
        return row is not None

    async def stop(self, lane: Lane, id_: str, at: float) -> Stopped:
        self._enter("stop")
        stopped = self._stop(lane, id_, at)
        await self._commit()
        return stopped

    async def adopt(self, owner: str) -> Orphans:
        self._enter("adopt")
        left = [row for row in self.rows.values() if row.state in _CLAIMED and row.owner != owner]
        turns = tuple(self._put(replace(row, owner=owner, fence=row.fence + 1)) for row in left)
        lanes = self._waiting(float("inf"))
        await self._commit()
        return Orphans(turns, lanes)

    async def stalled(self, owner: str, before: float) -> Orphans:
        self._enter("stalled")
        turns = tuple(
            row for row in self.rows.values() if row.state in _CLAIMED and row.owner == owner and row.accepted < before
        )
        lanes = self._waiting(before)
        await self._commit()
        return Orphans(turns, lanes)

    async def find(self, n: int) -> Turn | None:
        self._enter("find")
        row = self.rows.get(n)
        await self._commit()
        return row

    async def lane_status(self, lane: Lane) -> LaneStatus:
        self._enter("lane_status")
        waiting = self._open(lane)
        head = waiting[0] if waiting and waiting[0].state is not State.QUEUED else None
        asked = [
            row.n
            for row in self.rows.values()
            if row.lane == lane and row.state is State.CLOSED and row.kind is Kind.ASK
        ]
        await self._commit()
        return LaneStatus(
            running=head.name if head else None,
            since=head.accepted if head else 0.0,
            waiting=len(waiting) - (1 if head else 0),
            last=turn_name(max(asked)) if asked else None,
        )

    async def forget_old(self, blank_before: float, delete_before: float) -> int:
        self._enter("forget_old")
        closed = [(row.closed, row) for row in self.rows.values() if row.closed is not None]
        blank = [row for at, row in closed if at < blank_before and row.payload != _EMPTY][:_BATCH]
        for row in blank:
            self._put(replace(row, payload=_EMPTY, reply=None))
        delete = [row.n for at, row in closed if at < delete_before][:_BATCH]
        for n in delete:
            row = self.rows.pop(n)
            del self._ids[row.id]
            self._lanes[row.lane].remove(n)
        await self._commit()
        return len(blank) + len(delete)

    def _stop(self, lane: Lane, id_: str, at: float) -> Stopped:
        if id_ in self._ids:
            return Stopped(StopVerdict.DUPLICATE)
        head = next(iter(self._open(lane)), None)
        if head is None or head.kind is not Kind.ASK:
            return Stopped(StopVerdict.NOTHING)
        if head.state is State.QUEUED:
            self._put(replace(head, state=State.CLOSED, outcome=Outcome.STOPPED, closed=at))
            self._remember(lane, id_, at)
            return Stopped(StopVerdict.WITHDRAWN, head.n)
        parts = len(head.reply.activities) if head.reply else 0
        if head.state is State.ANSWERED and parts - len(head.shown) <= 1:
            return Stopped(StopVerdict.NOTHING)
        self._put(replace(head, stop=True))
        self._remember(lane, id_, at)
        return Stopped(StopVerdict.STOPPING, head.n)

    def _remember(self, lane: Lane, id_: str, at: float) -> None:
        self._last += 1
        row = Turn(self._last, id_, Kind.NOTE, lane, State.CLOSED, _EMPTY, at)
        self._insert(replace(row, outcome=Outcome.DELIVERED, closed=at))

    def _held(self, ticket: Ticket, *states: State) -> Turn | None:
        row = self.rows.get(ticket.n)
        return row if row is not None and row.ticket == ticket and row.state in states else None

    def _insert(self, turn: Turn) -> None:
        self._ids[turn.id] = turn.n
        self._lanes.setdefault(turn.lane, []).append(turn.n)
        self._put(turn)

    def _put(self, turn: Turn) -> Turn:
        self.rows[turn.n] = turn
        return turn

    def _open(self, lane: Lane) -> list[Turn]:
        rows = [self.rows[n] for n in self._lanes.get(lane, ())]
        return [row for row in rows if row.state is not State.CLOSED]

    def _waiting(self, before: float) -> tuple[Lane, ...]:
        waiting = [r.lane for r in self.rows.values() if r.state is State.QUEUED and r.accepted < before]
        return tuple(dict.fromkeys(waiting))

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        left = self.outages.get(name, 0)
        if left:
            self.outages[name] = left - 1
            raise StoreUnavailable("out of order, on purpose")

    async def _commit(self) -> None:
        await asyncio.sleep(self.latency)
