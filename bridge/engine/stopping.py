"""Makes a `/stop` that worked visible where the person wrote it: a reaction on the command, else a note."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from bridge.core.errors import DeliveryFailure, LeftOut
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.channel import Channel
from bridge.core.ports.clock import Clock
from bridge.core.ports.store import TurnStore
from bridge.core.texts import say
from bridge.core.turn import Accepted, NewTurn, Reference
from bridge.engine.store_retry import with_retry

# https://learn.microsoft.com/microsoftteams/platform/agents-in-teams/teams-reactions-reference
DONE = "2705_whiteheavycheckmark"
_TRIES = 3
_RETRY_SECONDS = 1.0


class StopSigns:
    """Shows a sign at each `/stop` that stopped a claimed question.

    `accept` queues a note's turn. `reactions`: whether the operator wants reactions.
    """

    def __init__(
        self,
        *,
        channel: Channel,
        store: TurnStore,
        accept: Callable[[NewTurn], Awaitable[Accepted]],
        clock: Clock,
        reactions: bool,
    ) -> None:
        self._channel = channel
        self._store = store
        self._accept = accept
        self._clock = clock
        self._reactions = reactions

    async def show(self, command: NewTurn, n: int) -> None:
        """Show that `command` has stopped turn `n`.

        Without a reaction, a note is needed only where the stopped question's own note is no new message of this
        conversation: a note in place of a live message stands above the command.
        """
        here = command.payload.reference
        if await self._react(here):
            return
        row = await with_retry(self._store.find, n)
        if row is not None and not row.live and row.payload.reference.conversation == here.conversation:
            return
        words = note(say("stop_asked", command.locale))
        await with_retry(self._accept, note_turn(f"{command.id}|done", command.payload, words, self._clock.now()))

    async def _react(self, command: Reference) -> bool:
        """Whether the reaction was put on the command."""
        for tries_left in range(_TRIES, 0, -1) if self._reactions and command.activity else ():
            try:
                await self._channel.react(command, DONE, on=True)
            except LeftOut:  # the reactions of all conversations share two requests a second
                if tries_left > 1:
                    await asyncio.sleep(_RETRY_SECONDS)
            except DeliveryFailure:
                return False
            else:
                return True
        return False
