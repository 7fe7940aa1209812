"""The keys with which Microsoft signs activities: fetched by the cloud's OpenID metadata and refreshed in time.

Fetches are asynchronous, limited in time and size, and never run twice at once. Keys are parsed once, refreshed in the
background, and kept when a refresh fails. Rules: docs/reference/teams.md, "What an inbound token must prove".
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx
import jwt
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import RSAAlgorithm
from tenacity import AsyncRetrying, retry_if_result, wait_exponential_jitter

from bridge.teams.clouds import CLOUDS, Cloud, origin

REFRESH_EVERY = 12 * 3600.0  # seconds; keys are valid for 24 h, so half a day is left for failures at Microsoft
REFETCH_PAUSE = 30.0  # seconds between fetches for unknown key ids, however many ids strangers invent
# Seconds for both documents together; Teams waits 15 s (docs/reference/teams.md, "Time to answer, and repeats").
FETCH_LIMIT = 10.0
LARGEST_DOCUMENT = 512 * 1024  # bytes; Microsoft's key list has about 50 kB
SMALLEST_KEY = 2048  # bits: RFC 7518 §3.3

# Ask again soon after a failure, then every half minute, without end. `_load` returns False for a failed fetch.
_UNTIL_LOADED = AsyncRetrying(
    retry=retry_if_result(lambda loaded: not loaded), wait=wait_exponential_jitter(multiplier=1, max=30)
)

# Origins of the named clouds' metadata: the only foreign origins that a `jwks_uri` may name.
_MICROSOFT_ORIGINS = frozenset(origin(cloud.openid_url) for cloud in CLOUDS.values())

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A published key, and the channels whose activities the key may sign."""

    public: RSAPublicKey
    endorsements: frozenset[str]


class SigningKeys:
    """The cloud's published keys, and the issuer of the tokens signed with these keys.

    `on_change` is called after each load of a key set. `monotonic` (seconds) and `sleep` pace the fetching.
    """

    def __init__(
        self,
        cloud: Cloud,
        http: httpx.AsyncClient,
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.issuer = cloud.issuer
        self.on_change: Callable[[], None] = lambda: None
        self._cloud = cloud
        self._http = http
        self._monotonic = monotonic
        self._sleep = sleep
        self._keys: dict[str, SigningKey] = {}
        self._asked = -math.inf
        self._fetching: asyncio.Task[bool] | None = None

    @property
    def loaded(self) -> bool:
        """Whether a key set was ever fetched."""
        return bool(self._keys)

    async def find(self, kid: str) -> SigningKey | None:
        """The key with the id `kid`, or None. An unknown id causes a fetch, at most each REFETCH_PAUSE seconds."""
        if kid not in self._keys and (self._fetching is not None or self._monotonic() - self._asked >= REFETCH_PAUSE):
            await self._refresh()
        return self._keys.get(kid)

    async def run(self) -> None:
        """Load and refresh the keys until cancelled."""
        try:
            while True:
                await _UNTIL_LOADED.copy(sleep=self._sleep)(self._refresh)
                await self._sleep(REFRESH_EVERY)
        finally:
            if self._fetching is not None:
                self._fetching.cancel()

    async def _refresh(self) -> bool:
        if self._fetching is None:
            self._fetching = asyncio.create_task(self._load(), name="signing-keys")
            self._fetching.add_done_callback(self._fetched)
        # shield: a cancelled caller must not cancel the fetch, for which more callers may wait.
        return await asyncio.shield(self._fetching)

    def _fetched(self, _task: asyncio.Task[bool]) -> None:
        self._fetching = None

    async def _load(self) -> bool:
        self._asked = self._monotonic()
        try:
            async with asyncio.timeout(FETCH_LIMIT):
                metadata = await self._document(self._cloud.openid_url)
                issuer = self._cloud.issuer or metadata.get("issuer")
                if not isinstance(issuer, str) or not issuer:
                    raise ValueError("metadata names no issuer")  # noqa: TRY301  the handler below maps all failures
                keys = _parse_keys(await self._document(_key_address(self._cloud, metadata)))
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError) as failure:
            # The old keys stay: Microsoft publishes a new key days before its first use.
            _log.warning("signing_keys_not_fetched", failure=type(failure).__name__, loaded=self.loaded)
            return False
        self.issuer, self._keys = issuer, keys
        self.on_change()
        return True

    async def _document(self, url: str) -> dict[str, Any]:
        # identity: a compressed answer could grow past the limit in one step. No redirects: httpx's default.
        async with self._http.stream(
            "GET", url, headers={"Accept-Encoding": "identity"}, timeout=FETCH_LIMIT, follow_redirects=False
        ) as response:
            if response.status_code != httpx.codes.OK:
                raise ValueError(f"HTTP {response.status_code}")
            content = bytearray()
            async for chunk in response.aiter_raw():
                content += chunk
                if len(content) > LARGEST_DOCUMENT:
                    raise ValueError("document too large")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise ValueError("document is no object")  # noqa: TRY004  the caller maps ValueError
        return document


def _key_address(cloud: Cloud, metadata: dict[str, Any]) -> str:
    """The metadata's `jwks_uri`, which must be on the metadata's own origin or on Microsoft's. Raises: ValueError.

    The check keeps a wrong or poisoned document from making the bridge request arbitrary addresses, such as a cloud's
    instance metadata service. The check adds no trust: an attacker who can change the metadata can change the keys.
    """
    address = metadata.get("jwks_uri")
    key_origin = origin(address) if isinstance(address, str) else None
    if (
        not isinstance(address, str)
        or key_origin is None
        or (key_origin != origin(cloud.openid_url) and key_origin not in _MICROSOFT_ORIGINS)
    ):
        raise ValueError("jwks_uri is elsewhere")
    return address


def _parse_keys(document: dict[str, Any]) -> dict[str, SigningKey]:
    listed = document.get("keys")
    keys: dict[str, SigningKey] = {}
    for entry in listed if isinstance(listed, list) else ():
        # A key of an unknown kind must not make the whole list unusable.
        with suppress(jwt.PyJWTError, ValueError, TypeError):
            kid, key = _parse_key(entry)
            keys[kid] = key
    if not keys:
        raise ValueError("no usable key")
    return keys


def _parse_key(entry: Any) -> tuple[str, SigningKey]:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    if not isinstance(kid, str) or entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
        raise ValueError("no signing key")
    public = RSAAlgorithm.from_jwk(entry)
    if not isinstance(public, RSAPublicKey) or public.key_size < SMALLEST_KEY:
        raise ValueError("no public key of useful size")
    endorsements = entry.get("endorsements")
    listed = endorsements if isinstance(endorsements, list) else ()
    return kid, SigningKey(public, frozenset(name for name in listed if isinstance(name, str)))
