"""Where our token may go, and which clouds exist."""

import pytest

from bridge.teams.clouds import CLOUDS, Cloud, custom, named

OPENID = "http://127.0.0.1:3979/v1/.well-known/openidconfiguration"
LOGIN = "http://127.0.0.1:3979"


def local(*hosts: str) -> Cloud:
    return custom(OPENID, LOGIN, hosts)


@pytest.mark.parametrize(
    ("cloud", "service_url"),
    [
        ("public", "https://smba.trafficmanager.net/teams/"),
        ("public", "https://smba.trafficmanager.net/emea/0f1e2d3c-0000-4000-8000-000000000001/"),
        ("public", "https://smba.trafficmanager.net"),
        ("public", "https://smba.trafficmanager.net:443/amer/"),
        ("gcc", "https://smba.infra.gcc.teams.microsoft.com/teams"),
        ("gcc-high", "https://smba.infra.gov.teams.microsoft.us/teams"),
        ("dod", "https://smba.infra.dod.teams.microsoft.us/teams"),
    ],
)
def test_the_clouds_own_connector_is_allowed(cloud: str, service_url: str) -> None:
    assert named(cloud).allows(service_url)


@pytest.mark.parametrize(
    "service_url",
    [
        "",
        "smba.trafficmanager.net",
        "http://smba.trafficmanager.net/teams/",
        "https://evil.trafficmanager.net/teams/",
        "https://smba.trafficmanager.net.evil.example/",
        "https://evil.example/smba.trafficmanager.net/",
        "https://smba.trafficmanager.net@evil.example/",
        "https://smba.trafficmanager.net:443@evil.example/",
        "https://evil.example\\@smba.trafficmanager.net/",
        "https://evil.example#@smba.trafficmanager.net/",
        "https://evil.example?@smba.trafficmanager.net/",
        "https://smba.trafficmanager.net\\.evil.example/",
        "https://smba.trafficmanager.net./teams/",
        "https://SMBA.trafficmanager.net/teams/",
        "HTTPS://smba.trafficmanager.net/teams/",
        "https://smba.trafficmanager.net:8443/teams/",
        "https://smba.trafficmanager.net:0443/teams/",
        "https://smba.trafficmanager.net:/teams/",
        "https:///smba.trafficmanager.net/teams/",
        "https:smba.trafficmanager.net/teams/",
        "https://smba。trafficmanager.net/teams/",
        "https://ѕmba.trafficmanager.net/teams/",
        "https://smba.trafficmanager.net/teams/?next=evil",
        "https://smba.trafficmanager.net/teams/#evil",
        "https://smba.trafficmanager.net/%2e%2e/",
        "https://smba.trafficmanager.net/teams/\n",
        " https://smba.trafficmanager.net/teams/",
        "https://smba.trafficmanager.net/teams/\r\nHost: evil.example",
        "ftp://smba.trafficmanager.net/",
        "https://127.0.0.1/",
        "http://localhost/",
    ],
)
def test_nothing_that_only_looks_like_the_connector_is_allowed(service_url: str) -> None:
    assert not named("public").allows(service_url)


def test_one_clouds_connector_is_not_anothers() -> None:
    assert not named("gcc-high").allows("https://smba.trafficmanager.net/teams/")
    assert not named("public").allows("https://smba.infra.gov.teams.microsoft.us/teams")


def test_a_custom_cloud_allows_http_to_this_machine_at_the_named_port_only() -> None:
    cloud = local("127.0.0.1:3979")

    assert cloud.allows("http://127.0.0.1:3979/emea/tenant/")
    assert not cloud.allows("http://127.0.0.1:3980/emea/tenant/")
    assert not cloud.allows("http://127.0.0.1/emea/tenant/")
    assert not cloud.allows("http://localhost:3979/emea/tenant/")


def test_a_custom_cloud_asks_for_https_everywhere_else() -> None:
    cloud = local("teams.example:8443", "connector.example")

    assert cloud.allows("https://teams.example:8443/")
    assert cloud.allows("https://connector.example/")
    assert not cloud.allows("http://teams.example:8443/")
    assert not cloud.allows("https://teams.example/")
    assert not cloud.allows("https://connector.example:8443/")


def test_loopback_by_its_ipv6_name() -> None:
    assert local("[::1]:3979").allows("http://[::1]:3979/")


@pytest.mark.parametrize(
    "url",
    ["", "http://login.example", "ftp://127.0.0.1", "https://user@login.example", "127.0.0.1:3979"],
)
def test_a_custom_clouds_endpoints_are_https_or_on_this_machine(url: str) -> None:
    with pytest.raises(ValueError, match="no endpoint"):
        custom(url, LOGIN, ["127.0.0.1:3979"])
    with pytest.raises(ValueError, match="no endpoint"):
        custom(OPENID, url, ["127.0.0.1:3979"])


@pytest.mark.parametrize("host", ["https://a.example", "a.example/teams", "", "a@b", "a.example:99999x"])
def test_a_malformed_connector_host_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="no connector host"):
        local(host)


def test_a_custom_cloud_without_connector_host_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        local()


def test_an_unknown_cloud_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="public, gcc, gcc-high, dod, china, custom"):
        named("mars")


def test_china_works_once_the_operator_names_its_connector() -> None:
    with pytest.raises(ValueError, match="not published"):
        named("china")

    cloud = named("china", ["connector.example"])

    assert cloud.allows("https://connector.example/teams/")
    assert cloud.issuer == "https://api.botframework.azure.cn"


def test_every_cloud_names_its_own_identity_services() -> None:
    for name, cloud in CLOUDS.items():
        assert cloud.name == name
        assert cloud.scope == f"{cloud.issuer}/.default"
        assert cloud.openid_url.startswith("https://login.botframework.")


def test_the_authority_is_the_bots_tenant_or_the_clouds_shared_one() -> None:
    cloud = named("gcc-high")

    assert cloud.authority("t1") == "https://login.microsoftonline.us/t1"
    assert cloud.authority("") == "https://login.microsoftonline.us/MicrosoftServices.onmicrosoft.us"
    assert local("127.0.0.1:3979").authority("t1") == "http://127.0.0.1:3979/t1"
