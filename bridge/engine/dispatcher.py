"""Accept turns and run them: one runner per lane, first come first served.

Write, commit, then look: a turn is inserted and committed, then its runner is started or poked; a turn is closed and
committed, then the next is claimed. A runner that finds nothing looks once more if it was poked meanwhile, so no
wake-up is lost. A beat finds what fell between (a request that was cancelled after its commit).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import structlog

from bridge import metrics
from bridge.core.errors import InternalError, StoreUnavailable
from bridge.core.ports import Clock, TurnStore
from bridge.core.turn import (
    Accepted,
    Lane,
    LaneStatus,
    NewTurn,
    Outcome,
    State,
    StopVerdict,
    Ticket,
    Turn,
)
from bridge.engine.control import Control
from bridge.engine.insist import insist
from bridge.engine.pipeline import Pipeline
from bridge.tasks import Tasks

_log = structlog.get_logger()

_BEAT_SECONDS = 1.0
# A claimed row without a runner for this long was orphaned by a cancelled request, not merely on its way.
_ORPHAN_SECONDS = 5.0
_RETENTION_SECONDS = 600.0


@dataclass(slots=True)
class _Runner:
    """The work of one lane. `waiting` counts what was queued behind the running turn since this process started.

    `turn` is what runs.
    """

    turn: Turn | None = None
    control: Control = field(default_factory=Control)
    waiting: int = 0
    poked: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """`lane`: turns waiting in one lane; `lanes`: lanes at work at once. Retention in seconds after closing."""

    lane: int = 20
    lanes: int = 20_000
    keep_text: float = 24 * 3600.0
    keep_ids: float = 7 * 24 * 3600.0


class Dispatcher:
    """Implements acceptance, order, recovery, stop and drain over one store. `owner` names this process's life."""

    def __init__(
        self, *, store: TurnStore, pipeline: Pipeline, clock: Clock, tasks: Tasks, owner: str, limits: Limits
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._clock = clock
        self._tasks = tasks
        self._owner = owner
        self._limits = limits
        self._runners: dict[Lane, _Runner] = {}
        self._housekeeping = Tasks()
        self._started = False
        self._draining = False
        self.ready = False

    async def start(self) -> None:
        """Take over what a process before this one left, then watch over the lanes."""
        orphans = await self._store.adopt(self._owner)
        for turn in orphans.turns:
            self._start_runner(turn.lane, turn, resumed=True)
        for lane in orphans.lanes:
            self._wake(lane)
        self._housekeeping.start(self._beat(), "beat")
        self._housekeeping.start(self._retain(), "retention")
        self._started = self.ready = True

    def has_room(self, lane: Lane) -> bool:
        """Whether one more turn may wait in this lane."""
        runner = self._runners.get(lane)
        if runner is None:
            return len(self._runners) < self._limits.lanes
        return runner.waiting < self._limits.lane

    async def accept(self, new: NewTurn) -> Accepted:
        """Commit the turn, and see that it runs. Raises StoreUnavailable: then nothing was kept."""
        if not self._started:
            # before what is left over is taken over, a lane might get a second runner
            raise StoreUnavailable("starting")
        idle = new.lane not in self._runners and not self._draining
        accepted = await self._store.accept(new, self._owner if idle else None)
        if accepted.duplicate:
            return accepted
        ticket = accepted.claimed
        if ticket is not None and new.lane not in self._runners and not self._draining:
            self._start_runner(new.lane, _claimed(new, accepted.n, ticket))
            return accepted
        if ticket is not None:
            # a drain began meanwhile, or a runner looked in: whoever comes next finds it in the queue
            await insist(lambda: self._store.release(ticket))
        self._wake(new.lane)
        return accepted

    async def stop(self, lane: Lane, id_: str, by: str) -> StopVerdict:
        """Stop what runs in the lane, for the command with this id."""
        stopped = await self._store.stop(lane, id_, self._clock.now())
        runner = self._runners.get(lane)
        # by number: meanwhile the runner may have gone on to the next turn
        if stopped.verdict is StopVerdict.STOPPING and runner and runner.turn and runner.turn.n == stopped.n:
            runner.control.stop(by)
        return stopped.verdict

    async def find(self, n: int) -> Turn | None:
        """The turn with this number."""
        return await self._store.find(n)

    async def status(self, lane: Lane) -> LaneStatus:
        """What runs and what waits in a lane."""
        return await self._store.lane_status(lane)

    async def drain(self, grace: float) -> None:
        """Begin nothing new; give what runs `grace` seconds. What is past it is told by whoever runs next."""
        self._draining = True
        self.ready = False
        await self._housekeeping.cancel()
        self._pipeline.leave()
        left = await self._tasks.finish(grace)
        if left:
            _log.warning("interrupting", tasks=left)
        await self._tasks.cancel()

    def _wake(self, lane: Lane) -> None:
        runner = self._runners.get(lane)
        if runner is not None:
            runner.poked = True
            runner.waiting += 1
        elif not self._draining:
            self._start_runner(lane, None)

    def _start_runner(self, lane: Lane, turn: Turn | None, *, resumed: bool = False) -> None:
        runner = self._runners[lane] = _Runner(turn)
        metrics.RUNNING.inc()
        self._tasks.start(self._drain_lane(lane, runner, resumed=resumed), "runner")

    async def _drain_lane(self, lane: Lane, runner: _Runner, *, resumed: bool) -> None:
        try:
            while True:
                if runner.turn is None:
                    if self._draining:
                        return
                    runner.poked = False
                    runner.turn = await insist(lambda: self._store.claim(lane, self._owner))
                    if runner.turn is None:
                        if runner.poked:
                            continue
                        return
                    runner.waiting = max(0, runner.waiting - 1)
                await self._work(runner.turn, runner.control, resumed=resumed)
                runner.turn, runner.control, resumed = None, Control(), False
        finally:
            # no await between the last look and this: an accept after it starts a new runner
            del self._runners[lane]
            metrics.RUNNING.dec()

    async def _work(self, turn: Turn, control: Control, *, resumed: bool) -> None:
        work = self._pipeline.resume if resumed else self._pipeline.run
        try:
            await work(turn, control)
        except Exception as error:  # noqa: BLE001  left open, it would look like an orphan and be asked again, for ever
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            at, broken = self._clock.now(), InternalError.label
            await insist(lambda: self._store.settle(turn.ticket, Outcome.UNDELIVERED, turn.shown, at, broken))

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_SECONDS)
            now = self._clock.now()
            stalled = await insist(lambda: self._store.stalled(self._owner, now - _BEAT_SECONDS))
            for turn in stalled.turns:
                if turn.lane not in self._runners and turn.accepted < now - _ORPHAN_SECONDS:
                    await self._recover(turn)
            for lane in stalled.lanes:
                if lane not in self._runners:
                    self._wake(lane)

    async def _recover(self, turn: Turn) -> None:
        """A row of ours that nobody works on: its request was cancelled between commit and start."""
        # read again: since the beat looked, its runner may have closed it and be gone
        row = await insist(lambda: self._store.find(turn.n))
        if row is None or row.ticket != turn.ticket or turn.lane in self._runners:
            return
        if row.state is State.RUNNING and not row.stop:
            _log.warning("orphan_released", turn=turn.name)
            await insist(lambda: self._store.release(turn.ticket))
            if turn.lane not in self._runners:
                self._wake(turn.lane)
        elif row.state is not State.CLOSED:
            _log.warning("orphan_resumed", turn=turn.name)
            self._start_runner(turn.lane, row, resumed=True)

    async def _retain(self) -> None:
        while True:
            now = self._clock.now()
            limits = self._limits
            done = await insist(lambda: self._store.forget_old(now - limits.keep_text, now - limits.keep_ids))
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
