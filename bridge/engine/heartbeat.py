"""A replica's heartbeat, lease watchdog, and takeover of expired replicas' turns.

On a store for a single process, no takeover happens after the start; the heartbeat still counts turns and finds
orphans. docs/architecture.md, "A turn's states"
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
from bridge.core.ports.heartbeat import Heartbeat
from bridge.core.ports.store import TurnStore
from bridge.core.turn import State
from bridge.engine.runners import Runners
from bridge.engine.store_retry import in_time, with_retry
from bridge.tasks import Tasks

_log = structlog.get_logger()

HEARTBEAT_SECONDS = 1.0
# Age in seconds from which a claimed row without a runner counts as an orphan of a cancelled request: younger rows are
# on the way from the commit to a runner.
_ORPHAN_SECONDS = 5.0


class Replica:
    """This process's membership in the turn table. `new_owner` gives an owner id for each time the replica joins.

    `on_heartbeat` gets the result of each heartbeat. `work` holds the runners' tasks, which are cancelled when the
    lease is lost. `alive`: the replica has joined and holds its lease. `failure`: why the last store call failed, "" if
    the call succeeded.
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
        on_heartbeat: Callable[[Heartbeat], None],
    ) -> None:
        self._store = store
        self._runners = runners
        self._work = work
        self._lease = lease
        self._clock = clock
        self._monotonic = monotonic
        self._new_owner = new_owner
        self._on_heartbeat = on_heartbeat
        self._watching = work.beside()
        self.alive = False
        self.failure = ""

    @property
    def failing(self) -> bool:
        """Whether the last call of the store failed."""
        return bool(self.failure)

    async def start(self) -> None:
        """Join, take over the turns of expired replicas, then keep the heartbeat. Raises: StoreUnavailable."""
        await self._join()
        self._store.on_stop(self._on_stop_request)
        self._watching.keep(self._keep_heartbeat, "heartbeat")
        if self._store.shared:
            self._watching.keep(self._watch_lease, "watchdog")

    async def stop(self) -> None:
        """End the heartbeat and leave the turn table, so open turns may be taken over at once."""
        await self._watching.cancel()
        with contextlib.suppress(StoreUnavailable):  # without the leave, takeover waits for one lease
            await self._store.leave(self._runners.owner)

    async def _join(self) -> None:
        owner = self._new_owner()
        await self._store.join(owner)
        began = self._monotonic()
        heartbeat = await self._store.heartbeat(owner, 0)
        self._lease.renewed(began, self._monotonic(), owner, heartbeat.counters)
        self._runners.owner, self._runners.alive = owner, True
        self._on_heartbeat(heartbeat)  # before any turn runs: a pause also holds the turns taken over
        await self._take_over(frozenset())
        self.alive = True

    async def _keep_heartbeat(self) -> None:
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await self._count_heartbeat()
            except StoreUnavailable as error:
                if self.failure != error.detail:
                    _log.error("store_unavailable", error=error.detail)
                self.failure = error.detail or error.label
            except Exception as error:  # noqa: BLE001  without a heartbeat no turn is taken over or recovered
                _log.error("heartbeat_failed", error=type(error).__name__, exc_info=error)
                self.failure = "heartbeat failed"

    async def _count_heartbeat(self) -> None:
        if not self.alive:
            await self._rejoin()
            return
        began, owner = self._monotonic(), self._runners.owner
        heartbeat = await in_time(self._store.heartbeat(owner, len(self._runners)))
        if self._lost(owner):
            return  # the watchdog gave the lease up during the heartbeat
        if not heartbeat.alive:
            await self._stop_own_work("declared expired")
            return
        self.failure = ""
        expired = self._lease.renewed(began, self._monotonic(), owner, heartbeat.counters)
        if (expired and self._store.shared) or heartbeat.orphans:
            await self._take_over(expired)
        for n in heartbeat.stops:
            self._on_stop_request(n)
        self._on_heartbeat(heartbeat)
        await self._recover_orphans()

    async def _watch_lease(self) -> None:
        """Stop all work once the lease is uncertain. A task of its own: a heartbeat may hang longer than the lease."""
        while True:
            await asyncio.sleep(HEARTBEAT_SECONDS)
            if self.alive and not self._lease.certain(self._monotonic()):
                await self._stop_own_work("no heartbeat")

    async def _stop_own_work(self, reason: str) -> None:
        """Cancel all runners: from now on a replica may have taken the turns over."""
        _log.error("ownership_lost", owner=self._runners.owner, reason=reason, lanes=len(self._runners))
        metrics.OWNERSHIP_LOST.inc()
        self.alive = self._runners.alive = False
        self._lease.lost()
        await self._work.cancel()

    async def _rejoin(self) -> None:
        """Join again under a new owner; open turns of the lost owner are orphans, taken over like all orphans."""
        lost_owner = self._runners.owner
        await self._store.leave(lost_owner)
        await self._join()
        self.failure = ""
        _log.info("rejoined", owner=self._runners.owner, before=lost_owner)

    async def _take_over(self, expired: frozenset[str]) -> None:
        orphans = await self._store.take_over(self._runners.owner, expired)
        if expired or orphans.turns or orphans.lanes:
            _log.warning("taken_over", expired=len(expired), turns=len(orphans.turns), lanes=len(orphans.lanes))
        for turn in orphans.turns:
            self._runners.resume(turn)
        for lane in orphans.lanes:
            self._runners.wake(lane)

    def _on_stop_request(self, n: int) -> None:
        if self._runners.runs(n):
            self._work.start(self._stop_turn(n), "stop")

    async def _stop_turn(self, n: int) -> None:
        turn = await with_retry(self._store.find, n)
        if turn is not None and turn.stop:
            self._runners.stop(n, turn.stopped_by, withdrawn=turn.withdrawn)
        elif turn is not None:
            self._runners.listen(turn)

    async def _recover_orphans(self) -> None:
        """Find own rows without a runner: the request was cancelled between the commit and the runner's start."""
        if self._ending():
            return
        now = self._clock.now()
        stalled = await self._store.stalled(self._runners.owner, now - _ORPHAN_SECONDS, now - HEARTBEAT_SECONDS)
        for n, lane in stalled.claimed:
            if lane not in self._runners:
                await self._recover_orphan(n)
        for lane in stalled.lanes:
            if lane not in self._runners:
                self._runners.wake(lane)

    def _lost(self, owner: str) -> bool:
        return not self.alive or owner != self._runners.owner

    def _ending(self) -> bool:
        """Whether runners are being cancelled: rows without a runner are no orphans then."""
        return not self.alive or self._runners.closing

    async def _recover_orphan(self, n: int) -> None:
        # read once more: meanwhile the row's runner may have closed the turn and ended
        row = await self._store.find(n)
        if row is None or row.owner != self._runners.owner or row.lane in self._runners or self._ending():
            return
        # fence 1: claimed at acceptance and never begun; a row taken over (fence 2 and more) may have been asked
        if row.state is State.RUNNING and not row.stop and row.fence == 1:
            _log.warning("orphan_released", turn=row.name)
            await self._store.release(row.ticket)
            self._runners.wake(row.lane)
        elif row.state in (State.RUNNING, State.ANSWERED):
            _log.warning("orphan_resumed", turn=row.name)
            self._runners.resume(row)
