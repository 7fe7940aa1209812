"""What one stand-in gateway is made of, for its handlers to share."""

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
    """How a stand-in gateway is to behave.

    ``token`` is the gateway token ("" makes a gateway without one), ``agent`` the key of its only agent, ``data`` the
    folder of its sessions. ``persistent`` False plays a gateway that forgets (docs/reference/goclaw.md, "Sessions"). ``rate_limit_rpm`` <= 0 is off.
    ``llm_url`` puts a real model behind it; without ``llm_model`` the first that the endpoint lists.
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
        """The agent's UUID, under which it may be asked as well: with a session of its own (docs/reference/goclaw.md, "Request")."""
        return str(uuid5(NAMESPACE_URL, f"stand-in:{self.options.agent}"))

    def has_agent(self, name: str) -> bool:
        return name in {self.options.agent, self.agent_id()}

    def chat_key(self, agent: str, user: str) -> str:
        """The key of the session that an HTTP turn of this user runs in (docs/reference/goclaw.md, "Sessions")."""
        if self.options.persistent:
            return f"agent:{agent}:http:direct:{user}"
        return f"agent:{agent}:http-{user}-{secrets.token_hex(4)}"


GATEWAY = web.AppKey("gateway", Gateway)
