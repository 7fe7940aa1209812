"""Accept turns, keep them in order, stop them, and end in good order: the engine's one door.

Accepting claims at once where the lane is idle and nothing must be waited for; everything else is the work of the
lanes' runners (`lanes`), which wait for the gateway (`gate`), and of the life on the store (`replica`).
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
from bridge.core.ports.store import Heartbeat, TurnFilter, TurnStore
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
from bridge.engine.store_retry import with_retry
from bridge.engine.waiting import WaitingNotes
from bridge.tasks import Tasks

_log = structlog.get_logger()

_RETENTION_SECONDS = 600.0
_NOTES_PER_HEARTBEAT = 50


@dataclass(frozen=True, slots=True)
class Limits:
    """`running`: turns in the gateway at once; `lane`: turns waiting in one lane; `waiting`: in all lanes.

    `rate`: the gateway's limit where the operator knows it. Retention in seconds after closing.
    """

    running: int = 10_000
    lane: int = 20
    waiting: int = 20_000
    rate: Rate | None = None
    patience: Patience = field(default_factory=Patience)
    keep_text: float = 24 * 3600.0
    keep_ids: float = 7 * 24 * 3600.0


class Dispatcher:
    """Implements acceptance, order, recovery, stop and drain over one store. `new_owner` names each life."""

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
        self._housekeeping = Tasks()
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
            heard=self._on_heartbeat,
        )
        self.edits = Edits(store=store, runners=self._runners, clock=clock, unasked=self._unasked)
        self._waiting_notes = WaitingNotes(
            store=store,
            accept=self.accept,
            clock=clock,
            tasks=self._housekeeping,
            progress=pipeline.progress.switches.progress,
        )
        self._waiting = 0

    @property
    def ready(self) -> bool:
        """Whether turns can be kept now."""
        return self._replica.alive and not self._replica.failing and not self._runners.closing

    @property
    def paused(self) -> bool:
        """Whether an operator holds all turns."""
        return self._admission.paused

    async def start(self) -> None:
        """Take over what lives before this one left, then watch over the lanes. Raises StoreUnavailable."""
        await self._replica.begin()
        self._housekeeping.start(self._retain(), "retention")

    async def accept(self, new: NewTurn, *, bounded: bool = True) -> Accepted:
        """Commit the turn, and see that it runs. Raises StoreUnavailable: then nothing was kept.

        `bounded`: where too many wait already, it is not kept (`full`). Greetings are no reason for that, and are
        always kept: thousands of them are accepted at once, and wait longest.
        """
        if not self._replica.alive:
            # before what is left over is taken over, a lane might get a second runner
            raise StoreUnavailable("starting")
        counts = new.kind is not Kind.WELCOME
        bounded = bounded and counts
        if bounded and self._waiting >= self._limits.waiting:
            return Accepted(0, full=True)
        gated = new.kind in NEEDS_ADMISSION
        idle = new.lane not in self._runners and not self._runners.closing
        claim = idle and (not gated or self._admission.try_admit())
        try:
            accepted = await self._commit(new, claim=claim, room=self._limits.lane if bounded else None)
            ticket = accepted.claimed
            if ticket is not None and ticket.owner == self._runners.owner and self._may_run(new.lane):
                claim = False  # the place goes with the turn
                self._runners.run(_claimed(new, accepted.n, ticket))
                return accepted
        finally:
            if claim and gated:
                await self._admission.free_slot(used=False)
        if ticket is not None:
            # a drain began meanwhile, or a runner looked in: whoever comes next finds it in the queue
            await with_retry(self._store.release, ticket)
        if not accepted.duplicate and not accepted.full:
            self._waiting += counts
            if new.kind is Kind.ASK:
                self._pipeline.reactions.question_waits(new.lane, new.payload.reference)
                if new.lane in self._runners:
                    self._waiting_notes.waits_in_lane(new, accepted.n)
            self._runners.wake(new.lane)
        return accepted

    async def stop(self, lane: Lane, note_: NewTurn, by: str, *, only: int = 0) -> StopVerdict:
        """Stop what runs in the lane, for the command with the note's id; the note is shown where nothing had begun.

        `only`: no other turn than this one.
        """
        stopped: Stopped = await self._store.stop(lane, note_, by, self._clock.now(), only=only)
        if stopped.verdict is StopVerdict.STOPPING:
            self._runners.stop(stopped.n, by)
        elif stopped.verdict is StopVerdict.WITHDRAWN:
            self._unasked(stopped.n)
            self._runners.wake(note_.lane)
        return stopped.verdict

    async def drop(self, n: int, note_: NewTurn) -> DropVerdict:
        """Close an open turn on an operator's word and tell its people; one that runs is stopped."""
        verdict = await self._store.drop(n, note_, self._clock.now())
        if verdict is DropVerdict.STOPPING:
            self._runners.stop(n, "")
        elif verdict is DropVerdict.DROPPED:
            self._unasked(n)
            self._runners.wake(note_.lane)
        return verdict

    async def pause(self, paused: bool) -> None:
        """Hold all turns, or let them go on; other processes follow with their next beat."""
        await self._store.pause(paused)
        self._admission.paused = paused

    async def find(self, n: int) -> Turn | None:
        """The turn with this number."""
        return await self._store.find(n)

    async def turns(self, wanted: TurnFilter, limit: int) -> tuple[Turn, ...]:
        """The newest turns that fit, without their texts."""
        return await self._store.turns(wanted, limit)

    async def status(self, lane: Lane) -> LaneStatus:
        """What runs and what waits in a lane."""
        return await self._store.lane_status(lane)

    async def drain(self, grace: float) -> None:
        """Begin nothing new; give what runs `grace` seconds. What is past it is told by whoever runs next."""
        self._runners.close()
        await self._housekeeping.cancel()
        self._admission.close()
        self._pipeline.begin_shutdown()
        left = await self._tasks.finish(grace)
        if left:
            _log.warning("interrupting", tasks=left)
        await self._tasks.cancel()
        await self._replica.end()

    def _unasked(self, n: int) -> None:
        """A turn was closed while it waited: whatever of it is still to be seen goes."""

        async def tidy() -> None:
            row = await with_retry(self._store.find, n)
            if row is not None and row.state is State.CLOSED:
                await self._pipeline.clean_up(row)

        self._housekeeping.start(tidy(), "tidy")

    async def _commit(self, new: NewTurn, *, claim: bool, room: int | None) -> Accepted:
        try:
            return await self._store.accept(new, self._runners.owner, claim=claim, room=room)
        except StoreUnavailable:
            self._replica.failing = True  # until a beat says otherwise, others are better placed
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
            # small batches, so that retention never holds up the traffic
            await asyncio.sleep(0.5 if done else _RETENTION_SECONDS)


def _claimed(new: NewTurn, n: int, ticket: Ticket) -> Turn:
    """The row as it stands after a claim at acceptance, without reading it back."""
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
