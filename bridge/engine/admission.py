"""What a lane's head waits for before it is claimed (docs/architecture.md, "A turn's states"), so that a crash meanwhile interrupts nothing.

A place among the running turns, the gateway being there, its shared rate limit, and no pause. Whoever waits stands in
one line over all lanes, one head of each: a lane with many turns queued gets in line again for each of them.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from bridge import metrics
from bridge.core.errors import GatewayBusy, GatewayDown, RunNotStarted, StoreUnavailable, TurnFailure
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Kind, Lane
from bridge.tasks import Tasks

NEEDS_ADMISSION = frozenset({Kind.ASK, Kind.NEW})
"""The kinds of turns that call the gateway."""

BUDGET = "gateway"
_TRIALS = (0.5, 1.0, 2.0, 5.0)
_STORE_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: one more each `interval` seconds, at most `burst` at once."""

    interval: float
    burst: int


# What a gateway allows that says nothing else: 20 a minute, 5 at once (docs/reference/goclaw.md, "Errors").
GATEWAY_DEFAULT = Rate(3.0, 5)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, a question waits for a gateway that cannot be reached, and for its turn in the line.

    A question that waits longer than `untold` is told so.
    """

    gateway_down: float = 30.0
    queue: float = 1800.0
    notify_after: float = 10.0


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """Where a lane's head stands: `ahead` others come first; `seconds` to go as far as that can be known."""

    lane: Lane
    ahead: int
    seconds: float | None
    paused: bool


@dataclass(slots=True)
class _Waiting:
    since: float
    passed: asyncio.Future[TurnFailure | None]
    notified: bool = False


@dataclass(slots=True)
class _Circuit:
    """Whether the gateway can be reached. While it cannot, one question at a time tries."""

    down_since: float | None = None
    trials: int = 0
    next_trial: float = 0.0
    trying: bool = False

    def failed(self, now: float) -> None:
        self.down_since = now if self.down_since is None else self.down_since
        self.next_trial = now + _TRIALS[min(self.trials, len(_TRIALS) - 1)]
        self.trials += 1
        self.trying = False


@dataclass(slots=True)
class _Queue:
    """Heads in the order in which they got in line; one that left is skipped when its place comes."""

    heap: list[tuple[float, int, Lane]] = field(default_factory=list)
    waiting: dict[Lane, _Waiting] = field(default_factory=dict)
    counter: Iterator[int] = field(default_factory=itertools.count)

    def add(self, lane: Lane, entry: _Waiting) -> None:
        self.waiting[lane] = entry
        heapq.heappush(self.heap, (entry.since, next(self.counter), lane))

    def first(self) -> _Waiting | None:
        while self.heap:
            since, _, lane = self.heap[0]
            entry = self.waiting.get(lane)
            if entry is not None and entry.since == since and not entry.passed.done():
                return entry
            heapq.heappop(self.heap)
        return None


class Admission:
    """The way into the gateway. `running`: turns at once. `rate`: the gateway's limit, where it is known.

    `paused` holds everything; `replicas` share the limit.
    """

    def __init__(self, *, store: TurnStore, tasks: Tasks, running: int, rate: Rate | None, patience: Patience) -> None:
        self._store = store
        self._tasks = tasks
        self._most = running
        self._rate = rate
        self._patience = patience
        self._running = 0
        self._paused = False
        self._circuit = _Circuit()
        self._line = _Queue()
        self._changed = asyncio.Event()
        self._admitting = False
        self._closed = False
        self.replicas = 1

    @property
    def running(self) -> int:
        """Turns that have a place now."""
        return self._running

    @property
    def paused(self) -> bool:
        """Whether an operator holds everything."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._changed.set()

    def try_admit(self) -> bool:
        """A place at once, if nobody waits and nothing stands in the way that must be waited for."""
        free = self._rate is None and self._circuit.down_since is None and not self._paused and not self._line.waiting
        if free and self._running < self._most:
            self._running += 1
            return True
        return False

    async def admit(self, lane: Lane, since: float | None = None) -> TurnFailure | None:
        """Wait in the line for a place; `since` where the lane's head has stood there before. Gives None with a place,
        or why its patience has ended, without one."""
        if self._closed:
            raise asyncio.CancelledError
        loop = asyncio.get_running_loop()
        if since is not None and self._hopeless(loop.time()):
            return GatewayDown("patience")
        entry = _Waiting(loop.time() if since is None else since, loop.create_future(), notified=since is not None)
        self._line.add(lane, entry)
        metrics.WAITING.inc()
        if not self._admitting:
            self._admitting = True
            self._tasks.start(self._admit(), "gate")
        try:
            return await entry.passed
        except asyncio.CancelledError:
            if entry.passed.done() and not entry.passed.cancelled() and entry.passed.result() is None:
                await self.free_slot(used=False)
            raise
        finally:
            del self._line.waiting[lane]
            metrics.WAITING.dec()
            self._changed.set()

    async def free_slot(self, *, used: bool = True) -> None:
        """Give the place back; if it was not `used`, the gateway was not asked."""
        self._running -= 1
        self._circuit.trying = False
        self._changed.set()
        if not used and self._rate is not None:
            try:
                await self._store.refund(BUDGET, self._rate.interval)
            except StoreUnavailable:
                return  # one question less in this minute

    async def report(self, failure: RunNotStarted | None) -> None:
        """What the gateway did with a question: None when it took it."""
        now = asyncio.get_running_loop().time()
        if isinstance(failure, GatewayDown):
            self._circuit.failed(now)
            self._give_up(now)
            return
        self._circuit = _Circuit()
        self._changed.set()
        if isinstance(failure, GatewayBusy):
            self._rate = self._rate or GATEWAY_DEFAULT
            try:
                await self._store.exhaust(BUDGET, self._rate.interval, self._rate.burst)
            except StoreUnavailable:
                return  # then the gateway says it once more

    def close(self) -> None:
        """Nobody enters any more: who waits is left in the queue for whoever runs next."""
        self._closed = True
        for entry in self._line.waiting.values():
            entry.passed.cancel()

    def unnotified(self, most: int) -> list[QueuePosition]:
        """Up to `most` heads that wait so long that their people should know; each is given once.

        Ends the waiting of those whose patience has ended.
        """
        now = asyncio.get_running_loop().time()
        places: list[QueuePosition] = []
        entries = sorted(self._line.waiting.items(), key=lambda item: item[1].since)
        for ahead, (lane, entry) in enumerate(entries):
            waited = now - entry.since
            if waited > self._patience.queue and not self._paused and not entry.passed.done():
                entry.passed.set_result(GatewayBusy("patience"))
                continue
            seconds = None if self._rate is None else (ahead + 1) * self._rate.interval * self.replicas
            if entry.notified or len(places) >= most or self._circuit.down_since is not None:
                continue
            if self._paused or waited + (seconds or 0.0) > self._patience.notify_after:
                entry.notified = True
                places.append(QueuePosition(lane, ahead, seconds, self._paused))
        return places

    def _hopeless(self, now: float) -> bool:
        since = self._circuit.down_since
        return since is not None and now - since >= self._patience.gateway_down

    def _give_up(self, now: float) -> None:
        """A trial has failed: who stood in line while it was made need not hope for another one for ever."""
        if not self._hopeless(now):
            return
        for entry in self._line.waiting.values():
            if not entry.passed.done():
                entry.passed.set_result(GatewayDown("patience"))

    async def _admit(self) -> None:
        try:
            while self._line.first() is not None:
                self._changed.clear()
                pause = await self._obstacle()
                entry = self._line.first()
                if pause == 0.0 and entry is not None:
                    self._running += 1
                    self._circuit.trying = self._circuit.down_since is not None
                    entry.passed.set_result(None)
                elif pause == 0.0:
                    self._running += 1  # everybody left meanwhile: what was taken is given back
                    await self.free_slot(used=False)
                else:
                    await self._wait(pause)
        finally:
            self._admitting = False

    async def _wait(self, seconds: float | None) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _obstacle(self) -> float | None:
        """Seconds until it is worth to look again; None: until something changes; 0.0: the first may pass."""
        circuit = self._circuit
        if self._paused or self._running >= self._most or circuit.trying:
            return None
        if circuit.down_since is not None:
            pause = circuit.next_trial - asyncio.get_running_loop().time()
            if pause > 0:
                return pause
        if self._rate is None:
            return 0.0
        try:
            return await self._store.spend(BUDGET, self._rate.interval, self._rate.burst)
        except StoreUnavailable:
            return _STORE_PAUSE
