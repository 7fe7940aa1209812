"""Admission: the wait of a lane's head before the claim, so a crash during the wait interrupts no turn.

A head is admitted when a slot among the running turns is free, the gateway is reachable, the gateway's rate limit
allows a request, and no operator has paused all turns. Waiting heads of all lanes stand in one queue, one head a lane:
a lane with many queued turns joins the queue anew for each turn. docs/architecture.md, "A turn's states"
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
# Seconds before the first, second, … question that tries a gateway out of reach; the last pause repeats.
_TRIAL_PAUSES = (0.5, 1.0, 2.0, 5.0)
_STORE_PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """A token bucket: a token more each `interval` seconds, at most `burst` tokens."""

    interval: float
    burst: int


# The limit of a gateway whose limit the operator did not set: 20 a minute, 5 at once.
# docs/reference/goclaw.md, "Rate limit"
GATEWAY_DEFAULT = Rate(3.0, 5)


@dataclass(frozen=True, slots=True)
class Patience:
    """The longest waits of a question, in seconds: for a gateway out of reach, and in the queue for admission.

    A question that waits longer than `notify_after`, or is expected to, has its asker notified.
    """

    gateway_down: float = 30.0
    queue: float = 1800.0
    notify_after: float = 10.0


@dataclass(frozen=True, slots=True)
class QueuePosition:
    """The position of a lane's head: `ahead` heads come first; expected `seconds` to go, None where unknown."""

    lane: Lane
    ahead: int
    seconds: float | None
    paused: bool


@dataclass(slots=True)
class _WaitingHead:
    """A head in the queue since `since` (loop time). `admitted` gets None with a slot, or the failure without."""

    since: float
    admitted: asyncio.Future[TurnFailure | None]
    notified: bool = False


@dataclass(slots=True)
class _CircuitBreaker:
    """Whether the gateway is reachable. While the gateway is down, one question at a time tries (loop times)."""

    down_since: float | None = None
    failures: int = 0
    next_trial: float = 0.0
    trial_under_way: bool = False

    def record_failure(self, now: float) -> None:
        self.down_since = now if self.down_since is None else self.down_since
        self.next_trial = now + _TRIAL_PAUSES[min(self.failures, len(_TRIAL_PAUSES) - 1)]
        self.failures += 1
        self.trial_under_way = False


@dataclass(slots=True)
class _HeadQueue:
    """Heads in the order of joining; heads that left stay in `heap` until they come first, and are skipped there."""

    heap: list[tuple[float, int, Lane]] = field(default_factory=list)
    waiting: dict[Lane, _WaitingHead] = field(default_factory=dict)
    counter: Iterator[int] = field(default_factory=itertools.count)

    def add(self, lane: Lane, head: _WaitingHead) -> None:
        self.waiting[lane] = head
        heapq.heappush(self.heap, (head.since, next(self.counter), lane))

    def first(self) -> _WaitingHead | None:
        while self.heap:
            since, _, lane = self.heap[0]
            head = self.waiting.get(lane)
            if head is not None and head.since == since and not head.admitted.done():
                return head
            heapq.heappop(self.heap)
        return None


class Admission:
    """Admits heads of lanes to the gateway. `running`: the most turns at once. `rate`: the gateway's limit, if known.

    `paused` holds all heads; `replicas` is the number of replicas that share the gateway's limit.
    """

    def __init__(self, *, store: TurnStore, tasks: Tasks, running: int, rate: Rate | None, patience: Patience) -> None:
        self._store = store
        self._tasks = tasks
        self._most_running = running
        self._rate = rate
        self._patience = patience
        self._running = 0
        self._paused = False
        self._breaker = _CircuitBreaker()
        self._queue = _HeadQueue()
        self._changed = asyncio.Event()
        self._admitting: asyncio.Task[None] | None = None
        self._closed = False
        self.replicas = 1

    @property
    def running(self) -> int:
        """The number of slots taken now."""
        return self._running

    @property
    def paused(self) -> bool:
        """Whether an operator has paused all turns."""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._changed.set()

    def try_admit(self) -> bool:
        """Take a slot if no head waits and admission needs no wait: no known rate limit, gateway up, not paused."""
        free = self._rate is None and self._breaker.down_since is None and not self._paused and not self._queue.waiting
        if free and self._running < self._most_running:
            self._running += 1
            return True
        return False

    async def admit(self, lane: Lane, since: float | None = None) -> TurnFailure | None:
        """Wait in the queue for a slot; gives None with a slot, or without a slot the failure that ended the wait.

        `since` (loop time): when the head joined the queue first, if the head was released from an earlier claim.
        """
        if self._closed:
            raise asyncio.CancelledError
        loop = asyncio.get_running_loop()
        if since is not None and self._down_too_long(loop.time()):
            return GatewayDown("patience")
        head = _WaitingHead(loop.time() if since is None else since, loop.create_future(), notified=since is not None)
        self._queue.add(lane, head)
        metrics.WAITING.inc()
        if self._admitting is None or self._admitting.done():
            self._admitting = self._tasks.keep(self._admit_heads, "admission")
        try:
            return await head.admitted
        except asyncio.CancelledError:
            if head.admitted.done() and not head.admitted.cancelled() and head.admitted.result() is None:
                await self.free_slot(used=False)
            raise
        finally:
            del self._queue.waiting[lane]
            metrics.WAITING.dec()
            self._changed.set()

    async def free_slot(self, *, used: bool = True) -> None:
        """Give the slot back; without `used` (the gateway was not called) the rate limit also gets its token back."""
        self._running -= 1
        self._breaker.trial_under_way = False
        self._changed.set()
        if not used and self._rate is not None:
            try:
                await self._store.refund(BUDGET, self._rate.interval)
            except StoreUnavailable:
                return  # costs one question less in this minute

    async def report(self, failure: RunNotStarted | None) -> None:
        """Learn from the gateway's response to an admitted turn; None: the gateway took the request."""
        now = asyncio.get_running_loop().time()
        if isinstance(failure, GatewayDown):
            self._breaker.record_failure(now)
            self._end_hopeless_waits(now)
            return
        self._breaker = _CircuitBreaker()
        self._changed.set()
        if isinstance(failure, GatewayBusy):
            self._rate = self._rate or GATEWAY_DEFAULT
            try:
                await self._store.exhaust(BUDGET, self._rate.interval, self._rate.burst)
            except StoreUnavailable:
                return  # the gateway's next refusal repeats the report

    def close(self) -> None:
        """Admit no head any more: waits are cancelled, and the turns stay queued for the next replica."""
        self._closed = True
        for head in self._queue.waiting.values():
            head.admitted.cancel()

    def heads_to_notify(self, most: int) -> list[QueuePosition]:
        """Return at most `most` heads with a long wait, each head once; end waits longer than `Patience.queue`."""
        now = asyncio.get_running_loop().time()
        positions: list[QueuePosition] = []
        heads = sorted(self._queue.waiting.items(), key=lambda item: item[1].since)
        for ahead, (lane, head) in enumerate(heads):
            waited = now - head.since
            if waited > self._patience.queue and not self._paused and not head.admitted.done():
                head.admitted.set_result(GatewayBusy("patience"))
                continue
            seconds = None if self._rate is None else (ahead + 1) * self._rate.interval * self.replicas
            if head.notified or len(positions) >= most or self._breaker.down_since is not None:
                continue
            if self._paused or waited + (seconds or 0.0) > self._patience.notify_after:
                head.notified = True
                positions.append(QueuePosition(lane, ahead, seconds, self._paused))
        return positions

    def _down_too_long(self, now: float) -> bool:
        since = self._breaker.down_since
        return since is not None and now - since >= self._patience.gateway_down

    def _end_hopeless_waits(self, now: float) -> None:
        """End all waits with GatewayDown once the gateway has been down for `Patience.gateway_down` seconds."""
        if not self._down_too_long(now):
            return
        for head in self._queue.waiting.values():
            if not head.admitted.done():
                head.admitted.set_result(GatewayDown("patience"))

    async def _admit_heads(self) -> None:
        """Admit the queue's heads in order, until the queue is empty."""
        while self._queue.first() is not None:
            self._changed.clear()
            pause = await self._pause_before_first()
            head = self._queue.first()
            if pause == 0.0 and head is not None:
                self._running += 1
                self._breaker.trial_under_way = self._breaker.down_since is not None
                head.admitted.set_result(None)
            elif pause == 0.0:
                self._running += 1  # all heads left meanwhile: the token taken from the rate limit is given back
                await self.free_slot(used=False)
            else:
                await self._until_changed(pause)

    async def _until_changed(self, seconds: float | None) -> None:
        """Wait for a change, at most `seconds` (None: without limit)."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _pause_before_first(self) -> float | None:
        """Seconds before the next attempt to admit the first head; None: until a change; 0.0: admit the head now."""
        breaker = self._breaker
        if self._paused or self._running >= self._most_running or breaker.trial_under_way:
            return None
        if breaker.down_since is not None:
            pause = breaker.next_trial - asyncio.get_running_loop().time()
            if pause > 0:
                return pause
        if self._rate is None:
            return 0.0
        try:
            return await self._store.spend(BUDGET, self._rate.interval, self._rate.burst)
        except StoreUnavailable:
            return _STORE_PAUSE
