"""One run of the agent: `POST /v1/chat/completions`, not streamed: only there an error is unmistakable.

It is made once. Where the run provably did not start (no connection was made, or the gateway's rate limit refused),
RunNotStarted says so, and the engine asks again in its time (guarantee 5); aiohttp does not repeat a POST by itself
either (`aiohttp.client.IDEMPOTENT_METHODS`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import aiohttp
from yarl import URL

from bridge.core.errors import AnswerUnreadable, GatewayDown, RunLost, TurnFailure
from bridge.gateway.connection import read_up_to
from bridge.gateway.wire import CHAT_PATH, USER_HEADER, answer_from, failure_of, request_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.core.ports import AgentEvent, Answer, Question
    from bridge.gateway.sessions import GatewaySessions

MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""No agent writes that much; a proxy gone mad, or a bomb of compressed zeros, might."""

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_WITHIN = 5.0  # the status has said enough; a body that does not come is done without


class GatewayAgent:
    """The agent behind the gateway; implements `ports.Agent`.

    `http` is shared and stays open (see `connection.gateway_connector`). `refusal` says why nothing may be
    asked now, if so; `look` sees that somebody has looked (`GatewayWatch`). `connect`: seconds for a connection.
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
        connect: float = 5.0,
    ) -> None:
        self._http = http
        self._url = URL(base_url.rstrip("/") + CHAT_PATH)
        # never Accept-Language: it translates the error texts that must be told apart (§2)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # no limit for the whole: the engine cancels, and that closes the request
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect)
        self._refusal = refusal
        self._look = look
        self._sessions = sessions

    async def ask(
        self,
        question: Question,
        heard: Callable[[AgentEvent], None] | None = None,  # noqa: ARG002  nothing is told yet
    ) -> Answer:
        """One run. Cancelling closes the request, which is the gateway's only stop.

        Raises TurnFailure: QuestionTooLong and QuestionRejected before any request, GatewayDown and GatewayBusy where
        the run did not start, and every other leaf.
        """
        body = request_body(question)
        await self._admit()
        headers = {**self._headers, USER_HEADER: question.user}
        try:
            async with self._http.post(
                self._url, data=body, headers=headers, timeout=self._timeout, allow_redirects=False
            ) as response:
                if response.status != 200:
                    raise failure_of(response.status, response.content_type, await _error_body(response))
                answer = await read_up_to(response, MAX_ANSWER_BYTES)
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
        if len(answer) > MAX_ANSWER_BYTES:
            raise AnswerUnreadable(f"HTTP 200 with more than {MAX_ANSWER_BYTES} bytes")
        return answer_from(answer)

    async def forget(self, agent: str, user: str) -> None:
        """Delete the session, and see that it is gone.

        Raises SessionNotDeleted, GatewayDown, GatewayTokenRejected, GatewayForbidden, GatewayMergesUsers.
        """
        await self._admit()
        await self._sessions.forget(agent, user)

    async def _admit(self) -> None:
        """Guarantee 7: a gateway that merges users is not asked, and one that nobody has looked at is looked at."""
        if self._look is not None:
            await self._look()
        if refusal := self._refusal():
            raise refusal


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    try:
        async with asyncio.timeout(_ERROR_BODY_WITHIN):
            return await read_up_to(response, _MAX_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""
