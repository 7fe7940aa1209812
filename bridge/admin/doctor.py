"""The checks of `teams-bridge doctor`: settings, store, token, keys, gateway, public address.

Each check is ok, failed with a fix, or not checked with the reason; a check that could not be made is never reported
as ok or failed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx

from bridge.app import EVENTS_OFF, Edges
from bridge.core.errors import CredentialsRefused, StoreInUse, StoreUnavailable
from bridge.gateway.probe import EVENTS, PERSISTS, Check, not_checked
from bridge.settings.model import Settings, is_postgres

TOKEN = "outbound token from Entra ID"  # noqa: S105  the name of a check
KEYS = "signing keys of the Bot Framework"
PUBLIC = "public address"
STORE = "store"

_KEYS_SECONDS = 15.0
_STORE_SECONDS = 10.0
_FIX_STORE = "Set BRIDGE_STORE to a file in a folder the bridge may write."
_FIX_POSTGRES = (
    "Let the bridge reach the server that BRIDGE_STORE names, and check the role, its BRIDGE_STORE_PASSWORD, and that "
    "the schema (BRIDGE_STORE_SCHEMA) belongs to the role."
)


async def examine(settings: Settings, edges: Edges, *, spend_model_call: bool) -> AsyncIterator[Check]:
    """Make the checks in the order of the chain. Failures become `Check` objects, not exceptions."""
    yield Check("settings", "ok", "complete")
    yield await _store(settings, edges)
    yield await _token(edges)
    yield await _keys(edges)
    gateway = await edges.probe.without_model_call()
    for check in gateway:
        yield check
    yield await _persistence(edges, gateway, spend_model_call=spend_model_call)
    yield await edges.probe.events() if settings.events else Check(EVENTS, "ok", EVENTS_OFF)
    yield await _public(settings)


async def _store(settings: Settings, edges: Edges) -> Check:
    database = is_postgres(settings.store)
    if not database and (missing := _missing_file(settings.store)) is not None:
        return missing
    fix = _FIX_POSTGRES if database else _FIX_STORE
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            await edges.store.open()
            await edges.store.close()
    except StoreInUse:
        return Check(STORE, "ok", "in use by a running bridge")
    except StoreUnavailable as error:
        return Check(STORE, "failed", error.detail, fix)
    except TimeoutError:
        return Check(STORE, "failed", f"did not answer within {_STORE_SECONDS:g} seconds", fix)
    return Check(STORE, "ok", "can be opened and written")


def _missing_file(store: str) -> Check | None:
    """The check of a store file that does not exist yet; None if the file exists.

    The doctor creates no file: the service's account may be unable to write a file of the doctor's user.
    """
    path = Path(store).absolute()
    if path.exists():
        return None
    folder = next(parent for parent in path.parents if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Check(STORE, "ok", f"will be made in {path.parent}")
    return Check(STORE, "failed", f"{folder} cannot be written", _FIX_STORE)


async def _token(edges: Edges) -> Check:
    try:
        await edges.token.header()
    except CredentialsRefused as error:
        fix = (
            "Check TEAMS_APP_ID, TEAMS_APP_PASSWORD (the secret's value, not expired) and TEAMS_TENANT_ID, and that "
            "the application has a service principal in the tenant, and let the bridge reach Entra ID by HTTPS."
        )
        return Check(TOKEN, "failed", error.detail, fix)
    return Check(TOKEN, "ok", "the credentials give a token")


async def _keys(edges: Edges) -> Check:
    task = asyncio.create_task(edges.verifier.run())
    try:
        async with asyncio.timeout(_KEYS_SECONDS):
            while not edges.verifier.ready:
                await asyncio.sleep(0.05)
    except TimeoutError:
        return Check(KEYS, "failed", "could not be loaded", "Let the bridge reach the cloud's login host by HTTPS.")
    finally:
        task.cancel()
        await asyncio.wait({task})
    return Check(KEYS, "ok", "loaded")


async def _persistence(edges: Edges, gateway: tuple[Check, ...], *, spend_model_call: bool) -> Check:
    if not spend_model_call:
        return not_checked(PERSISTS, "it costs a model call, and --no-model-call was given")
    failed = [check.name for check in gateway if check.verdict == "failed"]
    if failed:
        return not_checked(PERSISTS, f"not before this is well: {failed[0]}")
    return await edges.probe.persistence(edges.agent)


async def _public(settings: Settings) -> Check:
    if settings.public_url is None:
        return not_checked(PUBLIC, "BRIDGE_PUBLIC_URL is not set")
    address = f"{settings.public_url}/api/messages"
    fix = (
        "An unsigned POST must reach the bridge and be answered 401 with an empty body; anything else comes from a "
        "proxy, a firewall or a sign-in page before it. Start the bridge first."
    )
    try:
        # The certificate authorities that the bridge believes, too.
        async with httpx.AsyncClient(timeout=10.0, verify=ssl.create_default_context()) as http:
            answer = await http.post(address, json={})
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Check(PUBLIC, "failed", type(error).__name__, fix)
    if answer.status_code == 401 and not answer.content:
        return Check(PUBLIC, "ok", "answers 401 to an unsigned POST")
    return Check(PUBLIC, "failed", f"HTTP {answer.status_code} instead of an empty 401", fix)
