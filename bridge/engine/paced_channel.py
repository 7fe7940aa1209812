"""Keeps outgoing traffic within Teams' limits: answers wait for room, progress and reactions without room are skipped.

docs/reference/teams.md, "Limits of the connector"
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bridge import metrics
from bridge.core.errors import LeftOut, Throttled
from bridge.core.live_message import LiveMessage
from bridge.core.ports.channel import Channel, Chunk
from bridge.core.progress.budgets import ConversationBudget, TenantBudget
from bridge.core.teams_limits import STREAM_INTERVAL
from bridge.core.turn import Activity, Reference

T = TypeVar("T")

_MOST_CONVERSATIONS = 10_000
_HOUR = 3600.0
_THROTTLED_SECONDS = 5.0


class PacedChannel:
    """A `Channel` that paces the requests to `channel`. `shared`: several replicas share the tenant's limits."""

    def __init__(self, channel: Channel, *, monotonic: Callable[[], float], shared: bool) -> None:
        self._channel = channel
        self._monotonic = monotonic
        self._shared = shared
        self._started = monotonic()
        self._budgets: OrderedDict[str, ConversationBudget] = OrderedDict()
        self._progress = TenantBudget.of_progress(shared=shared)
        self._reactions = TenantBudget.of_reactions(shared=shared)

    async def send(self, to: Reference, activity: Activity) -> str:
        """Send an activity once the conversation's budget has room; gives the message's id. Raises: DeliveryFailure."""
        budget = await self._wait_for_room(to)
        id_ = await self._spend(budget, self._channel.send(to, activity))
        budget.typed = False
        return id_

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        """Replace the live message by an answer once the budget has room. Raises: DeliveryFailure."""
        budget = await self._wait_for_room(to)
        if live.stream and (pause := budget.streamed + STREAM_INTERVAL - self._monotonic()) > 0:
            await asyncio.sleep(pause)
        if live.stream and live.text:
            budget.spent(self._monotonic())  # two requests: the stream's end, then the edit
        id_ = await self._spend(budget, self._channel.replace(to, live, activity))
        budget.typed = False
        return id_

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once; a renewal needs room for progress. Raises: DeliveryFailure."""
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
        """Send a request of a stream if the budget has room. Raises: LeftOut, StreamEnded, DeliveryFailure."""
        budget = self._budget(to.conversation)
        self._admit_progress(budget, self._monotonic())
        try:
            return await self._spend(budget, self._channel.stream(to, chunk))
        finally:
            budget.streamed = self._monotonic()

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        """Post a placeholder if the budget has room. Raises: LeftOut, DeliveryFailure."""
        return await self._send_progress(to, lambda: self._channel.post_placeholder(to, activity))

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        """Update a placeholder if the budget has room. Raises: LeftOut, DeliveryFailure."""
        await self._send_progress(to, lambda: self._channel.update_placeholder(to, message, activity))

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        """Add or remove a reaction if the budget has room. Raises: LeftOut, DeliveryFailure."""
        if not self._reactions.take(self._monotonic()):
            metrics.PACED.labels("left_out").inc()
            raise LeftOut
        await self._channel.react(to, reaction, on=on)

    async def _send_progress(self, to: Reference, request: Callable[[], Awaitable[T]]) -> T:
        budget = self._budget(to.conversation)
        self._admit_progress(budget, self._monotonic())
        return await self._spend(budget, request())

    def _admit_progress(self, budget: ConversationBudget, now: float) -> None:
        if not budget.affords_progress(now) or not self._progress.take(now):
            metrics.PACED.labels("left_out").inc()
            raise LeftOut

    async def _wait_for_room(self, to: Reference) -> ConversationBudget:
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
