"""The bridge's own sentences by language: the shipped ones or an admin's own.

The sentences in use are the only mutable state in core. `use` sets them once, at start, before the first message is
handled; afterwards they do not change. docs/decisions.md, "Words", has the reason.
"""

from __future__ import annotations

import difflib
import pkgutil
import string
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from bridge.core import locales

Sentences = Mapping[str, Mapping[str, str]]
"""Sentences by language code (`vi`), then by key."""

_LONGEST: Final = 4_000  # characters of an admin's sentence


def _shipped() -> dict[str, dict[str, str]]:
    names = sorted(module.name for module in pkgutil.iter_modules(locales.__path__))
    return {name: import_module(f"{locales.__name__}.{name}").TEXTS for name in names}


SHIPPED: Final = _shipped()
ENGLISH: Final = SHIPPED["en"]
_in_use: dict[str, Mapping[str, str]] = dict(SHIPPED)


def use(own: Sentences) -> None:
    """Put an admin's sentences in place of the shipped ones; call once, at start, with sentences without `faults`.

    Sentences and languages missing in `own` stay as shipped; an earlier call's sentences are dropped.
    """
    _in_use.clear()
    for language in {*SHIPPED, *own}:
        _in_use[language] = {**SHIPPED.get(language, {}), **own.get(language, {})}


def languages() -> tuple[str, ...]:
    """The codes of all languages in use, in alphabetical order."""
    return tuple(sorted(_in_use))


def say(key: str, locale: str = "", **fields: str | int) -> str:
    """The sentence under `key` in the language of `locale` (`vi-VN`), in English where the language has none.

    `fields` are the values for the sentence's `{name}` fields. An unknown key and a field without a value are errors.
    Raises: KeyError.
    """
    language = locale.partition("-")[0].lower()
    sentence = _in_use.get(language, {}).get(key) or _in_use["en"][key]
    return sentence.format(**fields)


def span(seconds: float, locale: str) -> str:
    """A waiting time, roughly, as people say it: `20 s`, `3 min`."""
    if seconds < 90:
        return say("seconds", locale, count=max(10, round(seconds / 10) * 10))
    return say("minutes", locale, count=round(seconds / 60))


def faults(own: Mapping[str, object]) -> Iterator[str]:
    """The mistakes in an admin's sentences, a line each, with the remedy. A sentence may drop fields, not add any."""
    for language, table in own.items():
        if not isinstance(table, Mapping):
            yield f"{language}: is not in a table; put the sentences under a heading such as [en]"
        elif not (language.isascii() and language.isalpha() and language.islower() and 2 <= len(language) <= 3):
            yield f"[{language[:20]}]: is not a language; write its code of two or three small letters, such as [vi]"
        else:
            for key, sentence in table.items():
                fault = _fault(key, sentence)
                if fault:
                    yield f"[{language}] {key[:40]}: {fault}"


def _fault(key: str, sentence: object) -> str:
    if key not in ENGLISH:
        close = difflib.get_close_matches(key, sorted(ENGLISH), 1)
        return "is none of the bridge's sentences; " + (f"did you mean {close[0]}?" if close else "remove it")
    if not isinstance(sentence, str) or not sentence.strip():
        return "is no text; write a sentence in quotes, or remove the line to keep the bridge's own"
    if len(sentence) > _LONGEST:
        return f"has {len(sentence)} characters; shorten it to {_LONGEST:,}"
    known = fields_of(ENGLISH[key])
    allowed = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
    try:
        unknown = fields_of(sentence) - known
    except ValueError:
        return f"has braces that do not fit together; write {{{{ for a plain brace (its holes: {allowed})"
    if unknown:
        return f"has an unknown hole {{{min(unknown)[:40]}}}; use only its own holes ({allowed})"
    return ""


def fields_of(sentence: str) -> set[str]:
    """The fields of a sentence, each as written between the braces, which must fit together. Raises: ValueError."""
    found: set[str] = set()
    for _, name, form, conversion in string.Formatter().parse(sentence):
        if name is not None:
            found.add(name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else ""))
    return found
