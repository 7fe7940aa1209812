"""The dispatcher, the engine's public side: accepts turns, stops and drops turns, pauses, shuts down.

A turn for an idle lane is claimed at acceptance if admission needs no wait. Other turns stay queued for the
lane's runner (`runners`), which waits for admission (`admission`). `heartbeat` keeps the replica's lease.
docs/architecture.md, "Sessions and lanes"
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from bridge import metrics
from bridge.core.errors import StoreUnavailable
from bridge.core.lease import Lease
from bridge.core.ports.clock import Clock
from bridge.core.ports.heartbeat import Heartbeat
from bridge.core.ports.store import TurnFilter, TurnStore
from bridge.core.turn import (
    Accepted,
    DropVerdict,
    Kind,
    Lane,
    LaneStatus,
    NewTurn,
    State,
    Stopped,
    StopVerdict,
    Ticket,
    Turn,
)
from bridge.engine.admission import NEEDS_ADMISSION, Admission, Patience, Rate
from bridge.engine.edits import Edits
from bridge.engine.heartbeat import Replica
from bridge.engine.pipeline import Pipeline
from bridge.engine.runners import Runners
from bridge.engine.stopping import StopSigns
from bridge.engine.store_retry import in_time, with_retry
from bridge.engine.waiting import WaitingNotes
from bridge.tasks import Tasks

_log = structlog.get_logger()

_RETENTION_SECONDS = 600.0
_NOTES_PER_HEARTBEAT = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers of turns: `running` at the gateway at once, queued in one `lane`, `waiting` in all lanes.

    `rate`: the gateway's limit, if the operator knows the limit. `keep_text`, `keep_ids`: seconds after the close.
    """

    running: int = 10_000
    lane: int = 20
    waiting: int = 20_000
    rate: Rate | None = None
    patience: Patience = field(default_factory=Patience)
    keep_text: float = 24 * 3600.0
    keep_ids: float = 7 * 24 * 3600.0


class Dispatcher:
    """Accepts, runs and stops turns over a turn store, and ends in good order.

    `new_owner` gives an owner id for each time the replica joins the turn table. `edits` applies people's edits and
    ratings. `merge`: queued messages of one person are asked together.
    """

    def __init__(
        self,
        *,
        store: TurnStore,
        pipeline: Pipeline,
        clock: Clock,
        monotonic: Callable[[], float],
        tasks: Tasks,
        new_owner: Callable[[], str],
        limits: Limits,
        lease: Lease,
        merge: bool = True,
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._tasks = tasks
        self._limits = limits
        self._housekeeping = tasks.beside()
        self._admission = Admission(
            store=store, tasks=tasks, running=limits.running, rate=limits.rate, patience=limits.patience
        )
        self._runners = Runners(
            store=store, pipeline=pipeline, admission=self._admission, clock=clock, tasks=tasks, merge=merge
        )
        self._replica = Replica(
            store=store,
            runners=self._runners,
            work=tasks,
            lease=lease,
            clock=clock,
            monotonic=monotonic,
            new_owner=new_owner,
            on_heartbeat=self._on_heartbeat,
        )
        self.edits = Edits(store=store, runners=self._runners, clock=clock, on_unasked=self._clean_up)
        self._waiting_notes = WaitingNotes(
            store=store,
            accept=self.accept,
            clock=clock,
            tasks=self._housekeeping,
            progress=pipeline.progress.switches.progress,
        )
        self._stop_signs = StopSigns(
            channel=pipeline.progress.channel,
            store=store,
            accept=self.accept,
            clock=clock,
            reactions=pipeline.progress.switches.reactions,
        )
        self._waiting = 0

    @property
    def ready(self) -> bool:
        """Whether turns can be accepted now."""
        return self._replica.alive and not self._replica.failing and not self._runners.closing

    @property
    def store_state(self) -> str:
        """`ok`, or why the store cannot be used; for operators."""
        return self._replica.failure or ("ok" if self._replica.alive else "not open")

    @property
    def paused(self) -> bool:
        """Whether an operator has paused all turns."""
        return self._admission.paused

    async def start(self) -> None:
        """Join the turn table, take over orphans, keep the heartbeat. Raises: StoreUnavailable."""
        await self._replica.start()
        self._housekeeping.keep(self._retain, "retention")

    async def accept(self, new: NewTurn, *, bounded: bool = True) -> Accepted:
        """Commit the turn, then run it or leave it to the lane's runner. After an error the turn may be stored or not.

        `bounded`: a turn beyond the limits of waiting turns is not kept (`full`). Greetings are always kept and do not
        count: thousands are accepted at once, and wait longest. Raises: StoreUnavailable.
        """
        if not self._replica.alive:
            # a lane might get a second runner if a turn ran before the takeover
            raise StoreUnavailable("starting")
        counts = new.kind is not Kind.WELCOME
        bounded = bounded and counts
        if bounded and self._waiting >= self._limits.waiting:
            return Accepted(0, full=True)
        needs_admission = new.kind in NEEDS_ADMISSION
        idle = new.lane not in self._runners and not self._runners.closing
        claim = idle and (not needs_admission or self._admission.try_admit())
        try:
            accepted = await self._commit(new, claim=claim, room=self._limits.lane if bounded else None)
            ticket = accepted.claimed
            if ticket is not None and ticket.owner == self._runners.owner and self._may_run(new.lane):
                claim = False  # the slot goes with the turn
                self._runners.run(_claimed(new, accepted.n, ticket))
                return accepted
        finally:
            if claim and needs_admission:
                await self._admission.free_slot(used=False)
        if ticket is not None:
            # meanwhile the drain began, or a runner took the lane: the queued turn is left to the next claim
            await with_retry(self._store.release, ticket)
        if not accepted.duplicate and not accepted.full:
            self._waiting += counts
            if new.kind is Kind.ASK:
                self._pipeline.reactions.question_waits(new.lane, new.payload.reference)
                if new.lane in self._runners:
                    self._waiting_notes.waits_in_lane(new, accepted.n)
                elif self._store.shared:
                    self._housekeeping.start(with_retry(self._store.call_owner, new.lane), "call owner")
            self._runners.wake(new.lane)
        return accepted

    async def stop(self, lane: Lane, note_: NewTurn, by: str, *, only: int = 0) -> StopVerdict:
        """Stop the person's questions (`TurnStore.stop`), once for each id of `note_`, and show that this was done.

        `by`: the person's name. `only`: the number of the only turn that may be stopped, 0 for any.
        Raises: StoreUnavailable.
        """
        stopped: Stopped = await self._store.stop(lane, note_, by, self._clock.now(), only=only)
        if stopped.n:
            self._runners.stop(stopped.n, by)
        for n in stopped.waiting:
            self._clean_up(n)
        if stopped.waiting:
            self._runners.wake(note_.lane)
        elif stopped.n and not only:  # a click on the button has a response of its own
            self._housekeeping.start(self._stop_signs.show(note_, stopped.n), "stop sign")
        return stopped.verdict

    def person_wrote(self, conversation: str) -> None:
        """Ask Teams at once whether the person has pressed *Stop* on a stream that is open in the conversation."""
        self._pipeline.progress.listen(conversation)

    async def drop(self, n: int, note_: NewTurn) -> DropVerdict:
        """Close an open turn for an operator and show the note; a running turn is stopped. Raises: StoreUnavailable."""
        verdict = await self._store.drop(n, note_, self._clock.now())
        if verdict is DropVerdict.STOPPING:
            self._runners.stop(n, "")
        elif verdict is DropVerdict.DROPPED:
            self._clean_up(n)
            self._runners.wake(note_.lane)
        return verdict

    async def pause(self, paused: bool) -> None:
        """Hold all turns, or let turns go on; replicas follow with the next heartbeat. Raises: StoreUnavailable."""
        await self._store.pause(paused)
        self._admission.paused = paused

    async def find(self, n: int) -> Turn | None:
        """The turn with number `n`. Raises: StoreUnavailable."""
        return await self._store.find(n)

    async def turns(self, wanted: TurnFilter, limit: int) -> tuple[Turn, ...]:
        """The newest turns matching the filter, without texts. Raises: StoreUnavailable."""
        return await self._store.turns(wanted, limit)

    async def status(self, lane: Lane) -> LaneStatus:
        """The running and the waiting turns of a lane. Raises: StoreUnavailable."""
        return await self._store.lane_status(lane)

    async def drain(self, grace: float) -> None:
        """Claim no more turns, give running turns `grace` seconds, cancel the rest, leave the turn table.

        The replica that takes a cancelled turn over notes the interruption in the conversation.
        """
        self._runners.close()
        await self._housekeeping.cancel()
        self._admission.close()
        self._pipeline.begin_shutdown()
        unfinished = await self._tasks.finish(grace)
        if unfinished:
            _log.warning("interrupting", tasks=unfinished)
        await self._tasks.cancel()
        await self._replica.stop()

    def _clean_up(self, n: int) -> None:
        """Remove the reaction and the live message of a turn that was closed while queued."""

        async def clean_up() -> None:
            row = await with_retry(self._store.find, n)
            if row is not None and row.state is State.CLOSED:
                await self._pipeline.clean_up(row)

        self._housekeeping.start(clean_up(), "clean up")

    async def _commit(self, new: NewTurn, *, claim: bool, room: int | None) -> Accepted:
        try:
            return await in_time(self._store.accept(new, self._runners.owner, claim=claim, room=room))
        except StoreUnavailable as error:
            # until the next heartbeat, further activities go to replicas with a working store
            self._replica.failure = self._replica.failure or error.label
            raise

    def _may_run(self, lane: Lane) -> bool:
        return lane not in self._runners and not self._runners.closing and self._replica.alive

    def _on_heartbeat(self, heartbeat: Heartbeat) -> None:
        self._waiting = heartbeat.waiting
        self._admission.paused = heartbeat.paused
        self._admission.replicas = max(1, len(heartbeat.counters))
        self._pipeline.progress.elsewhere = max(0, heartbeat.running - len(self._runners))
        metrics.QUEUED.set(heartbeat.waiting)
        for position in self._admission.heads_to_notify(_NOTES_PER_HEARTBEAT):
            self._waiting_notes.waits_for_admission(position)

    async def _retain(self) -> None:
        while True:
            now = self._clock.now()
            limits = self._limits
            done = await with_retry(self._store.forget_old, now - limits.keep_text, now - limits.keep_ids, now)
            # small batches, so retention never delays turns
            await asyncio.sleep(0.5 if done else _RETENTION_SECONDS)


def _claimed(new: NewTurn, n: int, ticket: Ticket) -> Turn:
    """The row after a claim at acceptance, built without a read from the store."""
    return Turn(
        n=n,
        id=new.id,
        kind=new.kind,
        lane=new.lane,
        state=State.RUNNING,
        payload=new.payload,
        accepted=new.accepted,
        owner=ticket.owner,
        fence=ticket.fence,
        again_of=new.again_of,
    )
