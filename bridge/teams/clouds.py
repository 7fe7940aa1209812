"""The Microsoft clouds: addresses of signing keys, tokens, the connector and people's files in each.

A `Cloud` also decides which addresses may get the bot's token. Values: docs/reference/teams.md, "Service URL of each
cloud" and docs/reference/teams.md, "Addresses of each cloud".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

# Plain http is allowed to the local machine only, where the simulator runs.
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})

# Stricter than RFC 3986 on purpose. Teams sends serviceUrls in lower case and ASCII, without user, query or
# percent signs. Characters that URL parsers may read differently (`\`, `@`, a host's last dot, look-alike letters) are
# refused, so that no two parsers can disagree about the host that gets the token.
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[::1\])(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[A-Za-z0-9._~!$&'()*+,;=:/-]*)?",
    re.ASCII,
)
# A file's address may have any path and query, but no character that URL parsers read in two ways.
_FILE_URL = re.compile(r"(https?://[^/?#]+)(?:[/?#][!#-;=?-\[\]-~]*)?", re.ASCII)
# The connector's path of a picture (docs/reference/teams.md, "Files and pictures that people send"). The path is
# checked because the token opens much more than pictures on the connector's host.
_PICTURE_PATH = re.compile(
    r"(?:/[A-Za-z0-9_-]+)*/v3/attachments/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*/views/[A-Za-z0-9_-]+", re.ASCII
)
_SERVICE_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[::1\])(?::[1-9][0-9]{0,4})?", re.ASCII)
_DEFAULT_PORT = {"https": "443", "http": "80"}


@dataclass(frozen=True, slots=True)
class Cloud:
    """The endpoints of a cloud.

    `issuer` is the issuer of inbound tokens, or None where the metadata at `openid_url` names the issuer (custom
    clouds). `login_url` is Entra ID's address without a tenant, `scope` the scope of outbound tokens.
    `service_hosts` are the connector's hosts, `host` or `host:port`. `authority_fallback_tenant` is the tenant of
    multi-tenant bots.
    """

    name: str
    issuer: str | None
    openid_url: str
    login_url: str
    scope: str
    service_hosts: frozenset[str]
    authority_fallback_tenant: str
    # Hosts of people's files (SharePoint, OneDrive): `host`, `host:port`, or `.domain` for all hosts below the domain.
    # Requests to these hosts carry no token. docs/reference/teams.md, "Files and pictures that people send"
    file_hosts: frozenset[str] = frozenset({".sharepoint.com", ".svc.ms"})
    # Whether bots and people can exchange files (docs/reference/teams.md, "Limits of file exchange").
    exchanges_files: bool = True

    def allows(self, service_url: str) -> bool:
        """Whether a request with the bot's token may go to `service_url`: exact host and port, and https."""
        return _allows(self.service_hosts, service_url)

    def allows_picture(self, url: str) -> bool:
        """Whether `url` is a picture on a connector's host, which may be fetched with the bot's token."""
        return self.allows(url) and _PICTURE_PATH.fullmatch("/" + url.partition("://")[2].partition("/")[2]) is not None

    def allows_file(self, url: str) -> bool:
        """Whether a file may be fetched from or saved to `url`, without the bot's token."""
        found = _FILE_URL.fullmatch(url)
        return found is not None and _allows(self.file_hosts, found[1])

    def authority(self, tenant: str) -> str:
        """Entra ID's address for `tenant`; an empty tenant means a multi-tenant registration."""
        return f"{self.login_url}/{tenant or self.authority_fallback_tenant}"


PUBLIC = Cloud(
    name="public",
    issuer="https://api.botframework.com",
    openid_url="https://login.botframework.com/v1/.well-known/openidconfiguration",
    login_url="https://login.microsoftonline.com",
    scope="https://api.botframework.com/.default",
    # The exact name: any Azure customer may own another name under trafficmanager.net.
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
    # GCC has the public cloud's identity services and its own connector.
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
        # Microsoft publishes no connector host for 21Vianet, so the operator names the host of the serviceUrl.
        # https://learn.microsoft.com/microsoftteams/platform/teams-sdk/essentials/app-configuration/sovereign-cloud
        service_hosts=frozenset(),
        authority_fallback_tenant="microsoftservices.partner.onmschina.cn",
        file_hosts=frozenset({".sharepoint.cn"}),
        exchanges_files=False,
    ),
}


def named(name: str, service_hosts: Iterable[str] = (), file_hosts: Iterable[str] = ()) -> Cloud:
    """The cloud called `name`, plus the operator's own hosts of the connector and of people's files.

    An unknown name, a malformed host, or a cloud without any connector host is an error, with a sentence for the
    operator. Raises: ValueError.
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
    """A cloud made of given endpoints, such as the simulator. The metadata document names the issuer.

    `service_hosts` entries are `host` or `host:port`; `file_hosts` may also be `*.domain`. URLs must be https, or http
    to the local machine. A wrong URL or host is an error, with a sentence for the operator. Raises: ValueError.
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
    """Whether the URL is plain http to the local machine."""
    found = _URL.fullmatch(url)
    return found is not None and found["scheme"] == "http" and found["host"] in LOOPBACK


def origin(url: str) -> tuple[str, str, str] | None:
    """Scheme, host and port of a plain URL; None for a URL that parsers may read differently."""
    found = _URL.fullmatch(url)
    if found is None:
        return None
    return found["scheme"], found["host"], found["port"] or _DEFAULT_PORT[found["scheme"]]


# A bridge meets few service URLs; the bound keeps strangers from filling the memory.
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
    # For `.domain` entries: every domain above the host, with the leading dot.
    parents = (host[at:] for at, character in enumerate(host) if character == ".")
    return host in hosts or any(parent in hosts for parent in parents)


def connector_hosts(entries: Iterable[str]) -> frozenset[str]:
    """The operator's `host` or `host:port` entries in lower case.

    A malformed entry is an error, with a sentence for the operator. Raises: ValueError.
    """
    hosts = frozenset(entry.strip().lower() for entry in entries)
    for host in hosts:
        if _SERVICE_HOST.fullmatch(host) is None:
            raise ValueError(f"{host!r} is no connector host: give `host` or `host:port`, without https://")
    return hosts


def hosts_of_files(entries: Iterable[str]) -> frozenset[str]:
    """The operator's hosts of files in lower case, `*.domain` as `.domain`.

    A domain must have a dot inside, so that no operator allows all of `.com`. A malformed entry is an error, with a
    sentence for the operator. Raises: ValueError.
    """
    hosts = frozenset(entry.strip().lower().removeprefix("*") for entry in entries)
    for host in hosts:
        name = host.removeprefix(".")
        domain = name != host and "." in name and ":" not in name
        if _SERVICE_HOST.fullmatch(name) is None or (name != host and not domain):
            raise ValueError(f"{host!r} is no host of files: give `host`, `host:port` or `*.example.com`")
    return hosts


def lower_host(url: str) -> str:
    """The URL with scheme and host in lower case (RFC 3986 section 6.2.2.1); with other signs than ASCII, as given.

    Letters outside ASCII stay, since some become ASCII letters in lower case (the Kelvin sign).
    """
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}{separator}{host.lower()}{slash}{path}" if url.isascii() else url


def endpoint(url: str) -> str:
    """The URL with scheme and host in lower case: https, or http to the local machine.

    A wrong URL is an error, with a sentence for the operator. Raises: ValueError.
    """
    url = lower_host(url)
    parts = origin(url)
    if parts is None or (parts[0] != "https" and parts[1] not in LOOPBACK):
        raise ValueError(
            f"{url!r} is no endpoint: give a plain https URL, without user, query or percent signs "
            "(http only for this machine)"
        )
    return url
