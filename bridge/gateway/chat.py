"""The agent behind the gateway: each question is a `POST /v1/chat/completions`.

A plain request is the rule, since only a plain reply shows an error without doubt. The request is streamed if progress
is shown and events arrive: only streamed runs send their text piece by piece as events (docs/reference/goclaw.md,
"Agent events"). The answer is the same both ways.

A request is sent once. If the run provably did not start (no connection, or refused by the rate limit), RunNotStarted
is raised, and the engine asks again later (docs/architecture.md, "Guarantees"). aiohttp does not repeat a POST either
(`aiohttp.client.IDEMPOTENT_METHODS`).
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
from bridge.gateway.observer import GatewayObserver, Listening
from bridge.gateway.sessions import GatewaySessions
from bridge.gateway.sse import SseDecoder
from bridge.gateway.wire import CHAT_PATH, USER_HEADER, StreamedAnswer, answer_from, failure_of, request_body

_log = structlog.get_logger()
_T = TypeVar("_T")

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""Longest body of an answer. No agent writes so much; a broken proxy, or a bomb of compressed zeros, might."""

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_SECONDS = 5.0  # the status alone names the failure, so a late body is given up
_STREAM_END_SECONDS = 0.2
_STREAM = "text/event-stream"


class GatewayAgent:
    """Implements `core.ports.agent.Agent` over HTTP.

    `http` is shared and stays open (see `connection.gateway_connector`). `refusal` gives the reason why questions are
    refused now, or None; `ensure_probed` probes a gateway never probed before (`GatewayWatch`). `observer` receives the
    events of runs; with `live_text`, runs whose events are followed are streamed. `connect`: seconds for a connection;
    `verdict`: seconds that a run's last event may come after the reply (observed: at about the same time,
    docs/reference/goclaw.md, "Agent events").
    """

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        base_url: str,
        token: str,
        refusal: Callable[[], TurnFailure | None],
        ensure_probed: Callable[[], Awaitable[None]] | None = None,
        sessions: GatewaySessions,
        observer: GatewayObserver | None = None,
        live_text: bool = True,
        connect: float = 5.0,
        verdict: float = 2.0,
    ) -> None:
        self._http = http
        self._url = URL(base_url.rstrip("/") + CHAT_PATH)
        # no Accept-Language: the gateway would translate the error texts that `failure_of` compares
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # no limit for the whole request: the engine cancels at the turn's limit, and so closes the request
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect)
        self._refusal = refusal
        self._ensure_probed = ensure_probed
        self._sessions = sessions
        self._observer = observer
        self._live_text = live_text
        self._verdict = verdict
        self._raw_on = 0  # number of the observer's connection during which the gateway streamed raw text

    async def ask(self, question: Question, on_event: Callable[[AgentEvent], None] | None = None) -> Answer:
        """Run the agent once, and call `on_event` with the run's events. Cancelling closes the request: the run stops.

        QuestionTooLong and QuestionRejected come before any request, GatewayDown and GatewayBusy if the run did not
        start. Raises: TurnFailure.
        """
        plain = request_body(question)
        await self._check_gateway()
        observer = self._observer
        if on_event is None or observer is None:
            return answer_from(await self._post(question, plain, _whole))
        with observer.listening(question.agent, question.user, on_event) as listening:
            if self._live_text and observer.live and observer.connection != self._raw_on:
                said = await self._streamed(question, listening, observer)
            else:
                said = answer_from(await self._post(question, plain, _whole))
            files = await listening.files(self._verdict if observer.live else 0.0)
            return replace(said, files=files) if files else said

    async def _streamed(self, question: Question, listening: Listening, observer: GatewayObserver) -> Answer:
        async def read(response: aiohttp.ClientResponse) -> StreamedAnswer | bytes:
            if response.content_type != _STREAM:
                return await _whole(response)  # a proxy between made the stream a plain reply
            return await _stream(response, listening)

        connection = observer.connection
        said = await self._post(question, request_body(question, stream=True), read)
        if isinstance(said, bytes):
            return answer_from(said)
        if said.suspect:
            # an agent's answer may begin with the same words; the run's last event decides
            ending = await listening.ending(self._verdict if observer.live else 0.0)
            if ending == "failed" or (ending != "completed" and said.worded_as_failure):
                raise ProviderFailed("HTTP 200, and the run failed")
        if said.raw:
            # raw pieces hold announcements of tools too, which only the gateway can tell from the answer
            self._raw_on = connection
            _log.warning("gateway_streams_raw_text")
        return said.answer()

    async def _post(
        self, question: Question, body: bytes, read: Callable[[aiohttp.ClientResponse], Awaitable[_T]]
    ) -> _T:
        """Send a request, and read the response of a 200 with `read`. Raises: TurnFailure."""
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
        except aiohttp.ClientError as error:  # closed or reset: whether the request was read is not known
            raise RunLost(type(error).__name__) from error

    async def delete_session(self, agent: str, user: str) -> None:
        """Delete the user's session with the agent, and check the deletion.

        Raises: SessionNotDeleted, GatewayDown, GatewayTokenRejected, GatewayForbidden, GatewayMergesUsers.
        """
        await self._check_gateway()
        await self._sessions.delete_session(agent, user)

    async def _check_gateway(self) -> None:
        """Probe a gateway that was never probed, and refuse a gateway that merges users (docs/architecture.md,
        "Guarantees"). Raises: TurnFailure."""
        if self._ensure_probed is not None:
            await self._ensure_probed()
        if refusal := self._refusal():
            raise refusal


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    """The body of a 200. Raises: AnswerUnreadable."""
    body = await read_up_to(response, MAX_ANSWER_BYTES)
    if len(body) > MAX_ANSWER_BYTES:
        raise _too_long()
    return body


async def _stream(response: aiohttp.ClientResponse, listening: Listening) -> StreamedAnswer:
    """The answer in a stream. Raises: RunLost (the stream broke off before `[DONE]`), AnswerUnreadable."""
    decoder, said, size = SseDecoder(), StreamedAnswer(), 0
    async for piece in response.content.iter_any():
        size += len(piece)
        if size > MAX_ANSWER_BYTES:
            raise _too_long()
        for data in decoder.feed(piece):
            said.take(data)
            if said.done:
                await _rest_of(response)
                return said
            if said.run:
                listening.identify(said.run)
    raise RunLost("a stream without its end")


async def _rest_of(response: aiohttp.ClientResponse) -> None:
    """Read the end of the body behind `[DONE]`: only then the connection can be used again."""
    with suppress(aiohttp.ClientError, TimeoutError):
        async with asyncio.timeout(_STREAM_END_SECONDS):
            await response.content.readany()


def _too_long() -> AnswerUnreadable:
    return AnswerUnreadable(f"HTTP 200 with more than {MAX_ANSWER_BYTES} bytes")


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    try:
        async with asyncio.timeout(_ERROR_BODY_SECONDS):
            return await read_up_to(response, _MAX_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""
