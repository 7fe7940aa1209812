"""Takes in the Bot Connector's POSTs: verifies the request, then lets botbuilder's adapter hand on the activity.

Order: bearer, content type and size, JSON object, claims bound to the body, event (docs/architecture.md, "Order of
checks"). No field of the body is used before the claims are checked. botbuilder's part: docs/reference/teams.md, "How a
verified request enters botbuilder"; the symbols in use and their replacements: docs/decisions.md.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
import structlog
from botbuilder.core import ActivityHandler, InvokeResponse, TurnContext
from botbuilder.core.cloud_adapter_base import CloudAdapterBase
from botbuilder.schema import Activity
from botframework.connector.auth import (
    AuthenticateRequestResult,
    BotFrameworkAuthentication,
    ClaimsIdentity,
    ConnectorFactory,
)

from bridge import metrics
from bridge.core.errors import StoreUnavailable
from bridge.core.inbound.activities import Event, parse_activity
from bridge.core.inbound.feedback import SUBMIT
from bridge.core.markdown.agent_cards import CARD_TYPE
from bridge.core.outbound import cards
from bridge.teams.authentication import Claims, Refused, Verifier

_log = structlog.get_logger()

# Characters; an activity with more text is parsed in a thread, since parsing long HTML would hold the event loop.
_PARSED_INLINE = 20_000
_REPORT_SECONDS = 60.0


class Clicked(Protocol):
    """The answer to a click on a card."""

    @property
    def words(self) -> str:
        """The sentence to show."""
        ...

    @property
    def replaces(self) -> bool:
        """Whether the sentence takes the card's place."""
        ...


Receive = Callable[[Event], Awaitable[Clicked | None]]


@dataclass(frozen=True, slots=True)
class Reply:
    """The HTTP answer to a POST: a status, and a JSON body for invokes only."""

    status: int
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Post:
    """The parts of an HTTP request that `Inbound` needs.

    `read` returns the body, or raises Refused (400, 408, 413). `compressed`: the body has a content coding; bodies are
    not inflated, so `read` would return the compressed bytes.
    """

    authorization: str | None
    content_type: str
    compressed: bool
    read: Callable[[], Awaitable[bytes]]


class Inbound:
    """Answers the connector's POSTs. A failure is a status with an empty body; bad input never gives a 5xx."""

    def __init__(self, verifier: Verifier, receive: Receive) -> None:
        self._verifier = verifier
        self._adapter = _Adapter(_Authentication())
        self._bot = _Bot(receive)
        self._reported: dict[str, float] = {}

    async def post(self, request: Post) -> Reply:
        """Take an activity in. Answers 200 after the turn is on disk, 503 where the store cannot keep the turn."""
        try:
            claims = await self._verifier.verify_header(request.authorization)
            activity = self._verifier.bind(claims, await _activity(request))
        except Refused as refused:
            metrics.INBOUND.labels(refused.reason).inc()
            self._report(refused)
            return Reply(refused.status)
        try:
            return await self._process(claims, activity)
        except StoreUnavailable as error:
            metrics.INBOUND.labels(error.label).inc()
            _log.error("not_accepted", error=error.label, detail=error.detail)
            return Reply(503)

    def _report(self, refused: Refused) -> None:
        """Log a refusal, once a minute for each reason, so that strangers cannot fill the log."""
        now = time.monotonic()
        if now - self._reported.get(refused.reason, -_REPORT_SECONDS) >= _REPORT_SECONDS:
            self._reported[refused.reason] = now
            _log.warning("refused", status=refused.status, reason=refused.reason)

    async def _process(self, claims: Claims, activity: dict[str, Any]) -> Reply:
        result = AuthenticateRequestResult()
        result.claims_identity = ClaimsIdentity({}, is_authenticated=True)
        result.connector_factory = _NO_CONNECTOR
        response = await self._adapter.process_activity(result, _envelope(activity), self._bot.on_turn)
        if response is None:
            return Reply(200)
        return Reply(int(response.status), b"" if response.body is None else orjson.dumps(response.body))


async def _activity(request: Post) -> dict[str, Any]:
    kind = request.content_type.partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Refused(415, "content_type")
    if request.compressed:
        raise Refused(415, "content_encoding")
    body = await request.read()
    try:
        activity = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(400, "not_json") from None
    if not isinstance(activity, dict):
        raise Refused(400, "not_an_object")
    return activity


def _envelope(activity: dict[str, Any]) -> Activity:
    """botbuilder's Activity with the fields that the adapter and the handler read.

    msrest's own reader costs 300 us and loses fields, so the JSON travels whole in `additional_properties`.
    """
    kind, name = activity.get("type"), activity.get("name")
    envelope = Activity(
        type=kind if isinstance(kind, str) and kind else "unknown",
        name=name if isinstance(name, str) else None,
        service_url=activity["serviceUrl"],
    )
    envelope.additional_properties = activity  # set here because msrest's constructor ignores the argument
    return envelope


def _size(activity: dict[str, Any]) -> int:
    """The characters of an activity's text and HTML, approximately."""
    attachments = activity.get("attachments")
    contents = [a.get("content") for a in attachments if isinstance(a, dict)] if isinstance(attachments, list) else []
    return sum(len(words) for words in (activity.get("text"), *contents) if isinstance(words, str))


class _Bot(ActivityHandler):
    """botbuilder's handler: turns every activity into an event of core and hands the event to `receive`."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive

    async def _event(self, turn_context: TurnContext) -> Clicked | None:
        activity = turn_context.activity.additional_properties
        if _size(activity) > _PARSED_INLINE:
            return await self._receive(await asyncio.to_thread(parse_activity, activity))
        return await self._receive(parse_activity(activity))

    async def on_invoke_activity(self, turn_context: TurnContext) -> InvokeResponse:
        clicked = await self._event(turn_context)
        if clicked is None:
            # Unknown invokes as well: for a 501 Teams shows "Unable to reach app". Feedback needs an empty object
            # (docs/reference/teams.md, "Feedback buttons and their invoke").
            return InvokeResponse(status=200, body={} if turn_context.activity.name == SUBMIT else None)
        value: Any = cards.done(clicked.words) if clicked.replaces else clicked.words
        kind = CARD_TYPE if clicked.replaces else cards.MESSAGE_TYPE
        return InvokeResponse(status=200, body={"statusCode": 200, "type": kind, "value": value})

    async def _without_response(self, turn_context: TurnContext) -> None:
        await self._event(turn_context)

    on_message_activity = _without_response
    on_message_update_activity = _without_response
    on_message_delete_activity = _without_response
    on_message_reaction_activity = _without_response
    on_conversation_update_activity = _without_response
    on_installation_update = _without_response
    on_event_activity = _without_response
    on_end_of_conversation_activity = _without_response
    on_typing_activity = _without_response
    on_unrecognized_activity_type = _without_response


class _Adapter(CloudAdapterBase):
    """botbuilder's cloud adapter for inbound activities only; teams/channel.py sends the messages."""


class _NoConnector(ConnectorFactory):
    """An unused connector client: the adapter requires a client, and a real client costs 3 ms a turn."""

    async def create(self, service_url: str, audience: str) -> object:
        return self


_NO_CONNECTOR = _NoConnector()


class _Authentication(BotFrameworkAuthentication):
    """Replaces botbuilder's own verification of tokens; authentication.py has verified the request before."""

    async def authenticate_request(self, activity: Activity, auth_header: str) -> AuthenticateRequestResult:
        raise NotImplementedError("requests are verified by teams.authentication")

    async def authenticate_streaming_request(
        self, auth_header: str, channel_id_header: str
    ) -> AuthenticateRequestResult:
        raise NotImplementedError("streaming connections are not offered")

    def create_connector_factory(self, claims_identity: ClaimsIdentity) -> ConnectorFactory:
        return _NO_CONNECTOR

    async def create_user_token_client(self, claims_identity: ClaimsIdentity) -> None:
        return None
