"""The identity services over HTTP: metadata, keys, and the token endpoint with errors in Entra's form."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from bridge.simulator.teams.faults import Faults
from bridge.simulator.teams.identity import CONNECTOR_SCOPE, ISSUER, TOKEN_SECONDS, Identity
from bridge.simulator.teams.json_http import json_answer

# error number -> HTTP status, OAuth error, sentence; numbers and sentences are listed on
# https://learn.microsoft.com/entra/identity-platform/reference-error-codes
_ERRORS = {
    90002: (400, "invalid_request", "Tenant '{detail}' not found. Check that this is the correct tenant ID."),
    900144: (400, "invalid_request", "The request body must contain the following parameter: '{detail}'."),
    70003: (400, "unsupported_grant_type", "The app requested an unsupported grant type '{detail}'."),
    700016: (
        400,
        "unauthorized_client",
        "Application with identifier '{detail}' was not found in the directory 'Contoso'.",
    ),
    7000216: (401, "invalid_client", "'client_secret' is required for the 'client_credentials' grant type."),
    7000215: (
        401,
        "invalid_client",
        (
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret"
            " value, not the client secret ID, for a secret added to app '{detail}'."
        ),
    ),
    1002012: (
        400,
        "invalid_scope",
        (
            "The provided value for scope {detail} is not valid. Client credential flows must have a scope"
            " value with /.default suffixed to the resource identifier (application ID URI)."
        ),
    ),
    500011: (
        400,
        "invalid_resource",
        "The resource principal named {detail} was not found in the tenant named Contoso.",
    ),
}


def entra_error(number: int, detail: str = "") -> web.Response:
    """An error answer with all fields of Entra ID's errors. `detail` is filled into the sentence."""
    status, error, sentence = _ERRORS[number]
    trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    description = (
        f"AADSTS{number}: {sentence.format(detail=detail)}"
        f" Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}"
    )
    body = {
        "error": error,
        "error_description": description,
        "error_codes": [number],
        "timestamp": at,
        "trace_id": trace,
        "correlation_id": correlation,
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return json_answer(body, status)


class IdentityApi:
    """Handlers of the identity services. `public_base` is the server's address, such as `http://127.0.0.1:8080`."""

    def __init__(self, identity: Identity, faults: Faults, public_base: str) -> None:
        self._identity = identity
        self._faults = faults
        self._base = public_base
        # msal refuses every authority and endpoint without https, so the addresses are published as https although
        # the server speaks plain HTTP on loopback; the bridge's msal transport uses the configured scheme
        self._login = "https://" + public_base.partition("://")[2]

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/v1/.well-known/openidconfiguration", self._bot_framework_metadata),
            web.get("/v1/.well-known/keys", self._bot_framework_keys),
            web.get("/common/discovery/instance", self._instance_discovery),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self._entra_metadata),
            web.get("/{tenant}/discovery/v2.0/keys", self._entra_keys),
            web.post("/{tenant}/oauth2/v2.0/token", self._token),
        ]

    async def _bot_framework_metadata(self, _request: web.Request) -> web.Response:
        return json_answer(
            {
                "issuer": ISSUER,
                "authorization_endpoint": "https://invalid.botframework.com",
                "jwks_uri": f"{self._base}/v1/.well-known/keys",
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
            }
        )

    async def _bot_framework_keys(self, _request: web.Request) -> web.Response:
        return json_answer({"keys": self._identity.bot_framework_keys()})

    async def _instance_discovery(self, _request: web.Request) -> web.Response:
        host = self._login.partition("://")[2]
        tenant = f"{self._login}/{self._identity.app.tenant_id}"
        return json_answer(
            {
                "tenant_discovery_endpoint": f"{tenant}/v2.0/.well-known/openid-configuration",
                "api-version": "1.1",
                "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
            }
        )

    async def _entra_metadata(self, request: web.Request) -> web.Response:
        if (stranger := self._unknown_tenant(request)) is not None:
            return stranger
        tenant = f"{self._login}/{self._identity.app.tenant_id}"
        return json_answer(
            {
                "issuer": f"{tenant}/v2.0",
                "token_endpoint": f"{tenant}/oauth2/v2.0/token",
                "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize",
                "device_authorization_endpoint": f"{tenant}/oauth2/v2.0/devicecode",
                "jwks_uri": f"{tenant}/discovery/v2.0/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
                "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def _entra_keys(self, request: web.Request) -> web.Response:
        return self._unknown_tenant(request) or json_answer({"keys": self._identity.entra_keys()})

    async def _token(self, request: web.Request) -> web.Response:
        async def grant() -> web.Response:
            return self._unknown_tenant(request) or self._grant(await _form(request))

        return await self._faults.apply("token", request, grant)

    def _unknown_tenant(self, request: web.Request) -> web.Response | None:
        tenant = request.match_info["tenant"]
        known = tenant.lower() == self._identity.app.tenant_id
        return None if known else entra_error(90002, tenant)

    def _grant(self, form: Mapping[str, Any]) -> web.Response:
        """The client credentials grant: a token, or the error of the first wrong field."""
        fields = {name: value for name, value in form.items() if isinstance(value, str) and value}
        missing = [name for name in ("grant_type", "client_id", "scope") if name not in fields]
        if missing:
            return entra_error(900144, missing[0])
        if fields["grant_type"] != "client_credentials":
            return entra_error(70003, fields["grant_type"])
        return self._wrong_client(fields) or _wrong_scope(fields["scope"]) or self._granted()

    def _wrong_client(self, fields: Mapping[str, str]) -> web.Response | None:
        if fields["client_id"].lower() != self._identity.app.app_id:
            return entra_error(700016, fields["client_id"])
        if "client_secret" not in fields:
            return entra_error(7000216)
        if not self._identity.is_secret(fields["client_secret"]):
            return entra_error(7000215, self._identity.app.app_id)
        return None

    def _granted(self) -> web.Response:
        return json_answer(
            {
                "token_type": "Bearer",
                "expires_in": TOKEN_SECONDS,
                "ext_expires_in": TOKEN_SECONDS,
                "access_token": self._identity.issue(),
            },
            headers={"Cache-Control": "no-store, no-cache"},
        )


async def _form(request: web.Request) -> Mapping[str, Any]:
    """The fields of the form in the body; empty for a body of a different type."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    try:
        return await request.post()
    except (ValueError, LookupError):  # bytes outside the charset, or an unknown charset
        return {}


def _wrong_scope(scope: str) -> web.Response | None:
    if not scope.endswith("/.default"):
        return entra_error(1002012, scope)
    if scope != CONNECTOR_SCOPE:
        return entra_error(500011, scope.removesuffix("/.default"))
    return None
