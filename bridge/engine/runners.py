"""One runner for each lane at work: it takes the lane's turns one after the other.

Write, commit, then look: a turn is closed and committed, then the next is claimed. A runner that finds nothing looks
once more if it was woken meanwhile, so no wake-up is lost.
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

# An app is rolled out to a whole tenant within minutes, and there Teams takes 50 calls a second of one bot: greetings
# make 5 of them, over all their lanes, and leave the rest to answers.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit
WELCOME_SECONDS = WELCOME_LANES / 5


@dataclass(slots=True)
class _Runner:
    """The work of one lane.

    `turn` is what runs; `adopted` what was taken over from another life and comes next. `look`: something may be
    queued. `place`: the gate's place is held. `since`: when the head that was put back got in line (loop time).
    """

    turn: Turn | None = None
    taken_over: Turn | None = None
    control: RunControl = field(default_factory=RunControl)
    look_again: bool = False
    has_slot: bool = False
    refusal: TurnFailure | None = None
    since: float | None = None


class Runners:
    """The runners. `owner` is the life whose turns they are; `merge`: queued messages are asked together."""

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
        """Whether nothing new is begun."""
        return self._closing.is_set()

    def close(self) -> None:
        """Begin nothing new."""
        self._closing.set()

    def run(self, turn: Turn) -> None:
        """Run a turn that was claimed at its acceptance; a place that it needs was taken before."""
        self._start(turn.lane, _Runner(turn, has_slot=turn.kind in NEEDS_ADMISSION))

    def resume(self, turn: Turn) -> None:
        """Go on with a turn that another life had claimed."""
        runner = self._by_lane.get(turn.lane)
        if runner is not None:
            runner.taken_over = turn
        else:
            self._start(turn.lane, _Runner(taken_over=turn, look_again=True))

    def wake(self, lane: Lane) -> None:
        """Something may be queued in the lane."""
        runner = self._by_lane.get(lane)
        if runner is not None:
            runner.look_again = True
        elif self.alive and not self.closing:  # a lost life claims nothing; the next one wakes what it takes over
            self._start(lane, _Runner(look_again=True))

    def runs(self, n: int) -> bool:
        """Whether this turn runs here and nobody has stopped it yet."""
        return any(r.turn is not None and r.turn.n == n and not r.control.stopped for r in self._by_lane.values())

    def stop(self, n: int, by: str, *, withdrawn: bool = False) -> None:
        """Stop this turn, if it runs here. By number: its runner may have gone on to the next."""
        for runner in self._by_lane.values():
            if runner.turn is not None and runner.turn.n == n and not runner.control.stopped:
                runner.control.stop(by, withdrawn=withdrawn)

    def _start(self, lane: Lane, runner: _Runner) -> None:
        self._by_lane[lane] = runner
        metrics.RUNNING.inc()
        self._tasks.start(self._drain(lane, runner), "runner")

    async def _drain(self, lane: Lane, runner: _Runner) -> None:
        try:
            if runner.turn is not None:
                await self._work(runner.turn, runner)
            while await self._next(lane, runner):
                pass
        finally:
            # no await between the last look and this: an accept after it starts a new runner
            del self._by_lane[lane]
            metrics.RUNNING.dec()

    async def _next(self, lane: Lane, runner: _Runner) -> bool:
        """Work on the lane's next turn; False when there is none."""
        if runner.taken_over is not None:
            turn, runner.taken_over = runner.taken_over, None
            await self._work(turn, runner, resumed=True)
            return True
        if self.closing or not runner.look_again:
            return False
        runner.look_again = False
        claimed = await self._claim(lane, runner)
        if claimed is None:
            return runner.look_again or runner.taken_over is not None
        runner.look_again = True
        await self._work(claimed, runner)
        return True

    async def _claim(self, lane: Lane, runner: _Runner) -> Turn | None:
        """The head of the lane, with a place in the gateway if it needs one, or with the reason why it gets none."""
        runner.has_slot = self._admission.try_admit()
        if not runner.has_slot:
            head = await with_retry(self._store.head, lane)
            if head is None:
                return None
            if head.kind in NEEDS_ADMISSION:
                runner.refusal = await self._admission.admit(lane, runner.since)
                runner.has_slot = runner.refusal is None
        try:
            turn = await with_retry(self._store.claim, lane, self.owner, merge=self._merge)
        except asyncio.CancelledError:
            await self._free(runner, used=False)
            raise
        if turn is None or turn.kind not in NEEDS_ADMISSION:
            runner.refusal = None
            await self._free(runner, used=False)
        return turn

    async def _work(self, turn: Turn, runner: _Runner, *, resumed: bool = False) -> None:
        began = asyncio.get_running_loop().time()
        runner.turn, released = turn, None
        refusal, runner.refusal = runner.refusal, None
        try:
            if resumed:
                runner.look_again = await self._pipeline.resume(turn, runner.control) or runner.look_again
            elif refusal is not None:
                await self._pipeline.refuse(turn, runner.control, refusal)
            else:
                released = await self._pipeline.run(turn, runner.control)
        except Exception as error:  # noqa: BLE001  left open, it would look like an orphan and be asked again, for ever
            _log.error("turn_broken", turn=turn.name, error=type(error).__name__, exc_info=error)
            at, broken = self._clock.now(), InternalError.label
            await with_retry(self._store.close_turn, turn.ticket, Outcome.UNDELIVERED, turn.delivered, at, broken)
        finally:
            admitted, control = runner.has_slot, runner.control
            await self._free(runner, used=control.asked)
            runner.turn, runner.control = None, RunControl()
        if admitted and (released is not None or control.reached):
            await self._admission.report(released)
        await self._put_back(runner, released, began)
        if turn.kind is Kind.WELCOME:
            await self._hold_lane(WELCOME_SECONDS * self._admission.replicas)

    async def _hold_lane(self, seconds: float) -> None:
        """Keep the lane to oneself, so that what is queued or accepted in it meanwhile waits."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closing.wait()

    async def _put_back(self, runner: _Runner, released: RunNotStarted | None, began: float) -> None:
        if released is not None:
            # it keeps its place in the line: it was asked, and refused through no fault of its own
            runner.since = began if runner.since is None else runner.since
        else:
            runner.since = None
        # another process may have queued something behind it, and left the lane to whoever works in it
        runner.look_again = runner.look_again or released is not None or self._store.shared

    async def _free(self, runner: _Runner, *, used: bool) -> None:
        if runner.has_slot:
            runner.has_slot = False
            await self._admission.free_slot(used=used)
