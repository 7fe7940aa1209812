"""What people do after sending: edit or delete a question, rate an answer, remove the bot."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bridge.core.edits import EditResult, EditVerdict, MessageEdit
from bridge.core.feedback import After, KeptRating, Rating
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.turn import Turn
from bridge.engine.runners import Runners

# Seconds, longer than a message takes from the first statement to the commit on the shared store. People do not notice
# the wait, since an edit has no visible response.
_COMMIT_SECONDS = 0.3


class Edits:
    """Applies edits, withdrawals and ratings to the turn table and the runs here. Each change is on disk on return.

    `on_unasked` is called with the number of each turn that was closed while queued.
    """

    def __init__(self, *, store: TurnStore, runners: Runners, clock: Clock, on_unasked: Callable[[int], None]) -> None:
        self._on_unasked = on_unasked
        self._store = store
        self._runners = runners
        self._clock = clock

    async def edit(self, wanted: MessageEdit) -> EditResult:
        """Apply a person's edit or deletion of a message. Raises: StoreUnavailable."""
        result = await self._store.edit(wanted, self._clock.now())
        if result.verdict is EditVerdict.KEPT and self._store.shared:
            # the message's own transaction may be under way: two transactions that begin together do not see each
            # other's rows, so the edit is applied again after the commit
            await asyncio.sleep(_COMMIT_SECONDS)
            result = await self._store.edit(wanted, self._clock.now())
        return self._act_on(result)

    async def withdraw(self, seen: Turn) -> EditResult:
        """Withdraw a turn in the state `seen`: no reply is shown for a withdrawn turn. Raises: StoreUnavailable."""
        return self._act_on(await self._store.withdraw(seen, self._clock.now()))

    async def withdraw_all(self, id_prefix: str) -> None:
        """Withdraw all open turns of a conversation from which the bot was removed. Raises: StoreUnavailable."""
        for n in await self._store.withdraw_all(id_prefix, self._clock.now()):
            self._runners.stop(n, "", withdrawn=True)

    async def current_question(self, n: int) -> tuple[Turn, str] | None:
        """The turn that asked turn `n`'s question, and the question's text now. Raises: StoreUnavailable."""
        return await self._store.current_question(n)

    async def rate(self, rating: Rating) -> bool:
        """Keep or remove a rating; False without such an answer or without a change. Raises: StoreUnavailable."""
        return bool(await self._store.rate(rating))

    async def ratings(self, after: After, limit: int) -> tuple[KeptRating, ...]:
        """The ratings after `after`, oldest first, `limit` at most. Raises: StoreUnavailable."""
        return await self._store.ratings(after, limit)

    def _act_on(self, result: EditResult) -> EditResult:
        """Stop the run, or clean up after the queued turn, that the store has just withdrawn."""
        if result.verdict is EditVerdict.STOPPING:
            self._runners.stop(result.n, "", withdrawn=True)
        elif result.verdict is EditVerdict.WITHDRAWN:
            self._on_unasked(result.n)
        return result
