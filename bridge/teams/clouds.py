"""The Microsoft clouds a bot can live in: where its keys, its tokens and its connector are.

A `Cloud` also answers the one question that keeps our outbound token at home: may a request go to this
serviceUrl? Values are from teams-platform.md §5 (connector hosts) and §6.1 (the rest), which follow
learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-authentication.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

# Plain http is for what cannot be overheard: this machine. The simulator lives here.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

# Stricter than RFC 3986 on purpose. Teams sends serviceUrls in lower case and ASCII, without user, query or
# percent signs. Whatever needs interpreting (`\`, `@`, a host's last dot, look-alike letters) is refused, so
# that no two URL parsers can disagree about the host our token goes to.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:/-]*)?",
    re.ASCII,
)
_SERVICE_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[::1\])(?::[1-9][0-9]{0,4})?", re.ASCII)
_DEFAULT_PORT = {"https": "443", "http": "80"}


@dataclass(frozen=True, slots=True)
class Cloud:
    """One cloud's endpoints.

    `issuer` of inbound tokens; None: the OpenID metadata document at `openid_url` names it (custom clouds).
    `login_url` is Entra ID without a tenant, `scope` what outbound tokens are asked for. `service_hosts` are
    the connector's hosts, `host` or `host:port`. `authority_fallback_tenant` serves bots without a tenant.
    """

    name: str
    issuer: str | None
    openid_url: str
    login_url: str
    scope: str
    service_hosts: frozenset[str]
    authority_fallback_tenant: str

    def allows(self, service_url: str) -> bool:
        """Whether a request with our token may go there: exact host and port, and https."""
        return _allows(self.service_hosts, service_url)

    def authority(self, tenant: str) -> str:
        """Entra ID's address for this tenant; an empty one means a multi-tenant registration."""
        return f"{self.login_url}/{tenant or self.authority_fallback_tenant}"


PUBLIC = Cloud(
    name="public",
    issuer="https://api.botframework.com",
    openid_url="https://login.botframework.com/v1/.well-known/openidconfiguration",
    login_url="https://login.microsoftonline.com",
    scope="https://api.botframework.com/.default",
    # The exact name: any Azure customer may own another name under trafficmanager.net (§5).
    service_hosts=frozenset({"smba.trafficmanager.net"}),
    authority_fallback_tenant="botframework.com",
)

_GCC_HIGH = Cloud(
    name="gcc-high",
    issuer="https://api.botframework.us",
    openid_url="https://login.botframework.azure.us/v1/.well-known/openidconfiguration",
    login_url="https://login.microsoftonline.us",
    scope="https://api.botframework.us/.default",
    service_hosts=frozenset({"smba.infra.gov.teams.microsoft.us"}),
    authority_fallback_tenant="MicrosoftServices.onmicrosoft.us",
)

CLOUDS: dict[str, Cloud] = {
    "public": PUBLIC,
    # GCC uses the public cloud's identity services and a connector of its own (§5).
    "gcc": replace(PUBLIC, name="gcc", service_hosts=frozenset({"smba.infra.gcc.teams.microsoft.com"})),
    "gcc-high": _GCC_HIGH,
    "dod": replace(_GCC_HIGH, name="dod", service_hosts=frozenset({"smba.infra.dod.teams.microsoft.us"})),
    "china": Cloud(
        name="china",
        issuer="https://api.botframework.azure.cn",
        openid_url="https://login.botframework.azure.cn/v1/.well-known/openidconfiguration",
        login_url="https://login.partner.microsoftonline.cn",
        scope="https://api.botframework.azure.cn/.default",
        # Microsoft publishes no connector host for 21Vianet; the page that lists this cloud names none:
        # learn.microsoft.com/microsoftteams/platform/teams-sdk/essentials/app-configuration/sovereign-cloud
        # So the operator names the host that Teams sends.
        service_hosts=frozenset(),
        authority_fallback_tenant="microsoftservices.partner.onmschina.cn",
    ),
}


def named(name: str, service_hosts: Iterable[str] = ()) -> Cloud:
    """The cloud of this name, with further connector hosts where the operator knows some.

    Raises ValueError, with a sentence for the operator, for an unknown name, a malformed host, or a cloud
    whose connector host nobody published and nobody named.
    """
    if name not in CLOUDS:
        raise ValueError(f"unknown cloud {name!r}: one of {', '.join(CLOUDS)}, custom")
    cloud = CLOUDS[name]
    hosts = cloud.service_hosts | _service_hosts(service_hosts)
    if not hosts:
        raise ValueError(
            f"the connector's host of cloud {name!r} is not published; "
            "name the host of the serviceUrl that Teams sends your bot"
        )
    return replace(cloud, service_hosts=hosts)


def custom(openid_url: str, login_url: str, service_hosts: Iterable[str]) -> Cloud:
    """A cloud by its endpoints; the simulator is one. The issuer is taken from the metadata document.

    `service_hosts` entries are `host` or `host:port`. Raises ValueError, with a sentence for the operator,
    for URLs that are neither https nor http to this machine, and for malformed or missing hosts.
    """
    hosts = _service_hosts(service_hosts)
    if not hosts:
        raise ValueError("a custom cloud needs at least one connector host")
    return replace(
        PUBLIC,
        name="custom",
        issuer=None,
        openid_url=_endpoint(openid_url),
        login_url=_endpoint(login_url).rstrip("/"),
        service_hosts=hosts,
    )


def is_loopback_http(url: str) -> bool:
    """Whether the URL is plain http to this machine."""
    found = _URL.fullmatch(url)
    return found is not None and found["scheme"] == "http" and found["host"] in LOOPBACK


def origin(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and port of a plain URL; None for one that needs interpreting."""
    found = _URL.fullmatch(url)
    if found is None:
        return None
    return found["scheme"], found["host"], found["port"] or _DEFAULT_PORT[found["scheme"]]


# Service URLs are few; the bound only keeps strangers from filling the memory.
@lru_cache(maxsize=1024)
def _allows(hosts: frozenset[str], service_url: str) -> bool:
    parts = origin(service_url)
    if parts is None:
        return False
    scheme, host, port = parts
    if scheme != "https" and host not in LOOPBACK:
        return False
    return f"{host}:{port}" in hosts or (host in hosts and port == _DEFAULT_PORT[scheme])


def _service_hosts(entries: Iterable[str]) -> frozenset[str]:
    hosts = frozenset(entry.strip().lower() for entry in entries)
    for host in hosts:
        if _SERVICE_HOST.fullmatch(host) is None:
            raise ValueError(f"{host!r} is no connector host: give `host` or `host:port`, without https://")
    return hosts


def _endpoint(url: str) -> str:
    parts = origin(url)
    if parts is None or (parts[0] != "https" and parts[1] not in LOOPBACK):
        raise ValueError(f"{url!r} is no endpoint: give an https URL (http only for this machine)")
    return url
