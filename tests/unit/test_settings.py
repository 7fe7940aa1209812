"""Loading the settings: sources, mistakes, secrets, descriptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from bridge.core.errors import SettingsInvalid
from bridge.settings.describe import describe, effective, secret_names
from bridge.settings.load import load
from bridge.settings.model import Settings

APP = "00000000-0000-4000-8000-0000000000aa"
TENANT = "00000000-0000-4000-8000-0000000000bb"
SECRETS = ("the-app-password", "the-gateway-token", "the-admin-token")
MINIMUM = {
    "TEAMS_APP_ID": APP,
    "TEAMS_APP_PASSWORD": SECRETS[0],
    "TEAMS_TENANT_ID": TENANT,
    "GOCLAW_URL": "http://gateway:8080",
    "GOCLAW_TOKEN": SECRETS[1],
}


def with_minimum(**changes: str | None) -> dict[str, str]:
    return {name: value for name, value in {**MINIMUM, **changes}.items() if value is not None}


def problems(**changes: str | None) -> tuple[str, ...]:
    """The problems of the minimal settings with these changes; None removes a variable."""
    with pytest.raises(SettingsInvalid) as caught:
        load(with_minimum(**changes))
    return caught.value.problems


def names(found: tuple[str, ...]) -> list[str]:
    """The names of the settings in the sentences."""
    return sorted(sentence.split(":")[0].split(" ")[0] for sentence in found)


def toml(tmp_path: Path, text: str) -> dict[str, str]:
    """The variable for a TOML file with the given text."""
    file = tmp_path / "bridge.toml"
    file.write_text(text, encoding="utf-8")
    return {"BRIDGE_CONFIG": str(file)}


# -- sources --


def test_five_settings_are_required_and_the_defaults_are_safe() -> None:
    settings = load(MINIMUM)

    assert (settings.app_id, settings.gateway_url) == (APP, "http://gateway:8080")
    assert settings.tenants == {TENANT}
    assert (settings.guests, settings.meetings, settings.people) == (False, False, ())
    assert (settings.admin_host, settings.cloud, settings.port) == ("127.0.0.1", "public", 3978)


@pytest.mark.parametrize(
    ("name", "alias", "value"),
    [
        ("TEAMS_APP_ID", "MicrosoftAppId", APP),
        ("TEAMS_APP_PASSWORD", "MicrosoftAppPassword", "p"),
        ("TEAMS_TENANT_ID", "MicrosoftAppTenantId", TENANT),
        ("GOCLAW_URL", "GATEWAY_URL", "http://gateway:8080"),
        ("BRIDGE_PORT", "PORT", "8080"),
        ("TEAMS_APP_ID", "MICROSOFTAPPID", APP),  # on Windows all names are upper case
    ],
)
def test_the_conventional_names_are_understood(name: str, alias: str, value: str) -> None:
    assert load(with_minimum(**{name: None, alias: value})) == load(with_minimum(**{name: value}))


def test_of_two_names_of_a_setting_the_primary_name_wins() -> None:
    assert load(with_minimum(BRIDGE_PORT="1", PORT="2")).port == 1


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    file = toml(tmp_path, '[bridge]\nport = 1\nwelcome = false\npeople = ["' + APP + '"]\n')

    settings = load(with_minimum(**file, BRIDGE_PORT="2"))

    assert (settings.port, settings.welcome, settings.people) == (2, False, (APP,))


def test_the_environment_wins_over_the_file_under_another_name_too(tmp_path: Path) -> None:
    file = toml(tmp_path, '[bridge]\nport = 1\n[goclaw]\nurl = "http://file"\ntoken = "file"\n')
    token = tmp_path / "token"
    token.write_text("mounted")

    settings = load(
        with_minimum(**file, PORT="2", GOCLAW_URL=None, GATEWAY_URL="http://env", GOCLAW_TOKEN=None)
        | {"GOCLAW_TOKEN_FILE": str(token)}
    )

    assert (settings.port, settings.gateway_url) == (2, "http://env")
    assert settings.gateway_token.get_secret_value() == "mounted"


def test_all_settings_may_stand_in_the_file(tmp_path: Path) -> None:
    text = "\n".join(f'{name} = "{value}"' for name, value in MINIMUM.items())

    assert load(toml(tmp_path, text)) == load(MINIMUM)
    assert load(toml(tmp_path, text.replace("TEAMS_APP_ID", "MicrosoftAppId"))) == load(MINIMUM)


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    file = toml(tmp_path, f'[goclaw]\nurl = "http://file"\ntoken = "{SECRETS[1]}"\n')

    settings = load(with_minimum(**file, GOCLAW_URL="", GOCLAW_TOKEN="", BRIDGE_PORT="", TEAMS_NONSENSE=""))

    assert (settings.gateway_url, settings.port) == ("http://file", 3978)
    assert names(problems(GOCLAW_TOKEN="")) == ["GOCLAW_TOKEN"]


@pytest.mark.parametrize("name", secret_names())
def test_every_secret_can_come_from_a_file(name: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_bytes("\ufeffs3cret\r\n".encode())
    field = {
        "TEAMS_APP_PASSWORD": "app_password",
        "GOCLAW_TOKEN": "gateway_token",
        "BRIDGE_ADMIN_TOKEN": "admin_token",
        "BRIDGE_STORE_PASSWORD": "store_password",
    }

    settings = load(with_minimum(**{name: None}) | {f"{name}_FILE": str(file)})

    assert getattr(settings, field[name]).get_secret_value() == "s3cret"


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b" \n"])
def test_a_secrets_file_without_a_secret_is_reported_once(content: bytes | None, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)

    assert names(problems(GOCLAW_TOKEN=None, GOCLAW_TOKEN_FILE=str(file))) == ["GOCLAW_TOKEN_FILE"]


@pytest.mark.parametrize("text", ["port = ", "[bridge\n", "a = 1\na = 2"])
def test_a_settings_file_that_is_no_toml_is_reported(text: str, tmp_path: Path) -> None:
    assert "BRIDGE_CONFIG" in names(problems(**toml(tmp_path, text)))


def test_a_missing_settings_file_is_reported(tmp_path: Path) -> None:
    assert names(problems(BRIDGE_CONFIG=str(tmp_path / "none"))) == ["BRIDGE_CONFIG"]


# -- mistakes --


def test_all_missing_settings_are_reported_at_once_with_the_remedy() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        load({})

    assert names(caught.value.problems) == sorted(MINIMUM)
    assert all("is not set. " in sentence and len(sentence) > 40 for sentence in caught.value.problems)
    assert any("GOCLAW_TOKEN_FILE" in sentence for sentence in caught.value.problems)


def test_mistakes_of_every_kind_are_reported_at_once(tmp_path: Path) -> None:
    found = problems(
        TEAMS_APP_ID="my bot",
        GOCLAW_TOKEN=None,
        BRIDGE_PORT="70000",
        BRIDGE_PROT="1",
        TEAMS_CLOUD="custom",
        TEAMS_LOGIN_URL="login",
        BRIDGE_ADMIN_HOST="0.0.0.0",  # noqa: S104  the mistake under test
        TEAMS_APP_PASSWORD=None,
        TEAMS_APP_PASSWORD_FILE=str(tmp_path / "none"),
    )

    assert names(found) == [
        "BRIDGE_ADMIN_TOKEN",
        "BRIDGE_PORT",
        "BRIDGE_PROT",
        "GOCLAW_TOKEN",
        "TEAMS_APP_ID",
        "TEAMS_APP_PASSWORD_FILE",
        "TEAMS_LOGIN_URL",
        "TEAMS_OPENID_URL",
        "TEAMS_SERVICE_HOSTS",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TEAMS_APP_ID", "x"),
        ("MicrosoftAppId", "x"),
        ("TEAMS_ALLOWED_TENANTS", f"{TENANT},contoso.com"),
        ("TEAMS_CLOUD", "mars"),
        ("GOCLAW_URL", "gateway:8080"),
        ("GOCLAW_URL", "ftp://gateway"),
        ("GOCLAW_URL", "http://user:pass@gateway"),
        ("GOCLAW_URL", "http://gateway?x=1"),
        ("GOCLAW_URL", "http://gateway:99999"),
        ("GOCLAW_URL", "http://gateway:port"),
        ("GOCLAW_URL", "http://"),
        ("TEAMS_OPENID_URL", "http://login.example/openid"),
        ("TEAMS_LOGIN_URL", "http://login.example"),
        ("GOCLAW_AGENT", "my agent"),
        ("BRIDGE_PORT", "-1"),
        ("PORT", "http"),
        ("BRIDGE_TURN_TIMEOUT", "0"),
        ("BRIDGE_TURN_TIMEOUT", "nan"),
        ("BRIDGE_KEEP_TEXT_HOURS", "inf"),
        ("BRIDGE_KEEP_IDS_DAYS", "inf"),
        ("BRIDGE_USER_PREFIX", "group:"),
        ("BRIDGE_WELCOME", "perhaps"),
        ("BRIDGE_CHANNEL_SESSION", "conversation"),
        ("BRIDGE_STORE", "postgresql://ann:s3cret@localhost/x"),
    ],
)
def test_a_wrong_value_is_reported_under_the_name_in_use(name: str, value: str) -> None:
    own = {"MicrosoftAppId": "TEAMS_APP_ID"}.get(name)
    changes: dict[str, str | None] = {name: value} | ({own: None} if own else {})

    assert names(problems(**changes)) == [name]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("GOCLAW_URL", "https://gateway.example.com/base/", "https://gateway.example.com/base"),
        ("GOCLAW_URL", "http://[::1]:8080", "http://[::1]:8080"),
        ("TEAMS_APP_ID", APP.upper(), APP),
        ("BRIDGE_PEOPLE", f" {APP.upper()} , {TENANT},", f"{APP},{TENANT}"),
        ("BRIDGE_WELCOME", "off", "false"),
        ("BRIDGE_TURN_TIMEOUT", "90", "90"),
        ("BRIDGE_SHUTDOWN_GRACE", "0", "0"),
    ],
)
def test_spellings_of_values_are_read_generously(name: str, value: str, expected: str) -> None:
    assert dict(effective(load(with_minimum(**{name: value}))))[name] == expected


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("BRIDGE_PROT", "BRIDGE_PORT"),
        ("TEAMS_APPID", "TEAMS_APP_ID"),
        ("BRIDGE_ADMIN_TOKEN_FLIE", "BRIDGE_ADMIN_TOKEN"),
    ],
)
def test_a_misspelt_name_is_refused_with_the_name_of_the_setting(typo: str, meant: str) -> None:
    (sentence,) = problems(**{typo: "x"})

    assert sentence.startswith(f"{typo}: is not a setting; did you mean {meant}")


def test_in_the_file_every_unknown_name_is_a_mistake(tmp_path: Path) -> None:
    file = toml(tmp_path, '[goclaw]\nagnet = "x"\n[colour]\nof = {the = "sky"}\n')

    assert names(problems(**file)) == ["COLOUR_OF_THE", "GOCLAW_AGNET"]


def test_variables_of_other_programs_are_ignored() -> None:
    load({**MINIMUM, "PATH": "/bin", "GOCLAW_GATEWAY_TOKEN": "x", "GATEWAY_PORT": "tcp://10.0.0.1:1", "bridge": "x"})


@pytest.mark.parametrize("service", ["BRIDGE", "TEAMS", "TEAMS_BRIDGE", "BRIDGE_ADMIN", "GOCLAW"])
def test_variables_of_kubernetes_for_a_service_called_bridge_are_ignored(service: str) -> None:
    variables = {
        f"{service}_SERVICE_HOST": "10.0.0.1",
        f"{service}_SERVICE_PORT": "3978",
        f"{service}_SERVICE_PORT_HTTP": "3978",
        f"{service}_PORT": "tcp://10.0.0.1:3978",
        f"{service}_PORT_3978_TCP": "tcp://10.0.0.1:3978",
        f"{service}_PORT_3978_TCP_PROTO": "tcp",
        f"{service}_PORT_3978_TCP_PORT": "3978",
        f"{service}_PORT_3978_TCP_ADDR": "10.0.0.1",
    }

    assert load({**variables, **MINIMUM}) == load(MINIMUM)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_on_loopback_the_admin_listener_needs_no_token(host: str) -> None:
    assert load(with_minimum(BRIDGE_ADMIN_HOST=host)).admin_host == host


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "admin.example.com", "localhost.example.com"])  # noqa: S104  not bound
def test_off_loopback_the_admin_listener_needs_a_token(host: str) -> None:
    assert names(problems(BRIDGE_ADMIN_HOST=host)) == ["BRIDGE_ADMIN_TOKEN"]
    token = "9f86d081884c7d659a2feaa0c55ad015"
    assert load(with_minimum(BRIDGE_ADMIN_HOST=host, BRIDGE_ADMIN_TOKEN=token)).admin_host == host


@pytest.mark.parametrize(
    "token", ["short", "x" * 40, "passwordpasswordpassword"[:19], "abcabcabcabcabcabcabcabc", " t "]
)
def test_off_loopback_a_token_that_can_be_guessed_is_refused(token: str) -> None:
    found = problems(BRIDGE_ADMIN_HOST="0.0.0.0", BRIDGE_ADMIN_TOKEN=token)  # noqa: S104  not bound

    assert names(found) == ["BRIDGE_ADMIN_TOKEN"]
    assert token not in found[0]
    assert load(with_minimum(BRIDGE_ADMIN_TOKEN=token)).admin_token.get_secret_value() == token.strip()


# -- starters, an admin's sentences --


@pytest.mark.parametrize(
    ("value", "starters"),
    [
        ("What can you do?; Who is away, and until when? ;", ("What can you do?", "Who is away, and until when?")),
        (" ; ", ()),
        ("A?;A?", ("A?",)),
        ("今天谁请假？", ("今天谁请假？",)),
    ],
)
def test_starters_are_separated_by_semicolons(value: str, starters: tuple[str, ...]) -> None:
    assert load(with_minimum(BRIDGE_STARTERS=value)).starters == starters


def test_in_the_file_starters_are_a_list(tmp_path: Path) -> None:
    file = toml(tmp_path, '[bridge]\nstarters = ["First; and more?", "Second?"]\n')

    assert load(with_minimum(**file)).starters == ("First; and more?", "Second?")


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        (";".join(f"{n}?" for n in range(9)), "has 9 questions; at most 8 are allowed"),
        ("x" * 129, "question 1 has 129 characters; shorten it to 128"),
        ("Fine?;one\ntwo", "question 2 holds a line break or an invisible character; write it in one line"),
        ("/help", "question 1 begins with a slash, as commands do; write it as people would ask it"),
    ],
)
def test_starters_that_break_the_limits_of_teams_are_reported(value: str, fault: str) -> None:
    assert problems(BRIDGE_STARTERS=value) == (f"BRIDGE_STARTERS: {fault}",)


def test_starters_that_are_no_texts_are_reported(tmp_path: Path) -> None:
    assert names(problems(**toml(tmp_path, "[bridge]\nstarters = 5\n"))) == ["BRIDGE_STARTERS"]
    assert names(problems(**toml(tmp_path, "[bridge]\nstarters = [5]\n"))) == ["BRIDGE_STARTERS"]


def own_texts(tmp_path: Path, content: bytes) -> str:
    file = tmp_path / "texts.toml"
    file.write_bytes(content)
    return str(file)


def test_an_admins_sentences_are_read_from_their_file(tmp_path: Path) -> None:
    path = own_texts(tmp_path, '[vi]\nstopped = "Xong."\n[de]\nsilent = "*…*"\n'.encode())

    settings = load(with_minimum(BRIDGE_TEXTS=path))

    assert settings.texts.sentences == {"vi": {"stopped": "Xong."}, "de": {"silent": "*…*"}}
    assert dict(effective(settings))["BRIDGE_TEXTS"] == path
    assert load(with_minimum(**toml(tmp_path, f"[bridge]\ntexts = '{path}'\n"))) == settings


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"[en\n", "is not valid TOML"),
        (b"[en]\nstopped = '\xff'\n", "is not valid TOML"),
        (b"stopped = 'Done.'\n", "stopped: is not in a table; put the sentences under a heading such as [en]"),
        (b"[en]\nstoped = 'Done.'\n", "[en] stoped: is none of the bridge's sentences; did you mean stopped?"),
        (b"[en]\nstopped = '{who}'\n", "[en] stopped: has an unknown hole {who}"),
    ],
)
def test_faulty_sentences_of_an_admin_are_reported(content: bytes, fault: str, tmp_path: Path) -> None:
    (sentence,) = problems(BRIDGE_TEXTS=own_texts(tmp_path, content))

    assert sentence.startswith(f"BRIDGE_TEXTS: {fault}")


@pytest.mark.parametrize("path", ["/no/such/file.toml", "/", "a\0b"])
def test_an_unreadable_file_of_sentences_is_reported(path: str) -> None:
    assert names(problems(BRIDGE_TEXTS=path)) == ["BRIDGE_TEXTS"]


def test_faults_of_the_sentences_are_reported_with_the_faults_of_the_settings(tmp_path: Path) -> None:
    path = own_texts(tmp_path, b"[en]\nstoped = 'x'\nstopped = '{x}'\n[vi]\nnone = ''\n")

    found = names(problems(BRIDGE_TEXTS=path, BRIDGE_PORT="x", GOCLAW_TOKEN=None))

    assert found == ["BRIDGE_PORT", "BRIDGE_TEXTS", "BRIDGE_TEXTS", "BRIDGE_TEXTS", "GOCLAW_TOKEN"]


# -- secrets stay secret --


def test_printed_settings_hold_no_secret() -> None:
    settings = load({**MINIMUM, "BRIDGE_ADMIN_TOKEN": SECRETS[2]})

    printed = [repr(settings), str(settings), str(settings.model_dump()), settings.model_dump_json()]
    printed.append(str(list(effective(settings))))

    assert not [secret for secret in SECRETS for text in printed if secret in text]
    assert dict(effective(settings))["GOCLAW_TOKEN"] == "********"


@pytest.mark.parametrize("secret", secret_names())
def test_an_error_holds_no_secret(secret: str, tmp_path: Path) -> None:
    """The secret is neither in the sentences nor in the exceptions that a traceback would print."""
    file = toml(tmp_path, f'{secret} = ["hunter2"]\nGOCLAW_URL = "http://u:hunter2@gateway"\n')

    with pytest.raises(SettingsInvalid) as caught:
        load(with_minimum(**{secret: None, "GOCLAW_URL": None, "TEAMS_APP_ID": "hunter2"}, **file))

    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.__context__)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_settings_cannot_be_changed() -> None:
    settings: Any = load(MINIMUM)

    with pytest.raises(ValidationError):
        settings.port = 1


# -- descriptions --


def test_every_setting_is_described_once() -> None:
    settings = list(describe())
    taken = [name for setting in settings for name in (setting.name, *setting.aliases)]

    assert len(settings) == len(Settings.model_fields) == len(list(effective(load(MINIMUM))))
    assert len(set(taken)) == len(taken)
    assert all(setting.about.endswith(".") for setting in settings)
    assert sorted(setting.name for setting in settings if setting.required) == sorted(MINIMUM)


def test_the_described_defaults_are_the_defaults() -> None:
    described = {setting.name: setting.default for setting in describe() if setting.default}

    assert {name: value for name, value in effective(load(MINIMUM)) if name in described} == described
    assert load({**MINIMUM, **described}) == load(MINIMUM)


def test_secrets_are_described_as_secrets() -> None:
    secrets = {name for name, field in Settings.model_fields.items() if field.annotation is SecretStr}

    assert secrets == {"app_password", "gateway_token", "admin_token", "store_password"}
    assert [setting.name for setting in describe() if setting.secret] == list(secret_names())


# -- mistakes that would otherwise show with the first message --


def test_blanks_and_line_ends_around_a_secret_are_removed(tmp_path: Path) -> None:
    padded = {name: f" {value}\r\n" for name, value in MINIMUM.items() if value in SECRETS}
    in_file = toml(tmp_path, 'BRIDGE_ADMIN_TOKEN = "  the-admin-token\\n"')
    settings = load(with_minimum(**padded, **in_file))

    found = (settings.app_password, settings.gateway_token, settings.admin_token)
    assert tuple(secret.get_secret_value() for secret in found) == SECRETS


@pytest.mark.parametrize("name", secret_names())
@pytest.mark.parametrize(
    ("value", "why"),
    [(" \n", "is empty"), ("hid\nden", "line break"), ("hid\u200bden", "invisible"), ("hid\xa0den", "")],
)
def test_an_impossible_secret_is_reported_by_its_name_with_all_other_mistakes(name: str, value: str, why: str) -> None:
    found = problems(**{name: value, "BRIDGE_PORT": "x"})

    assert names(found) == sorted([name, "BRIDGE_PORT"])
    assert why in "".join(found)
    assert "den" not in "".join(found).replace("hidden", "")


def test_only_the_password_of_the_database_may_hold_letters_outside_ascii() -> None:
    assert load(with_minimum(BRIDGE_STORE_PASSWORD="pässwort")).store_password.get_secret_value() == "pässwort"
    assert names(problems(GOCLAW_TOKEN="tökén", TEAMS_APP_PASSWORD="pässwort")) == [
        "GOCLAW_TOKEN",
        "TEAMS_APP_PASSWORD",
    ]


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("TEAMS_FILE_HOSTS", {"TEAMS_FILE_HOSTS": "files.example.com,*.com"}),
        ("TEAMS_SERVICE_HOSTS", {"TEAMS_SERVICE_HOSTS": "https://smba.example.com"}),
        ("TEAMS_SERVICE_HOSTS", {"TEAMS_CLOUD": "china"}),
        ("BRIDGE_ADMIN_PORT", {"BRIDGE_ADMIN_PORT": "3978"}),
        ("BRIDGE_ADMIN_PORT", {"PORT": "3979"}),
        ("BRIDGE_PUBLIC_URL", {"BRIDGE_PUBLIC_URL": "http://bridge.example.com"}),
    ],
)
def test_values_that_can_never_work_are_reported_with_all_other_mistakes(name: str, changes: dict[str, str]) -> None:
    assert names(problems(**changes, GOCLAW_AGENT="no agent")) == sorted([name, "GOCLAW_AGENT"])


def test_unusual_but_valid_values_are_accepted() -> None:
    settings = load(
        with_minimum(
            TEAMS_CLOUD="china",
            TEAMS_SERVICE_HOSTS="smba.example.cn",
            TEAMS_FILE_HOSTS="*.files.example.cn",
            BRIDGE_PORT="0",
            BRIDGE_ADMIN_PORT="0",
            BRIDGE_PUBLIC_URL="http://127.0.0.1:3978/",
        )
    )

    assert settings.public_url == "http://127.0.0.1:3978"
