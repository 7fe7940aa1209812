"""Sends messages to Teams: implements the port `Channel` over the Bot Connector's REST API.

The caller gives the content; the conversation reference gives the address. Every refusal of the connector becomes
an error of core/errors.py. The retry policies stand at the top. Limits and codes: docs/reference/teams.md,
"Rate limits and retries"; protocol:
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import aiohttp
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
    wait_exponential_jitter,
    wait_random,
)
from yarl import URL

from bridge.core.errors import (
    ConnectorUnreachable,
    CredentialsRefused,
    DeliveryDelayed,
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    StreamEnded,
    StreamStopped,
    Throttled,
)
from bridge.core.live_message import LiveMessage
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Activity, Reference
from bridge.teams.clouds import Cloud
from bridge.teams.connector_answers import (
    Answer,
    error_code,
    error_message,
    failure_of,
    id_in,
    read_answer,
    read_body,
    retry_after,
)
from bridge.teams.connector_requests import activities_url, addressed, base_url, segment
from bridge.teams.credentials import OutboundToken
from bridge.teams.streams import chunk_activity, final_activity, stream_failure

CONNECT_LIMIT = 5.0  # seconds, TLS included
CALL_LIMIT = 15.0  # seconds for a call
# Seconds for retries of a call, also after 429; then the turn waits in its lane and `engine/delivery.py` tries again
# (docs/architecture.md, "A turn's states").
PATIENCE = 60.0

_backoff = wait_exponential_jitter(multiplier=0.5, max=10, jitter=0.5)


def _wait(state: RetryCallState) -> float:
    """Seconds before the next try, after 429 or 5xx: `Retry-After` if present, else exponential backoff with jitter."""
    failure = state.outcome.exception() if state.outcome is not None else None
    if isinstance(failure, Throttled) and failure.retry_after is not None:
        return failure.retry_after + wait_random(0, 0.2)(state)
    return _backoff(state)


# Teams showed nothing, so sending again is safe. A `Retry-After` beyond PATIENCE ends the retries at once.
WHILE_DELAYED = AsyncRetrying(
    retry=retry_if_exception_type(DeliveryDelayed),
    wait=_wait,
    stop=stop_before_delay(PATIENCE),
    reraise=True,
)
# A new message that Teams may have shown is sent once more and never again (docs/architecture.md, "Guarantees").
ONCE_MORE = AsyncRetrying(
    retry=retry_if_exception_type(DeliveryUnknown),
    wait=wait_random(0.5, 1.5),
    stop=stop_after_attempt(2),
    reraise=True,
)
# A repeated edit changes nothing.
WHILE_UNKNOWN = AsyncRetrying(
    retry=retry_if_exception_type((DeliveryDelayed, DeliveryUnknown)),
    wait=_wait,
    stop=stop_before_delay(PATIENCE),
    reraise=True,
)

# identity: an answer holds an id or a code, and Content-Length must be the size that is read.
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}

# Errors before the first byte of the request was sent.
_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


class TeamsChannel:
    """The port `Channel` over the connector, with the process's shared HTTP session.

    `on_maybe_doubled` is called each time a message that Teams may have shown is sent again.
    `call_limit` is the time for a call in seconds.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        token: OutboundToken,
        cloud: Cloud,
        on_maybe_doubled: Callable[[], None],
        *,
        call_limit: float = CALL_LIMIT,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._may_send: Callable[[], Awaitable[None]] | None = None
        self._session = session
        self._token = token
        self._cloud = cloud
        self._on_maybe_doubled = on_maybe_doubled
        self._limit = aiohttp.ClientTimeout(total=call_limit, sock_connect=min(CONNECT_LIMIT, call_limit))
        self._sleep = sleep

    def wait_before_sending(self, may_send: Callable[[], Awaitable[None]]) -> None:
        """Await `may_send` before every request, repeated requests included: another replica may have taken over."""
        self._may_send = may_send

    async def send(self, to: Reference, activity: Activity) -> str:
        """Send a new activity; returns the activity's id, or "" where Teams names none.

        Waits up to PATIENCE seconds while throttled; sends once more where the first result is unknown.
        Raises: DeliveryFailure.
        """
        post = partial(self._call, "POST", self._activities(to), addressed(to, activity))
        try:
            return id_in(await self._repeated(WHILE_DELAYED, post))
        except DeliveryUnknown as failure:
            return id_in(await self._retried(ONCE_MORE, partial(self._send_again, post), failure))

    async def update(self, to: Reference, activity_id: str, activity: Activity) -> str:
        """Replace the message `activity_id` by `activity`; returns the id. Raises: DeliveryFailure."""
        put = partial(self._call, "PUT", self._message(to, activity_id), addressed(to, activity | {"id": activity_id}))
        return id_in(await self._repeated(WHILE_UNKNOWN, put)) or activity_id

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator. Never retried, as a lost indicator costs little. Raises: DeliveryFailure."""
        await self._call("POST", self._activities(to), addressed(to, {"type": "typing"}))

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        """Send a request of a stream, without retries; returns the stream's id.

        Raises: StreamEnded, DeliveryFailure.
        """
        body = addressed(to, chunk_activity(chunk))
        return id_in(await self._call("POST", self._activities(to), body, stream=True)) or chunk.stream

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        """Send a placeholder, without retries; returns the message's id. Raises: DeliveryFailure."""
        return id_in(await self._call("POST", self._activities(to), addressed(to, activity)))

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        """Replace the content of a placeholder, without retries. Raises: DeliveryFailure."""
        body = addressed(to, activity | {"id": message})
        await self._call("PUT", self._message(to, message), body)

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        """Show the activity in place of the live message; returns the message's id.

        A stream is ended first; where the final request cannot carry the activity or fails, an edit follows.
        StreamStopped: the user pressed *Stop*; DeliveryRejected: the message cannot be changed.
        Raises: DeliveryFailure.
        """
        if live.stream:
            # The text of a stream only grows and its final needs a text (docs/reference/teams.md, "What each request of
            # a stream holds"). If the activity does not extend the streamed text, the final repeats the streamed text
            # and the edit below replaces the text.
            text = str(activity.get("text", ""))
            extends = bool(text) and text.startswith(live.text)
            ending = live.text or activity.get("summary") or "…"
            last = activity if extends else {"type": "message", "textFormat": "markdown", "text": ending}
            body = addressed(to, final_activity(last, live.id))
            post = partial(self._call, "POST", self._activities(to), body, stream=True)
            try:
                await self._repeated(WHILE_DELAYED, post)
            except StreamStopped:
                raise
            except (StreamEnded, DeliveryUnknown, DeliveryRejected):
                pass  # the stream had ended before, or the result is unknown: the edit below settles both
            else:
                if extends:
                    return live.id
        return await self.update(to, live.id, activity)

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        """Put a reaction on the message `to.activity`, or take the reaction off. Raises: DeliveryFailure."""
        url = URL(f"{self._message(to, to.activity)}/reactions/{segment(reaction)}", encoded=True)
        await self._call("PUT" if on else "DELETE", url, None)

    async def look_up(self, to: Reference, path: str) -> dict[str, Any]:
        """The JSON object that the connector answers to a GET of `path` below the service URL.

        Raises: DeliveryFailure.
        """
        if not self._cloud.allows(to.service_url):
            raise DeliveryRefused("serviceUrl is not a connector of this cloud")
        url = URL(f"{base_url(to.service_url)}{path}", encoded=True)
        return await self._repeated(WHILE_UNKNOWN, partial(self._call, "GET", url, None))

    async def _send_again(self, post: Callable[[], Awaitable[Answer]]) -> Answer:
        self._on_maybe_doubled()
        return await self._repeated(WHILE_DELAYED, post)

    async def _repeated(self, policy: AsyncRetrying, call: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            return await call()
        except (DeliveryDelayed, DeliveryUnknown) as failure:
            return await self._retried(policy, call, failure)

    async def _retried(
        self, policy: AsyncRetrying, call: Callable[[], Awaitable[Answer]], first: DeliveryFailure
    ) -> Answer:
        """Retry `call` by the policy, after a first try that raised `first`.

        The first try runs outside of tenacity, whose bookkeeping costs 70 us a call (measured). Each retry uses a copy
        of the policy, because a policy object must not run twice at a time.
        """
        async for attempt in policy.copy(sleep=self._sleep):
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await call()
        raise first  # not reached: the policies reraise the last error

    def _activities(self, to: Reference) -> URL:
        # The token goes to the connector only, even if a stored reference names another host.
        if not self._cloud.allows(to.service_url):
            raise DeliveryRefused("serviceUrl is not a connector of this cloud")
        return activities_url(to.service_url, to.conversation)

    def _message(self, to: Reference, id_: str) -> URL:
        return URL(f"{self._activities(to)}/{segment(id_)}", encoded=True)

    async def _call(self, method: str, url: URL, body: bytes | None, *, stream: bool = False) -> Answer:
        header = self._token.cached or await self._token.header()
        try:
            return await self._exchange(method, url, body, header, stream)
        except CredentialsRefused:
            # The token was revoked, or a clock runs ahead: a fresh token may help. OutboundToken limits the fetches.
            self._token.invalidate(header)
            fresh = await self._token.header()
            if fresh == header:
                raise
        return await self._exchange(method, url, body, fresh, stream)

    async def _exchange(self, method: str, url: URL, body: bytes | None, header: str, stream: bool) -> Answer:
        if self._may_send is not None:
            await self._may_send()
        try:
            async with self._session.request(
                method,
                url,
                data=body,
                headers={"Authorization": header, **_HEADERS},
                timeout=self._limit,
                allow_redirects=False,
            ) as response:
                status = response.status
                if status < 300:
                    return await read_answer(response)
                refusal = await read_body(response)
                code = error_code(refusal)
                if stream and (ended := stream_failure(status, code, error_message(refusal))) is not None:
                    raise ended
                wait, empty = retry_after(response.headers), not refusal.strip()
                raise failure_of(status, code, wait, error_message(refusal), empty=empty)
        except _NOT_CONNECTED as failure:
            raise ConnectorUnreachable(type(failure).__name__) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise DeliveryUnknown(type(failure).__name__) from None
