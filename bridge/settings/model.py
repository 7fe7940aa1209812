"""Every setting (`BRIDGE_…`, `TEAMS_…`, `GOCLAW_…`) with names, type, default, and the sentence of docs/settings.md.

A value reaches its part through `from_settings.py` (converted), or through `app.py` or `server.py` (as it is).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, InstanceOf, SecretStr

from bridge.core.commands import MOST_STARTERS
from bridge.settings.sources import OwnTexts
from bridge.settings.types import (
    CloudUrl,
    ConnectorHosts,
    FileHosts,
    Guid,
    Guids,
    Password,
    Port,
    PublicUrl,
    Seconds,
    Secret,
    Starters,
    Url,
)


def _names(*names: str) -> AliasChoices:
    return AliasChoices(*names)


def _setting(*names: str, about: str, default: Any = ...) -> Any:
    return Field(default=default, validation_alias=_names(*names), description=about)


class Settings(BaseModel):
    """All settings of `teams-bridge run`, checked and frozen. Secrets print as stars."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    app_id: Guid = _setting(
        "TEAMS_APP_ID", "MicrosoftAppId", about="The bot's Microsoft Entra application (client) id."
    )
    app_password: Secret = _setting(
        "TEAMS_APP_PASSWORD", "MicrosoftAppPassword", about="The application's client secret (the value, not its id)."
    )
    tenant_id: Guid = _setting("TEAMS_TENANT_ID", "MicrosoftAppTenantId", about="The id of your organisation's tenant.")
    allowed_tenants: Guids = _setting(
        "TEAMS_ALLOWED_TENANTS",
        about="Further tenants whose members may talk with the bot; lists are separated by commas.",
        default=(),
    )
    cloud: Literal["public", "gcc", "gcc-high", "dod", "china", "custom"] = _setting(
        "TEAMS_CLOUD",
        about="The Microsoft cloud of your tenant: `public`, `gcc`, `gcc-high`, `dod`, `china` or `custom`.",
        default="public",
    )
    openid_url: CloudUrl | None = _setting(
        "TEAMS_OPENID_URL", about="Cloud `custom`: OpenID metadata of the Bot Framework.", default=None
    )
    login_url: CloudUrl | None = _setting(
        "TEAMS_LOGIN_URL", about="Cloud `custom`: base address of Entra ID.", default=None
    )
    service_hosts: ConnectorHosts = _setting(
        "TEAMS_SERVICE_HOSTS",
        about="Hosts of the Bot Connector, `host` or `host:port`: all of them in a `custom` cloud, further ones beside "
        "the cloud's own elsewhere; `china` has none of its own, so it needs one.",
        default=(),
    )
    file_hosts: FileHosts = _setting(
        "TEAMS_FILE_HOSTS",
        about="Further hosts of people's files, beside the cloud's SharePoint: `host`, `host:port` or `*.example.com`.",
        default=(),
    )

    gateway_url: Url = _setting("GOCLAW_URL", "GATEWAY_URL", about="Where the GoClaw gateway listens.")
    gateway_token: Secret = _setting(
        "GOCLAW_TOKEN", about="The gateway's token, or an API key with the scope `operator.write`."
    )
    agent: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._-]+$")] = _setting(
        "GOCLAW_AGENT", about="The key of the agent that answers.", default="default"
    )

    events: bool = _setting(
        "GOCLAW_EVENTS",
        about="Whether the bridge listens to what the agent does while it works (a key with the scope "
        "`operator.admin`, or the gateway's token).",
        default=True,
    )
    live_text: bool = _setting(
        "GOCLAW_LIVE_TEXT",
        about="Whether answers are asked for as streams, so that their text can be heard as it comes.",
        default=True,
    )
    rate_limit: Annotated[float, Field(ge=0, le=1_000_000)] = _setting(
        "GOCLAW_RATE_LIMIT",
        about="Questions a minute that the gateway takes over all users (its `rate_limit_rpm`); `0`: found out at the "
        "first refusal, then 20.",
        default=0.0,
    )
    rate_burst: Annotated[int, Field(ge=1)] = _setting(
        "GOCLAW_RATE_BURST", about="How many of them at once.", default=5
    )
    gateway_patience: Seconds = _setting(
        "GOCLAW_PATIENCE",
        about="How long questions wait for a gateway that cannot be reached before people are told, in seconds.",
        default=30.0,
    )

    host: str = _setting("BRIDGE_HOST", about="Address the public listener binds to.", default="0.0.0.0")  # noqa: S104  behind a proxy or in a container; every activity is verified
    port: Port = _setting("BRIDGE_PORT", "PORT", about="Port of the public listener.", default=3978)
    public_url: PublicUrl | None = _setting(
        "BRIDGE_PUBLIC_URL",
        about="Where Teams reaches the bridge; used by `doctor`, `manifest` and links to files in groups.",
        default=None,
    )
    admin_host: str = _setting("BRIDGE_ADMIN_HOST", about="Address the admin listener binds to.", default="127.0.0.1")
    admin_port: Port = _setting("BRIDGE_ADMIN_PORT", about="Port of the admin listener.", default=3979)
    admin_token: Secret = _setting(
        "BRIDGE_ADMIN_TOKEN", about="Bearer the admin listener asks for; needed off loopback.", default=SecretStr("")
    )
    store: str = _setting(
        "BRIDGE_STORE",
        about="What keeps the turns: a file, or `postgresql://user@host/database` for several replicas.",
        default="teams-bridge.db",
    )
    store_password: Password = _setting(
        "BRIDGE_STORE_PASSWORD", about="The PostgreSQL role's password.", default=SecretStr("")
    )
    store_schema: Annotated[str, Field(max_length=63, pattern=r"^[a-z_][a-z0-9_]*$")] = _setting(
        "BRIDGE_STORE_SCHEMA", about="The bridge's own schema in the PostgreSQL database.", default="teams_bridge"
    )
    store_connections: Annotated[int, Field(ge=2, le=100)] = _setting(
        "BRIDGE_STORE_CONNECTIONS", about="The most connections of one replica to PostgreSQL.", default=10
    )

    store_create: bool = _setting(
        "BRIDGE_STORE_CREATE",
        about="Whether a missing or empty store is made anew. Set `false` after the first start: then a store that is "
        "lost is reported, and not replaced by an empty one.",
        default=True,
    )

    max_running: Annotated[int, Field(ge=1)] = _setting(
        "BRIDGE_MAX_RUNNING", about="Turns that one replica runs in the gateway at once; more wait.", default=10_000
    )
    max_waiting_lane: Annotated[int, Field(ge=1)] = _setting(
        "BRIDGE_MAX_WAITING_LANE",
        about="Questions that wait in one conversation; of more, people are told that they were not kept.",
        default=20,
    )
    max_waiting: Annotated[int, Field(ge=1)] = _setting(
        "BRIDGE_MAX_WAITING", about="Questions that wait in all conversations together.", default=20_000
    )
    max_body: Annotated[int, Field(ge=100_000)] = _setting(
        "BRIDGE_MAX_BODY", about="The largest activity that is read, in bytes.", default=1024 * 1024
    )
    max_sockets: Annotated[int, Field(ge=10)] = _setting(
        "BRIDGE_MAX_SOCKETS",
        about="Connections that each listener keeps open; further ones are closed as they come.",
        default=4096,
    )
    streaming: bool = _setting(
        "BRIDGE_STREAMING", about="Whether answers in personal chats are streamed while they come.", default=True
    )
    progress: bool = _setting(
        "BRIDGE_PROGRESS", about="Whether people see what the agent is doing while it works.", default=True
    )
    notify: bool = _setting(
        "BRIDGE_NOTIFY",
        about="Whether an answer after 20 seconds without any text is a new message, so that people are notified.",
        default=True,
    )
    reactions: bool = _setting(
        "BRIDGE_REACTIONS", about="Whether questions that wait behind another are marked with a reaction.", default=True
    )
    merge: bool = _setting(
        "BRIDGE_MERGE",
        about="Whether messages that one person sends while an answer is on its way are asked together.",
        default=True,
    )
    feedback: bool = _setting(
        "BRIDGE_FEEDBACK", about="Whether answers have buttons to like or dislike them.", default=True
    )

    guests: bool = _setting("BRIDGE_GUESTS", about="Whether guests may talk with the agent.", default=False)
    meetings: bool = _setting("BRIDGE_MEETINGS", about="Whether the bot answers in meeting chats.", default=False)
    people: Guids = _setting(
        "BRIDGE_PEOPLE", about="If set, only these people (AAD object ids) may talk with the agent.", default=()
    )
    group_session: Literal["conversation", "sender"] = _setting(
        "BRIDGE_GROUP_SESSION",
        about="Whose session a group chat speaks in: `conversation` or `sender`.",
        default="conversation",
    )
    channel_session: Literal["thread", "channel", "sender"] = _setting(
        "BRIDGE_CHANNEL_SESSION",
        about="Whose session a channel speaks in: `thread`, `channel` or `sender`.",
        default="thread",
    )
    user_prefix: Annotated[str, Field(max_length=32, pattern=r"^[A-Za-z0-9_-]*$")] = _setting(
        "BRIDGE_USER_PREFIX", about="Put before every user id, where several bridges share a gateway.", default=""
    )
    welcome: bool = _setting(
        "BRIDGE_WELCOME", about="Whether the bot greets when it is installed in a personal chat.", default=True
    )
    agent_cards: bool = _setting(
        "BRIDGE_AGENT_CARDS",
        about="Whether Adaptive Cards in an answer (code blocks `adaptive-card`) are shown as cards.",
        default=False,
    )
    starters: Starters = _setting(
        "BRIDGE_STARTERS",
        about=f"Example questions for the welcome and the app package, at most {MOST_STARTERS}, "
        "separated by semicolons (in the file a list).",
        default=(),
    )
    texts: InstanceOf[OwnTexts] = _setting(
        "BRIDGE_TEXTS",
        about="A TOML file with sentences or languages of your own; `teams-bridge texts vi` prints one to begin with.",
        default=OwnTexts(),
    )
    turn_timeout: Seconds = _setting(
        "BRIDGE_TURN_TIMEOUT", about="The longest time for one answer, in seconds.", default=600.0
    )
    after_crash: Literal["note", "rerun"] = _setting(
        "BRIDGE_AFTER_CRASH",
        about="A question that was running in a crash gets a `note` with *Ask again*, "
        "or is asked again by itself (`rerun`).",
        default="note",
    )
    shutdown_grace: Annotated[float, Field(ge=0, le=3600)] = _setting(
        "BRIDGE_SHUTDOWN_GRACE", about="How long running answers may take after SIGTERM, in seconds.", default=120.0
    )
    keep_text_hours: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _setting(
        "BRIDGE_KEEP_TEXT_HOURS", about="How long a closed turn's text is kept (for *Ask again*).", default=24.0
    )
    keep_ids_days: Annotated[float, Field(ge=1, allow_inf_nan=False)] = _setting(
        "BRIDGE_KEEP_IDS_DAYS", about="How long ids are kept, so that a repeated message runs once.", default=7.0
    )
    log: Literal["json", "console"] = _setting(
        "BRIDGE_LOG", about="Form of the log: `json` or `console`.", default="json"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "BRIDGE_LOG_LEVEL",
        about="The least important level that is logged: `debug`, `info`, `warning`, `error`.",
        default="info",
    )

    app_name: str = _setting("BRIDGE_APP_NAME", about="Name of the app in Teams (30 characters).", default="GoClaw")
    app_developer: str = _setting(
        "BRIDGE_APP_DEVELOPER", about="Your organisation's name in the app package.", default="GoClaw Teams Bridge"
    )
    app_website: Url = _setting(
        "BRIDGE_APP_WEBSITE", about="Website in the app package.", default="https://example.com"
    )
    app_privacy: Url | None = _setting(
        "BRIDGE_APP_PRIVACY", about="Privacy statement in the app package; default: the website.", default=None
    )
    app_terms: Url | None = _setting(
        "BRIDGE_APP_TERMS", about="Terms of use in the app package; default: the website.", default=None
    )

    @property
    def tenants(self) -> frozenset[str]:
        """All tenants whose members the bot answers."""
        return frozenset({self.tenant_id, *self.allowed_tenants})


def is_postgres(store: str) -> bool:
    """Whether BRIDGE_STORE names a PostgreSQL database; else BRIDGE_STORE is the path of a file."""
    return store.startswith(("postgresql://", "postgres://"))
