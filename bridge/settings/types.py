"""The types of settings' values: each type parses the written value, or fails with a sentence for the operator."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from bridge.core.commands import LONGEST_STARTER, MOST_STARTERS
from bridge.teams.clouds import connector_hosts, endpoint, hosts_of_files, is_loopback_http


def _guid(value: object) -> object:
    try:
        return str(UUID(str(value)))
    except ValueError:
        raise ValueError("must be a GUID such as 00000000-0000-0000-0000-000000000000") from None


def _url(value: object) -> object:
    text = str(value).strip().rstrip("/")
    found = re.fullmatch(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[^\s/?#@:\[\]\\]+)(?::(\d{1,5}))?(?:/[^\s?#]*)?", text)
    if found is None or int(found[1] or 0) > 65535:
        raise ValueError("must be an address such as https://host.example.com, without user name or query")
    return text


def _public(url: str) -> str:
    if not url.startswith("https://") and not is_loopback_http(url):
        raise ValueError("must begin with https://, as Teams asks for (http only for this machine)")
    return url


def _connector_hosts(entries: tuple[str, ...]) -> tuple[str, ...]:
    connector_hosts(entries)
    return entries


def _hosts_of_files(entries: tuple[str, ...]) -> tuple[str, ...]:
    hosts_of_files(entries)
    return entries


def _password(value: object) -> object:
    """A secret without blanks and line ends around, as pasted text often brings both. Raises: ValueError."""
    if not isinstance(value, str):
        return value
    secret = value.strip()
    if not secret:
        raise ValueError("is empty but for blanks; give the secret's value")
    if not secret.isprintable():
        raise ValueError("holds a line break or an invisible character; give the secret's value alone")
    return secret


def _secret(value: object) -> object:
    """A secret in ASCII, as HTTP headers need. Raises: ValueError."""
    secret = _password(value)
    if isinstance(secret, str) and not secret.isascii():
        raise ValueError("holds a character that no such secret has; copy its value once more")
    return secret


def _list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _starters(value: object) -> object:
    """Questions as a list, or in a line separated by semicolons, since questions hold commas. Raises: ValueError."""
    parts = value.split(";") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError("must be questions, separated by semicolons")
    questions = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if len(questions) > MOST_STARTERS:
        raise ValueError(f"has {len(questions)} questions; at most {MOST_STARTERS} are allowed")
    for number, question in enumerate(questions, 1):
        if len(question) > LONGEST_STARTER:
            raise ValueError(f"question {number} has {len(question)} characters; shorten it to {LONGEST_STARTER}")
        if not question.isprintable():
            raise ValueError(f"question {number} holds a line break or an invisible character; write it in one line")
        if question.startswith("/"):
            raise ValueError(f"question {number} begins with a slash, as commands do; write it as people would ask it")
    return questions


Guid = Annotated[str, BeforeValidator(_guid)]
Url = Annotated[str, BeforeValidator(_url)]
PublicUrl = Annotated[Url, AfterValidator(_public)]
CloudUrl = Annotated[Url, AfterValidator(endpoint)]
Secret = Annotated[SecretStr, BeforeValidator(_secret)]
Password = Annotated[SecretStr, BeforeValidator(_password)]
Words = Annotated[tuple[str, ...], BeforeValidator(_list)]
ConnectorHosts = Annotated[Words, AfterValidator(_connector_hosts)]
FileHosts = Annotated[Words, AfterValidator(_hosts_of_files)]
Guids = Annotated[tuple[Guid, ...], BeforeValidator(_list)]
Starters = Annotated[tuple[str, ...], BeforeValidator(_starters)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
