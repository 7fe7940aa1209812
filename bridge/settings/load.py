"""Loads the settings from environment variables and a TOML file, and reports all problems at once.

`load` reads no files except the files named by settings (sources.py).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from bridge.core.errors import SettingsInvalid
from bridge.settings.describe import describe, secret_names
from bridge.settings.model import Settings, is_postgres
from bridge.settings.sources import Names, own_texts, read

# Off loopback strangers may try tokens: 20 characters of a random token cannot be tried out. A word repeated to that
# length has few different characters, 16 random bytes in hexadecimal have more than 8 nearly always.
_LEAST_TOKEN = 20
_LEAST_DIFFERENT = 8


def load(environment: Mapping[str, str]) -> Settings:
    """The settings from environment variables, else from the TOML file named by BRIDGE_CONFIG, else the defaults.

    `NAME_FILE` gives the value of a secret `NAME` from a file. SettingsInvalid holds a sentence for each problem.
    Raises: SettingsInvalid.
    """
    problems: list[str] = []
    given = read(environment, _known(), problems)
    problems.extend(_conflicts(given))
    if texts := given.get("BRIDGE_TEXTS"):
        given["BRIDGE_TEXTS"] = own_texts(str(texts), problems)
    try:
        settings = Settings.model_validate(given)
    except ValidationError as error:
        problems.extend(_sentence(dict(item)) for item in error.errors() if not _is_reported(dict(item), problems))
        raise SettingsInvalid(tuple(problems)) from None
    if problems:
        raise SettingsInvalid(tuple(problems))
    return settings


def _known() -> Names:
    settings = list(describe())
    return Names(
        settings={name: setting.name for setting in settings for name in (setting.name, *setting.aliases)},
        secrets=frozenset(setting.name for setting in settings if setting.secret),
    )


def _conflicts(given: Mapping[str, Any]) -> Iterator[str]:
    """Problems between several settings; found before the single fields are checked, so all come in the same report."""
    if given.get("TEAMS_CLOUD") == "custom":
        for name in ("TEAMS_OPENID_URL", "TEAMS_LOGIN_URL", "TEAMS_SERVICE_HOSTS"):
            if not given.get(name):
                yield f"{name}: is needed with TEAMS_CLOUD=custom"
    if given.get("TEAMS_CLOUD") == "china" and not given.get("TEAMS_SERVICE_HOSTS"):
        yield "TEAMS_SERVICE_HOSTS: is needed with TEAMS_CLOUD=china: the host of the serviceUrl that Teams sends"
    fields = Settings.model_fields
    port = given.get("BRIDGE_PORT", given.get("PORT", fields["port"].default))
    if str(port) == str(given.get("BRIDGE_ADMIN_PORT", fields["admin_port"].default)) != "0":
        yield "BRIDGE_ADMIN_PORT: is the public listener's port too; give each one of its own"
    if not _is_loopback(str(given.get("BRIDGE_ADMIN_HOST", "127.0.0.1"))):
        token = str(given.get("BRIDGE_ADMIN_TOKEN", "")).strip()
        if not token:
            yield "BRIDGE_ADMIN_TOKEN: is needed when BRIDGE_ADMIN_HOST is not a loopback address"
        elif len(token) < _LEAST_TOKEN or len(set(token)) < _LEAST_DIFFERENT:
            yield (
                f"BRIDGE_ADMIN_TOKEN: can be guessed; off loopback it needs {_LEAST_TOKEN} characters, "
                f"{_LEAST_DIFFERENT} of them different, as from `openssl rand -hex 16`"
            )
    store = str(given.get("BRIDGE_STORE", ""))
    login = store.partition("://")[2].rpartition("@")[0]
    if is_postgres(store) and (login.partition(":")[2] or "password=" in store):
        yield "BRIDGE_STORE: holds a password; give it as BRIDGE_STORE_PASSWORD, best in a file (…_FILE)"


def _is_reported(error: dict[str, Any], problems: list[str]) -> bool:
    """Whether a problem of the secret's file already explains why the secret is missing."""
    return error["type"] == "missing" and any(known.startswith(f"{error['loc'][0]}_FILE:") for known in problems)


def _sentence(error: dict[str, Any]) -> str:
    """The sentence for an error of pydantic (`ValidationError.errors()`)."""
    if not error["loc"]:
        return str(error["msg"]).removeprefix("Value error, ")
    name = str(error["loc"][0])
    if error["type"] == "missing":
        about = next(setting.about for setting in describe() if setting.name == name)
        file = f" (or {name}_FILE)" if name in secret_names() else ""
        return f"{name}{file}: is not set. {about}"
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
