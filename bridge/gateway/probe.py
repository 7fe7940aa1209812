"""Checks of the gateway and the agent by requests, since version numbers are no proof.

The requests are listed in docs/reference/goclaw.md, "Health and doctor", and use the aiohttp session of the runs, so
a verdict holds for the same route, TLS and connections. A check that could not be made is `not_checked` with the
reason, neither passed nor failed.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

import aiohttp
import orjson
from yarl import URL

from bridge.core.errors import AnswerEmpty, GatewayTokenRejected, TurnFailure
from bridge.core.ports.agent import Agent, Question
from bridge.gateway.connection import read_up_to
from bridge.gateway.frames import RpcError
from bridge.gateway.rpc import ADMINS
from bridge.gateway.sessions import GatewaySessions, session_key
from bridge.gateway.wire import CHAT_PATH

Verdict = Literal["ok", "failed", "not_checked"]

REACHABLE = "gateway reachable"
TOKEN = "gateway token accepted"  # noqa: S105  the name of a check
AGENT = "agent exists"
USERS = "user ids honoured"
PERSISTS = "sessions persist"
EVENTS = "agent events"

_NO_MESSAGES = b'{"messages":[]}'  # refused behind bearer, role and rate limit, so without a run
_MAX_BODY = 64 * 1024  # bytes; bodies differ at the beginning
_RUN_SECONDS = 120.0
_FIX_URL = "Set GOCLAW_URL to the gateway's own address and start the gateway."
_FIX_TOKEN = "Set GOCLAW_TOKEN to the gateway token, or to an API key of scope operator.write without an owner."  # noqa: S105  advice


@dataclass(frozen=True, slots=True)
class Check:
    """A check's result for operators: name, verdict, finding, and advice (empty if all is well)."""

    name: str
    verdict: Verdict
    detail: str
    fix: str = ""


def not_checked(name: str, reason: str) -> Check:
    """The result of a check that could not be made."""
    return Check(name, "not_checked", reason)


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int
    body: bytes


class GatewayProbe:
    """The checks of a gateway and an agent. `step`: time limit of each request, in seconds."""

    def __init__(
        self,
        *,
        http: aiohttp.ClientSession,
        base_url: str,
        token: str,
        agent: str,
        sessions: GatewaySessions,
        step: float = 5.0,
    ) -> None:
        self._http = http
        self._base = base_url.rstrip("/")
        self._token = token
        self._agent = agent
        self._sessions = sessions
        self._step = step

    async def without_model_call(self) -> tuple[Check, ...]:
        """Check reachability, token, agent and user ids: no model call, at most one slot of the rate limit."""
        reachable = await self._reachable()
        if reachable.verdict != "ok":
            return reachable, *(not_checked(name, "gateway not reachable") for name in (TOKEN, AGENT, USERS))
        return (
            reachable,
            await self._token_accepted(),
            await self._agent_exists(),
            await self._users_honoured(),
        )

    async def persistence(self, asker: Agent) -> Check:
        """Check whether a session outlives its request. Costs a model call; the session is deleted afterwards."""
        user = f"teams-probe-{secrets.token_hex(8)}"
        try:
            async with asyncio.timeout(_RUN_SECONDS):
                await _run(asker, Question(self._agent, user, "Please answer with the one word: ready"))
                keys = await self._sessions.keys(self._agent, user)
        except TurnFailure as failure:
            return not_checked(PERSISTS, f"{failure.label}: {failure.detail}")
        except RpcError as error:
            return not_checked(PERSISTS, f"WebSocket: {error.code}")
        except TimeoutError:
            return not_checked(PERSISTS, f"no answer within {_RUN_SECONDS:.0f} s")
        check = persistence_by(keys, self._agent, user)
        try:
            await asker.delete_session(self._agent, user)
        except TurnFailure as failure:
            return replace(check, detail=f"{check.detail} (the probe's session is left: {failure.label})")
        return check

    async def events(self) -> Check:
        """Check whether the token receives agent events. The check is ok without events: only progress is missing."""
        try:
            role = await self._sessions.role()
        except (TurnFailure, RpcError) as error:
            return not_checked(EVENTS, f"WebSocket: {error}")
        if role in ADMINS:
            return Check(EVENTS, "ok", "yes: progress can be shown")
        return Check(EVENTS, "ok", "no: they come to keys of scope operator.admin only; no progress is shown")

    async def _reachable(self) -> Check:
        try:
            reply = await self._fetch("GET", "/health")
        except (aiohttp.ClientError, TimeoutError) as error:
            return Check(REACHABLE, "failed", type(error).__name__, _FIX_URL)
        if reply.status == 200 and _says_ok(reply.body):
            return Check(REACHABLE, "ok", "healthy")
        return Check(REACHABLE, "failed", f"HTTP {reply.status}, not a gateway's health", _FIX_URL)

    async def _token_accepted(self) -> Check:
        reply = await self._refused_chat(self._token)
        match reply:
            case None:
                return not_checked(TOKEN, "no answer")
            case _Reply(401):
                return Check(TOKEN, "failed", "HTTP 401: the gateway does not know it", _FIX_TOKEN)
            case _Reply(403):
                return Check(TOKEN, "failed", "HTTP 403: it may read but not chat", _FIX_TOKEN)
            case _ if _passed_the_bearer(reply):
                return Check(TOKEN, "ok", "may chat")
        return not_checked(TOKEN, f"HTTP {reply.status} from something that is not the gateway")

    async def _agent_exists(self) -> Check:
        try:
            reply = await self._fetch("GET", f"/v1/agents/{quote(self._agent, safe='')}", self._token)
        except (aiohttp.ClientError, TimeoutError) as error:
            return not_checked(AGENT, type(error).__name__)
        if reply.status == 200:
            return Check(AGENT, "ok", self._agent)
        if reply.status == 404 and b"agent not found" in reply.body:
            fix = "Set GOCLAW_AGENT to the key of an agent of this gateway."
            return Check(AGENT, "failed", f"no agent {self._agent}", fix)
        # 403: no grant for the list, though chat may work
        return not_checked(AGENT, f"HTTP {reply.status}")

    async def _users_honoured(self) -> Check:
        reply = await self._refused_chat(secrets.token_hex(16))
        if reply is not None and _passed_the_bearer(reply):
            fix = "Give the gateway a token (gateway.token) and set GOCLAW_TOKEN to it."
            return Check(USERS, "failed", "the gateway has no token: everybody is one user to it", fix)
        if reply is None or reply.status != 401:
            return not_checked(USERS, "a wrong token was neither refused nor let in")
        user = f"teams-probe-{secrets.token_hex(8)}"
        try:
            seen = await self._sessions.effective_user(user)
        except GatewayTokenRejected:
            return not_checked(USERS, "the token is not accepted")
        except (TurnFailure, RpcError) as error:
            return not_checked(USERS, f"WebSocket: {error}")
        if seen != user:
            return Check(USERS, "failed", "the key is bound to an owner: everybody is that user", _FIX_TOKEN)
        return Check(USERS, "ok", "each user has their own")

    async def _refused_chat(self, token: str) -> _Reply | None:
        try:
            return await self._fetch("POST", CHAT_PATH, token, _NO_MESSAGES)
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def _fetch(self, method: str, path: str, token: str = "", data: bytes | None = None) -> _Reply:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = URL(self._base + path, encoded=True)
        async with (
            asyncio.timeout(self._step),
            self._http.request(method, url, headers=headers, data=data, allow_redirects=False) as response,
        ):
            return _Reply(response.status, await read_up_to(response, _MAX_BODY))


async def _run(asker: Agent, question: Question) -> None:
    try:
        await asker.ask(question)
    except AnswerEmpty:
        return  # the run ended well, so there is a session to look for


def persistence_by(keys: frozenset[str], agent: str, user: str) -> Check:
    """The verdict by the session keys after a run of the user (docs/reference/goclaw.md, "Sessions")."""
    if session_key(agent, user) in keys:
        return Check(PERSISTS, "ok", "one session for each user")
    single_use = re.compile(re.escape(f"agent:{agent}:http-{user}-") + "[0-9a-f]{8}")
    if any(single_use.fullmatch(key) for key in keys):
        fix = "Use a gateway that keeps one session per user (GoClaw pull request 713)."
        return Check(PERSISTS, "failed", "a new session for every message: the agent remembers nothing", fix)
    return not_checked(PERSISTS, "the gateway shows no session of the probe")


def _passed_the_bearer(reply: _Reply) -> bool:
    """Whether the refusal is for missing messages or for the rate: the gateway checks both behind token and role
    (docs/reference/goclaw.md, "Request")."""
    return (reply.status == 400 and b"messages is required" in reply.body) or (
        reply.status == 429 and b"rate_limit_error" in reply.body
    )


def _says_ok(body: bytes) -> bool:
    try:
        health = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(health, dict) and health.get("status") == "ok"
