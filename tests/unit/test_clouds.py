"""The Microsoft clouds: which addresses may get the bot's token, and hosts of files."""

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
def test_an_address_that_only_resembles_the_connector_is_not_allowed(service_url: str) -> None:
    assert not named("public").allows(service_url)


def test_the_connector_of_a_different_cloud_is_not_allowed() -> None:
    assert not named("gcc-high").allows("https://smba.trafficmanager.net/teams/")
    assert not named("public").allows("https://smba.infra.gov.teams.microsoft.us/teams")


def test_a_custom_cloud_allows_http_to_loopback_at_the_named_port_only() -> None:
    cloud = local("127.0.0.1:3979")

    assert cloud.allows("http://127.0.0.1:3979/emea/tenant/")
    assert not cloud.allows("http://127.0.0.1:3980/emea/tenant/")
    assert not cloud.allows("http://127.0.0.1/emea/tenant/")
    assert not cloud.allows("http://localhost:3979/emea/tenant/")


def test_a_custom_cloud_needs_https_outside_of_loopback() -> None:
    cloud = local("teams.example:8443", "connector.example")

    assert cloud.allows("https://teams.example:8443/")
    assert cloud.allows("https://connector.example/")
    assert not cloud.allows("http://teams.example:8443/")
    assert not cloud.allows("https://teams.example/")
    assert not cloud.allows("https://connector.example:8443/")


def test_the_ipv6_address_of_loopback_is_loopback() -> None:
    assert local("[::1]:3979").allows("http://[::1]:3979/")


def test_a_hosts_name_may_be_written_in_capitals() -> None:
    assert custom(OPENID, "HTTPS://Login.Example/x", ["127.0.0.1:3979"]).login_url == "https://login.example/x"


@pytest.mark.parametrize(
    "url",
    ["", "http://login.example", "ftp://127.0.0.1", "https://user@login.example", "127.0.0.1:3979"],
)
def test_the_endpoints_of_a_custom_cloud_are_https_or_on_loopback(url: str) -> None:
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


def test_an_unknown_cloud_is_refused_with_a_list_of_the_known_clouds() -> None:
    with pytest.raises(ValueError, match="public, gcc, gcc-high, dod, china, custom"):
        named("mars")


def test_the_china_cloud_needs_a_connector_host_from_the_operator() -> None:
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


def test_the_authority_is_the_bots_tenant_or_the_clouds_shared_tenant() -> None:
    cloud = named("gcc-high")

    assert cloud.authority("t1") == "https://login.microsoftonline.us/t1"
    assert cloud.authority("") == "https://login.microsoftonline.us/MicrosoftServices.onmicrosoft.us"
    assert local("127.0.0.1:3979").authority("t1") == "http://127.0.0.1:3979/t1"


# -- files --


@pytest.mark.parametrize(
    ("cloud", "url"),
    [
        ("public", "https://contoso.sharepoint.com/download.aspx?tempauth=eyJ0.a_b-c%20&x=(1)"),
        ("public", "https://contoso-my.sharepoint.com:443/personal/ann/_api/v2.0/uploadSession?guid='1'&a=[b]"),
        ("public", "https://westeurope1-mediap.svc.ms/transform?a=b"),
        ("gcc", "https://contoso.sharepoint.com/"),
        ("gcc-high", "https://contoso.sharepoint.us/x"),
        ("dod", "https://contoso.sharepoint-mil.us/x"),
    ],
)
def test_peoples_files_are_allowed_at_the_hosts_of_their_cloud(cloud: str, url: str) -> None:
    assert CLOUDS[cloud].allows_file(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "https://sharepoint.com/x",
        "http://contoso.sharepoint.com/x",
        "https://contoso.sharepoint.com:8443/x",
        "https://contoso.sharepoint.com.evil.example/x",
        "https://contososharepoint.com/x",
        "https://evil.example/contoso.sharepoint.com",
        "https://evil.example?.sharepoint.com",
        "https://evil.example#.sharepoint.com",
        "https://evil.example\\.sharepoint.com/x",
        "https://ann@contoso.sharepoint.com/x",
        "https://contoso.sharepoint.com@evil.example/x",
        "https://contoso.sharepoint.com./x",
        "https://Contoso.sharepoint.com/x",
        "https://contoso.sharepoint.com/a b",
        "https://contoso.sharepoint.com/ä",
        "https://contoso.sharepoint.com/\n",
        "https://smba.trafficmanager.net/v3/attachments/x/views/original",
        "https://.sharepoint.com/x",
        "ftp://contoso.sharepoint.com/x",
    ],
)
def test_an_address_that_only_resembles_a_host_of_files_is_not_allowed(url: str) -> None:
    assert not CLOUDS["public"].allows_file(url)


def test_an_operator_may_name_further_hosts_of_files() -> None:
    cloud = named("public", file_hosts=[" Files.example.com:8443 ", "*.Contoso.example"])

    for url in ("https://files.example.com:8443/x", "https://a.b.contoso.example/x", "https://a.sharepoint.com/"):
        assert cloud.allows_file(url)
    for url in ("https://files.example.com/x", "https://contoso.example/x", "https://xcontoso.example/x"):
        assert not cloud.allows_file(url)
    assert not cloud.allows("https://a.contoso.example/")


@pytest.mark.parametrize("host", ["", "*", "*.", "*.com", "*.a.b:1", "https://x.example", "a/b", ".com", "**.a.b"])
def test_a_malformed_host_of_files_is_refused(host: str) -> None:
    with pytest.raises(ValueError, match="no host of files"):
        named("public", file_hosts=[host])


def test_a_custom_cloud_has_only_the_named_hosts_of_files() -> None:
    cloud = custom("http://127.0.0.1:1/o", "http://127.0.0.1:1", ["127.0.0.1:2"], ["127.0.0.1:3"])

    assert cloud.allows_file("http://127.0.0.1:3/f?a=b")
    assert not cloud.allows_file("http://127.0.0.1:2/f")
    assert not cloud.allows_file("https://contoso.sharepoint.com/f")


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://smba.trafficmanager.net/emea/3f2b-8c1e/v3/attachments/0-weu-d1-abc/views/original", True),
        ("https://smba.trafficmanager.net/v3/attachments/x/views/imgo", True),
        ("https://smba.trafficmanager.net/emea/v3/attachments/../views/original", False),
        ("https://smba.trafficmanager.net/emea/v3/attachments/x/views/..", False),
        ("https://smba.trafficmanager.net/emea/v3/conversations/x/members", False),
        ("https://smba.trafficmanager.net/emea/v3/attachments/x/views/original?a=/v3/attachments/x/views/y", False),
        ("https://smba.trafficmanager.net", False),
        ("https://contoso.sharepoint.com/v3/attachments/x/views/original", False),
        ("http://smba.trafficmanager.net/v3/attachments/x/views/original", False),
    ],
)
def test_only_pictures_on_the_connectors_host_may_be_fetched_with_the_token(url: str, allowed: bool) -> None:
    assert CLOUDS["public"].allows_picture(url) is allowed
