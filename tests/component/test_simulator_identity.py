"""The simulated identity services, as used by a bot's libraries."""

from __future__ import annotations

import asyncio
import stat
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import msal
import pytest
from support.simulator_world import CONNECTOR_SCOPE, Stage, stage, until

from bridge.simulator.teams import credentials
from bridge.simulator.teams.identity import Identity


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as running:
        yield running


async def published_key(teams: Stage, token: str, keys_url: str) -> jwt.PyJWK:
    _, keys = await teams.call("GET", keys_url.removeprefix(teams.base))
    kid = jwt.get_unverified_header(token)["kid"]
    return jwt.PyJWK(next(key for key in keys["keys"] if key["kid"] == kid))


async def test_an_activitys_bearer_verifies_against_the_published_bot_framework_keys(teams: Stage) -> None:
    """Keys are found through the metadata; docs/reference/teams.md, "What an inbound token must prove"."""
    await teams.say("personal-alice", "alice", "hello")
    await until(lambda: teams.bot.of_type("message"))
    activity, bearer = teams.bot.received[-1], teams.bot.bearers[-1]
    _, metadata = await teams.call("GET", "/v1/.well-known/openidconfiguration")
    assert metadata["issuer"] == "https://api.botframework.com"
    assert metadata["id_token_signing_alg_values_supported"] == ["RS256"]
    key = await published_key(teams, bearer, metadata["jwks_uri"])
    claims = jwt.decode(
        bearer,
        key.key,
        algorithms=["RS256"],
        audience=teams.identity.app.app_id,
        issuer="https://api.botframework.com",
        options={"require": ["exp", "nbf", "aud", "iss"]},
    )
    assert claims["serviceurl"] == activity["serviceUrl"] == teams.identity.service_url
    _, keys = await teams.call("GET", "/v1/.well-known/keys")
    assert keys["keys"][0]["endorsements"] == ["msteams"]
    assert "d" not in keys["keys"][0]


async def test_the_channel_token_is_the_same_until_it_is_renewed(teams: Stage) -> None:
    assert teams.identity.channel_token() == teams.identity.channel_token()


async def test_a_token_with_changed_claims_can_be_made_for_tests_of_a_bot(teams: Stage) -> None:
    forged = teams.identity.sign_as_channel(time.time(), aud="someone-else", serviceurl=None)
    claims = jwt.decode(forged, options={"verify_signature": False})
    assert claims["aud"] == "someone-else"
    assert "serviceurl" not in claims


async def test_the_right_secret_gets_a_token_for_the_connector(teams: Stage) -> None:
    status, body = await teams.ask_token()
    assert (status, body["token_type"], body["expires_in"]) == (200, "Bearer", 3600)
    key = await published_key(
        teams, body["access_token"], f"{teams.base}/{teams.identity.app.tenant_id}/discovery/v2.0/keys"
    )
    claims = jwt.decode(body["access_token"], key.key, algorithms=["RS256"], audience="https://api.botframework.com")
    assert claims["appid"] == teams.identity.app.app_id
    assert claims["tid"] == teams.identity.app.tenant_id


@pytest.mark.parametrize(
    ("changes", "status", "error", "number"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client", 7000215),
        ({"client_secret": ""}, 401, "invalid_client", 7000216),
        ({"client_id": "nobody"}, 400, "unauthorized_client", 700016),
        ({"scope": "https://graph.microsoft.com/.default"}, 400, "invalid_resource", 500011),
        ({"scope": "https://api.botframework.com/read"}, 400, "invalid_scope", 1002012),
        ({"scope": ""}, 400, "invalid_request", 900144),
        ({"grant_type": "password"}, 400, "unsupported_grant_type", 70003),
    ],
)
async def test_a_wrong_token_request_is_refused_in_entras_form(
    teams: Stage, changes: dict[str, str], status: int, error: str, number: int
) -> None:
    got, body = await teams.ask_token(**changes)
    assert (got, body["error"], body["error_codes"]) == (status, error, [number])
    assert body["error_description"].startswith(f"AADSTS{number}: ")
    assert {"timestamp", "trace_id", "correlation_id", "error_uri"} <= body.keys()


async def test_an_unknown_tenant_is_refused(teams: Stage) -> None:
    status, body = await teams.ask_token(tenant="fabrikam.example")
    assert (status, body["error_codes"]) == (400, [90002])
    status, body = await teams.call("GET", "/fabrikam.example/v2.0/.well-known/openid-configuration")
    assert (status, body["error_codes"]) == (400, [90002])


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"grant_type=%ff&\xff", "application/x-www-form-urlencoded"),
        (b"a=b", "application/x-www-form-urlencoded; charset=none-such"),
    ],
)
async def test_a_token_request_that_is_no_form_is_a_bad_request(teams: Stage, body: bytes, content_type: str) -> None:
    url = f"{teams.base}/{teams.identity.app.tenant_id}/oauth2/v2.0/token"
    async with teams.session.post(url, data=body, headers={"Content-Type": content_type}) as response:
        assert response.status == 400
        assert (await response.json())["error_codes"] == [900144]


class PlainTransport:
    """An HTTP client for msal with plain HTTP in place of https, as the bridge uses for the simulator."""

    def __init__(self) -> None:
        self._client = httpx.Client(timeout=5)

    def get(self, url: str, **options: Any) -> httpx.Response:
        return self._client.get(_plain(url), params=options.get("params"), headers=options.get("headers"))

    def post(self, url: str, **options: Any) -> httpx.Response:
        return self._client.post(_plain(url), data=options.get("data"), headers=options.get("headers"))

    def close(self) -> None:
        self._client.close()


def _plain(url: str) -> str:
    return url.replace("https://", "http://", 1)


async def test_msal_gets_a_token_and_reports_a_wrong_secret(teams: Stage) -> None:
    app = teams.identity.app

    def ask(secret: str) -> dict[str, Any]:
        transport = PlainTransport()
        client = msal.ConfidentialClientApplication(
            app.app_id,
            client_credential=secret,
            authority=_plain(teams.base).replace("http://", "https://") + f"/{app.tenant_id}",
            http_client=transport,
            instance_discovery=False,
        )
        answer: dict[str, Any] = client.acquire_token_for_client(scopes=[CONNECTOR_SCOPE])
        transport.close()
        return answer

    assert "access_token" in await asyncio.to_thread(ask, app.app_password)
    assert "AADSTS7000215" in (await asyncio.to_thread(ask, "wrong"))["error_description"]


async def test_credentials_and_keys_are_the_same_after_a_restart(tmp_path: Path) -> None:
    first = credentials(tmp_path)
    async with stage(tmp_path) as before:
        token = (await before.ask_token())[1]["access_token"]
    async with stage(tmp_path) as after:
        assert after.identity.app == first
        assert after.identity.accepts(token)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_secret_files_are_readable_for_the_owner_alone(tmp_path: Path) -> None:
    Identity(tmp_path, "http://127.0.0.1")
    for name in ("credentials.json", "entra.pem", "bot-framework.pem"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


def test_a_damaged_credentials_file_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_bytes(b"{")
    with pytest.raises(ValueError, match="delete it"):
        credentials(tmp_path)
