"""The kinds of values that settings have: each turns what people write into what it means, or says how to write it."""

from __future__ import annotations

import re
from typing import Annotated
from uuid import UUID

from pydantic import BeforeValidator, Field

from bridge.core.commands import LONGEST_STARTER, MOST_STARTERS


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


def _list(value: object) -> object:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _starters(value: object) -> object:
    """Questions hold commas, so in one line they are separated by semicolons."""
    parts = value.split(";") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError("must be questions, separated by semicolons")
    questions = tuple(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if len(questions) > MOST_STARTERS:
        raise ValueError(f"has {len(questions)} questions; a Teams app takes {MOST_STARTERS} of them")
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
Words = Annotated[tuple[str, ...], BeforeValidator(_list)]
Guids = Annotated[tuple[Guid, ...], BeforeValidator(_list)]
Starters = Annotated[tuple[str, ...], BeforeValidator(_starters)]
Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=7 * 24 * 3600)]
