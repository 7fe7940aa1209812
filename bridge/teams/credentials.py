"""The token with which the bridge speaks to the Bot Connector.

msal gets it from Entra ID with the client secret, in a thread because msal blocks; the event loop only reads
a string. It is fetched ahead of its expiry by `run`, in single flight, and no oftener than Entra ID deserves.
Protocol: docs/reference/teams.md, "Authentication" and docs/reference/teams.md, "botbuilder's outbound path", and "bot to connector" on
learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx
import msal
import structlog

from bridge.core.errors import CredentialsRefused
from bridge.teams.clouds import is_loopback_http

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from bridge.teams.clouds import Cloud

REFRESH_AT = 0.8  # of a token's life: an hour's token is renewed 12 minutes ahead
SHORTEST_PAUSE = 5.0  # seconds between two requests to Entra ID; doubled with each refusal
LONGEST_PAUSE = 60.0  # while Entra ID refuses: soon enough after an operator's repair
NEW = 30.0  # seconds: a token this young is not replaced, however often the connector refuses it
FETCH_LIMIT = 25.0  # seconds for the whole exchange, tenant discovery included
HTTP_LIMITS = httpx.Timeout(10.0, connect=5.0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Token:
    """A header value, and when (monotonic seconds) it was got, is to be renewed, and ends."""

    header: str
    got: float
    renew: float
    ends: float


class OutboundToken:
    """The current `Authorization` header value. `tenant` empty: a multi-tenant registration.

    `trust`: whose certificates are believed; httpx's own choice where none is given.
    """

    def __init__(
        self,
        cloud: Cloud,
        app_id: str,
        secret: str,
        tenant: str,
        *,
        trust: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._cloud = cloud
        self._app_id = app_id
        self._secret = secret
        self._tenant = tenant
        self._trust = trust
        self._monotonic = monotonic
        self._sleep = sleep
        self._token: _Token | None = None
        self._fetching: asyncio.Task[_Token] | None = None
        self._refusal: CredentialsRefused | None = None
        self._failures = 0
        self._not_before = -math.inf

    @property
    def cached(self) -> str | None:
        """The header value if one is at hand: what the hot path asks first."""
        token = self._token
        return token.header if token is not None and self._monotonic() < token.ends else None

    @property
    def refusal(self) -> CredentialsRefused | None:
        """Why the last fetch failed; None when it did not. For readiness, alarms and `doctor`."""
        return self._refusal

    async def header(self) -> str:
        """`Bearer …`, fetched if none is at hand. Raises CredentialsRefused."""
        cached = self.cached
        if cached is not None:
            return cached
        if self._fetching is None and self._refusal is not None and self._monotonic() < self._not_before:
            # A fresh error: the old one keeps the stack of whoever met it first.
            raise CredentialsRefused(self._refusal.detail)
        return (await self._fetch()).header

    def invalidate(self, header: str) -> None:
        """The connector refused this header: the next call fetches another, unless this one is new."""
        token = self._token
        if token is not None and token.header == header and self._monotonic() - token.got >= NEW:
            self._token = None

    async def run(self) -> None:
        """Keep a token at hand, until cancelled."""
        while True:
            token = self._token
            pause = 0.0 if token is None else token.renew - self._monotonic()
            pause = max(pause, self._not_before - self._monotonic())
            if pause > 0:
                # Jitter keeps the replicas of one bot from asking together; never earlier than due.
                await self._sleep(pause * random.uniform(1.0, 1.05))  # noqa: S311 - spreads load, hides nothing
                continue
            try:
                await self._fetch()
            except CredentialsRefused as refusal:
                _log.warning("outbound_token_not_fetched", reason=refusal.detail, usable=self.cached is not None)

    async def _fetch(self) -> _Token:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._acquire(), name="outbound-token")
            self._fetching.add_done_callback(self._fetched)
        # A caller that goes away must not take the fetch with it: others wait for the same one.
        return await asyncio.shield(self._fetching)

    def _fetched(self, task: asyncio.Task[_Token]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # every waiter may be gone; the refusal is kept for the next caller

    async def _acquire(self) -> _Token:
        asked = self._monotonic()
        try:
            async with asyncio.timeout(FETCH_LIMIT):
                answer = await asyncio.to_thread(self._ask_entra)
            token = _token(answer, asked)
        except TimeoutError:
            raise self._refused(CredentialsRefused("Entra ID timed out")) from None
        except CredentialsRefused as refusal:
            raise self._refused(refusal) from None
        self._token, self._refusal, self._failures = token, None, 0
        self._not_before = asked + SHORTEST_PAUSE
        return token

    def _refused(self, refusal: CredentialsRefused) -> CredentialsRefused:
        self._refusal = refusal
        self._not_before = self._monotonic() + min(SHORTEST_PAUSE * 2**self._failures, LONGEST_PAUSE)
        self._failures = min(self._failures + 1, 10)
        return refusal

    def _ask_entra(self) -> dict[str, Any]:
        """One token request, in a thread.

        A new msal application each time, about once an hour: its caches would give the old token again, and
        an old refusal to somebody who has just repaired the secret.
        """
        try:
            with httpx.Client(timeout=HTTP_LIMITS, verify=self._trust or True) as client:
                authority = self._cloud.authority(self._tenant)
                wire = _Wire(client, self._cloud.login_url)
                application = msal.ConfidentialClientApplication(
                    self._app_id,
                    client_credential=self._secret,
                    authority=wire.as_https(authority),
                    # The authority comes from our table or the operator: asking login.microsoftonline.com
                    # whether it exists would add a request, and in other clouds a wrong dependency.
                    instance_discovery=False,
                    http_client=wire,
                )
                answer = application.acquire_token_for_client([self._cloud.scope])
        except httpx.TimeoutException:
            raise CredentialsRefused("Entra ID timed out") from None
        except httpx.HTTPError as failure:
            raise CredentialsRefused(f"Entra ID unreachable ({type(failure).__name__})") from None
        except Exception as failure:  # noqa: BLE001 - msal raises whatever an answer's shape provokes
            # Its message may quote the answer, so only its kind is kept.
            raise CredentialsRefused(
                f"Entra ID gave no usable answer ({type(failure).__name__}); is the tenant right?"
            ) from None
        return answer if isinstance(answer, dict) else {}


class _Wire:
    """msal's HTTP client (msal.oauth2cli.http.HttpClient), over httpx with time-outs.

    msal insists on https authorities. A custom cloud whose login URL is plain http on this machine (the
    simulator) is therefore shown to msal as https, and reached as what it is. Nothing else is downgraded.
    """

    def __init__(self, client: httpx.Client, login_url: str) -> None:
        self._client = client
        self._plain = f"{login_url}/" if is_loopback_http(login_url) else None
        self._shown = self._plain.replace("http:", "https:", 1) if self._plain else None

    def as_https(self, text: str) -> str:
        return text if self._plain is None or self._shown is None else text.replace(self._plain, self._shown)

    def get(self, url: str, **options: Any) -> _Answer:
        return self._send("GET", url, options)

    def post(self, url: str, **options: Any) -> _Answer:
        return self._send("POST", url, options)

    def close(self) -> None:
        """The client belongs to `_ask_entra`."""

    def _send(self, method: str, url: str, options: dict[str, Any]) -> _Answer:
        if self._plain is not None and self._shown is not None and url.startswith(self._shown):
            url = self._plain + url.removeprefix(self._shown)
        response = self._client.request(
            method,
            url,
            params=options.get("params"),
            data=options.get("data"),
            headers=options.get("headers"),
        )
        return _Answer(response.status_code, self.as_https(response.text), dict(response.headers))


@dataclass(frozen=True, slots=True)
class _Answer:
    """What msal reads of a response; it makes its own `raise_for_status`."""

    status_code: int
    text: str
    headers: dict[str, str]


def _token(answer: dict[str, Any], asked: float) -> _Token:
    secret = answer.get("access_token")
    if not isinstance(secret, str) or re.fullmatch(r"[A-Za-z0-9._~+/=-]+", secret) is None:
        raise CredentialsRefused(_reason(answer))
    try:
        life = float(answer.get("expires_in", 0))
    except (TypeError, ValueError):
        life = 0.0
    if not math.isfinite(life) or life <= 0:
        raise CredentialsRefused("Entra ID gave a token without a life")
    return _Token(f"Bearer {secret}", asked, asked + life * REFRESH_AT, asked + life)


def _reason(answer: dict[str, Any]) -> str:
    """The AADSTS code, or OAuth's error name; never the text, which may quote what was sent.

    Codes: learn.microsoft.com/entra/identity-platform/reference-error-codes.
    """
    codes = answer.get("error_codes")
    if isinstance(codes, list) and codes and isinstance(codes[0], int):
        return f"AADSTS{codes[0]}"
    found = re.match(r"AADSTS\d{1,9}", str(answer.get("error_description", "")), re.ASCII)
    if found is not None:
        return found[0]
    error = answer.get("error")
    known = isinstance(error, str) and re.fullmatch(r"[a-z_]{1,60}", error, re.ASCII) is not None
    return f"Entra ID: {error}" if known else "Entra ID gave no token"
