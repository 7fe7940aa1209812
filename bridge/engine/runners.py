"""Runners: each runner works through the turns of a lane in order, a single turn at a time.

A runner claims the lane's next turn only after the close of the last turn is committed. A runner woken while a claim
finds the lane empty claims once more, so no wake-up is lost. docs/architecture.md, "Sessions and lanes"
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

import structlog

from bridge import metrics
from bridge.core.errors import InternalError, RunNotStarted, TurnFailure
from bridge.core.identity import WELCOME_LANES
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Kind, Lane, Outcome, Turn
from bridge.engine.admission import NEEDS_ADMISSION, Admission
from bridge.engine.pipeline import Pipeline
from bridge.engine.run_control import RunControl
from bridge.engine.store_retry import with_retry
from bridge.tasks import Tasks

_log = structlog.get_logger()

# Seconds between two greetings of one lane, since a rollout installs the app for a whole tenant within minutes. Of the
# 50 calls a second allowed to an app in a tenant, greetings of all lanes make 5; answers have the rest.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit
WELCOME_SECONDS = WELCOME_LANES / 5


@dataclass(slots=True)
class _Runner:
    """The state of a lane's runner.

    `turn` runs now; `taken_over`, a turn of an expired replica, runs next. `woken`: turns may be queued in the lane.
    `holds_slot`: admission gave a slot. `admission_failure`: the failure that ended the wait for a slot.
    `waits_since`: when a released head joined the admission queue first (loop time).
    """

    turn: Turn | None = None
    taken_over: Turn | None = None
    control: RunControl = field(default_factory=RunControl)
    woken: bool = False
    holds_slot: bool = False
    admission_failure: TurnFailure | None = None
    waits_since: float | None = None


class Runners:
    """Starts, wakes and stops the runners of this replica.

    `owner` is the replica's id in claimed rows. `merge`: queued messages of one person are asked together.
    `alive`: the replica holds a lease; without, runners claim no turns.
    """

    def __init__(
        self, *, store: TurnStore, pipeline: Pipeline, admission: Admission, clock: Clock, tasks: Tasks, merge: bool
    ) -> None:
        self._store = store
        self._pipeline = pipeline
        self._admission = admission
        self._clock = clock
        self._tasks = tasks
        self._merge = merge
        self._by_lane: dict[Lane, _Runner] = {}
        self._closing = asyncio.Event()
        self.owner = ""
        self.alive = False

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._by_lane

    def __len__(self) -> int:
        return len(self._by_lane)

    @property
    def closing(self) -> bool:
        """Whether the shutdown has begun, so runners claim no more turns."""
        return self._closing.is_set()

    def close(self) -> None:
        """Claim no more turns; running turns go on."""
        self._closing.set()

    def run(self, turn: Turn) -> None:
        """Run a turn claimed at acceptance; the caller has taken the slot, if the turn needs admission."""
        self._start(turn.lane, _Runner(turn, holds_slot=turn.kind in NEEDS_ADMISSION))

    def resume(self, turn: Turn) -> None:
        """Continue a turn claimed earlier: taken over from an expired replica, or left without a runner."""
        runner = self._by_lane.get(turn.lane)
        if runner is not None:
            runner.taken_over = turn
        else:
            self._start(turn.lane, _Runner(taken_over=turn, woken=True))

    def wake(self, lane: Lane) -> None:
        """Let a runner look for queued turns in the lane."""
        runner = self._by_lane.get(lane)
        if runner is not None:
            runner.woken = True
        elif self.alive and not self.closing:  # after a lost lease the replica wakes the lanes when it joins again
            self._start(lane, _Runner(woken=True))

    def runs(self, n: int) -> bool:
        """Whether turn `n` runs in this replica and is not stopped yet."""
        return any(r.turn is not None and r.turn.n == n and not r.control.stopped for r in self._by_lane.values())

    def stop(self, n: int, by: str, *, withdrawn: bool = False) -> None:
        """Stop turn `n` if the turn still runs in this replica; `by` and `withdrawn` as in RunControl.stop."""
        for runner in self._by_lane.values():
            if runner.turn is not None and runner.turn.n == n and not runner.control.stopped:
                runner.control.stop(by, withdrawn=withdrawn)

    def listen(self, turn: Turn) -> None:
        """Ask Teams at once whether the person has stopped the turn's stream: the person wrote to another replica."""
        self._pipeline.progress.listen(turn.payload.reference.conversation)

    def _start(self, lane: Lane, runner: _Runner) -> None:
        self._by_lane[lane] = runner
        metrics.RUNNING.inc()
        self._tasks.start(self._drain(lane, runner), "runner")

    async def _drain(self, lane: Lane, runner: _Runner) -> None:
        try:
            if runner.turn is not None:
                await self._work(runner.turn, runner)
            while await self._work_next(lane, runner):
                pass
        finally:
            # without an await since the last claim: an accept from here on starts a new runner
            del self._by_lane[lane]
            metrics.RUNNING.dec()

    async def _work_next(self, lane: Lane, runner: _Runner) -> bool:
        """Work on the lane's next turn; False when the lane has none."""
        if runner.taken_over is not None:
            turn, runner.taken_over = runner.taken_over, None
            await self._work(turn, runner, resumed=True)
            return True
        if self.closing or not runner.woken:
            return False
        runner.woken = False
        claimed = await self._claim(lane, runner)
        if claimed is None:
            return runner.woken or runner.taken_over is not None
        runner.woken = True
        await self._work(claimed, runner)
        return True

    async def _claim(self, lane: Lane, runner: _Runner) -> Turn | None:
        """Claim the lane's head, admitted or with `admission_failure` set; None if no turn is queued."""
        runner.holds_slot = self._admission.try_admit()
        if not runner.holds_slot:
            head = await with_retry(self._store.head, lane)
            if head is None:
                return None
            if head.kind in NEEDS_ADMISSION:
                runner.admission_failure = await self._admission.admit(lane, runner.waits_since)
                runner.holds_slot = runner.admission_failure is None
        try:
            turn = await with_retry(self._store.claim, lane, self.owner, merge=self._merge)
        except asyncio.CancelledError:
            await self._free_slot(runner, used=False)
            raise
        if turn is None or turn.kind not in NEEDS_ADMISSION:
            runner.admission_failure = None
            await self._free_slot(runner, used=False)
        return turn

    async def _work(self, turn: Turn, runner: _Runner, *, resumed: bool = False) -> None:
        began = asyncio.get_running_loop().time()
        runner.turn, released = turn, None
        failure, runner.admission_failure = runner.admission_failure, None
        try:
            if resumed:
                runner.woken = await self._pipeline.resume(turn, runner.control) or runner.woken
            elif failure is not None:
                await self._pipeline.refuse(turn, runner.control, failure)
            else:
                released = await self._pipeline.run(turn, runner.control)
        except Exception as error:  # noqa: BLE001  a turn left open would be recovered as an orphan, for ever
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            at, broken = self._clock.now(), InternalError.label
            await with_retry(self._store.close_turn, turn.ticket, Outcome.UNDELIVERED, turn.delivered, at, broken)
        finally:
            admitted, control = runner.holds_slot, runner.control
            await self._free_slot(runner, used=control.gateway_called)
            runner.turn, runner.control = None, RunControl()
        if admitted and (released is not None or control.gateway_responded):
            await self._admission.report(released)
        self._plan_next(runner, released, began)
        if turn.kind is Kind.WELCOME:
            await self._hold_lane(WELCOME_SECONDS * self._admission.replicas)

    async def _hold_lane(self, seconds: float) -> None:
        """Keep the lane's next turn waiting for `seconds`, or until the shutdown begins."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    def _plan_next(self, runner: _Runner, released: RunNotStarted | None, began: float) -> None:
        """Note whether to look for the lane's next turn, and since when a released turn waits for admission."""
        if released is not None:
            # the turn keeps the position in the queue: the gateway refused for no fault of the asker
            runner.waits_since = began if runner.waits_since is None else runner.waits_since
        else:
            runner.waits_since = None
        # on a shared store any replica may have queued turns here, and leaves the lane to the runner at work
        runner.woken = runner.woken or released is not None or self._store.shared

    async def _free_slot(self, runner: _Runner, *, used: bool) -> None:
        if runner.holds_slot:
            runner.holds_slot = False
            await self._admission.free_slot(used=used)
