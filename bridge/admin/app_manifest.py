"""A model of the Teams app manifest, version 1.25, with the published limits of each field.

`manifest_problems` lists all faults at once, in sentences "field: the fault; the remedy". The model knows only
the properties in use and refuses all more, so that a slip in the template is found before a Teams admin uploads the
package.

Limits: docs/reference/teams.md, "Limits of version 1.25". The model is stricter than the schema on purpose: the schema
lets http addresses, empty texts, an app without a bot and any version string pass, which Teams refuses later.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Literal, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

T = TypeVar("T")

GUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
HEX_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
THREE_NUMBERS = re.compile(r"(?=.{5,256}\Z)(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){2}")
LANGUAGE = re.compile(r"[A-Za-z0-9]{1,8}(-[A-Za-z0-9]{1,8}){0,2}")
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")
HALF_A_CHARACTER = "holds half a character; write it again"
SURROGATE = re.compile(r"[\ud800-\udfff]")  # a Windows command line can pass half a character into a Python string
# RFC 1123 labels, "*." allowed once in front; the last label is no number, as an IP address is no domain.
HOST = re.compile(
    r"(?=.{4,253}\Z)(?:\*\.)?(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.)+[a-zA-Z][a-zA-Z0-9-]*[a-zA-Z0-9]"
)


def _rule(holds: Callable[[T], bool], sentence: str) -> AfterValidator:
    """A pydantic check by `holds`. `sentence` names the fault and the remedy; the message puts the value in front."""

    def check(value: T) -> T:
        if not holds(value):
            raise PydanticCustomError("rule", "{sentence}", {"sentence": sentence})
        return value

    return AfterValidator(check)


def _is_https(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  reading the property raises ValueError for a port that is no number
    except ValueError:
        return False
    plain = url.isascii() and not re.search(r"[\s\\]", url) and not CONTROL_CHARACTER.search(url)
    return plain and parts.scheme == "https" and bool(parts.hostname) and parts.username is None


def _matches(pattern: re.Pattern[str]) -> Callable[[str], bool]:
    return lambda text: pattern.fullmatch(text) is not None


def _is_filled(text: str) -> bool:
    return bool(text.strip())


def _is_unicode(text: str) -> bool:
    return not SURROGATE.search(text)


def _is_one_line(text: str) -> bool:
    return not CONTROL_CHARACTER.search(text)


def _has_no_duplicates(entries: list[str]) -> bool:
    return len(set(entries)) == len(entries)


_FILLED = _rule(_is_filled, "is empty; write a text")
_ONE_LINE = _rule(_is_one_line, "has a line break or control character; write it in one line")
_UNICODE = _rule(_is_unicode, HALF_A_CHARACTER)

Line = Annotated[str, _FILLED, _ONE_LINE, _UNICODE]
Guid = Annotated[str, _rule(_matches(GUID), "is not a GUID; give one such as 6d2b9f3e-8c1a-4f57-9e0d-2a7c4b5e1f08")]
HttpsUrl = Annotated[
    str,
    Field(max_length=2048),
    _rule(_is_https, "is not an https address; give one such as https://example.com/privacy"),
]
Host = Annotated[
    str,
    _rule(
        _matches(HOST),
        "is not a host name; give it without scheme, port and path, such as bridge.example.com",
    ),
]
LanguageTag = Annotated[str, _rule(_matches(LANGUAGE), "is not the tag of a language; write one such as en or zh-tw")]
Scope = Literal["team", "personal", "groupChat", "copilot"]
Scopes = Annotated[
    list[Scope],
    Field(min_length=1, max_length=4),
    _rule(_has_no_duplicates, "names a scope twice; name each once"),
]


class _Part(BaseModel):
    """Base of the manifest's objects: camelCase names, no further properties, no conversion of values."""

    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


class Developer(_Part):
    """The app's publisher."""

    name: Annotated[Line, Field(max_length=32)]
    website_url: HttpsUrl
    privacy_url: HttpsUrl
    terms_of_use_url: HttpsUrl


class Name(_Part):
    """The app's name."""

    short: Annotated[Line, Field(max_length=30)]
    full: Annotated[Line, Field(max_length=100)]


class Description(_Part):
    """The app's description; only the full text may have several lines."""

    short: Annotated[Line, Field(max_length=80)]
    full: Annotated[str, Field(max_length=4000), _FILLED, _UNICODE]


class Icons(_Part):
    # The package uses these two file names; Teams takes any path inside the zip.
    color: Literal["color.png"]
    outline: Literal["outline.png"]


class BotCommand(_Part):
    """A command or a starter; the title is the message to send."""

    title: Annotated[Line, Field(max_length=128)]
    description: Annotated[Line, Field(max_length=4000)]


class CommandList(_Part):
    """The commands for some scopes."""

    scopes: Scopes
    commands: Annotated[list[BotCommand], Field(max_length=12)]


class Bot(_Part):
    """The app's bot; `bot_id` is the Entra application id."""

    bot_id: Guid
    scopes: Scopes
    supports_files: bool = False
    is_notification_only: bool = False
    command_lists: Annotated[list[CommandList], Field(max_length=3)] = []


class Language(_Part):
    """A further language, and the name of the language's file in the package."""

    language_tag: LanguageTag
    file: Annotated[Line, Field(max_length=2048)]


class LocalizationInfo(_Part):
    """The languages of the app."""

    default_language_tag: LanguageTag
    additional_languages: list[Language] = []


class AppManifest(_Part):
    """A manifest of version 1.25 for an app with a bot as the only capability."""

    schema_url: Annotated[HttpsUrl, Field(alias="$schema")]
    manifest_version: Literal["1.25"]
    version: Annotated[
        str,
        Field(max_length=256),
        _rule(_matches(THREE_NUMBERS), "is not a version of three numbers; write one such as 1.0.0"),
    ]
    id: Guid
    developer: Developer
    name: Name
    description: Description
    icons: Icons
    accent_color: Annotated[
        str,
        _rule(_matches(HEX_COLOUR), "is not a colour; write # and six hexadecimal digits, such as #1B6B72"),
    ]
    bots: Annotated[list[Bot], Field(min_length=1, max_length=1)]
    # 16 in the 1.25 schema of @microsoft/app-manifest 1.1.2; newer pages speak of 100.
    valid_domains: Annotated[list[Host], Field(max_length=16)] = []
    localization_info: LocalizationInfo | None = None


_TOO_LONG = "has {length} {units}, at most {max_length} are allowed; shorten it"
# Sentences by the type of pydantic's error: https://docs.pydantic.dev/latest/errors/validation_errors/
SENTENCES = {
    "rule": "{value} {sentence}",
    "missing": "is missing; add it",
    "extra_forbidden": "is not a property of this app's manifest; remove it or mend its spelling",
    "string_too_long": _TOO_LONG,
    "too_long": _TOO_LONG,
    "too_short": "is an empty list; give at least one entry",
    "string_unicode": f"{{value}} {HALF_A_CHARACTER}",
    "literal_error": "{value} is not allowed; write {expected}",
}


def manifest_problems(document: object) -> list[str]:
    """The faults of a manifest (JSON values) as sentences, in the manifest's order; empty if there is no fault."""
    try:
        AppManifest.model_validate(document)
    except ValidationError as invalid:
        return [_sentence(error) for error in invalid.errors(include_url=False)]
    return []


def _sentence(error: ErrorDetails) -> str:
    value = error["input"]
    template = SENTENCES.get(error["type"], "{value} is of the wrong kind ({msg}); correct it")
    facts = {
        "value": _as_text(value),
        "msg": error["msg"],
        "length": len(value) if isinstance(value, str | list) else 0,
        "units": "characters" if isinstance(value, str) else "entries",
    }
    return f"{_field(error['loc'])}: {template.format_map(facts | error.get('ctx', {}))}"


def _field(location: tuple[int | str, ...]) -> str:
    """The path of a field as people write paths: `("bots", 0, "botId")` becomes `bots[0].botId`."""
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return path.removeprefix(".") or "manifest"


def _as_text(value: object) -> str:
    """A value quoted and cut to a readable length; a list or object by the kind only."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
