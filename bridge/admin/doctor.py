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
from typing import Any

import httpx

from bridge.app import EVENTS_OFF, Edges, made_on
from bridge.core.errors import CredentialsRefused, StoreInUse, StoreUnavailable
from bridge.gateway.probe import EVENTS, PERSISTS, Check, not_checked
from bridge.settings.model import Settings, is_postgres
from bridge.store.database import CREATION_FORBIDDEN

TOKEN = "outbound token from Entra ID"  # noqa: S105  the name of a check
KEYS = "signing keys of the Bot Framework"
PUBLIC = "public address"
STORE = "store"

_KEYS_SECONDS = 15.0
_STORE_SECONDS = 10.0
_FIX_STORE = "Set BRIDGE_STORE to a file in a folder the bridge may write."
_ADMIN_SECONDS = 2.0
_LONGEST_STATE = 300  # characters
_NEW_STORE = "new and empty, as is right at the first start only; then set BRIDGE_STORE_CREATE=false"
_FIX_LOST = (
    "Stop the bridge, put the store back from its volume or a backup, start again. Only if no turn needs to be kept: "
    "start once with BRIDGE_STORE_CREATE=true."
)
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
    if not database and (missing := _missing_file(settings)) is not None:
        return missing
    fix = _FIX_POSTGRES if database else _FIX_STORE
    try:
        async with asyncio.timeout(_STORE_SECONDS):
            await edges.store.open()
            await edges.store.close()
    except StoreInUse:
        return await _store_in_use(settings)
    except StoreUnavailable as error:
        return Check(STORE, "failed", error.detail, fix)
    except TimeoutError:
        return Check(STORE, "failed", f"did not answer within {_STORE_SECONDS:g} seconds", fix)
    return Check(STORE, "ok", f"can be opened and written; made, new and empty: {made_on(edges.store.made_at)}")


async def _store_in_use(settings: Settings) -> Check:
    """The check of a store file that a running bridge holds: what the bridge's admin listener says of the store."""
    report = await _running_bridge(settings)
    state, made = report.get("store"), report.get("store_made")
    if isinstance(state, str) and state not in ("ok", "not open"):
        return Check(STORE, "failed", f"in use by a running bridge, which says: {state[:_LONGEST_STATE]}", _FIX_LOST)
    known = f"; made, new and empty: {made[:_LONGEST_STATE]}" if isinstance(made, str) else ""
    return Check(STORE, "ok", f"in use by a running bridge{known}")


async def _running_bridge(settings: Settings) -> dict[str, Any]:
    """The health page of a bridge that runs with these settings; empty if the admin listener gives none."""
    address = httpx.URL(scheme="http", host=settings.admin_host, port=settings.admin_port, path="/readyz")
    token = settings.admin_token.get_secret_value()
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        async with httpx.AsyncClient(timeout=_ADMIN_SECONDS, trust_env=False) as http:
            report = (await http.get(address, headers=headers)).json()
    except (httpx.HTTPError, ValueError, RecursionError):
        return {}
    return report if isinstance(report, dict) else {}


def _missing_file(settings: Settings) -> Check | None:
    """The check of a store file that does not exist yet, or is empty; None if the file holds a store.

    The doctor creates no file: the service's account may be unable to write a file of the doctor's user.
    """
    path = Path(settings.store).absolute()
    try:
        if path.stat().st_size > 0:
            return None
    except OSError:
        empty = False
    else:
        empty = True
    if not settings.store_create:
        state = "is empty" if empty else "does not exist"
        return Check(STORE, "failed", f"{path} {state}, {CREATION_FORBIDDEN}", _FIX_LOST)
    if empty:
        return Check(STORE, "ok", f"{path} is empty: {_NEW_STORE}")
    folder = next(parent for parent in path.parents if parent.exists())
    if folder.is_dir() and os.access(folder, os.W_OK):
        return Check(STORE, "ok", f"will be made in {path.parent}: {_NEW_STORE}")
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
