"""The keys with which Microsoft signs activities: fetched by the cloud's OpenID metadata and refreshed in time.

Fetches are asynchronous, limited in time and size, at least FETCH_PAUSE apart, and never run twice at once. Keys are
parsed once, refreshed in the background, and kept when a refresh fails. A request whose key id is not among the keys
waits for the next fetch. Rules: docs/reference/teams.md, "What an inbound token must prove".
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

from bridge.core.errors import BridgeError
from bridge.teams.clouds import CLOUDS, Cloud, origin

REFRESH_EVERY = 12 * 3600.0  # seconds; keys are valid for 24 h, so half a day is left for failures at Microsoft
FETCH_PAUSE = 5.0  # seconds from the begin of a fetch to the next fetch, however many key ids strangers invent
LONGEST_WAIT = 6.0  # seconds that a request may wait for keys: the pause, and a second for the fetch itself
MOST_WAITING = 64  # requests that may wait at once; a stranger's requests must not pile up
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


class KeysNotFetched(BridgeError):
    """Whether a key id is published stays unknown: no keys were fetched since the request came. `reason` is a label."""

    label = "keys_not_fetched"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


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
        self._began = -math.inf  # of the last fetch
        self._count = 0  # fetches begun
        self._fresh = 0  # number of the fetch that brought the present keys
        self._waiting = 0
        self._fetching: asyncio.Task[bool] | None = None

    @property
    def loaded(self) -> bool:
        """Whether a key set was ever fetched."""
        return bool(self._keys)

    async def find(self, kid: str) -> SigningKey | None:
        """The key with the id `kid`; None only if keys fetched since the call do not have the id either.

        Waits for that fetch where the id is not among the present keys: LONGEST_WAIT seconds at most, and MOST_WAITING
        callers at once. Raises: KeysNotFetched.
        """
        if kid not in self._keys:
            if self._waiting >= MOST_WAITING:
                raise KeysNotFetched("too_many_wait_for_keys")
            self._waiting += 1
            try:
                await self._wait_for(kid)
            finally:
                self._waiting -= 1
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

    async def _wait_for(self, kid: str) -> None:
        """Return once the key is here, or keys of a fetch that began after this call. Raises: KeysNotFetched."""
        came, before = self._monotonic(), self._count
        limit = asyncio.create_task(_slept(self._sleep, LONGEST_WAIT), name="signing-keys-wait")
        try:
            # A fetch that began before the request may have been answered before Microsoft published the key, so its
            # keys can accept the request, but not refuse the request.
            while kid not in self._keys and self._fresh <= before:
                # After a failed fetch, the next may begin too late for this request.
                if limit.done() or self._began + FETCH_PAUSE > came + LONGEST_WAIT:
                    raise KeysNotFetched("keys_not_fetched")
                await asyncio.wait({self._next_fetch(), limit}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()

    async def _refresh(self) -> bool:
        # shield: a cancelled caller must not cancel the fetch, for which more callers may wait.
        return await asyncio.shield(self._next_fetch())

    def _next_fetch(self) -> asyncio.Task[bool]:
        """The fetch that runs or waits for its pause; begun here if there is none."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.create_task(self._paced(), name="signing-keys")
        return self._fetching

    async def _paced(self) -> bool:
        pause = self._began + FETCH_PAUSE - self._monotonic()
        if pause > 0:
            await self._sleep(pause)
        return await self._load()

    async def _load(self) -> bool:
        self._began = self._monotonic()
        self._count += 1
        try:
            async with asyncio.timeout(FETCH_LIMIT):
                metadata = await self._document(self._cloud.openid_url)
                issuer = self._cloud.issuer or metadata.get("issuer")
                if not isinstance(issuer, str) or not issuer:
                    raise ValueError("metadata names no issuer")  # noqa: TRY301  the handler below maps all failures
                keys = _parse_keys(await self._document(_key_address(self._cloud, metadata)))
        except Exception as failure:  # noqa: BLE001  requests wait for this task: no answer may end it
            # The old keys stay: Microsoft publishes a new key days before its first use.
            _log.warning("signing_keys_not_fetched", failure=type(failure).__name__, loaded=self.loaded)
            return False
        self.issuer, self._keys, self._fresh = issuer, keys, self._count
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


async def _slept(sleep: Callable[[float], Awaitable[None]], seconds: float) -> None:
    await sleep(seconds)


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
