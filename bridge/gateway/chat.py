"""One run of the agent: `POST /v1/chat/completions`.

Plain, since only there an error is unmistakable; streamed where somebody looks on and the gateway's events come, since
only for such runs the text comes with them piece by piece (docs/reference/goclaw.md, "Agent events"). The answer is the same.

It is made once. Where the run provably did not start (no connection was made, or the gateway's rate limit refused),
RunNotStarted says so, and the engine asks again in its time (guarantee 5); aiohttp does not repeat a POST by itself
either (`aiohttp.client.IDEMPOTENT_METHODS`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

import aiohttp
import structlog
from yarl import URL

from bridge.core.errors import AnswerUnreadable, GatewayDown, ProviderFailed, RunLost, TurnFailure
from bridge.core.ports.agent import AgentEvent, Answer, Question
from bridge.gateway.connection import read_up_to
from bridge.gateway.events import GatewayObserver, Listening
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.sse import SseDecoder
from bridge.gateway.wire import CHAT_PATH, USER_HEADER, StreamedAnswer, answer_from, failure_of, request_body

_log = structlog.get_logger()
_T = TypeVar("_T")

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""No agent writes that much; a proxy gone mad, or a bomb of compressed zeros, might."""

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_WITHIN = 5.0  # the status has said enough; a body that does not come is done without
_END_WITHIN = 0.2
_STREAM = "text/event-stream"


class GatewayAgent:
    """The agent behind the gateway; implements `ports.Agent`.

    `http` is shared and stays open (see `connection.gateway_connector`). `refusal` says why nothing may be
    asked now, if so; `look` sees that somebody has looked (`GatewayWatch`). `observer` hears what runs do, where there
    is one; `live_text`: runs that are listened to are streamed. `connect`: seconds for a connection; `verdict`: seconds
    that a run's last event may come after its reply (observed at about the same time, docs/reference/goclaw.md, "Agent events").
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        base_url: str,
        token: str,
        refusal: Callable[[], TurnFailure | None],
        look: Callable[[], Awaitable[None]] | None = None,
        sessions: GatewaySessions,
        observer: GatewayObserver | None = None,
        live_text: bool = True,
        connect: float = 5.0,
        verdict: float = 2.0,
    ) -> None:
        self._http = http
        self._url = URL(base_url.rstrip("/") + CHAT_PATH)
        # never Accept-Language: it translates the error texts that must be told apart (docs/reference/goclaw.md, "Request")
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # no limit for the whole: the engine cancels, and that closes the request
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect)
        self._refusal = refusal
        self._look = look
        self._sessions = sessions
        self._observer = observer
        self._live_text = live_text
        self._verdict = verdict
        self._raw_on = 0  # the observer's connection on which the gateway turned out to stream raw text

    async def ask(self, question: Question, heard: Callable[[AgentEvent], None] | None = None) -> Answer:
        """One run. Cancelling closes the request, which is the gateway's only stop.

        Raises TurnFailure: QuestionTooLong and QuestionRejected before any request, GatewayDown and GatewayBusy where
        the run did not start, and every other leaf.
        """
        plain = request_body(question)
        await self._admit()
        observer = self._observer
        if heard is None or observer is None:
            return answer_from(await self._post(question, plain, _whole))
        with observer.listening(question.agent, question.user, heard) as listening:
            if self._live_text and observer.live and observer.connection != self._raw_on:
                said = await self._streamed(question, listening, observer)
            else:
                said = answer_from(await self._post(question, plain, _whole))
            files = await listening.files(self._verdict if observer.live else 0.0)
            return replace(said, files=files) if files else said

    async def _streamed(self, question: Question, listening: Listening, observer: GatewayObserver) -> Answer:
        async def read(response: aiohttp.ClientResponse) -> StreamedAnswer | bytes:
            if response.content_type != _STREAM:
                return await _whole(response)  # something in between has made it a plain reply
            return await _stream(response, listening)

        connection = observer.connection
        said = await self._post(question, request_body(question, stream=True), read)
        if isinstance(said, bytes):
            return answer_from(said)
        if said.suspect:
            # the same words can be the agent's; the run's last event knows
            ending = await listening.ending(self._verdict if observer.live else 0.0)
            if ending == "failed" or (ending != "completed" and said.told_by_the_gateway):
                raise ProviderFailed("HTTP 200, and the run failed")
        if said.raw:
            # pieces hold announcements too, which only the gateway can tell from the answer
            self._raw_on = connection
            _log.warning("gateway_streams_raw_text")
        return said.answer()

    async def _post(
        self, question: Question, body: bytes, read: Callable[[aiohttp.ClientResponse], Awaitable[_T]]
    ) -> _T:
        """One request; `read` is given the response of a 200. Raises TurnFailure."""
        headers = {**self._headers, USER_HEADER: question.user}
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise failure_of(response.status, response.content_type, await _error_body(response))
                return await read(response)
        except (
            aiohttp.ClientConnectorError,  # refused, unknown host, TLS: nothing was sent
            aiohttp.ConnectionTimeoutError,
            aiohttp.ClientHttpProxyError,
        ) as error:
            raise GatewayDown(type(error).__name__) from error
        except aiohttp.ClientResponseError as error:  # not HTTP
            raise AnswerUnreadable(type(error).__name__) from error
        except aiohttp.ClientError as error:  # closed or reset: on a kept-alive connection too, nobody knows
            raise RunLost(type(error).__name__) from error

    async def delete_session(self, agent: str, user: str) -> None:
        """Delete the session, and see that it is gone.

        Raises SessionNotDeleted, GatewayDown, GatewayTokenRejected, GatewayForbidden, GatewayMergesUsers.
        """
        await self._admit()
        await self._sessions.delete_session(agent, user)

    async def _admit(self) -> None:
        """Guarantee 7: a gateway that merges users is not asked, and one that nobody has looked at is looked at."""
        if self._look is not None:
            await self._look()
        if refusal := self._refusal():
            raise refusal


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body of a 200. Raises AnswerUnreadable."""
    body = await read_up_to(response, MAX_ANSWER_BYTES)
    if len(body) > MAX_ANSWER_BYTES:
        raise _endless()
    return body


async def _stream(response: aiohttp.ClientResponse, listening: Listening) -> StreamedAnswer:
    """The stream up to its last word. Raises RunLost where that does not come, and AnswerUnreadable."""
    decoder, said, size = SseDecoder(), StreamedAnswer(), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise _endless()
        for data in decoder.feed(piece):
            said.take(data)
            if said.done:
                await _rest_of(response)
                return said
            if said.run:
                listening.known_as(said.run)
    raise RunLost("a stream without its end")


async def _rest_of(response: aiohttp.ClientResponse) -> None:
    """The end of a body that has said everything: once it was read, the connection can be used again."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_END_WITHIN):
            await response.content.readany()


def _endless() -> AnswerUnreadable:
    return AnswerUnreadable(f"HTTP 200 with more than {MAX_ANSWER_BYTES} bytes")


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    try:
        async with asyncio.timeout(_ERROR_BODY_WITHIN):
            return await read_up_to(response, _MAX_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""
