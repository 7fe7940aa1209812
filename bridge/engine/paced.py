"""The way back to Teams under each conversation's budget: answers wait until they fit, indicators are left out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from bridge import metrics
from bridge.core.errors import Throttled
from bridge.core.pacing import ConversationBudget
from bridge.core.ports import Channel
from bridge.core.turn import Activity, Reference

_MOST_CONVERSATIONS = 10_000
_HOUR = 3600.0
# An indicator after a longer pause begins a turn; a sooner one renews it.
_RENEWAL_SECONDS = 10.0
_THROTTLED_SECONDS = 5.0


class PacedChannel:
    """Implements ports.Channel over a channel. `shared`: other replicas send as well."""

    def __init__(self, channel: Channel, *, monotonic: Callable[[], float], shared: bool) -> None:
        self._channel = channel
        self._monotonic = monotonic
        self._shared = shared
        self._started = monotonic()
        self._budgets: OrderedDict[str, ConversationBudget] = OrderedDict()

    async def send(self, to: Reference, activity: Activity) -> str:
        """Show one activity as soon as the conversation's budget allows it; gives its id. Raises DeliveryFailure."""
        budget = self._budget(to.conversation)
        while pause := budget.wait(self._monotonic()):
            metrics.PACED.labels("waited").inc()
            await asyncio.sleep(pause)
        budget.spent(self._monotonic())
        try:
            return await self._channel.send(to, activity)
        except Throttled as failure:
            budget.hold(self._monotonic() + (failure.retry_after or _THROTTLED_SECONDS))
            raise

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once; a renewal only where answers need nothing of it. Raises DeliveryFailure."""
        budget, now = self._budget(to.conversation), self._monotonic()
        renewed, budget.typed = now - budget.typed < _RENEWAL_SECONDS, now
        if not budget.affords_progress(now) if renewed else budget.wait(now) > 0.0:
            metrics.PACED.labels("left_out").inc()
            return
        budget.spent(now)
        try:
            await self._channel.typing(to)
        except Throttled as failure:
            budget.hold(self._monotonic() + (failure.retry_after or _THROTTLED_SECONDS))
            raise

    def _budget(self, conversation: str) -> ConversationBudget:
        budget = self._budgets.get(conversation)
        if budget is None:
            now = self._monotonic()
            budget = ConversationBudget(now, shared=self._shared, inherited=now - self._started < _HOUR)
            self._budgets[conversation] = budget
            if len(self._budgets) > _MOST_CONVERSATIONS:
                self._budgets.popitem(last=False)
        else:
            self._budgets.move_to_end(conversation)
        return budget
