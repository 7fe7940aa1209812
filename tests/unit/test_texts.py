"""The bridge's own sentences: all of them used, filled, and in words for people who know nothing of gateways."""

from __future__ import annotations

import ast
import re
import string
from functools import cache
from pathlib import Path

import pytest

from bridge.core import errors
from bridge.core.access import Denial
from bridge.core.errors import BridgeError
from bridge.core.texts import ENGLISH, say

BRIDGE = Path(errors.__file__).parent.parent
LABELS = {kind.label for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BridgeError)}
HTTP_WORDS = r"\bHTTPS?\b|\bJSON\b|\bAPI\b|\bWebSocket\b|\b[45]\d\d\b|\btoken\b|\bsession\b|\btime-?out\b|\bSQL"
CLASS_NAMES = "|".join(name for name, kind in vars(errors).items() if isinstance(kind, type))


def holes(sentence: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None}


@cache
def nodes() -> tuple[ast.AST, ...]:
    """Everything in the product's modules, but for the table itself and the simulator."""
    paths = [path for path in BRIDGE.rglob("*.py") if path.name != "texts.py" and "simulator" not in path.parts]
    return tuple(node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def literals() -> set[str]:
    """Every string in them."""
    return {node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def said() -> set[str]:
    """The keys that are given to `say` as they stand."""
    calls = [node for node in nodes() if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"]
    keys = [call.args[0] for call in calls if call.args]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def test_no_sentence_is_kept_that_nobody_says() -> None:
    assert ENGLISH.keys() - LABELS - set(Denial) - literals() == set()


def test_whatever_is_said_is_in_the_table() -> None:
    keys = said()

    assert keys
    assert keys - ENGLISH.keys() == set()


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_sentence_has_no_words_of_programmers(key: str) -> None:
    words = re.sub(r"\{\w+\}", "", ENGLISH[key])

    assert not re.search(HTTP_WORDS, words, re.IGNORECASE)
    assert not re.search(rf"\b({CLASS_NAMES})\b|\w+_\w+|Error\b|Exception", words)


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_sentence_is_said_with_its_holes_filled(key: str) -> None:
    names = holes(ENGLISH[key])
    values = {name: f"<{name}>" for name in names}

    words = say(key, **values)

    assert all(value in words for value in values.values())
    if names:
        with pytest.raises(KeyError):
            say(key)


def test_braces_in_what_fills_a_hole_stay_as_they_are() -> None:
    assert "{commands}" in say("stopped_by", name="{commands}")


def test_a_key_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        say("no_such_key")


@pytest.mark.parametrize("locale", ["", "en", "en-US", "EN-gb", "xx-YY", "-", "vi-VN", "💥"])
def test_every_locale_gets_words(locale: str) -> None:
    assert say("stop_nothing", locale) == ENGLISH["stop_nothing"]
