"""Who calls: bearer to role, the user id header, API keys and the rate limit (docs/reference/goclaw.md, "Request" and docs/reference/goclaw.md, "Errors" and docs/reference/goclaw.md, "Health and doctor")."""

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
OWNER_ID = "system"  # the default owner id of a gateway (docs/reference/goclaw.md, "Request")
USER_HEADER = "X-GoClaw-User-Id"
_BURST = 5  # tokens of a full bucket (docs/reference/goclaw.md, "Errors")
_BUCKETS = 10_000  # bearers remembered at once; an idle one is full again and may be forgotten


@dataclass(frozen=True, slots=True)
class Caller:
    """One authenticated bearer: what it may do, and the user it is bound to ("" when it is not)."""

    role: Role
    owner_id: str = ""

    def may(self, role: Role) -> bool:
        return _RANK[self.role] >= _RANK[role]


@dataclass(slots=True)
class Keyring:
    """The gateway token and the API keys. Keys are kept as SHA-256 in one small file and survive a restart."""

    token: str
    path: Path
    _keys: dict[str, dict[str, Any]] = field(default_factory=dict)

    def load(self) -> None:
        if self.path.exists():
            self._keys = json.loads(self.path.read_text("utf-8"))

    def caller(self, bearer: str | None) -> Caller | None:
        """Who this bearer is; None when nobody. A gateway without token takes any bearer as ``system``."""
        if bearer is not None and (key := self._keys.get(_digest(bearer))) and not key["revoked"]:
            return Caller(max((_SCOPES[s] for s in key["scopes"]), key=_RANK.__getitem__), key["owner_id"])
        if not self.token:
            return Caller("operator", OWNER_ID)
        if bearer is not None and hmac.compare_digest(bearer.encode("utf-8", "replace"), self.token.encode()):
            return Caller("admin")
        return None

    def create(self, name: str, scopes: list[str], owner_id: str) -> dict[str, Any]:
        """A new key and its description, as the answer of ``POST /v1/api-keys`` shows it (keys sorted).

        Raises:
            ValueError: a scope is unknown or there is none.
        """
        if not scopes or any(scope not in _SCOPES for scope in scopes):
            raise ValueError("scopes must name operator.read, operator.write or operator.admin")
        key, key_id = f"goclaw_{secrets.token_hex(16)}", str(uuid4())
        self._keys[_digest(key)] = {"id": key_id, "scopes": scopes, "owner_id": owner_id, "revoked": False}
        self._save()
        created = {"created_at": rfc3339(), "expires_at": None, "id": key_id, "key": key, "name": name}
        return created | {"prefix": key[:15], "scopes": scopes}

    def revoke(self, key_id: str) -> bool:
        """Ends a key at once; False when there is no such key."""
        for key in self._keys.values():
            if key["id"] == key_id:
                key["revoked"] = True
                self._save()
                return True
        return False

    def _save(self) -> None:
        """A few hundred bytes, written in place of the old file: short enough for the event loop."""
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self._keys), "utf-8")
        fresh.replace(self.path)


def _digest(bearer: str) -> str:
    return hashlib.sha256(bearer.encode("utf-8", "replace")).hexdigest()


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The bearer token of a request; the scheme word is case-sensitive in the real gateway (docs/reference/goclaw.md, "Request")."""
    value = headers.get("Authorization", "")
    return value.removeprefix("Bearer ") if value.startswith("Bearer ") else None


def user_id_of(headers: Mapping[str, str], caller: Caller) -> str:
    """The user a request acts for; "" when the header is missing or invalid, which the gateway treats alike (docs/reference/goclaw.md, "Request")."""
    raw = headers.get(USER_HEADER, "").encode("utf-8", "surrogateescape")
    user = raw.decode("utf-8", "replace").strip(" \t")
    if not user or len(raw) > 255 or any(unicodedata.category(char) in {"Cc", "Cf"} for char in user):
        return ""
    return caller.owner_id or user


@dataclass(slots=True)
class RateLimit:
    """A token bucket per bearer: a burst of five, then ``rpm`` a minute; ``rpm`` <= 0 turns it off (docs/reference/goclaw.md, "Errors")."""

    rpm: int
    _buckets: dict[str, tuple[float, float]] = field(default_factory=dict)

    def take(self, bearer: str, now: float) -> bool:
        """Takes one token at ``now`` (seconds of a monotonic clock); False when there is none."""
        if self.rpm <= 0:
            return True
        tokens, seen = self._buckets.pop(bearer, (float(_BURST), now))
        tokens = min(_BURST, tokens + (now - seen) * self.rpm / 60)
        allowed = tokens >= 1
        self._buckets[bearer] = (tokens - 1 if allowed else tokens, now)
        if len(self._buckets) > _BUCKETS:
            del self._buckets[next(iter(self._buckets))]
        return allowed
