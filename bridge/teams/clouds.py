"""The Microsoft clouds a bot can live in: where its keys, its tokens and its connector are.

A `Cloud` also answers the one question that keeps our outbound token at home: may a request go to this
serviceUrl? Values are from docs/reference/teams.md, "Inbound activities" (connector hosts) and docs/reference/teams.md, "Authentication" (the rest), which follow
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
# The address of a file may carry anything behind its host, but no sign that URL parsers read in two ways.
_FILE_URL = re.compile(r"(https?://[^/?#]+)(?:[/?#][!#-;=?-\[\]-~]*)?", re.ASCII)
# What the connector gives the bytes of a picture under (docs/reference/teams.md, "Inbound activities"); our token opens much more there than pictures.
_PICTURE_PATH = re.compile(
    r"(?:/[A-Za-z0-9_-]+)*/v3/attachments/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*/views/[A-Za-z0-9_-]+", re.ASCII
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
    # Where people's files lie: `host`, `host:port`, or `.domain` for every host below it. They get no token.
    # SharePoint and OneDrive, with the service that hands their contents out: "SharePoint Online and OneDrive" on
    # learn.microsoft.com/microsoft-365/enterprise/urls-and-ip-address-ranges
    file_hosts: frozenset[str] = frozenset({".sharepoint.com", ".svc.ms"})
    # Whether bots and people exchange files there at all (docs/reference/teams.md, "File exchange"):
    # learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4
    exchanges_files: bool = True

    def allows(self, service_url: str) -> bool:
        """Whether a request with our token may go there: exact host and port, and https."""
        return _allows(self.service_hosts, service_url)

    def allows_picture(self, url: str) -> bool:
        """Whether a picture may be fetched from there with our token: a connector's host, and a picture's path."""
        return self.allows(url) and _PICTURE_PATH.fullmatch("/" + url.partition("://")[2].partition("/")[2]) is not None

    def allows_file(self, url: str) -> bool:
        """Whether a file may be fetched from there, or saved there; never with our token."""
        found = _FILE_URL.fullmatch(url)
        return found is not None and _allows(self.file_hosts, found[1])

    def authority(self, tenant: str) -> str:
        """Entra ID's address for this tenant; an empty one means a multi-tenant registration."""
        return f"{self.login_url}/{tenant or self.authority_fallback_tenant}"


PUBLIC = Cloud(
    name="public",
    issuer="https://api.botframework.com",
    openid_url="https://login.botframework.com/v1/.well-known/openidconfiguration",
    login_url="https://login.microsoftonline.com",
    scope="https://api.botframework.com/.default",
    # The exact name: any Azure customer may own another name under trafficmanager.net (docs/reference/teams.md, "Inbound activities").
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
    file_hosts=frozenset({".sharepoint.us"}),
    exchanges_files=False,
)

CLOUDS: dict[str, Cloud] = {
    "public": PUBLIC,
    # GCC uses the public cloud's identity services and a connector of its own (docs/reference/teams.md, "Inbound activities").
    "gcc": replace(PUBLIC, name="gcc", service_hosts=frozenset({"smba.infra.gcc.teams.microsoft.com"})),
    "gcc-high": _GCC_HIGH,
    "dod": replace(
        _GCC_HIGH,
        name="dod",
        service_hosts=frozenset({"smba.infra.dod.teams.microsoft.us"}),
        file_hosts=frozenset({".sharepoint-mil.us"}),
    ),
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
        file_hosts=frozenset({".sharepoint.cn"}),
        exchanges_files=False,
    ),
}


def named(name: str, service_hosts: Iterable[str] = (), file_hosts: Iterable[str] = ()) -> Cloud:
    """The cloud of this name, with further hosts of its connector and of people's files where the operator knows some.

    Raises ValueError, with a sentence for the operator, for an unknown name, a malformed host, or a cloud
    whose connector host nobody published and nobody named.
    """
    if name not in CLOUDS:
        raise ValueError(f"unknown cloud {name!r}: one of {', '.join(CLOUDS)}, custom")
    cloud = CLOUDS[name]
    hosts = cloud.service_hosts | connector_hosts(service_hosts)
    if not hosts:
        raise ValueError(
            f"the connector's host of cloud {name!r} is not published; "
            "name the host of the serviceUrl that Teams sends your bot"
        )
    return replace(cloud, service_hosts=hosts, file_hosts=cloud.file_hosts | hosts_of_files(file_hosts))


def custom(openid_url: str, login_url: str, service_hosts: Iterable[str], file_hosts: Iterable[str] = ()) -> Cloud:
    """A cloud by its endpoints; the simulator is one. The issuer is taken from the metadata document.

    `service_hosts` entries are `host` or `host:port`; `file_hosts` may also be `*.domain`. Raises ValueError, with a
    sentence for the operator, for URLs that are neither https nor http to this machine, and for malformed or missing
    hosts.
    """
    hosts = connector_hosts(service_hosts)
    if not hosts:
        raise ValueError("a custom cloud needs at least one connector host")
    return replace(
        PUBLIC,
        name="custom",
        issuer=None,
        openid_url=endpoint(openid_url),
        login_url=endpoint(login_url).rstrip("/"),
        service_hosts=hosts,
        file_hosts=hosts_of_files(file_hosts),
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
    if f"{host}:{port}" in hosts:
        return True
    if port != _DEFAULT_PORT[scheme]:
        return False
    # `.domain` entries: each end of the host's name that begins with a dot
    above = (host[at:] for at, character in enumerate(host) if character == ".")
    return host in hosts or any(end in hosts for end in above)


def connector_hosts(entries: Iterable[str]) -> frozenset[str]:
    """`host` or `host:port` as an operator wrote them. Raises ValueError, with a sentence for the operator."""
    hosts = frozenset(entry.strip().lower() for entry in entries)
    for host in hosts:
        if _SERVICE_HOST.fullmatch(host) is None:
            raise ValueError(f"{host!r} is no connector host: give `host` or `host:port`, without https://")
    return hosts


def hosts_of_files(entries: Iterable[str]) -> frozenset[str]:
    """`*.domain` becomes `.domain`; a domain has a dot inside, so that nobody allows all of `.com`.

    Raises ValueError, with a sentence for the operator.
    """
    hosts = frozenset(entry.strip().lower().removeprefix("*") for entry in entries)
    for host in hosts:
        name = host.removeprefix(".")
        domain = name != host and "." in name and ":" not in name
        if _SERVICE_HOST.fullmatch(name) is None or (name != host and not domain):
            raise ValueError(f"{host!r} is no host of files: give `host`, `host:port` or `*.example.com`")
    return hosts


def endpoint(url: str) -> str:
    """The URL, its host in lower case: https, or http to this machine.

    Raises ValueError, with a sentence for the operator.
    """
    scheme, sep, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    url = f"{scheme.lower()}{sep}{host.lower()}{slash}{path}"
    parts = origin(url)
    if parts is None or (parts[0] != "https" and parts[1] not in LOOPBACK):
        raise ValueError(
            f"{url!r} is no endpoint: give a plain https URL, without user, query or percent signs "
            "(http only for this machine)"
        )
    return url
