"""One life among others on the same turn table: its beat, its watch over itself, and what it takes over from the dead.

With a store that only this process uses there is nobody to watch, and the beat only looks for what fell between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from bridge import metrics
from bridge.core.errors import StoreUnavailable
from bridge.core.lease import Lease
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import Heartbeat, TurnStore
from bridge.core.turn import State
from bridge.engine.runners import Runners
from bridge.engine.store_retry import with_retry
from bridge.tasks import Tasks

_log = structlog.get_logger()

HEARTBEAT_SECONDS = 1.0
# A claimed row without a runner for this long was orphaned by a cancelled request, not merely on its way.
_ORPHAN_SECONDS = 5.0


class Replica:
    """The life of this process on the store. `new_owner` names each life; `heard` gets what every beat brings.

    `work` holds the tasks of the lanes: they are ended when this life can no longer be sure that it is not dead.
    """

    def __init__(
        self,
        *,
        store: TurnStore,
        runners: Runners,
        work: Tasks,
        lease: Lease,
        clock: Clock,
        monotonic: Callable[[], float],
        new_owner: Callable[[], str],
        heard: Callable[[Heartbeat], None],
    ) -> None:
        self._store = store
        self._runners = runners
        self._work = work
        self._lease = lease
        self._clock = clock
        self._monotonic = monotonic
        self._new_owner = new_owner
        self._on_heartbeat = heard
        self._watching = Tasks()
        self.alive = False
        self.failing = False

    async def begin(self) -> None:
        """Join, take over what the dead have left, then beat. Raises StoreUnavailable."""
        await self._join()
        self._store.on_stop(self._stop_asked)
        self._watching.start(self._run(), "heartbeat")
        if self._store.shared:
            self._watching.start(self._watch(), "watchdog")

    async def end(self) -> None:
        """Leave: what is still open may be taken over at once."""
        await self._watching.cancel()
        with contextlib.suppress(StoreUnavailable):  # then the others wait for one lease
            await self._store.leave(self._runners.owner)

    async def _join(self) -> None:
        owner = self._new_owner()
        await self._store.join(owner)
        began = self._monotonic()
        heartbeat = await self._store.heartbeat(owner, 0)
        self._lease.renewed(began, self._monotonic(), owner, heartbeat.counters)
        self._runners.owner, self._runners.alive = owner, True
        self._on_heartbeat(heartbeat)  # before anything runs: a pause holds what is taken over, too
        await self._take_over(frozenset())
        self.alive = True

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._count_heartbeat()
            except StoreUnavailable as error:
                if not self.failing:
                    _log.error("store_unavailable", error=error.detail)
                self.failing = True
            except Exception as error:  # noqa: BLE001  without a beat nothing is taken over, and nothing heals
                _log.error("heartbeat_failed", error=type(error).__name__, exc_info=error)
                self.failing = True

    async def _count_heartbeat(self) -> None:
        if not self.alive:
            await self._begin_again()
            return
        began, owner = self._monotonic(), self._runners.owner
        heartbeat = await self._store.heartbeat(owner, len(self._runners))
        if self._replaced(owner):
            return  # by the watchdog, while the beat was under way
        if not heartbeat.alive:
            await self._stop_own_work("declared expired")
            return
        self.failing = False
        expired = self._lease.renewed(began, self._monotonic(), owner, heartbeat.counters)
        if (expired and self._store.shared) or heartbeat.orphans:
            await self._take_over(expired)
        for n in heartbeat.stops:
            self._stop_asked(n)
        self._on_heartbeat(heartbeat)
        await self._recover_orphans()

    async def _watch(self) -> None:
        """On its own, since a beat may hang in a dead connection for longer than there is time."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self.alive and not self._lease.certain(self._monotonic()):
                await self._stop_own_work("no heartbeat")

    async def _stop_own_work(self, reason: str) -> None:
        """Stop all own work: from now on somebody else may have taken it over."""
        _log.error("ownership_lost", owner=self._runners.owner, reason=reason, lanes=len(self._runners))
        metrics.OWNERSHIP_LOST.inc()
        self.alive = self._runners.alive = False
        self._lease.lost()
        await self._work.cancel()

    async def _begin_again(self) -> None:
        """A new life in the same process; what the old one had open is an orphan like any other."""
        before = self._runners.owner
        await self._store.leave(before)
        await self._join()
        self.failing = False
        _log.info("rejoined", owner=self._runners.owner, before=before)

    async def _take_over(self, expired: frozenset[str]) -> None:
        orphans = await self._store.take_over(self._runners.owner, expired)
        if expired or orphans.turns or orphans.lanes:
            _log.warning("taken_over", expired=len(expired), turns=len(orphans.turns), lanes=len(orphans.lanes))
        for turn in orphans.turns:
            self._runners.resume(turn)
        for lane in orphans.lanes:
            self._runners.wake(lane)

    def _stop_asked(self, n: int) -> None:
        if self._runners.runs(n):
            self._work.start(self._stop(n), "stop")

    async def _stop(self, n: int) -> None:
        turn = await with_retry(self._store.find, n)
        if turn is not None and turn.stop:
            self._runners.stop(n, turn.stopped_by, withdrawn=turn.withdrawn)

    async def _recover_orphans(self) -> None:
        """Own rows that nobody works on: their request was cancelled between commit and start."""
        if self._ending():
            return
        now = self._clock.now()
        stalled = await self._store.stalled(self._runners.owner, now - _ORPHAN_SECONDS, now - HEARTBEAT_SECONDS)
        for n, lane in stalled.claimed:
            if lane not in self._runners:
                await self._recover(n)
        for lane in stalled.lanes:
            if lane not in self._runners:
                self._runners.wake(lane)

    def _replaced(self, owner: str) -> bool:
        return not self.alive or owner != self._runners.owner

    def _ending(self) -> bool:
        """Whether runs are being ended here: what looks like an orphan then had begun."""
        return not self.alive or self._runners.closing

    async def _recover(self, n: int) -> None:
        # read anew: since the look, its runner may have closed it and be gone
        row = await self._store.find(n)
        if row is None or row.owner != self._runners.owner or row.lane in self._runners or self._ending():
            return
        # claimed at its acceptance and never begun; one that was adopted had been asked by another life
        if row.state is State.RUNNING and not row.stop and row.fence == 1:
            _log.warning("orphan_released", turn=row.name)
            await self._store.release(row.ticket)
            self._runners.wake(row.lane)
        elif row.state in (State.RUNNING, State.ANSWERED):
            _log.warning("orphan_resumed", turn=row.name)
            self._runners.resume(row)
