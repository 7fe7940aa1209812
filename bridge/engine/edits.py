"""What people do about a message after they have sent it, or got it: edit it, delete it, rate it, remove the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.core.edits import EditResult, EditVerdict, MessageEdit
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Turn
from bridge.engine.runners import Runners

# Longer than a message takes from its first statement to its commit; people do not wait for this.
_MEANWHILE = 0.3


class Edits:
    """On the turn table and the runs in these lanes. Everything raises StoreUnavailable; what was done is on disk.

    `unasked` is told of turns that were closed while they waited.
    """

    def __init__(self, *, store: TurnStore, runners: Runners, clock: Clock, unasked: Callable[[int], None]) -> None:
        self._unasked = unasked
        self._store = store
        self._runners = runners
        self._clock = clock

    async def edit(self, change: MessageEdit) -> EditResult:
        """A message says something else now, or is gone."""
        changed = await self._store.edit(change, self._clock.now())
        if changed.verdict is EditVerdict.KEPT and self._store.shared:
            # its message may be on its way into the database at this very moment: two transactions that begin together
            # see nothing of each other
            await asyncio.sleep(_MEANWHILE)
            changed = await self._store.edit(change, self._clock.now())
        return self._stopping(changed)

    async def withdraw(self, seen: Turn) -> EditResult:
        """Its asker takes the turn back, as it was `seen`: nothing more is shown for it."""
        return self._stopping(await self._store.withdraw(seen, self._clock.now()))

    async def withdraw_all(self, place: str) -> None:
        """The bot was removed: whatever is still to be done there would be for nobody."""
        for n in await self._store.withdraw_all(place, self._clock.now()):
            self._runners.stop(n, "", withdrawn=True)

    async def current_question(self, n: int) -> tuple[Turn, str] | None:
        """The turn that asked what turn `n` was to ask, and what that says now."""
        return await self._store.current_question(n)

    async def rate(self, rating: Rating) -> bool:
        """Keep a rating, or forget it; False where there is no such answer or nothing changed."""
        return bool(await self._store.rate(rating))

    async def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        """What people think of answers, in order of time."""
        return await self._store.ratings(after, limit)

    def _stopping(self, changed: EditResult) -> EditResult:
        if changed.verdict is EditVerdict.STOPPING:
            self._runners.stop(changed.n, "", withdrawn=True)
        elif changed.verdict is EditVerdict.WITHDRAWN:
            self._unasked(changed.n)
        return changed
