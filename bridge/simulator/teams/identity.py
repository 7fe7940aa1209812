"""Microsoft's identity services in small: Bot Framework's keys and tokens, and Entra ID's app-only tokens.

All tokens are real RS256 tokens. Sources: docs/reference/teams.md, "Authentication" and
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import hmac
import os
import secrets
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jwt
import orjson
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bridge.simulator.teams.world import TENANT_ID

ISSUER = "https://api.botframework.com"
CONNECTOR_AUDIENCE = "https://api.botframework.com"
CONNECTOR_SCOPE = f"{CONNECTOR_AUDIENCE}/.default"
# seconds. Entra's app-only token for the connector usually lasts a day; an hour shows the renewal sooner
TOKEN_SECONDS = 3600
CHANNEL_TOKEN_SECONDS = 3600
_RENEW_BEFORE = 300


@dataclass(frozen=True, slots=True)
class Credentials:
    """The values that an administrator copies from the app registration."""

    app_id: str
    app_password: str
    tenant_id: str


def credentials(data: Path) -> Credentials:
    """The app registration of the folder `data`, made at first use; small blocking file work.

    `OSError`: no write access to the folder; `ValueError`: the file is damaged. Raises: OSError, ValueError.
    """
    path = data / "credentials.json"
    if not path.exists():
        fresh = Credentials(str(uuid.uuid4()), secrets.token_urlsafe(30), TENANT_ID)
        _write_private(path, orjson.dumps(asdict(fresh)))
    try:
        return Credentials(**orjson.loads(path.read_bytes()))
    except (orjson.JSONDecodeError, TypeError) as damage:
        raise ValueError(f"{path} is damaged: delete it, and new credentials are made") from damage


def _write_private(path: Path, content: bytes) -> None:
    """Write a file readable for the owner alone; a crash leaves the whole file or no file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    fresh.replace(path)


def _load_key(path: Path) -> rsa.RSAPrivateKey:
    if not path.exists():
        pem = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        _write_private(path, pem)
    # the check of a key's numbers takes 80 ms, and the key was made by the simulator
    key = serialization.load_pem_private_key(path.read_bytes(), password=None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key: delete it, and a new one is made")
    return key


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key and the key id (`kid`) of the published half."""

    kid: str
    private: rsa.RSAPrivateKey

    def sign(self, claims: dict[str, Any]) -> str:
        """A signed JSON Web Token with `claims`."""
        return jwt.encode(claims, self.private, algorithm="RS256", headers={"kid": self.kid, "x5t": self.kid})

    def published(self) -> dict[str, Any]:
        """The public half as an entry of a JSON Web Key Set."""
        jwk: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        del jwk["key_ops"]
        return {**jwk, "kid": self.kid, "x5t": self.kid, "use": "sig", "alg": "RS256"}


class Identity:
    """Issues and checks tokens for a single app registration. The constructor reads the folder `data` (blocking)."""

    def __init__(self, data: Path, public_base: str) -> None:
        self.app = credentials(data)
        # a region, then the tenant: docs/reference/teams.md, "Service URL of each cloud"
        self.service_url = f"{public_base}/emea/{self.app.tenant_id}/"
        self._bot_framework = SigningKey("simulated-teams-1", _load_key(data / "bot-framework.pem"))
        self._entra = SigningKey("simulated-entra-1", _load_key(data / "entra.pem"))
        self._channel_token = ""
        self._channel_token_until = 0.0

    def channel_token(self) -> str:
        """The bearer of activities to the bot, renewed before expiry."""
        now = time.time()
        if now > self._channel_token_until - _RENEW_BEFORE:
            self._channel_token = self.sign_as_channel(now)
            self._channel_token_until = now + CHANNEL_TOKEN_SECONDS
        return self._channel_token

    def sign_as_channel(self, now: float, **changed_claims: Any) -> str:
        """A fresh channel token. For tests, `changed_claims` replace the usual claims; None removes a claim."""
        claims = {
            "serviceurl": self.service_url,
            "nbf": int(now) - 300,
            "exp": int(now) + CHANNEL_TOKEN_SECONDS,
            "iss": ISSUER,
            "aud": self.app.app_id,
            **changed_claims,
        }
        return self._bot_framework.sign({name: value for name, value in claims.items() if value is not None})

    def bot_framework_keys(self) -> list[dict[str, Any]]:
        """Bot Framework's published keys, as entries of a JSON Web Key Set."""
        # the endorsement ties a key to a channel: docs/reference/teams.md, "What an inbound token must prove"
        return [{**self._bot_framework.published(), "endorsements": ["msteams"]}]

    def entra_keys(self) -> list[dict[str, Any]]:
        """Entra ID's published keys, as entries of a JSON Web Key Set."""
        return [self._entra.published()]

    def is_secret(self, presented: str) -> bool:
        """Whether `presented` is the app's password."""
        return hmac.compare_digest(presented.encode(), self.app.app_password.encode())

    def issue(self) -> str:
        """An app-only access token for the Bot Connector, with the claims of Entra's version 1 tokens."""
        now = int(time.time())
        issuer = f"https://sts.windows.net/{self.app.tenant_id}/"
        return self._entra.sign(
            {
                "aud": CONNECTOR_AUDIENCE,
                "iss": issuer,
                "iat": now,
                "nbf": now,
                "exp": now + TOKEN_SECONDS,
                "appid": self.app.app_id,
                "appidacr": "1",
                "idp": issuer,
                "tid": self.app.tenant_id,
                "uti": secrets.token_urlsafe(16),
                "ver": "1.0",
            }
        )

    def accepts(self, bearer: str) -> bool:
        """Whether the bearer is an unexpired token of Entra ID for this app and the Bot Connector."""
        try:
            claims = jwt.decode(
                bearer,
                self._entra.private.public_key(),
                algorithms=["RS256"],
                audience=CONNECTOR_AUDIENCE,
                issuer=f"https://sts.windows.net/{self.app.tenant_id}/",
                options={"require": ["exp", "aud", "iss", "appid"]},
            )
        except (jwt.InvalidTokenError, UnicodeError):
            return False
        return bool(claims["appid"] == self.app.app_id)
