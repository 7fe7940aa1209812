"""Verifies inbound requests: Microsoft's connector signed the token, for the bot and for the posted activity.

Rules: docs/reference/teams.md, "What an inbound token must prove";
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication#connector-to-bot.
Order: docs/architecture.md, "Order of checks".

A bad token always ends in `Refused`, never in another exception. A request waits for the network only when
the token names a signing key that was not loaded yet.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import math
import re
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx
import jwt

from bridge.core.errors import BridgeError
from bridge.teams.clouds import Cloud, lower_host
from bridge.teams.signing_keys import KeysNotFetched, SigningKeys

CHANNEL = "msteams"
SKEW = 300.0  # seconds of difference between two clocks
LONGEST_TOKEN = 8192  # characters of the whole header; Microsoft's tokens have about 1 kB
CACHED_TOKENS = 4096  # Teams sends many activities with the same token; a tenant uses a handful at a time

# Events of a chat, which may come without `serviceUrl` (docs/reference/teams.md, "Events").
_EVENTS = ("installationUpdate", "conversationUpdate", "messageUpdate", "messageDelete", "messageReaction")

_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+", re.ASCII)
_JWS = jwt.PyJWS()


class Refused(BridgeError):
    """A refused request. The HTTP answer is `status` with an empty body; logs and metrics get `reason`.

    Status 503 means only: a plausible token names a signing key that was not among the loaded keys, and newer keys
    could not be fetched in time. Teams should send the activity again.
    """

    label = "refused"

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a verified token.

    `endorsements` are the channels that the signing key may sign for, `expires` is `exp` (seconds since the epoch),
    `values` are all claims.
    """

    service_url: str
    endorsements: frozenset[str]
    expires: float
    values: dict[str, Any]


class Verifier:
    """Decides which requests may post activities; people of the tenant ids in `tenants` are served.

    `wall` gives seconds since the epoch (for exp and nbf), `monotonic` and `sleep` pace the fetching of keys.
    The caller owns `http` and closes the client. Raises: ValueError.
    """

    def __init__(
        self,
        cloud: Cloud,
        app_id: str,
        tenants: frozenset[str],
        http: httpx.AsyncClient,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not app_id:
            raise ValueError("without an app id every token would be for us")  # botbuilder lets such posts in
        self._cloud = cloud
        self._app_id = app_id
        self._tenants = frozenset(tenant.lower() for tenant in tenants)
        self._wall = wall
        self._keys = SigningKeys(cloud, http, monotonic=monotonic, sleep=sleep)
        self._verified: dict[bytes, Claims] = {}
        # Cached claims are dropped with the key set that verified the token, so that a withdrawn key stops working.
        self._keys.on_change = self._verified.clear

    @property
    def ready(self) -> bool:
        """Whether signing keys are loaded, so that tokens can be verified."""
        return self._keys.loaded

    async def run(self) -> None:
        """Load and refresh the signing keys until cancelled."""
        await self._keys.run()

    async def verify_header(self, authorization: str | None) -> Claims:
        """The claims of an `Authorization` header, verified as signed by Microsoft for the bot.

        Raises: Refused (401, 503).
        """
        if authorization is None or len(authorization) > LONGEST_TOKEN:
            _refuse(401, "no_token" if authorization is None else "token_too_long")
        digest = hashlib.sha256(authorization.encode("utf-8", "surrogateescape")).digest()
        claims = self._verified.get(digest)
        if claims is None or self._wall() > claims.expires + SKEW:
            claims = await self._verify(authorization)
            if len(self._verified) >= CACHED_TOKENS:
                del self._verified[next(iter(self._verified))]
            self._verified[digest] = claims
        return claims

    def bind(self, claims: Claims, activity: dict[str, Any]) -> dict[str, Any]:
        """Check that the verified claims belong to the posted activity, and return the activity to work with.

        In the result, scheme and host of `serviceUrl` are in lower case, and an event without `serviceUrl`, such as
        the app's removal, has the token's. Other missing fields are refused; botbuilder skips their checks
        (docs/reference/teams.md, "Why the bridge verifies tokens itself"). Raises: Refused (403).
        """
        service_url = activity.get("serviceUrl")
        if service_url in (None, "") and activity.get("type") in _EVENTS:
            service_url = claims.service_url
        if not isinstance(service_url, str) or not _same_url(service_url, claims.service_url):
            _refuse(403, "other_service_url")
        service_url = lower_host(service_url)
        if not self._cloud.allows(service_url):
            _refuse(403, "foreign_service_host")
        if activity.get("channelId") != CHANNEL:
            _refuse(403, "other_channel")
        if CHANNEL not in claims.endorsements:
            _refuse(403, "key_not_endorsed")
        conversation = activity.get("conversation")
        if not isinstance(conversation, dict):
            _refuse(403, "no_conversation")
        named = (_at(activity.get("channelData"), "tenant", "id"), conversation.get("tenantId"))
        # Anything but a string is a tenant, too, and not an allowed one.
        tenants = {tenant.lower() if isinstance(tenant, str) else "" for tenant in named if tenant not in (None, "")}
        if len(tenants) > 1:
            _refuse(403, "two_tenants")
        if not tenants or not tenants <= self._tenants:
            _refuse(403, "foreign_tenant")
        return {**activity, "serviceUrl": service_url}

    async def _verify(self, authorization: str) -> Claims:
        found = _BEARER.fullmatch(authorization)
        if found is None:
            _refuse(401, "no_bearer_token")
        header, values = _json_part(found[1]), _json_part(found[2])
        kid = header.get("kid")
        # `crit` names extensions that a verifier must understand (RFC 7515 §4.1.11); the bridge understands none.
        if header.get("alg") != "RS256" or "crit" in header:
            _refuse(401, "other_algorithm")
        if not isinstance(kid, str) or not kid:
            _refuse(401, "no_key_id")
        # Claims first: the check is cheap, and only a token for the bot's app id may cause a fetch of keys.
        self._check_issuer(values)
        expires, service_url = self._check_claims(values)
        try:
            key = await self._keys.find(kid)
        except KeysNotFetched as unknown:
            _refuse(503, unknown.reason if self._keys.loaded else "no_keys_yet")
        if key is None:
            _refuse(401, "unknown_key")
        self._check_issuer(values)
        try:
            _JWS.decode_complete(authorization.removeprefix("Bearer "), key.public, algorithms=["RS256"])
        except jwt.PyJWTError:
            _refuse(401, "bad_signature")
        return Claims(service_url, key.endorsements, expires, values)

    def _check_issuer(self, values: dict[str, Any]) -> None:
        # The issuer is None only in a custom cloud whose metadata was not read yet, so `_verify` checks once more after
        # the key was found.
        if self._keys.issuer is not None and values.get("iss") != self._keys.issuer:
            _refuse(401, "other_issuer")

    def _check_claims(self, values: dict[str, Any]) -> tuple[float, str]:
        # A JWT may hold a list of audiences, but Bot Framework sends a string; botbuilder refuses lists as well.
        if values.get("aud") != self._app_id:
            _refuse(401, "other_audience")
        now = self._wall()
        expires, begins = _seconds(values.get("exp")), _seconds(values.get("nbf", 0))
        if expires is None or begins is None:
            _refuse(401, "no_lifetime")
        if now > expires + SKEW:
            _refuse(401, "expired")
        if now < begins - SKEW:
            _refuse(401, "not_yet_valid")
        service_url = values.get("serviceurl")
        if not isinstance(service_url, str):
            _refuse(401, "no_service_url")
        return expires, service_url


def _refuse(status: int, reason: str) -> NoReturn:
    raise Refused(status, reason)


def _json_part(part: str) -> dict[str, Any]:
    """A base64url part of a token as a JSON object; a name that occurs twice is refused, as parsers differ there."""
    try:
        raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        value = json.loads(raw, object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse(401, "unreadable_token")
    if not isinstance(value, dict):
        _refuse(401, "unreadable_token")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name occurs twice")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _seconds(value: object) -> float | None:
    """A JSON number as finite seconds; None for other values."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    with suppress(OverflowError):
        seconds = float(value)
        return seconds if math.isfinite(seconds) else None
    return None


def _same_url(first: str, second: str) -> bool:
    # Teams writes the same address with and without a last slash; Microsoft's SDK 2.1.1 compares in the same way.
    return lower_host(first).removesuffix("/") == lower_host(second).removesuffix("/")


def _at(value: object, *path: str) -> object:
    """The value at `path` in nested objects; None where there is none."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
