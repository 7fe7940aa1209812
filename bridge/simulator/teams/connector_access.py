"""Checks each request to the Bot Connector for bearer, tenant and rate limits, and records the request.

Sources: https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication, "Bot to
connector"; for the limits see rate_limits.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from aiohttp import web

from bridge.simulator.teams.identity import Identity
from bridge.simulator.teams.json_http import error_answer, json_answer, json_object
from bridge.simulator.teams.rate_limits import REACTIONS, READS, REQUESTS, SENDS, SlidingWindows, retry_after
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.traffic import Traffic, bot_request_summary

Handler = Callable[[web.Request], Awaitable[web.Response]]

_LOG_LENGTH = 1000
_BODY = web.RequestKey("body", dict[str, Any])
_VERDICT = web.RequestKey("verdict", str)


@dataclass(frozen=True, slots=True)
class BotRequest:
    """A request of the bot. `at` is `time.monotonic()`; `body` is None when no body was read."""

    at: float
    method: str
    conversation: str
    activity: str
    body: dict[str, Any] | None
    status: int


async def activity_body(request: web.Request) -> dict[str, Any]:
    """The request's JSON object, also kept for the record. Raises: Refused."""
    if request.content_type != "application/json":
        raise Refused(415, "UnsupportedMediaType", "The body must be application/json.")
    try:
        body = await json_object(request)
    except web.HTTPRequestEntityTooLarge as large:
        raise Refused(413, "MessageSizeTooBig", "The request is too large.") from large
    except ValueError as damage:
        raise Refused(400, "BadSyntax", "The body is no JSON object.") from damage
    request[_BODY] = body
    return body


def set_verdict(request: web.Request, verdict: str) -> None:
    """Set the request's verdict for the record: the outcome, and the rule behind a refusal."""
    request[_VERDICT] = verdict


class ConnectorAccess:
    """Checks in front of the Connector's handlers. `log` holds the bot's latest requests, oldest first.

    `clock` gives monotonic seconds; `send_limits=False` switches all rate limits off.
    """

    def __init__(
        self,
        identity: Identity,
        tenant: Tenant,
        traffic: Traffic,
        *,
        send_limits: bool,
        clock: Callable[[], float],
    ) -> None:
        self.log: deque[BotRequest] = deque(maxlen=_LOG_LENGTH)
        self._identity = identity
        self._tenant = tenant
        self._traffic = traffic
        self._limited = send_limits
        self._clock = clock
        self._requests = SlidingWindows(REQUESTS)
        self._sends = SlidingWindows(SENDS)
        self._reads = SlidingWindows(READS)
        self._reactions = SlidingWindows(REACTIONS)

    def guarded(self, handler: Handler) -> Handler:
        """Put the checks for all requests in front of `handler`; refusals become HTTP answers."""

        async def checked(request: web.Request) -> web.Response:
            at = time.monotonic()
            try:
                answer = self._check_caller(request)
                if answer is None:
                    self._spend(self._requests, "app in tenant", "An app has 50 requests a second in a tenant.")
                    answer = await handler(request)
            except Refused as refused:
                headers = {"Retry-After": refused.retry_after} if refused.retry_after else None
                answer = error_answer(refused.status, refused.code, refused.message, headers)
                set_verdict(request, f"Refused: {refused.rule}")
            self._remember(request, at, answer)
            return answer

        return checked

    def spend_send(self, conversation_id: str) -> None:
        """Count a send in the conversation; 429 when the budget is spent. Raises: Refused."""
        rule = "A conversation takes 7 messages and edits in 1 s, 8 in 2 s, 60 in 30 s, 1800 in an hour."
        self._spend(self._sends, conversation_id, rule)

    def spend_read(self, conversation_id: str) -> None:
        """Count a read of the conversation's members; 429 when the budget is spent. Raises: Refused."""
        rule = "A conversation takes 14 looks at its members in 1 s, 16 in 2 s, 120 in 30 s, 3600 in an hour."
        self._spend(self._reads, conversation_id, rule)

    def spend_reaction(self) -> None:
        """Count a reaction of the app; 429 when the budget is spent. Raises: Refused."""
        self._spend(self._reactions, "app", "An app has 2 reactions a second over all conversations.")

    def _spend(self, windows: SlidingWindows, key: str, rule: str) -> None:
        wait = windows.take(key, self._clock()) if self._limited else 0.0
        if wait > 0:
            raise Refused(429, "Throttled", "API calls quota exceeded!", retry_after(wait), rule=rule)

    def _check_caller(self, request: web.Request) -> web.Response | None:
        """The refusal of a request with a wrong bearer or a foreign tenant; None if both are right."""
        scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not self._identity.accepts(bearer):
            # the service's own words: https://github.com/MicrosoftDocs/bot-docs/issues/1593
            set_verdict(request, "Refused: the bearer is no valid token of this app for the Bot Connector.")
            words = {"message": "Authorization has been denied for this request."}
            return json_answer(words, 401, {"WWW-Authenticate": "Bearer"})
        if request.match_info["tenant"].lower() != self._identity.app.tenant_id:
            return error_answer(404, "ServiceError", "No such tenant.")
        return None

    def _remember(self, request: web.Request, at: float, answer: web.Response) -> None:
        ids, body = request.match_info, request.get(_BODY)
        conversation_id, activity_id = ids.get("conversation", ""), ids.get("activity", "")
        self.log.append(BotRequest(at, request.method, conversation_id, activity_id, body, answer.status))
        conversation = self._tenant.find(conversation_id)
        code, sentence = _error_in(answer)
        default = "Accepted." if code is None and answer.status < 400 else f"Refused: {sentence}"
        path = request.path.partition("/v3")[2]
        self._traffic.add(
            "teams",
            (request.method, f"/v3{path}"),
            (answer.status, code),
            what=bot_request_summary(request.method, path, body),
            verdict=request.get(_VERDICT, default),
            chat=conversation.chat.id if conversation else None,
        )


def _error_in(answer: web.Response) -> tuple[str | None, str]:
    """The error's code and sentence in an answer; without an error, None and the HTTP status."""
    try:
        body = orjson.loads(answer.body if isinstance(answer.body, bytes) else b"")
        return str(body["error"]["code"]), str(body["error"]["message"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return None, f"status {answer.status}."
