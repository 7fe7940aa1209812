"""Options and parts of a stand-in gateway, shared by the handlers."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from aiohttp import web

from bridge.simulator.gateway.access import Caller, Keyring, RateLimit, bearer_of, user_id_of
from bridge.simulator.gateway.events import Events
from bridge.simulator.gateway.files import Files
from bridge.simulator.gateway.runs import Runs
from bridge.simulator.gateway.sessions import Sessions


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """The options of a stand-in gateway.

    ``token``: the gateway token ("" for a gateway without token). ``agent``: key of the only agent. ``data``: folder of
    the sessions. ``persistent`` False plays a gateway that forgets (docs/reference/goclaw.md, "Sessions").
    ``rate_limit_rpm``: requests a minute, <= 0 is off. ``llm_url``: a real model instead of scripts; without
    ``llm_model`` the first model of the endpoint's list.
    """

    token: str = field(repr=False)
    agent: str
    data: Path
    persistent: bool = True
    rate_limit_rpm: int = 0
    llm_url: str | None = None
    llm_model: str | None = None
    llm_key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running stand-in."""

    options: GatewayOptions
    keyring: Keyring
    rate: RateLimit
    sessions: Sessions
    events: Events
    files: Files
    runs: Runs
    started: float = field(default_factory=time.monotonic)

    def caller(self, request: web.Request) -> Caller | None:
        return self.keyring.caller(bearer_of(request.headers))

    def user_id(self, request: web.Request, caller: Caller) -> str:
        return user_id_of(request.headers, caller)

    def agent_id(self) -> str:
        """The agent's UUID, accepted instead of the key but with a separate session."""
        return str(uuid5(NAMESPACE_URL, f"stand-in:{self.options.agent}"))

    def has_agent(self, name: str) -> bool:
        return name in {self.options.agent, self.agent_id()}

    def chat_key(self, agent: str, user: str) -> str:
        """The session key of an HTTP turn of the user (docs/reference/goclaw.md, "Sessions")."""
        if self.options.persistent:
            return f"agent:{agent}:http:direct:{user}"
        return f"agent:{agent}:http-{user}-{secrets.token_hex(4)}"


GATEWAY = web.AppKey("gateway", Gateway)
