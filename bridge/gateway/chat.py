"""One run of the agent: `POST /v1/chat/completions`, not streamed: only there an error is unmistakable.

The request is repeated only where the run provably did not start (guarantee 5): the connection was never
made, or the gateway's rate limit refused. What goes wrong after the request may have left is told, not
repeated; aiohttp does not repeat a POST by itself either (`aiohttp.client.IDEMPOTENT_METHODS`).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import aiohttp
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_before_delay,
    wait_exponential,
    wait_fixed,
    wait_random,
)
from yarl import URL

from bridge.core.errors import (
    AnswerUnreadable,
    GatewayBusy,
    GatewayDown,
    RunLost,
    RunNotStarted,
    TurnFailure,
)
from bridge.gateway.connection import read_up_to
from bridge.gateway.wire import CHAT_PATH, USER_HEADER, answer_from, failure_of, request_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bridge.core.ports import Answer, Question
    from bridge.gateway.sessions import GatewaySessions

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a run that has not started is tried again; all in seconds.

    `refill` is the time of one token of the gateway's bucket; its constant `Retry-After: 60` is that of
    twenty (goclaw-gateway.md §5).
    """

    connect: float = 5.0
    down_first: float = 0.5
    down_total: float = 15.0
    refill: float = 3.0
    refill_jitter: float = 1.0
    busy_total: float = 60.0


def retry_policy(patience: Patience) -> AsyncRetrying:
    """Try again after RunNotStarted only: without a connection soon, then doubling; 429 after one refill."""
    down_wait = wait_exponential(multiplier=patience.down_first) + wait_random(0, patience.down_first)
    busy_wait = wait_fixed(patience.refill) + wait_random(0, patience.refill_jitter)
    return AsyncRetrying(
        retry=retry_if_exception_type(RunNotStarted),
        wait=_by_failure(busy=busy_wait, down=down_wait),
        stop=_by_failure(busy=stop_before_delay(patience.busy_total), down=stop_before_delay(patience.down_total)),
        reraise=True,
    )


def _by_failure(
    *, busy: Callable[[RetryCallState], _T], down: Callable[[RetryCallState], _T]
) -> Callable[[RetryCallState], _T]:
    def choose(state: RetryCallState) -> _T:
        failure = state.outcome.exception() if state.outcome else None
        return busy(state) if isinstance(failure, GatewayBusy) else down(state)

    return choose


MAX_ANSWER_BYTES = 8 * 1024 * 1024
"""No agent writes that much; a proxy gone mad, or a bomb of compressed zeros, might."""

_MAX_ERROR_BYTES = 64 * 1024
_ERROR_BODY_WITHIN = 5.0  # the status has said enough; a body that does not come is done without


class GatewayAgent:
    """The agent behind the gateway; implements `ports.Agent`.

    `http` is shared and stays open (see `connection.gateway_connector`). `refusal` says why nothing may be
    asked now, if so; `look` sees that somebody has looked (`GatewayWatch`).
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
        patience: Patience,
    ) -> None:
        self._http = http
        self._url = URL(base_url.rstrip("/") + CHAT_PATH)
        # never Accept-Language: it translates the error texts that must be told apart (§2)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        # no limit for the whole: the engine cancels, and that closes the request
        self._timeout = aiohttp.ClientTimeout(total=None, connect=patience.connect)
        self._refusal = refusal
        self._look = look
        self._sessions = sessions
        self._retrying = retry_policy(patience)

    async def ask(self, question: Question) -> Answer:
        """One run. Cancelling closes the request, which is the gateway's only stop.

        Raises TurnFailure: QuestionTooLong and QuestionRejected before any request; GatewayDown and
        GatewayBusy when the patience is used up; every other leaf at once.
        """
        body = request_body(question)
        try:
            return await self._run(question.user, body)  # outside tenacity, which costs a third of the call
        except RunNotStarted as failure:
            return await self._again(failure, question.user, body)

    async def _again(self, failure: RunNotStarted, user: str, body: bytes) -> Answer:
        failures = [failure]  # the first attempt has been made; the policy takes it from there

        async def attempt() -> Answer:
            if failures:
                raise failures.pop()
            return await self._run(user, body)

        answer: Answer = await self._retrying.copy()(attempt)
        return answer

    async def forget(self, agent: str, user: str) -> None:
        """Delete the session, and see that it is gone; a gateway that is down is tried again, as for a run.

        Raises SessionNotDeleted, GatewayDown, GatewayTokenRejected, GatewayForbidden, GatewayMergesUsers.
        """
        await self._retrying.copy()(self._forget, agent, user)

    async def _admit(self) -> None:
        """Guarantee 7: a gateway that merges users is not asked, and one that nobody has looked at is looked at."""
        if self._look is not None:
            await self._look()
        if refusal := self._refusal():
            raise refusal

    async def _forget(self, agent: str, user: str) -> None:
        await self._admit()
        await self._sessions.forget(agent, user)

    async def _run(self, user: str, body: bytes) -> Answer:
        await self._admit()
        headers = {**self._headers, USER_HEADER: user}
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


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    try:
        async with asyncio.timeout(_ERROR_BODY_WITHIN):
            return await read_up_to(response, _MAX_ERROR_BYTES)
    except (aiohttp.ClientError, TimeoutError):
        return b""
