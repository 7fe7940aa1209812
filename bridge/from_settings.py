"""Converts Settings into each part's own values: cloud, policy, limits, links, switches.

Settings that need no conversion go straight from `app.py` or `server.py` into the parts.
"""

from __future__ import annotations

import hmac

from bridge.core.access import AccessPolicy
from bridge.core.decide import Policy
from bridge.core.files.kept import FileLinks
from bridge.core.identity import GroupSession
from bridge.engine.admission import Patience, Rate
from bridge.engine.dispatcher import Limits
from bridge.engine.progress import ProgressSwitches
from bridge.settings.model import Settings
from bridge.teams.clouds import Cloud, custom, named


def cloud_of(settings: Settings) -> Cloud:
    """The endpoints of the tenant's Microsoft cloud; endpoints that do not fit together are an error.

    Raises: ValueError.
    """
    if settings.cloud == "custom":
        return custom(settings.openid_url or "", settings.login_url or "", settings.service_hosts, settings.file_hosts)
    return named(settings.cloud, settings.service_hosts, settings.file_hosts)


def policy_of(settings: Settings) -> Policy:
    """Access and sessions: who may talk with the agent, and in whose session."""
    access = AccessPolicy(
        tenants=settings.tenants,
        meetings=settings.meetings,
        people=frozenset(settings.people),
    )
    return Policy(
        access=access,
        agent=settings.agent,
        group=GroupSession(settings.group_session),
        channel=GroupSession("conversation" if settings.channel_session == "thread" else settings.channel_session),
        user_prefix=settings.user_prefix,
        welcome=settings.welcome,
        starters=settings.starters,
    )


def limits_of(settings: Settings) -> Limits:
    """Limits of the dispatcher: turns at once, waiting turns, rate, patience, and retention in seconds."""
    rate = Rate(60.0 / settings.rate_limit, settings.rate_burst) if settings.rate_limit else None
    return Limits(
        running=settings.max_running,
        lane=settings.max_waiting_lane,
        waiting=settings.max_waiting,
        rate=rate,
        patience=Patience(gateway_down=settings.gateway_patience),
        keep_text=settings.keep_text_hours * 3600.0,
        keep_ids=settings.keep_ids_days * 24 * 3600.0,
    )


def links_of(settings: Settings) -> FileLinks | None:
    """Signed links to files; None without BRIDGE_PUBLIC_URL.

    The key comes from the secrets, so all replicas sign alike and links stay valid over restarts.
    """
    secret = f"{settings.app_password.get_secret_value()}\n{settings.gateway_token.get_secret_value()}".strip()
    if settings.public_url is None or not secret:
        return None
    return FileLinks(settings.public_url, hmac.digest(secret.encode(), b"teams-bridge file links", "sha256"))


def switches_of(settings: Settings) -> ProgressSwitches:
    """Switches for the parts of a turn's progress that people see."""
    return ProgressSwitches(
        streaming=settings.streaming,
        progress=settings.progress,
        notify=settings.notify,
        reactions=settings.reactions,
    )
