"""What the bridge itself says, in the language of the activity's locale: the shipped sentences or an admin's own."""

from __future__ import annotations

import difflib
import pkgutil
import string
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Final

from bridge.core import locales

Sentences = Mapping[str, Mapping[str, str]]
"""By language, then by key."""

_LONGEST: Final = 4_000


def _found() -> dict[str, dict[str, str]]:
    names = sorted(module.name for module in pkgutil.iter_modules(locales.__path__))
    return {name: import_module(f"{locales.__name__}.{name}").TEXTS for name in names}


SHIPPED: Final = _found()
ENGLISH: Final = SHIPPED["en"]
_said: dict[str, Mapping[str, str]] = dict(SHIPPED)


def use(own: Sentences) -> None:
    """From now on say these sentences instead of the shipped ones; whatever `faults` finds in them must be mended
    before. Called once, before anybody is spoken to."""
    _said.clear()
    for language in {*SHIPPED, *own}:
        _said[language] = {**SHIPPED.get(language, {}), **own.get(language, {})}


def languages() -> tuple[str, ...]:
    """All there are now, in alphabetical order."""
    return tuple(sorted(_said))


def say(key: str, locale: str = "", **holes: str | int) -> str:
    """The sentence under `key` in the language of `locale` (`vi-VN`), English where there is none.

    Raises KeyError for an unknown key or a hole that is not filled.
    """
    language = locale.partition("-")[0].lower()
    sentence = _said.get(language, {}).get(key) or _said["en"][key]
    return sentence.format(**holes)


def span(seconds: float, locale: str) -> str:
    """A waiting time as people say it: `20 s`, `3 min`."""
    if seconds < 90:
        return say("seconds", locale, count=max(10, round(seconds / 10) * 10))
    return say("minutes", locale, count=round(seconds / 60))


def faults(own: Mapping[str, object]) -> Iterator[str]:
    """What is wrong with an admin's sentences, each with what to do. A hole may be left out, but none made up."""
    for language, table in own.items():
        if not isinstance(table, Mapping):
            yield f"{language}: is not in a table; put the sentences under a heading such as [en]"
        elif not (language.isascii() and language.isalpha() and language.islower() and 2 <= len(language) <= 3):
            yield f"[{language[:20]}]: is not a language; write its code of two or three small letters, such as [vi]"
        else:
            for key, sentence in table.items():
                wrong = _wrong(key, sentence)
                if wrong:
                    yield f"[{language}] {key[:40]}: {wrong}"


def _wrong(key: str, sentence: object) -> str:
    if key not in ENGLISH:
        close = difflib.get_close_matches(key, sorted(ENGLISH), 1)
        return "is none of the bridge's sentences; " + (f"did you mean {close[0]}?" if close else "remove it")
    if not isinstance(sentence, str) or not sentence.strip():
        return "is no text; write a sentence in quotes, or remove the line to keep the bridge's own"
    if len(sentence) > _LONGEST:
        return f"has {len(sentence)} characters; shorten it to {_LONGEST:,}"
    known = holes(ENGLISH[key])
    allowed = ", ".join(f"{{{name}}}" for name in sorted(known)) or "none"
    try:
        strange = holes(sentence) - known
    except ValueError:
        return f"has braces that do not fit together; write {{{{ for a plain brace (its holes: {allowed})"
    if strange:
        return f"has an unknown hole {{{min(strange)[:40]}}}; use only its own holes ({allowed})"
    return ""


def holes(sentence: str) -> set[str]:
    """The holes of a sentence, each as it stands between its braces. Raises ValueError where braces do not fit."""
    found: set[str] = set()
    for _, name, form, conversion in string.Formatter().parse(sentence):
        if name is not None:
            found.add(name + (f"!{conversion}" if conversion else "") + (f":{form}" if form else ""))
    return found
