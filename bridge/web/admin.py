"""The HTTP API of the admin listener: health in detail, Prometheus metrics, the operator's commands."""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from yarl import URL

from bridge import metrics
from bridge.core.errors import StoreUnavailable
from bridge.core.feedback import After
from bridge.core.ports.store import TurnFilter
from bridge.core.turn import Kind, Outcome, State, turn_name
from bridge.engine.operator import Operator, Refusal
from bridge.web.content_coding import is_compressed

_Choice = TypeVar("_Choice", bound=StrEnum)

_FEEDBACK_PARAMETERS = {"since", "after", "limit"}
_TURN_PARAMETERS = {"state", "outcome", "kind", "user", "before", "limit"}
_DEFAULT_LIMIT, _LARGEST_LIMIT = 50, 1000
_REFUSALS = {
    Refusal.UNKNOWN: (404, "{name} is not known: there never was such a turn, or it is deleted by now."),
    Refusal.OPEN: (409, "{name} has no outcome yet; only a closed question can be asked again."),
    Refusal.CLOSED: (409, "{name} is closed already."),
    Refusal.NO_QUESTION: (409, "{name} is not a question, so it cannot be asked again."),
    Refusal.TEXT_GONE: (409, "{name}: its text is no longer kept."),
    Refusal.ASKED_AGAIN: (409, "{name} has been asked again already."),
}


def admin_app(*, details: Callable[[], dict[str, Any]], token: str, operator: Operator) -> web.Application:
    """The application of the admin listener. With a `token`, every request must bring the token as a bearer.

    `details` gives the health page's JSON object, with the key `ready`.
    """

    @web.middleware
    async def only_with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if token and not hmac.compare_digest(sent, f"Bearer {token}".encode()):
            return web.Response(status=401)
        return await handler(request)

    async def health(_: web.Request) -> web.Response:
        report = details()
        return _json(report, 200 if report["ready"] else 503)

    async def prometheus(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(metrics.REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application(middlewares=[only_with_token, _no_web_page(guarded=bool(token)), _no_compressed_body])
    app.router.add_get("/healthz", health)
    app.router.add_get("/readyz", health)
    app.router.add_get("/metrics", prometheus)
    app.add_subapp("/api/", _api(_Commands(operator)))
    return app


def _api(commands: _Commands) -> web.Application:
    api = web.Application(middlewares=[_as_json])
    api.router.add_get("/turns", commands.turns)
    api.router.add_get("/turns/{n}", commands.show)
    api.router.add_post("/turns/{n}/again", commands.again)
    api.router.add_post("/turns/{n}/drop", commands.drop)
    api.router.add_get("/feedback", commands.feedback)
    api.router.add_post("/pause", commands.pause)
    api.router.add_post("/resume", commands.resume)
    return api


def _no_web_page(*, guarded: bool) -> Middleware:
    """A middleware that refuses requests of web pages in an operator's browser; `guarded`: a token is asked for.

    Browsers send `Origin` with every request that could change data. A page whose host name was pointed at loopback
    (DNS rebinding) sends the name in `Host`.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        if "Origin" in request.headers:
            return _error(403, "Web pages may not use this.")
        if not guarded and not _is_loopback(request.headers.get("Host", "")):
            return _error(403, "Without BRIDGE_ADMIN_TOKEN this answers only under a loopback name, as 127.0.0.1.")
        return await handler(request)

    return refuse


@web.middleware
async def _no_compressed_body(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer 415 to a request whose body has a content coding: the listener inflates no body."""
    if is_compressed(request):
        return _error(415, "Compressed bodies are not taken.")
    return await handler(request)


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except _BadRequest as bad:
        return _error(400, str(bad))
    except StoreUnavailable as error:
        return _error(503, f"The store cannot be used now: {error.detail or error.label}.")


class _BadRequest(Exception):
    """A request with a wrong parameter; the message is a sentence for the operator."""


class _Commands:
    """The request handlers of the operator's commands."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def turns(self, request: web.Request) -> web.Response:
        found = await self._operator.list(*_filter_and_limit(request))
        return _json({"paused": self._operator.paused, "turns": found})

    async def show(self, request: web.Request) -> web.Response:
        n = _number(request.match_info["n"])
        turn = await self._operator.show(n)
        return _refusal(Refusal.UNKNOWN, n) if turn is None else _json(turn)

    async def again(self, request: web.Request) -> web.Response:
        n = _number(request.match_info["n"])
        new = await self._operator.again(n)
        return (
            _refusal(new, n)
            if isinstance(new, Refusal)
            else _json({"of": turn_name(n), "n": new, "name": turn_name(new)})
        )

    async def drop(self, request: web.Request) -> web.Response:
        n = _number(request.match_info["n"])
        verdict = await self._operator.drop(n)
        return (
            _refusal(verdict, n)
            if isinstance(verdict, Refusal)
            else _json({"n": n, "name": turn_name(n), "verdict": verdict})
        )

    async def feedback(self, request: web.Request) -> web.Response:
        after, limit = _after(_query(request, _FEEDBACK_PARAMETERS)), _limit(request)
        return _json({"feedback": await self._operator.feedback(after, limit)})

    async def pause(self, _: web.Request) -> web.Response:
        await self._operator.pause(True)
        return _json({"paused": True})

    async def resume(self, _: web.Request) -> web.Response:
        await self._operator.pause(False)
        return _json({"paused": False})


def _filter_and_limit(request: web.Request) -> tuple[TurnFilter, int]:
    query, limit = _query(request, _TURN_PARAMETERS), _limit(request)
    turn_filter = TurnFilter(
        state=_choice(State, query.get("state"), "state"),
        outcome=_choice(Outcome, query.get("outcome"), "outcome"),
        kind=_choice(Kind, query.get("kind"), "kind"),
        user=query.get("user"),
        before=_number(query["before"]) if "before" in query else None,
    )
    return turn_filter, limit


def _query(request: web.Request, known: set[str]) -> Mapping[str, str]:
    query = request.query
    for name in query:
        if name not in known or len(query.getall(name)) > 1:
            raise _BadRequest(f"{name}: use each of {', '.join(sorted(known))} at most once, and nothing else.")
    return query


def _limit(request: web.Request) -> int:
    limit = request.query.get("limit", str(_DEFAULT_LIMIT))
    if not re.fullmatch("[0-9]{1,4}", limit) or not 1 <= int(limit) <= _LARGEST_LIMIT:
        raise _BadRequest(f"limit: a number from 1 to {_LARGEST_LIMIT}.")
    return int(limit)


def _after(query: Mapping[str, str]) -> After:
    """The start of a page of feedback: behind a rating (`after`, from the previous page) or at a time (`since`)."""
    if "after" in query:
        found = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?),([0-9]{1,18}),(.{1,64})", query["after"])
        if found is None:
            raise _BadRequest("after: what `after` of the last one says.")
        return After(float(found[1]), int(found[2]), found[3])
    try:
        since = datetime.fromisoformat(query.get("since", "1970-01-01"))
        return After((since if since.tzinfo else since.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise _BadRequest(
            "since: a day or a time, as 2026-11-25 or 2026-11-25T08:00Z (UTC where it says nothing)."
        ) from None


def _choice(choices: type[_Choice], value: str | None, name: str) -> _Choice | None:
    try:
        return None if value is None else choices(value)
    except ValueError:
        raise _BadRequest(f"{name}: one of {', '.join(choices)}.") from None


def _number(text: str) -> int:
    found = re.fullmatch(r"(?:T-)?([0-9]{1,18})", text, re.IGNORECASE)
    if found is None:
        raise _BadRequest("A turn is named by its number, as T-12 or 12.")
    return int(found[1])


def _is_loopback(host: str) -> bool:
    try:
        name = URL(f"http://{host}").host or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _refusal(refusal: Refusal, n: int) -> web.Response:
    status, reason = _REFUSALS[refusal]
    return _error(status, reason.format(name=turn_name(n)))


def _error(status: int, reason: str) -> web.Response:
    return _json({"error": reason}, status)


def _json(value: object, status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(value), content_type="application/json")
