"""The way back to Teams under the budgets: answers wait until they fit, what may be left out is left out."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bridge import metrics
from bridge.core.errors import LeftOut, Throttled
from bridge.core.live_message import LiveMessage
from bridge.core.ports.channel import Channel, Chunk
from bridge.core.progress.budgets import STREAM_INTERVAL, ConversationBudget, TenantBudget
from bridge.core.turn import Activity, Reference

T = TypeVar("T")

_MOST_CONVERSATIONS = 10_000
_HOUR = 3600.0
_THROTTLED_SECONDS = 5.0


class PacedChannel:
    """Implements ports.Channel over a channel. `shared`: other replicas send as well."""

    def __init__(self, channel: Channel, *, monotonic: Callable[[], float], shared: bool) -> None:
        self._channel = channel
        self._monotonic = monotonic
        self._shared = shared
        self._started = monotonic()
        self._budgets: OrderedDict[str, ConversationBudget] = OrderedDict()
        self._progress = TenantBudget.of_progress(shared=shared)
        self._reactions = TenantBudget.of_reactions(shared=shared)

    async def send(self, to: Reference, activity: Activity) -> str:
        """Show one activity as soon as the conversation's budget allows it; gives its id. Raises DeliveryFailure."""
        budget = await self._room(to)
        id_ = await self._spend(budget, self._channel.send(to, activity))
        budget.typed = False
        return id_

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        """An answer in place of its progress; it waits like every answer. Raises DeliveryFailure."""
        budget = await self._room(to)
        if live.stream and (pause := budget.streamed + STREAM_INTERVAL - self._monotonic()) > 0:
            await asyncio.sleep(pause)
        if live.stream and live.text:
            budget.spent(self._monotonic())  # the stream's end, and then the edit
        id_ = await self._spend(budget, self._channel.replace(to, live, activity))
        budget.typed = False
        return id_

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once; a renewal only where answers need nothing of it. Raises DeliveryFailure."""
        budget, now = self._budget(to.conversation), self._monotonic()
        renewed, budget.typed = budget.typed, True
        if renewed:
            try:
                self._admit_progress(budget, now)
            except LeftOut:
                return
        elif budget.wait(now) > 0.0:
            metrics.PACED.labels("left_out").inc()
            return
        await self._spend(budget, self._channel.typing(to))

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        """One request of a stream, if there is room. Raises LeftOut, StreamEnded, DeliveryFailure."""
        budget = self._budget(to.conversation)
        self._admit_progress(budget, self._monotonic())
        try:
            return await self._spend(budget, self._channel.stream(to, chunk))
        finally:
            budget.streamed = self._monotonic()

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        """A message of progress, if there is room. Raises LeftOut, DeliveryFailure."""
        return await self._progressing(to, lambda: self._channel.post_placeholder(to, activity))

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        """Progress in place of what the message shows, if there is room. Raises LeftOut, DeliveryFailure."""
        await self._progressing(to, lambda: self._channel.update_placeholder(to, message, activity))

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        """A reaction, if there is room for one. Raises LeftOut, DeliveryFailure."""
        if not self._reactions.take(self._monotonic()):
            metrics.PACED.labels("left_out").inc()
            raise LeftOut
        await self._channel.react(to, reaction, on=on)

    async def _progressing(self, to: Reference, request: Callable[[], Awaitable[T]]) -> T:
        budget = self._budget(to.conversation)
        self._admit_progress(budget, self._monotonic())
        return await self._spend(budget, request())

    def _admit_progress(self, budget: ConversationBudget, now: float) -> None:
        if not budget.affords_progress(now) or not self._progress.take(now):
            metrics.PACED.labels("left_out").inc()
            raise LeftOut

    async def _room(self, to: Reference) -> ConversationBudget:
        budget = self._budget(to.conversation)
        while pause := budget.wait(self._monotonic()):
            metrics.PACED.labels("waited").inc()
            await asyncio.sleep(pause)
        return budget

    async def _spend(self, budget: ConversationBudget, request: Awaitable[T]) -> T:
        budget.spent(self._monotonic())
        try:
            return await request
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
