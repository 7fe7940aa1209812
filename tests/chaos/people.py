"""The people: what they write, take back, edit and press, and how Teams brings it to the bridge."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import aiohttp
import orjson

from bridge.core.inbound.attachments import DOWNLOAD_TYPE
from bridge.core.texts import ENGLISH
from bridge.simulator.teams.activities import Envelope, card_execute, delete, edit, message
from chaos.outside_world import Field
from chaos.records import Deed, Sent
from chaos.screen import Card

_RESEND_SECONDS = 90.0
_numbers = itertools.count(1)


class Reached(Protocol):
    """A process that listens."""

    base: str


@dataclass
class People:
    """One person to each lane. `doors`: where a load balancer may bring what they do."""

    field: Field
    doors: list[Reached]
    acked: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    _seen: int = 0

    async def say(
        self,
        lane: str,
        text: str = "",
        *,
        takes: float = 0.0,
        to: Reached | None = None,
        file: bool = False,
        named: tuple[str, str] | None = None,
    ) -> str:
        """A message, sent again until somebody says 200; gives its id. Without `text` it is a question of its own.

        `to`: this replica, else any. `takes`: seconds that the agent needs.
        """
        id_, token = named or self.name(text)
        if takes:
            self.field.takes[token] = takes
        activity = self.field.activity(lane, lambda by: message(by, id_, text or f"question [{token}]"))
        if file:
            content = {"downloadUrl": f"{self.field.page}/files/{token}", "uniqueId": token, "fileType": "txt"}
            attached = {"contentType": DOWNLOAD_TYPE, "name": f"{token}.txt", "content": content}
            activity["attachments"] = [*activity.get("attachments", ()), attached]
        if text in ("", "/new"):
            self.field.sent[id_] = Sent(id_, lane, token, time.monotonic(), None, file)
        taken = await self._until_taken(activity, to)
        if id_ in self.field.sent:
            self.field.sent[id_] = replace(self.field.sent[id_], acked=taken)
        if taken is not None:
            self.acked.append(activity)
        return id_

    @staticmethod
    def name(text: str = "") -> tuple[str, str]:
        """A new message's id, and its token if it is a question."""
        number = next(_numbers)
        return f"{1_700_000_000_000 + number}", "" if text else f"t{number}"

    async def edit(self, id_: str) -> None:
        """The message says something else now."""
        sent = self.field.sent[id_]
        await self._change("edit", sent, lambda by: edit(by, id_, f"question [{sent.token}] edited"))

    async def delete(self, id_: str) -> None:
        """The message is taken back."""
        await self._change("delete", self.field.sent[id_], lambda by: delete(by, id_))

    async def _change(
        self, what: Literal["edit", "delete"], sent: Sent, make: Callable[[Envelope], dict[str, Any]]
    ) -> None:
        at = len(self.field.deeds)
        self.field.deeds.append(Deed(what, sent.id, time.monotonic()))
        taken = await self._until_taken(self.field.activity(sent.lane, make), None)
        self.field.deeds[at] = replace(self.field.deeds[at], acked=taken)

    async def click(self, card: Card) -> None:
        """Press a card's button; Teams brings a click once, and its person sees whether it worked."""
        id_, _ = self.name("click")
        at = len(self.field.deeds)
        self.field.deeds.append(Deed("click", card.about, time.monotonic()))
        activity = self.field.activity(card.lane, lambda by: card_execute(by, id_, card.id, card.action))
        status, body = await self._bring(activity, None)
        # without an answer nobody knows whether it counted
        worked = status != 200 or _asks(body)
        acked = time.monotonic() if status == 200 else None
        self.field.deeds[at] = replace(self.field.deeds[at], acked=acked, worked=worked)

    async def _until_taken(self, activity: dict[str, Any], to: Reached | None) -> float | None:
        """When a 200 came for it; None where nobody gave one in the end."""
        give_up = time.monotonic() + _RESEND_SECONDS
        while not await self.post(activity, to):
            if time.monotonic() > give_up:
                return None
            await asyncio.sleep(self.field.dice.uniform(0.2, 0.8))
        return time.monotonic()

    async def post(self, activity: dict[str, Any], to: Reached | None = None) -> bool:
        """To a random replica, as a load balancer would; True when it was taken."""
        return (await self._bring(activity, to))[0] == 200

    async def _bring(self, activity: dict[str, Any], to: Reached | None) -> tuple[int, dict[str, Any]]:
        url = f"{(to or self.field.dice.choice(self.doors)).base}/api/messages"
        headers = {"Authorization": f"Bearer {self.field.bearer()}", "Content-Type": "application/json"}
        try:
            async with self.field.http.post(url, data=orjson.dumps(activity), headers=headers) as response:
                body = await response.read()
                return response.status, orjson.loads(body) if body.startswith(b"{") else {}
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, {}

    async def live(self, lane: str, messages: int, pause: float) -> None:
        """Write at random, sometimes in a hurry; stop, begin anew, edit, take back, and have Teams repeat itself."""
        dice, doing = self.field.dice, set[asyncio.Future[Any]]()
        for _ in range(messages):
            await asyncio.sleep(dice.choice([0.0, dice.uniform(0, 2 * pause)]))
            act = dice.random()
            if act < 0.84:
                doing.add(asyncio.ensure_future(self._ask(lane)))
            elif act < 0.89:
                await self.say(lane, "/stop")
            elif act < 0.93:
                doing.add(asyncio.ensure_future(self.say(lane, "/new")))
            elif self.acked:
                again = dice.choice(self.acked[-200:])
                await self.post(again if act < 0.97 else {**again, "type": "messageUpdate"})
        await asyncio.gather(*doing)

    async def _ask(self, lane: str) -> None:
        """A question, some with a file; some are edited or taken back, also while they are still on their way."""
        dice = self.field.dice
        file, second = dice.random() < 0.15, dice.random()
        named = self.name()
        asking = asyncio.ensure_future(self.say(lane, file=file, named=named))
        if second < 0.30:
            await asyncio.sleep(dice.choice([0.01, dice.uniform(0.01, 2.5)]))
            if second < 0.12:
                await self.delete(named[0])
            elif not file:
                await self.edit(named[0])
                if second > 0.27:
                    await self.delete(named[0])
        await asking

    async def press(self, every: float) -> None:
        """Press Stop on a stream now and then, and every other card's button, until cancelled."""
        dice = self.field.dice
        while True:
            await asyncio.sleep(dice.uniform(0.5, 1.5) * every)
            if dice.random() < 0.5:
                self.field.screen.stop(dice.choice, time.monotonic())
            cards = self.field.screen.cards
            for card in cards[self._seen :]:
                if dice.random() < 0.5:
                    await self.click(card)
            self._seen = len(cards)


def _asks(body: dict[str, Any]) -> bool:
    """Whether the answer to a click says that the question is asked once more."""
    told = str(body)
    return any(ENGLISH[key] in told for key in ("asked_again", "edit_used"))
