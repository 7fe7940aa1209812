"""Settings as text: for the settings page, `teams-bridge config` and messages about wrong settings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import AliasChoices, SecretStr

from bridge.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as the documentation shows it: `about` is a sentence, `default` is text, "" without a default.

    `secret`: the value may also come from a file named by `<name>_FILE`.
    """

    name: str
    aliases: tuple[str, ...]
    default: str
    about: str
    required: bool
    secret: bool


def describe() -> Iterator[Setting]:
    """Describe every setting, in the order of `Settings`."""
    for field in Settings.model_fields.values():
        name, *aliases = _aliases(field.validation_alias)
        yield Setting(
            name=name,
            aliases=tuple(aliases),
            default="" if field.annotation is SecretStr else _as_text(field.default),
            about=field.description or "",
            required=field.is_required(),
            secret=field.annotation is SecretStr,
        )


def secret_names() -> tuple[str, ...]:
    """The names of the settings whose value can come from a file (`<name>_FILE`)."""
    return tuple(setting.name for setting in describe() if setting.secret)


def effective(settings: Settings) -> Iterator[tuple[str, str]]:
    """Each setting's name and value as text; secrets are masked."""
    for key, field in Settings.model_fields.items():
        yield _aliases(field.validation_alias)[0], _as_text(getattr(settings, key))


def _aliases(alias: object) -> tuple[str, ...]:
    return tuple(str(choice) for choice in alias.choices) if isinstance(alias, AliasChoices) else ()


def _as_text(value: object) -> str:
    if value is None or repr(value) == "PydanticUndefined":
        return ""
    if isinstance(value, SecretStr):
        return "********" if value.get_secret_value() else ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ",".join(str(part) for part in value) if isinstance(value, tuple) else str(value)
