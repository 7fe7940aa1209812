"""Delivers people's activities to the bot's endpoint and reports the bot's answers.

An activity without an answer in about 15 s is sent again with the same id, as Teams does:
docs/reference/teams.md, "Time to answer, and repeats". Unlike documented Teams, the simulator retries for about a
minute while the bot is down (no connection, or 5xx), so no message is lost while the bridge restarts. Waiting
activities of a conversation are retried in order.
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
from bridge.simulator.teams.traffic import Traffic, activity_summary

_log = logging.getLogger(__name__)

# seconds: invokes give up much sooner than messages; the figure is documented for invokes of message extensions:
# docs/reference/teams.md, "Time to answer, and repeats"
INVOKE_TIMEOUT = 5.0
# bytes: an invoke's answer may hold a card; a larger answer counts as empty
_MOST_ANSWER = 256 * 1024
_FIRST_PAUSE = 0.25  # seconds
_LONGEST_PAUSE = 2.0
# activities: far more than people in a browser can cause
MOST_UNDER_WAY = 500


@dataclass(frozen=True, slots=True)
class BotAnswer:
    """The bot's HTTP answer. `status` is None without a connection, 0 without an answer in time."""

    status: int | None
    body: bytes = b""

    @property
    def accepted(self) -> bool:
        """Whether the status is 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether a repeat is pointless: the status is 2xx, 3xx or 4xx."""
        return self.accepted or (self.status is not None and 300 <= self.status < 500)

    def json(self) -> dict[str, Any]:
        """The body's JSON object; empty for any different body."""
        try:
            body = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return body if isinstance(body, dict) else {}


class Courier:
    """Delivers to one bot endpoint. Times in seconds; `bearer` gives the channel's token.

    `on_attempt` is called after every attempt with the activity, the bot's answer and the time limit.
    `resend_after` limits an attempt and may be changed at any time; `retry_for` limits all attempts for a message,
    `invoke_limit` an invoke.
    """

    def __init__(
        self,
        endpoint: str,
        bearer: Callable[[], str],
        on_attempt: Callable[[dict[str, Any], BotAnswer, float], None],
        *,
        resend_after: float,
        retry_for: float,
        invoke_limit: float = INVOKE_TIMEOUT,
    ) -> None:
        self._endpoint = endpoint
        self._bearer = bearer
        self._on_attempt = on_attempt
        self.resend_after = resend_after
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
        """Whether `MOST_UNDER_WAY` activities are under way."""
        return len(self._under_way) >= MOST_UNDER_WAY

    def send(self, activity: dict[str, Any], report: Callable[[Delivery], Awaitable[None]]) -> None:
        """Deliver in the background; `report` is called with each new state of the delivery."""
        task = asyncio.create_task(self._deliver(activity, report))
        self._under_way.add(task)
        task.add_done_callback(self._finished)

    async def attempt(self, activity: dict[str, Any], limit: float | None = None) -> BotAnswer:
        """Post the activity a single time; gives the answer. For invokes, where a person waits. `limit` in seconds."""
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
        self._update_reachable(reachable=answer.status is not None)
        self._on_attempt(activity, answer, limit)
        return answer

    async def close(self) -> None:
        """Cancel all deliveries under way and close the connections."""
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
            answer = await self.attempt(activity, self.resend_after)
        if not answer.final:
            await report("retrying")
            async with waiting:  # asyncio's lock is fair: the oldest message is retried first
                answer = await self._retry(activity, until)
        await report("delivered" if answer.accepted else "refused" if answer.final else "lost")

    async def _retry(self, activity: dict[str, Any], until: float) -> BotAnswer:
        """Repeat until a final answer or the loop's time `until`; at least a single attempt."""
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE
        while True:
            answer = await self.attempt(activity, self.resend_after)
            if answer.final or loop.time() + pause > until:
                return answer
            if answer.status != 0:  # 0, no answer in time: repeat at once; bot down: repeat after a pause
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _update_reachable(self, *, reachable: bool) -> None:
        changed = reachable != self.reachable
        self.reachable = reachable
        if changed and self._listener is not None:
            self._listener()

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            _log.error("a delivery ended with %s", type(failure).__name__)


def record_attempt(traffic: Traffic, tenant: Tenant, activity: dict[str, Any], answer: BotAnswer, limit: float) -> None:
    """Add an attempt to the recorded traffic."""
    if answer.accepted:
        verdict = "Accepted."
    elif answer.status is None:
        verdict = "The bot was not reached."
    elif answer.status == 0:
        verdict = f"No answer within {limit:g} s."
    else:
        verdict = "Refused: not sent again." if answer.final else "The bot failed."
    conversation = tenant.find(activity["conversation"]["id"])
    chat = conversation.chat.id if conversation else None
    summary = activity_summary(activity)
    traffic.add("bot", ("POST", "/api/messages"), (answer.status, None), what=summary, verdict=verdict, chat=chat)


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The body, empty when longer than 256 KiB."""
    read = bytearray()
    async for chunk in response.content.iter_chunked(16 * 1024):
        read += chunk
        if len(read) > _MOST_ANSWER:
            return b""
    return bytes(read)
