"""Takes people's activities to the bot's endpoint and tells how the bot answered.

An activity that is not answered in about 15 s is sent again with the same id, as Teams does (reference:
docs/reference/teams.md, "Inbound activities" "Timeouts and duplicates"). Beyond that the simulator is kinder than what is documented
of Teams: while the bot is down (no connection, or 5xx) it tries again for about a minute before the activity
is lost, so that nobody's words vanish while the bridge is being restarted. What waits in one conversation is
tried again in order.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakValueDictionary

import aiohttp
import orjson

from bridge.simulator.teams.messages import Delivery
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.traffic import Traffic, of_person

_log = logging.getLogger(__name__)

# a card's button gives up much sooner than a message: the docs' figure for invokes of message extensions
# (docs/reference/teams.md, "Inbound activities")
INVOKE_TIMEOUT = 5.0
# the bot's answer to an invoke may hold a card; anything larger is no answer
_MOST_ANSWER = 256 * 1024
_FIRST_PAUSE = 0.25
_LONGEST_PAUSE = 2.0
# people in a browser never have more on their way
MOST_UNDER_WAY = 500


@dataclass(frozen=True, slots=True)
class BotAnswer:
    """The bot's HTTP answer. `status` is None when it was not reached, 0 when it did not answer in time."""

    status: int | None
    body: bytes = b""

    @property
    def accepted(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether trying again makes no sense."""
        return self.accepted or (self.status is not None and 300 <= self.status < 500)

    def json(self) -> dict[str, Any]:
        """The body as an object, empty when it is none."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return body if isinstance(body, dict) else {}


class Courier:
    """Delivers to one bot endpoint. Times in seconds; `bearer` gives the channel's token.

    `tell` hears of every try: the activity, the bot's answer, and the seconds it had for it.
    """

    def __init__(
        self,
        endpoint: str,
        bearer: Callable[[], str],
        tell: Callable[[dict[str, Any], BotAnswer, float], None],
        *,
        resend_after: float,
        retry_for: float,
        invoke_limit: float = INVOKE_TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._bearer = bearer
        self._tell = tell
        self._resend_after = resend_after
        self._retry_for = retry_for
        self._invoke_limit = invoke_limit
        self.reachable = True
        self._listener: Callable[[], None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._waiting: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call `listener` whenever `reachable` changes."""
        self._listener = listener

    @property
    def full(self) -> bool:
        return len(self._under_way) >= MOST_UNDER_WAY

    def send(self, activity: dict[str, Any], report: Callable[[Delivery], Awaitable[None]]) -> None:
        """Deliver in the background; `report` hears of every change of the delivery's state."""
        task = asyncio.create_task(self._deliver(activity, report))
        self._under_way.add(task)
        task.add_done_callback(self._finished)

    async def once(self, activity: dict[str, Any], limit: float | None = None) -> BotAnswer:
        """One try with its answer: invokes, and whatever a person waits for."""
        limit = self._invoke_limit if limit is None else limit
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = {
            "Authorization": f"Bearer {self._bearer()}",
            "Content-Type": "application/json; charset=utf-8",
            "User-Agent": "Microsoft-SkypeBotApi (Microsoft-BotFramework/3.0)",
            "x-ms-conversation-id": activity["conversation"]["id"],
            "x-ms-tenant-id": activity["conversation"]["tenantId"],
        }
        try:
            async with self._session.post(
                self._endpoint,
                data=orjson.dumps(activity),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=limit),
            ) as response:
                answer = BotAnswer(response.status, await _body(response))
        except TimeoutError:
            answer = BotAnswer(0)
        except (aiohttp.ClientError, OSError):
            answer = BotAnswer(None)
        self._note(reachable=answer.status is not None)
        self._tell(activity, answer, limit)
        return answer

    async def close(self) -> None:
        """Give up what is under way."""
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, activity: dict[str, Any], report: Callable[[Delivery], Awaitable[None]]) -> None:
        until = asyncio.get_running_loop().time() + self._retry_for
        conversation = activity["conversation"]["id"]
        waiting = self._waiting.setdefault(conversation, asyncio.Lock())
        answer = BotAnswer(None)
        if not waiting.locked():
            answer = await self.once(activity, self._resend_after)
        if not answer.final:
            await report("retrying")
            async with waiting:  # a fair lock: first said, first tried again
                answer = await self._retry(activity, until)
        await report("delivered" if answer.accepted else "refused" if answer.final else "lost")

    async def _retry(self, activity: dict[str, Any], until: float) -> BotAnswer:
        """Tries on until the loop's time `until`, at least once."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            answer = await self.once(activity, self._resend_after)
            if answer.final or loop.time() + pause > until:
                return answer
            if answer.status != 0:  # not answered in time: at once again; down: after a while
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _note(self, *, reachable: bool) -> None:
        changed = reachable != self.reachable
        self.reachable = reachable
        if changed and self._listener is not None:
            self._listener()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("a delivery ended with %s", type(failure).__name__)


def record(traffic: Traffic, tenant: Tenant, activity: dict[str, Any], answer: BotAnswer, limit: float) -> None:
    """Note one try in the record of the traffic."""
    if answer.accepted:
        verdict = "Accepted."
    elif answer.status is None:
        verdict = "The bot was not reached."
    elif answer.status == 0:
        verdict = f"No answer within {limit:g} s."
    else:
        verdict = "Refused: not sent again." if answer.final else "The bot failed."
    place = tenant.find(activity["conversation"]["id"])
    chat = place.chat.id if place else None
    what = of_person(activity)
    traffic.add("bot", ("POST", "/api/messages"), (answer.status, None), what=what, verdict=verdict, chat=chat)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, empty when it is longer than any answer may be."""
    read = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        read += chunk
        if len(read) > _MOST_ANSWER:
            return b""
    return bytes(read)
