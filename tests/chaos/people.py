"""Simulated people: they write, edit, delete and press buttons; Teams delivers each activity to a replica."""

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
from bridge.simulator.teams.typed_text import Mention
from chaos.outside_world import OutsideWorld
from chaos.records import PersonAction, PersonMessage
from chaos.scopes import is_personal
from chaos.screen import Card

_RESEND_SECONDS = 90.0
_numbers = itertools.count(1)


class Listening(Protocol):
    """A bridge process with a public listener at `base`."""

    base: str


@dataclass
class People:
    """One person for each lane; activities go to a random one of `replicas`, as behind a load balancer."""

    outside: OutsideWorld
    replicas: list[Listening]
    acked: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    _seen: int = 0
    _threads: dict[str, str] = dataclasses.field(default_factory=dict)

    async def say(
        self,
        lane: str,
        text: str = "",
        *,
        takes: float = 0.0,
        to: Listening | None = None,
        file: bool = False,
        named: tuple[str, str] | None = None,
    ) -> str:
        """Send a message, again and again until a replica answers 200; give the message's id.

        `text`: "" for a new question. `to`: the replica to use, else a random replica. `takes`: seconds of the agent's
        run. `file`: attach a text file. `named`: id and token from `name`.
        """
        id_, token = named or self.name(text)
        if takes:
            self.outside.run_seconds[token] = takes
        words = text or f"question [{token}]"
        activity = self._written(lane, id_, lambda by, to, mentions: message(by, id_, f"{to}{words}", mentions))
        if file:
            content = {"downloadUrl": f"{self.outside.page}/files/{token}", "uniqueId": token, "fileType": "txt"}
            attached = {"contentType": DOWNLOAD_TYPE, "name": f"{token}.txt", "content": content}
            activity["attachments"] = [*activity.get("attachments", ()), attached]
        if text in ("", "/new"):
            self.outside.person_messages[id_] = PersonMessage(id_, lane, token, time.monotonic(), None, file)
        taken = await self._until_taken(activity, to)
        if id_ in self.outside.person_messages:
            self.outside.person_messages[id_] = replace(self.outside.person_messages[id_], acked=taken)
        if taken is not None:
            self.acked.append(activity)
        return id_

    @staticmethod
    def name(text: str = "") -> tuple[str, str]:
        """A new message's id, and its token if it is a question."""
        number = next(_numbers)
        return f"{1_700_000_000_000 + number}", "" if text else f"t{number}"

    async def edit(self, id_: str) -> None:
        """The person edits the message's text."""
        sent = self.outside.person_messages[id_]
        words = f"question [{sent.token}] edited"
        activity = self._written(sent.lane, id_, lambda by, to, mentions: edit(by, id_, f"{to}{words}", mentions))
        await self._change("edit", sent, activity)

    async def delete(self, id_: str) -> None:
        """The person deletes the message."""
        sent = self.outside.person_messages[id_]
        await self._change("delete", sent, self.outside.activity(sent.lane, id_, lambda by: delete(by, id_)))

    def _written(
        self, lane: str, id_: str, make: Callable[[Envelope, str, list[Mention]], dict[str, Any]]
    ) -> dict[str, Any]:
        """An activity with text, which in groups and channels begins with a mention of the bot."""
        bot = self.outside.mention_of_bot()
        to, mentions = ("", []) if is_personal(lane) else (f"@{bot.name} ", [bot])
        return self.outside.activity(lane, id_, lambda by: make(by, to, mentions))

    async def _change(self, kind: Literal["edit", "delete"], sent: PersonMessage, activity: dict[str, Any]) -> None:
        at = len(self.outside.actions)
        self.outside.actions.append(PersonAction(kind, sent.id, time.monotonic()))
        taken = await self._until_taken(activity, None)
        self.outside.actions[at] = replace(self.outside.actions[at], acked=taken)

    async def click(self, card: Card) -> None:
        """Press a card's button. Teams delivers a click once and shows the person the response."""
        id_, _ = self.name("click")
        at = len(self.outside.actions)
        self.outside.actions.append(PersonAction("click", card.about, time.monotonic()))
        activity = self.outside.activity(card.lane, card.about, lambda by: card_execute(by, id_, card.id, card.action))
        status, body = await self._deliver(activity, None)
        # Without a 200 the bridge may still have acted on the click.
        worked = status != 200 or _asks_again(body)
        acked = time.monotonic() if status == 200 else None
        self.outside.actions[at] = replace(self.outside.actions[at], acked=acked, worked=worked)

    async def _until_taken(self, activity: dict[str, Any], to: Listening | None) -> float | None:
        """Deliver the activity until a 200 comes; give the time of the 200, None after 90 s without."""
        give_up = time.monotonic() + _RESEND_SECONDS
        while not await self.post(activity, to):
            if time.monotonic() > give_up:
                return None
            await asyncio.sleep(self.outside.dice.uniform(0.2, 0.8))
        return time.monotonic()

    async def post(self, activity: dict[str, Any], to: Listening | None = None) -> bool:
        """Deliver an activity once; True when the replica answered 200."""
        return (await self._deliver(activity, to))[0] == 200

    async def _deliver(self, activity: dict[str, Any], to: Listening | None) -> tuple[int, dict[str, Any]]:
        url = f"{(to or self.outside.dice.choice(self.replicas)).base}/api/messages"
        headers = {"Authorization": f"Bearer {self.outside.bearer()}", "Content-Type": "application/json"}
        try:
            async with self.outside.http.post(url, data=orjson.dumps(activity), headers=headers) as response:
                body = await response.read()
                return response.status, orjson.loads(body) if body.startswith(b"{") else {}
        except (aiohttp.ClientError, TimeoutError, OSError):
            return 0, {}

    async def write_at_random(self, lane: str, messages: int, pause: float) -> None:
        """Send `messages` messages at random intervals of about `pause` seconds.

        Most are questions, some edited or deleted; the rest are `/stop`, `/new` and repeated deliveries by Teams. In
        `channel-7` each question begins a thread. In groups `/new` asks the people first, so none is sent.
        """
        dice, doing = self.outside.dice, set[asyncio.Future[Any]]()
        for _ in range(messages):
            await asyncio.sleep(dice.choice([0.0, dice.uniform(0, 2 * pause)]))
            act = dice.random()
            if act < 0.84:
                doing.add(asyncio.ensure_future(self._ask(lane)))
            elif act < 0.89:
                if (where := self._threads.get(lane, lane)).startswith("channel-"):
                    continue
                await self.say(where, "/stop")
            elif act < 0.93 and is_personal(lane):
                doing.add(asyncio.ensure_future(self.say(lane, "/new")))
            elif self.acked:
                again = dice.choice(self.acked[-200:])
                await self.post(again if act < 0.97 else {**again, "type": "messageUpdate"})
        await asyncio.gather(*doing)

    async def _ask(self, lane: str) -> None:
        """Ask a question, sometimes with a file; sometimes edit or delete the question, even before its 200."""
        dice = self.outside.dice
        file, second = dice.random() < 0.15 and is_personal(lane), dice.random()
        named = self.name()
        if lane.startswith("channel-"):
            self._threads[lane] = f"thread-{named[0]}"
            lane = self._threads[lane]
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

    async def press_buttons(self, every: float) -> None:
        """Press Stop on a random stream now and then, and the button of half of the cards, until cancelled."""
        dice = self.outside.dice
        while True:
            await asyncio.sleep(dice.uniform(0.5, 1.5) * every)
            if dice.random() < 0.5:
                self.outside.screen.stop(dice.choice, time.monotonic())
            cards = self.outside.screen.cards
            for card in cards[self._seen :]:
                if dice.random() < 0.5:
                    await self.click(card)
            self._seen = len(cards)


def _asks_again(body: dict[str, Any]) -> bool:
    """Whether the response to a click says: the question is asked again."""
    words = str(body)
    return any(ENGLISH[key] in words for key in ("asked_again", "edit_used"))
