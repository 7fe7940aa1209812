"""Access to the stand-in: bearer and role, the user id header, API keys, the rate limit.

docs/reference/goclaw.md, "Request", "User id" and "Rate limit".
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from bridge.simulator.gateway.clock import rfc3339

Role = Literal["viewer", "operator", "admin", "owner"]
_RANK: dict[Role, int] = {"viewer": 0, "operator": 1, "admin": 2, "owner": 3}
_SCOPES: dict[str, Role] = {"operator.read": "viewer", "operator.write": "operator", "operator.admin": "admin"}
OWNER_ID = "system"  # the default owner id of a gateway (docs/reference/goclaw.md, "User id")
USER_HEADER = "X-GoClaw-User-Id"
_BURST = 5  # tokens of a full bucket (docs/reference/goclaw.md, "Rate limit")
_MOST_BUCKETS = 10_000  # bearers remembered; the longest unused bucket is full again and may be forgotten


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated bearer: its role, and the user to whom an API key is bound ("" for all other bearers)."""

    role: Role
    owner_id: str = ""

    def may(self, role: Role) -> bool:
        return _RANK[self.role] >= _RANK[role]


@dataclass(slots=True)
class Keyring:
    """The gateway token and the API keys. Keys are kept as SHA-256 in a small file and survive a restart."""

    token: str
    path: Path
    _keys: dict[str, dict[str, Any]] = field(default_factory=dict)

    def load(self) -> None:
        if self.path.exists():
            self._keys = json.loads(self.path.read_text("utf-8"))

    def caller(self, bearer: str | None) -> Caller | None:
        """The caller with this bearer, None if unknown. A gateway without token takes any bearer as ``system``."""
        if bearer is not None and (key := self._keys.get(_digest(bearer))) and not key["revoked"]:
            return Caller(max((_SCOPES[s] for s in key["scopes"]), key=_RANK.__getitem__), key["owner_id"])
        if not self.token:
            return Caller("operator", OWNER_ID)
        if bearer is not None and hmac.compare_digest(bearer.encode("utf-8", "replace"), self.token.encode()):
            return Caller("admin")
        return None

    def create(self, name: str, scopes: list[str], owner_id: str) -> dict[str, Any]:
        """Make a key and return its description, as ``POST /v1/api-keys`` answers (fields sorted).

        Unlike the gateway, the stand-in binds the key to ``owner_id``, and ``prefix`` begins with ``goclaw_``
        (docs/reference/goclaw.md, "Where the stand-in differs"). Raises: ValueError (no scope, or an unknown scope).
        """
        if not scopes or any(scope not in _SCOPES for scope in scopes):
            raise ValueError("scopes must name operator.read, operator.write or operator.admin")
        key, key_id = f"goclaw_{secrets.token_hex(16)}", str(uuid4())
        self._keys[_digest(key)] = {"id": key_id, "scopes": scopes, "owner_id": owner_id, "revoked": False}
        self._save()
        created = {"created_at": rfc3339(), "expires_at": None, "id": key_id, "key": key, "name": name}
        return created | {"prefix": key[:15], "scopes": scopes}

    def revoke(self, key_id: str) -> bool:
        """Revoke a key at once; False if no key has this id."""
        for key in self._keys.values():
            if key["id"] == key_id:
                key["revoked"] = True
                self._save()
                return True
        return False

    def _save(self) -> None:
        """Replace the file of keys: a few hundred bytes, short enough for the event loop."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self._keys), "utf-8")
        fresh.replace(self.path)


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode("utf-8", "replace")).hexdigest()


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The bearer token of a request; the word ``Bearer`` is case-sensitive, as in the gateway."""
    value = headers.get("Authorization", "")
    return value.removeprefix("Bearer ") if value.startswith("Bearer ") else None


def user_id_of(headers: Mapping[str, str], caller: Caller) -> str:
    """The user id of a request; "" if the header is missing or invalid (docs/reference/goclaw.md, "User id")."""
    raw = headers.get(USER_HEADER, "").encode("utf-8", "surrogateescape")
    user = raw.decode("utf-8", "replace").strip(" \t")
    if not user or len(raw) > 255 or any(unicodedata.category(char) in {"Cc", "Cf"} for char in user):
        return ""
    return caller.owner_id or user


@dataclass(slots=True)
class RateLimit:
    """A token bucket for each bearer: a burst of five, then ``rpm`` a minute; ``rpm`` <= 0 turns the limit off."""

    rpm: int
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, bearer: str, now: float) -> bool:
        """Take a token at ``now`` (seconds of a monotonic clock); False if the bucket is empty."""
        if self.rpm <= 0:
            return True
        tokens, seen = self._buckets.pop(bearer, (float(_BURST), now))
        tokens = min(_BURST, tokens + (now - seen) * self.rpm / 60)
        allowed = tokens >= 1
        self._buckets[bearer] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _MOST_BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return allowed
