"""The turn table in memory: a second implementation, so the contract tests check the port, not SQLite's habits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from bridge.core.edits import EditResult, EditVerdict, MessageEdit
from bridge.core.errors import StoreUnavailable
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.merging import mergeable_count, merged, own_text
from bridge.core.outbound.answers_and_notes import stopped_early
from bridge.core.ports.heartbeat import Heartbeat, Orphans, Stalled
from bridge.core.ports.store import TurnFilter
from bridge.core.turn import (
    Accepted,
    DropVerdict,
    Kind,
    Lane,
    LaneStatus,
    NewTurn,
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
from support.memory_edits import MemoryEdits
from support.memory_files import MemoryFiles

_CLAIMED = (State.RUNNING, State.ANSWERED)
_EMPTY = Payload(Reference("", "", Scope.PERSONAL, "", "", ""), Person("", "", ""))
_BATCH = 500


def _asker(payload: Payload) -> tuple[str, str]:
    return payload.person.aad_id.lower() or payload.person.teams_id, payload.reference.conversation


def _may_be_stopped(row: Turn) -> bool:
    """All but a question of whose answer the last part is on its way."""
    parts = len(row.reply.activities) if row.reply else 0
    return row.state is not State.ANSWERED or parts - len(row.delivered) > 1


def _now() -> float:
    return asyncio.get_running_loop().time()


class MemoryStore:
    """Implements `TurnStore`. Rows survive `close`, as in a file.

    A call takes effect at once and returns `latency` seconds later, so a cancelled call is not undone.
    `outages`: how many calls of each method still raise StoreUnavailable. `calls`: names of the methods called.
    `shared`: several engines may use the object, like processes a database. `deaf`: `on_stop` callbacks are not called.
    """

    def __init__(self, *, latency: float = 0.0, shared: bool = False) -> None:
        self.shared = shared
        self.made_at: float | None = None
        self.deaf = False
        self.replicas: dict[str, tuple[int, int]] = {}
        self.budgets: dict[str, float] = {}
        self.paused = False
        self.files = MemoryFiles()
        self._on_stop: list[Callable[[int], None]] = []
        self._owner = ""
        self.rows: dict[int, Turn] = {}
        self.outages: dict[str, int] = {}
        self.calls: list[str] = []
        self.latency = latency
        self._last = 0
        self._ids: dict[str, int] = {}
        self._lanes: dict[Lane, list[int]] = {}
        self.edits = MemoryEdits(self.rows, self._put)

    async def open(self) -> None:
        await self._commit()

    async def close(self) -> None:
        pass

    async def join(self, owner: str) -> None:
        self._enter("join")
        self._owner = owner
        if not self.shared:
            self.replicas.clear()
        self.replicas[owner] = (0, 0)
        await self._commit()

    async def leave(self, owner: str) -> None:
        self._enter("leave")
        self.replicas.pop(owner, None)
        await self._commit()

    async def heartbeat(self, owner: str, running: int) -> Heartbeat:
        self._enter("heartbeat")
        if self.shared and owner not in self.replicas:
            await self._commit()
            return Heartbeat(alive=False)
        if owner in self.replicas:
            self.replicas[owner] = (self.replicas[owner][0] + 1, running)
        rows = [row for row in self.rows.values() if row.state is not State.CLOSED]
        heartbeat = Heartbeat(
            counters={replica: count for replica, (count, _) in self.replicas.items()},
            orphans=any(row.owner not in self.replicas for row in rows),
            running=sum(count for _, count in self.replicas.values()),
            waiting=sum(row.state is State.QUEUED and row.kind is not Kind.WELCOME for row in rows),
            paused=self.paused,
            stops=tuple(row.n for row in rows if row.stop and row.owner == owner),
        )
        await self._commit()
        return heartbeat

    async def take_over(self, owner: str, expired: frozenset[str] = frozenset()) -> Orphans:
        self._enter("take_over")
        for replica in expired:
            self.replicas.pop(replica, None)
        orphans = [
            row
            for row in self.rows.values()
            if row.state is not State.CLOSED and row.owner != owner and row.owner not in self.replicas
        ]
        claimed = [row for row in orphans if row.state in _CLAIMED]
        turns = tuple(self._put(replace(row, owner=owner, fence=row.fence + 1), "adopted") for row in claimed)
        queued = [self._put(replace(row, owner=owner)) for row in orphans if row.state is State.QUEUED]
        await self._commit()
        return Orphans(turns, tuple(dict.fromkeys(row.lane for row in queued)))

    async def accept(self, new: NewTurn, owner: str, *, claim: bool, room: int | None = None) -> Accepted:
        self._enter("accept")
        known = self._ids.get(new.id)
        if known is None and new.again_of is not None:
            known = next((row.n for row in self.rows.values() if row.again_of == new.again_of), None)
        if known is not None:
            await self._commit()
            return Accepted(known, duplicate=True)
        edit = self.edits.overtaking(new.id, _now()) if new.kind is Kind.ASK else None
        if edit is not None:
            new = replace(new, payload=replace(new.payload, text=edit.text))
        if edit is not None and not edit.text:
            withdrawn = replace(
                self._new(new, owner), state=State.CLOSED, outcome=Outcome.WITHDRAWN, closed=new.accepted
            )
            self._put(replace(withdrawn, edit=edit))
            await self._commit()
            return Accepted(withdrawn.n)
        waiting = self._open(new.lane)
        if room is not None and sum(row.state is State.QUEUED for row in waiting) >= room:
            await self._commit()
            return Accepted(0, full=True)
        turn = self._new(new, owner, running=claim and not waiting and edit is None)
        if edit is not None:
            self._put(replace(turn, edit=edit))
        await self._commit()
        return Accepted(turn.n, claimed=turn.ticket if turn.state is State.RUNNING else None)

    async def head(self, lane: Lane) -> Turn | None:
        self._enter("head")
        head = next(iter(self._open(lane)), None)
        await self._commit()
        return head if head is not None and head.state is State.QUEUED else None

    async def claim(self, lane: Lane, owner: str, *, merge: bool = False) -> Turn | None:
        self._enter("claim")
        waiting = self._open(lane)
        claimed = None
        if waiting and all(row.state is State.QUEUED for row in waiting):
            count = mergeable_count(waiting) if merge else 1
            last = waiting[count - 1]
            for row in waiting[: count - 1]:
                closed = replace(row, state=State.CLOSED, outcome=Outcome.MERGED, closed=0.0, merged_into=last.n)
                self._put(closed, "closed:merged")
                for member in [member for member in self.rows.values() if member.merged_into == row.n]:
                    self._put(replace(member, merged_into=last.n))
            if count > 1:
                last = replace(last, payload=merged(waiting[:count]), edit=own_text(last))
            live = next((row.live for row in waiting[:count] if row.live), "")
            running = replace(last, live=live, state=State.RUNNING, owner=owner, fence=last.fence + 1)
            claimed = self._put(running, "running")
        await self._commit()
        return claimed

    async def release(self, ticket: Ticket) -> bool:
        self._enter("release")
        row = self._held(ticket, State.RUNNING)
        done = row is not None and not row.stop
        if row is not None and done:
            self._put(replace(row, state=State.QUEUED), "released")
            self.edits.reword(row.n)
        await self._commit()
        return done

    async def record_answer(self, ticket: Ticket, reply: Reply, *, even_if_stopped: bool = False) -> bool:
        self._enter("record_answer")
        row = self._held(ticket, *_CLAIMED)
        done = row is not None and (even_if_stopped or not row.stop or row.state is State.ANSWERED)
        if row is not None and done and row.state is State.RUNNING:
            self._put(replace(row, state=State.ANSWERED, reply=reply), "answered")
        await self._commit()
        return done

    async def record_smaller_parts(self, ticket: Ticket, reply: Reply) -> bool:
        self._enter("record_smaller_parts")
        row = self._held(ticket, State.ANSWERED)
        if row is not None:
            self._put(replace(row, reply=reply))
        await self._commit()
        return row is not None

    async def replace_payload(self, ticket: Ticket, payload: Payload) -> bool:
        self._enter("replace_payload")
        row = self._held(ticket, State.RUNNING)
        if row is not None:
            self._put(replace(row, payload=payload))
        await self._commit()
        return row is not None

    async def record_delivered(self, ticket: Ticket, ids: tuple[str, ...]) -> bool:
        self._enter("record_delivered")
        row = self._held(ticket, State.ANSWERED)
        if row is not None:
            self._put(replace(row, delivered=ids))
        await self._commit()
        return row is not None

    async def record_live_message(self, ticket: Ticket, live: str) -> bool:
        self._enter("record_live_message")
        row = self._held(ticket, State.RUNNING)
        if row is not None:
            self._put(replace(row, live=live))
        await self._commit()
        return row is not None

    async def count_attempt(self, ticket: Ticket) -> int:
        self._enter("count_attempt")
        row = self._held(ticket, State.ANSWERED)
        attempts = row.attempts + 1 if row is not None else 0
        if row is not None:
            self._put(replace(row, attempts=attempts), "attempted")
        await self._commit()
        return attempts

    async def close_turn(
        self, ticket: Ticket, outcome: Outcome, ids: tuple[str, ...], at: float, error: str = ""
    ) -> bool:
        self._enter("close_turn")
        row = self._held(ticket, *_CLAIMED)
        if row is not None:
            closed = replace(row, state=State.CLOSED, outcome=outcome, delivered=ids, closed=at, error=error)
            self._put(closed, f"closed:{outcome}")
        await self._commit()
        return row is not None

    async def stop(self, lane: Lane, note: NewTurn, by: str, at: float, *, only: int = 0) -> Stopped:
        self._enter("stop")
        stopped = self._stop(lane, note, by, at, only)
        await self._commit()
        self._notify_owner(stopped.n if stopped.verdict is StopVerdict.STOPPING else 0)
        return stopped

    async def call_owner(self, lane: Lane) -> None:
        self._enter("call_owner")
        claimed = next((row.n for row in self._open(lane) if row.state in _CLAIMED), 0)
        await self._commit()
        self._notify_owner(claimed)

    async def drop(self, n: int, note: NewTurn, at: float) -> DropVerdict:
        self._enter("drop")
        row = self.rows.get(n)
        verdict = DropVerdict.NOTHING
        if row is not None and row.state is State.RUNNING:
            self._put(replace(row, stop=True), "stop")
            verdict = DropVerdict.STOPPING
        elif row is not None and row.state is not State.CLOSED:
            self._put(replace(row, state=State.CLOSED, outcome=Outcome.DROPPED, closed=at), "closed:dropped")
            self._new(note, self._owner)
            verdict = DropVerdict.DROPPED
        await self._commit()
        self._notify_owner(n if verdict is DropVerdict.STOPPING else 0)
        return verdict

    async def edit(self, wanted: MessageEdit, at: float) -> EditResult:
        self._enter("edit")
        return await self._notified(self.edits.edit(wanted, _now(), at))

    async def withdraw(self, seen: Turn, at: float) -> EditResult:
        self._enter("withdraw")
        return await self._notified(self.edits.withdraw(seen, at))

    async def withdraw_all(self, id_prefix: str, at: float) -> tuple[int, ...]:
        self._enter("withdraw_all")
        stopping = self.edits.withdraw_all(id_prefix, at)
        await self._commit()
        for n in stopping:
            self._notify_owner(n)
        return stopping

    async def current_question(self, n: int) -> tuple[Turn, str] | None:
        self._enter("current_question")
        found = self.edits.current_question(n)
        await self._commit()
        return found

    async def rate(self, rating: Rating) -> int:
        self._enter("rate")
        n = self.edits.rate(rating)
        await self._commit()
        return n

    async def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        self._enter("ratings")
        found = self.edits.ratings(after, limit)
        await self._commit()
        return found

    def on_stop(self, callback: Callable[[int], None]) -> None:
        self._on_stop.append(callback)

    async def stalled(self, owner: str, claimed_before: float, queued_before: float) -> Stalled:
        self._enter("stalled")
        ahead = max(claimed_before, queued_before) + 60.0
        own = [row for row in self.rows.values() if row.owner == owner]
        before = dict.fromkeys(_CLAIMED, claimed_before) | {State.QUEUED: queued_before}
        old = [row for row in own if row.state in before and not before[row.state] <= row.accepted <= ahead]
        claimed = [(row.n, row.lane) for row in old if row.state in _CLAIMED]
        queued = {row.lane: None for row in old if row.state is State.QUEUED}
        await self._commit()
        free = [lane for lane in queued if all(row.state is State.QUEUED for row in self._open(lane))]
        return Stalled(tuple(claimed), tuple(free))

    async def find(self, n: int) -> Turn | None:
        self._enter("find")
        row = self.rows.get(n)
        await self._commit()
        return row

    async def turns(self, wanted: TurnFilter, limit: int) -> tuple[Turn, ...]:
        self._enter("turns")
        found = [
            replace(row, payload=_EMPTY, reply=None, edit=None, delivered=(), stopped_by="")
            for row in sorted(self.rows.values(), key=lambda row: -row.n)
            if wanted.state in (None, row.state)
            and wanted.outcome in (None, row.outcome)
            and wanted.kind in (None, row.kind)
            and (wanted.user is None or row.session.endswith(f":{wanted.user}"))
            and (wanted.before is None or row.n < wanted.before)
        ]
        await self._commit()
        return tuple(found[:limit])

    async def spend(self, budget: str, interval: float, burst: int) -> float:
        self._enter("spend")
        now = asyncio.get_running_loop().time()
        kept = self.budgets.get(budget, 0.0)
        after = (kept if now < kept <= now + burst * interval + 5 else now) + interval
        wait = after - now - burst * interval
        if wait <= 1e-6:
            self.budgets[budget] = after
        await self._commit()
        return 0.0 if wait <= 1e-6 else min(wait, burst * interval)

    async def refund(self, budget: str, interval: float) -> None:
        self._enter("refund")
        if budget in self.budgets:
            self.budgets[budget] -= interval
        await self._commit()

    async def exhaust(self, budget: str, interval: float, burst: int) -> None:
        self._enter("exhaust")
        self.budgets[budget] = asyncio.get_running_loop().time() + burst * interval
        await self._commit()

    async def pause(self, paused: bool) -> None:
        self._enter("pause")
        self.paused = paused
        await self._commit()

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
            queued=tuple(row.name for row in waiting[1 if head else 0 :][:5]),
        )

    async def forget_old(self, blank_before: float, delete_before: float, now: float = 0.0) -> int:
        self._enter("forget_old")
        closed = [(row.closed, row) for row in self.rows.values() if row.closed is not None]
        blank = [row for at, row in closed if at < blank_before and row.payload != _EMPTY][:_BATCH]
        for row in blank:
            self._put(replace(row, payload=_EMPTY, reply=None, edit=None, stopped_by=""))
        delete = [row.n for at, row in closed if at < delete_before][:_BATCH]
        for n in delete:
            row = self.rows.pop(n)
            del self._ids[row.id]
            self._lanes[row.lane].remove(n)
        self.edits.forget(delete_before, _now())
        files = self.files.forget(blank_before, now)
        await self._commit()
        return len(blank) + len(delete) + files

    def _stop(self, lane: Lane, note: NewTurn, by: str, at: float, only: int) -> Stopped:
        if note.id in self._ids:
            return Stopped(StopVerdict.DUPLICATE)
        asked = [row for row in self._open(lane) if row.kind is Kind.ASK and _may_be_stopped(row)]
        claimed = [row for row in asked if row.state in _CLAIMED and only in (0, row.n)]
        own = [row for row in asked if not only and _asker(row.payload) == _asker(note.payload)]
        waiting = [row for row in own if row.state is State.QUEUED]
        head = next((row for row in claimed if row in own or not own), None)
        for row in waiting:
            self._put(replace(row, state=State.CLOSED, outcome=Outcome.STOPPED, closed=at), "closed:stopped")
        if head is not None:
            self._put(replace(head, stop=True, stopped_by=by), "stop")
        if waiting:
            self._new(stopped_early(note, waiting), self._owner)
        elif head is not None:
            self._last += 1
            row = Turn(self._last, note.id, Kind.NOTE, lane, State.CLOSED, _EMPTY, at)
            self._insert(replace(row, outcome=Outcome.DELIVERED, closed=at))
        else:
            return Stopped(StopVerdict.NOTHING)
        verdict = StopVerdict.WITHDRAWN if head is None else StopVerdict.STOPPING
        return Stopped(verdict, 0 if head is None else head.n, tuple(row.n for row in waiting))

    async def _notified(self, result: EditResult) -> EditResult:
        await self._commit()
        self._notify_owner(result.n if result.verdict is EditVerdict.STOPPING else 0)
        return result

    def _notify_owner(self, n: int) -> None:
        for callback in self._on_stop if n and self.shared and not self.deaf else ():
            callback(n)

    def _new(self, new: NewTurn, owner: str, *, running: bool = False) -> Turn:
        self._last += 1
        user = new.payload.user
        turn = Turn(
            n=self._last,
            id=new.id,
            kind=new.kind,
            lane=new.lane,
            state=State.RUNNING if running else State.QUEUED,
            payload=new.payload,
            accepted=new.accepted,
            owner=owner,
            fence=1 if running else 0,
            again_of=new.again_of,
            session=f"agent:{new.payload.agent}:http:direct:{user}" if user else "",
        )
        self._insert(turn, turn.state)
        return self.rows[turn.n]

    def _held(self, ticket: Ticket, *states: State) -> Turn | None:
        row = self.rows.get(ticket.n)
        return row if row is not None and row.ticket == ticket and row.state in states else None

    def _insert(self, turn: Turn, what: str = "") -> None:
        self._ids[turn.id] = turn.n
        self._lanes.setdefault(turn.lane, []).append(turn.n)
        self._put(turn, what)

    def _put(self, turn: Turn, what: str = "") -> Turn:
        by = f" {turn.owner}" if what in ("queued", "running", "adopted") else ""
        self.rows[turn.n] = replace(turn, history=f"{turn.history}0.000 {what}{by};") if what else turn
        return self.rows[turn.n]

    def _open(self, lane: Lane) -> list[Turn]:
        rows = [self.rows[n] for n in self._lanes.get(lane, ())]
        return [row for row in rows if row.state is not State.CLOSED]

    def _enter(self, name: str) -> None:
        self.calls.append(name)
        failures = self.outages.get(name, 0)
        if failures:
            self.outages[name] = failures - 1
            raise StoreUnavailable("out of order, on purpose")

    async def _commit(self) -> None:
        await asyncio.sleep(self.latency)
