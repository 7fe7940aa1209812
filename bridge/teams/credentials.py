"""The bot's token for the Bot Connector.

msal fetches the token from Entra ID with the client secret, in a thread because msal blocks. `run` renews the token
ahead of the expiry. Only a single fetch runs at a time, and a refused fetch is followed by a pause.
Protocol: docs/reference/teams.md, "The token for the connector"; msal's caches: docs/reference/teams.md, "Why the
bridge has a client of its own".
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
import msal
import structlog

from bridge.core.errors import CredentialsRefused
from bridge.teams.clouds import Cloud, is_loopback_http

REFRESH_AT = 0.8  # of the time that a token is valid: a token for an hour is renewed 12 minutes ahead
SHORTEST_PAUSE = 5.0  # seconds between two requests to Entra ID; doubled with each refusal
LONGEST_PAUSE = 60.0  # seconds, while Entra ID refuses: soon enough after an operator's repair
NEW = 30.0  # seconds: a younger token is not replaced, however often the connector refuses the token
FETCH_LIMIT = 25.0  # seconds for the whole exchange, tenant discovery included
HTTP_LIMITS = httpx.Timeout(10.0, connect=5.0)

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Token:
    """A header value, with the monotonic seconds of the fetch, the renewal and the expiry."""

    header: str
    got: float
    renew: float
    ends: float


class OutboundToken:
    """The current value of the connector's `Authorization` header. An empty `tenant`: a multi-tenant registration.

    `trust`: the certificate authorities to believe; None: httpx's default. `monotonic` gives seconds.
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
        """The header value if a valid token is at hand; for the hot path, without await."""
        token = self._token
        return token.header if token is not None and self._monotonic() < token.ends else None

    @property
    def refusal(self) -> CredentialsRefused | None:
        """The error of the last fetch; None after a success. For the health page, alarms and `doctor`."""
        return self._refusal

    async def header(self) -> str:
        """The header value `Bearer …`; fetches a token if none is at hand. Raises: CredentialsRefused."""
        cached = self.cached
        if cached is not None:
            return cached
        if self._fetching is None and self._refusal is not None and self._monotonic() < self._not_before:
            # A new error object: the stored error holds the stack of its first caller.
            raise CredentialsRefused(self._refusal.detail)
        return (await self._fetch()).header

    def invalidate(self, header: str) -> None:
        """Forget `header`, which the connector refused, so that the next call fetches; a NEW token stays."""
        token = self._token
        if token is not None and token.header == header and self._monotonic() - token.got >= NEW:
            self._token = None

    async def run(self) -> None:
        """Fetch and renew the token until cancelled."""
        while True:
            token = self._token
            pause = 0.0 if token is None else token.renew - self._monotonic()
            pause = max(pause, self._not_before - self._monotonic())
            if pause > 0:
                # Jitter keeps the replicas of a bot from asking together; never earlier than due.
                await self._sleep(pause * random.uniform(1.0, 1.05))  # noqa: S311  spreads load, hides nothing
                continue
            try:
                await self._fetch()
            except CredentialsRefused as refusal:
                _log.warning("outbound_token_not_fetched", reason=refusal.detail, usable=self.cached is not None)

    async def _fetch(self) -> _Token:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._acquire(), name="outbound-token")
            self._fetching.add_done_callback(self._fetched)
        # shield: a cancelled caller must not cancel the fetch, for which more callers may wait.
        return await asyncio.shield(self._fetching)

    def _fetched(self, task: asyncio.Task[_Token]) -> None:
        self._fetching = None
        if not task.cancelled():
            task.exception()  # marks the error as seen, as all callers may be gone; `_refusal` keeps the error

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
        """Request a token from Entra ID; blocks, so runs in a thread. Raises: CredentialsRefused.

        Each request (about once an hour) makes a new msal application: the caches of an old application would repeat
        the old token, or the old refusal after an operator has repaired the secret.
        """
        try:
            with httpx.Client(timeout=HTTP_LIMITS, verify=self._trust or True) as client:
                authority = self._cloud.authority(self._tenant)
                wire = _MsalHttp(client, self._cloud.login_url)
                application = msal.ConfidentialClientApplication(
                    self._app_id,
                    client_credential=self._secret,
                    authority=wire.as_https(authority),
                    # The authority comes from clouds.py or the operator. Asking login.microsoftonline.com whether the
                    # authority exists would add a request, and a wrong dependency outside of the public cloud.
                    instance_discovery=False,
                    http_client=wire,
                )
                answer = application.acquire_token_for_client([self._cloud.scope])
        except httpx.TimeoutException:
            raise CredentialsRefused("Entra ID timed out") from None
        except httpx.HTTPError as failure:
            raise CredentialsRefused(f"Entra ID unreachable ({type(failure).__name__})") from None
        except Exception as failure:  # noqa: BLE001  msal raises any error that an answer's shape provokes
            # The error's message may quote the answer, so only the error's type is kept.
            raise CredentialsRefused(
                f"Entra ID gave no usable answer ({type(failure).__name__}); is the tenant right?"
            ) from None
        return answer if isinstance(answer, dict) else {}


class _MsalHttp:
    """An HTTP client for msal (msal.oauth2cli.http.HttpClient) over httpx, with time-outs.

    msal takes https authorities only. A custom cloud's login URL that is plain http on the local machine (the
    simulator) is therefore named https towards msal and requested as http. No further URL is downgraded.
    """

    def __init__(self, client: httpx.Client, login_url: str) -> None:
        self._client = client
        self._http_login = f"{login_url}/" if is_loopback_http(login_url) else None
        self._https_login = self._http_login.replace("http:", "https:", 1) if self._http_login else None

    def as_https(self, text: str) -> str:
        if self._http_login is None or self._https_login is None:
            return text
        return text.replace(self._http_login, self._https_login)

    def get(self, url: str, **options: Any) -> _Answer:
        return self._send("GET", url, options)

    def post(self, url: str, **options: Any) -> _Answer:
        return self._send("POST", url, options)

    def close(self) -> None:
        """The client belongs to `_ask_entra`."""

    def _send(self, method: str, url: str, options: dict[str, Any]) -> _Answer:
        if self._http_login is not None and self._https_login is not None and url.startswith(self._https_login):
            url = self._http_login + url.removeprefix(self._https_login)
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
    """The parts of a response that msal reads; msal has its own `raise_for_status`."""

    status_code: int
    text: str
    headers: dict[str, str]


def _token(answer: dict[str, Any], asked: float) -> _Token:
    secret = answer.get("access_token")
    if not isinstance(secret, str) or re.fullmatch(r"[A-Za-z0-9._~+/=-]+", secret) is None:
        raise CredentialsRefused(_reason(answer))
    try:
        seconds = float(answer.get("expires_in", 0))
    except (TypeError, ValueError, OverflowError):
        seconds = 0.0
    if not math.isfinite(seconds) or seconds <= 0:
        raise CredentialsRefused("Entra ID gave a token without a life")
    return _Token(f"Bearer {secret}", asked, asked + seconds * REFRESH_AT, asked + seconds)


def _reason(answer: dict[str, Any]) -> str:
    """The AADSTS code, or OAuth's error name; never the description, which may quote the request.

    Codes: https://learn.microsoft.com/entra/identity-platform/reference-error-codes
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
