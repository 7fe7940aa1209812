"""The way back to Teams: the Bot Connector's REST API, as the port `Channel`.

Content comes in, addressing is added from the conversation reference, and every answer of the connector is
one leaf of the error tree. The policies for sending again are the objects at the top. Limits and codes:
docs/reference/teams.md, "Rate limits and retries"; protocol:
learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

from __future__ import annotations

import asyncio
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
import orjson
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
from bridge.core.turn import Activity, Reference, Scope
from bridge.teams.connector_answers import (
    Answer,
    error_code,
    error_words,
    failure_of,
    id_in,
    read_answer,
    read_body,
    retry_after,
)
from bridge.teams.streams import chunk_activity, final_activity, stream_failure

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.core.ports.channel import Chunk
    from bridge.teams.clouds import Cloud
    from bridge.teams.credentials import OutboundToken

CONNECT_LIMIT = 5.0  # seconds, TLS included
CALL_LIMIT = 15.0  # seconds for one call
PATIENCE = 60.0  # seconds for sending one thing again; then the lane waits (docs/architecture.md, "A turn's states"), not this call

_backoff = wait_exponential_jitter(multiplier=0.5, max=10, jitter=0.5)


def _wait(state: RetryCallState) -> float:
    """Teams' own `Retry-After` where it gave one, else exponential backoff with jitter (docs/reference/teams.md, "Rate limits and retries")."""
    failure = state.outcome.exception() if state.outcome is not None else None
    if isinstance(failure, Throttled) and failure.retry_after is not None:
        return failure.retry_after + wait_random(0, 0.2)(state)
    return _backoff(state)


# Nothing was shown: sending again is safe. A `Retry-After` that goes beyond our patience ends it at once.
WHILE_DELAYED = AsyncRetrying(
    retry=retry_if_exception_type(DeliveryDelayed),
    wait=_wait,
    stop=stop_before_delay(PATIENCE),
    reraise=True,
)
# A new message that may have been shown: once more and never again (guarantee 6).
ONCE_MORE = AsyncRetrying(
    retry=retry_if_exception_type(DeliveryUnknown),
    wait=wait_random(0.5, 1.5),
    stop=stop_after_attempt(2),
    reraise=True,
)
# An edit changes nothing when it is repeated.
WHILE_UNSETTLED = AsyncRetrying(
    retry=retry_if_exception_type((DeliveryDelayed, DeliveryUnknown)),
    wait=_wait,
    stop=stop_before_delay(PATIENCE),
    reraise=True,
)

# identity: an answer is an id or a code, and its size must be what it says.
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity"}

# Nothing was sent yet.
_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


class TeamsChannel:
    """`Channel` over the connector. The session is the process's one shared session.

    `on_maybe_doubled` is called each time a message is sent again whose first sending may have been shown.
    `call_limit` is the time for one call, in seconds.
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

    def fence(self, may_send: Callable[[], Awaitable[None]]) -> None:
        """Await `may_send` before every request, repeated ones included: another process may have taken over."""
        self._may_send = may_send

    async def send(self, to: Reference, activity: Activity) -> str:
        """Show one activity; gives its id, or "" where Teams names none. Raises DeliveryFailure.

        Waits out throttling for up to a minute; sends once more where the first sending's result is unknown.
        """
        post = partial(self._call, "POST", self._activities(to), _addressed(to, activity))
        try:
            return id_in(await self._repeated(WHILE_DELAYED, post))
        except DeliveryUnknown as failure:
            return id_in(await self._retried(ONCE_MORE, partial(self._send_again, post), failure))

    async def update(self, to: Reference, activity_id: str, activity: Activity) -> str:
        """Show `activity` in place of the one with this id; gives the id. Raises DeliveryFailure."""
        put = partial(self._call, "PUT", self._message(to, activity_id), _addressed(to, activity | {"id": activity_id}))
        return id_in(await self._repeated(WHILE_UNSETTLED, put)) or activity_id

    async def typing(self, to: Reference) -> None:
        """Show the typing indicator once; sent once only, it is cheap to lose. Raises DeliveryFailure."""
        await self._call("POST", self._activities(to), _addressed(to, {"type": "typing"}))

    async def stream(self, to: Reference, chunk: Chunk) -> str:
        """One request of a stream, sent once; gives the stream's id. Raises StreamEnded, DeliveryFailure."""
        body = _addressed(to, chunk_activity(chunk))
        return id_in(await self._call("POST", self._activities(to), body, stream=True)) or chunk.stream

    async def post_placeholder(self, to: Reference, activity: Activity) -> str:
        """Show a message of progress, sent once; gives its id. Raises DeliveryFailure."""
        return id_in(await self._call("POST", self._activities(to), _addressed(to, activity)))

    async def update_placeholder(self, to: Reference, message: str, activity: Activity) -> None:
        """Show progress in place of what the message shows, sent once. Raises DeliveryFailure."""
        body = _addressed(to, activity | {"id": message})
        await self._call("PUT", self._message(to, message), body)

    async def replace(self, to: Reference, live: LiveMessage, activity: Activity) -> str:
        """Show the activity in place of what was shown under the landing's message; gives its id.

        A stream is ended by its rules first. However that goes, the edit after it makes sure. Raises DeliveryFailure:
        StreamStopped where the user has stopped it, DeliveryRejected where the message cannot be changed.
        """
        if live.stream:
            # a stream takes nothing back, and its end must have a text: else it ends with what it shows, and the edit
            # puts the other content in its place
            text = str(activity.get("text", ""))
            goes_on = bool(text) and text.startswith(live.text)
            words = live.text or activity.get("summary") or "…"
            last = activity if goes_on else {"type": "message", "textFormat": "markdown", "text": words}
            body = _addressed(to, final_activity(last, live.id))
            post = partial(self._call, "POST", self._activities(to), body, stream=True)
            try:
                await self._repeated(WHILE_DELAYED, post)
            except StreamStopped:
                raise
            except (StreamEnded, DeliveryUnknown, DeliveryRejected):
                pass  # it had ended already, or nobody knows
            else:
                if goes_on:
                    return live.id
        return await self.update(to, live.id, activity)

    async def react(self, to: Reference, reaction: str, *, on: bool) -> None:
        """Put the reaction on the message that the reference answers, or take it off. Raises DeliveryFailure."""
        url = URL(f"{self._message(to, to.activity)}/reactions/{segment(reaction)}", encoded=True)
        await self._call("PUT" if on else "DELETE", url, None)

    async def look_up(self, to: Reference, path: str) -> dict[str, Any]:
        """What the connector answers to a GET below `to`'s service URL. Raises DeliveryFailure."""
        if not self._cloud.allows(to.service_url):
            raise DeliveryRefused("serviceUrl is not a connector of this cloud")
        url = URL(f"{_base(to.service_url)}{path}", encoded=True)
        return await self._repeated(WHILE_UNSETTLED, partial(self._call, "GET", url, None))

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
        """Go on as the policy says after a first try that ended in `first`.

        The first try runs outside of tenacity, whose bookkeeping costs 70 us a call (measured). A copy of the
        policy runs, because one policy object must not run twice at a time.
        """
        async for attempt in policy.copy(sleep=self._sleep):
            with attempt:
                if attempt.retry_state.attempt_number == 1:
                    raise first
                return await call()
        raise first  # not reached: the policies raise again what ended the last try

    def _activities(self, to: Reference) -> URL:
        # The token goes to the connector and nowhere else, also when a stored reference says otherwise.
        if not self._cloud.allows(to.service_url):
            raise DeliveryRefused("serviceUrl is not a connector of this cloud")
        return _activities_url(to.service_url, to.conversation)

    def _message(self, to: Reference, id_: str) -> URL:
        return URL(f"{self._activities(to)}/{segment(id_)}", encoded=True)

    async def _call(self, method: str, url: URL, body: bytes | None, *, stream: bool = False) -> Answer:
        header = self._token.cached or await self._token.header()
        try:
            return await self._exchange(method, url, body, header, stream)
        except CredentialsRefused:
            # Revoked, or a clock that runs ahead: a fresh token may do. At most one fetch in some seconds.
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
                if stream and (ended := stream_failure(status, code, error_words(refusal))) is not None:
                    raise ended
                raise failure_of(status, code, retry_after(response.headers))
        except _NOT_CONNECTED as failure:
            raise ConnectorUnreachable(type(failure).__name__) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as failure:
            raise DeliveryUnknown(type(failure).__name__) from None


def _addressed(to: Reference, activity: Activity) -> bytes:
    """The activity as JSON, with from, recipient, conversation and the rest from the reference."""
    addressed = activity | {
        "from": {"id": to.bot},
        "conversation": {"id": to.conversation, "conversationType": to.scope, "tenantId": to.tenant},
        "channelId": "msteams",
        "serviceUrl": to.service_url,
    }
    if to.user:
        addressed["recipient"] = {"id": to.user}
    if to.activity and to.scope is not Scope.CHANNEL:
        # In channels the conversation's id names the thread, and replyToId routes nothing (docs/reference/teams.md, "Inbound activities").
        addressed["replyToId"] = to.activity
    if to.locale:
        addressed["locale"] = to.locale
    try:
        return orjson.dumps(addressed)
    except orjson.JSONEncodeError:
        raise DeliveryRejected("not expressible as JSON") from None


@lru_cache(maxsize=20_000)
def _activities_url(service_url: str, conversation: str) -> URL:
    return URL(f"{_base(service_url)}v3/conversations/{segment(conversation)}/activities", encoded=True)


def _base(service_url: str) -> str:
    return service_url if service_url.endswith("/") else f"{service_url}/"


def segment(id_: str) -> str:
    """An id as one path segment. Raises DeliveryRefused for one that a path cannot hold.

    What RFC 3986 §3.3 allows in a segment stays raw: Teams' ids hold `:`, `@`, `;messageid=`, and Microsoft's
    SDK 2.1.1 sends them so (docs/reference/teams.md, "botbuilder's outbound path"). The rest is escaped, so that no id reaches beyond its segment.
    """
    if not id_.strip("."):
        raise DeliveryRefused("an id that no path can hold")
    return quote(id_, safe="!$&'()*+,;=:@")
