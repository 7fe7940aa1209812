"""The bridge's sentences: all used, with fields, translated, in words for people without knowledge of gateways."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bridge.core import errors, texts
from bridge.core.access import Denial
from bridge.core.commands import COMMANDS, CommandInfo, help_lines
from bridge.core.errors import BridgeError
from bridge.core.outbound.answers_and_notes import LONGEST_ANSWER, answer
from bridge.core.outbound.cards import confirm_new, interrupted
from bridge.core.texts import ENGLISH, SHIPPED, faults, fields_of, say, span

BRIDGE = Path(errors.__file__).parent.parent
LABELS = {kind.label for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, BridgeError)}
HTTP_WORDS = r"\bHTTPS?\b|\bJSON\b|\bAPI\b|\bWebSocket\b|\b[45]\d\d\b|\btoken\b|\bsession\b|\btime-?out\b|\bSQL"
CLASS_NAMES = "|".join(name for name, kind in vars(errors).items() if isinstance(kind, type))


# Sentences for the agent, not for people: English in every language.
FOR_THE_AGENT = {"files_alone", "files_dropped", "file_goes_on", "no_text_dropped"}
TRANSLATED = sorted(SHIPPED.keys() - {"en"})
ALPHABET = {"vi": "ăâđêôơưáàảãạếềểễệốồổỗộớờởỡợứừửữự", "zh": "您的智能体我不请再"}


@pytest.fixture
def shipped_sentences_afterwards() -> Iterator[None]:
    """Put the shipped sentences back after the test."""
    yield
    texts.use({})


@cache
def nodes() -> tuple[ast.AST, ...]:
    """The syntax trees of all modules without locales and simulator."""
    paths = [path for path in BRIDGE.rglob("*.py") if not {"locales", "simulator"} & {*path.parts}]
    return tuple(node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


def literals() -> set[str]:
    """Every string literal in the modules."""
    return {node.value for node in nodes() if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def said() -> set[str]:
    """The keys given to `say` as literals."""
    calls = [node for node in nodes() if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "say"]
    keys = [call.args[0] for call in calls if call.args]
    return {key.value for key in keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}


def test_every_sentence_is_used() -> None:
    assert ENGLISH.keys() - LABELS - set(Denial) - literals() == set()


def test_people_read_sentences_of_the_table_only() -> None:
    """Functions that make the content of messages get no literal words as their first argument."""
    makers = {"note", "ClickResponse", "done", "_card", "_words", "continued"}
    calls = [node for node in nodes() if isinstance(node, ast.Call)]
    makes = [node for node in calls if getattr(node.func, "id", getattr(node.func, "attr", "")) in makers]
    given_words = [part for node in makes for argument in node.args[:1] for part in ast.walk(argument)]
    said_here = [call for call in given_words if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "say"]
    keys = {id(argument) for call in said_here for argument in call.args}

    words = [part.value for part in given_words if isinstance(part, ast.Constant) and id(part) not in keys]

    assert len(makes) > 10
    assert [word for word in words if isinstance(word, str) and any(map(str.isalpha, word))] == []


def test_every_key_given_to_say_is_in_the_table() -> None:
    keys = said()

    assert keys
    assert keys - ENGLISH.keys() == set()


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_sentence_has_no_words_of_programmers(key: str) -> None:
    words = re.sub(r"\{\w+\}", "", ENGLISH[key])

    assert not re.search(HTTP_WORDS, words, re.IGNORECASE)
    assert not re.search(rf"\b({CLASS_NAMES})\b|\w+_\w+|Error\b|Exception", words)


@pytest.mark.parametrize("key", sorted(ENGLISH))
def test_a_sentence_needs_a_value_for_each_of_its_fields(key: str) -> None:
    names = fields_of(ENGLISH[key])
    values = {name: f"<{name}>" for name in names}

    words = say(key, **values)

    assert all(value in words for value in values.values())
    if names:
        with pytest.raises(KeyError):
            say(key)


def test_braces_in_a_fields_value_stay_unchanged() -> None:
    assert "{commands}" in say("stopped_by", name="{commands}")


def test_a_key_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(KeyError):
        say("no_such_key")


# -- languages --


@pytest.mark.parametrize("locale", ["", "en", "en-US", "EN-gb", "xx-YY", "-", "💥", "v", "zhh", "vi_VN"])
def test_a_locale_without_sentences_reads_english(locale: str) -> None:
    assert say("stop_nothing", locale) == ENGLISH["stop_nothing"]


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("vi", "vi"),
        ("vi-VN", "vi"),
        ("VI-vn", "vi"),
        ("zh-CN", "zh"),
        ("zh-Hans-SG", "zh"),
        ("zh-TW", "zh"),
        ("zh-HK", "zh"),
    ],
)
def test_the_locale_picks_the_language(locale: str, language: str) -> None:
    assert say("stop_nothing", locale) == SHIPPED[language]["stop_nothing"]


def test_english_vietnamese_and_chinese_are_there() -> None:
    assert {"en", "vi", "zh"} <= SHIPPED.keys()


def test_a_file_in_the_folder_is_a_language() -> None:
    folder = BRIDGE / "core" / "locales"

    assert sorted(SHIPPED) == sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("language", TRANSLATED)
def test_a_language_has_every_sentence_with_the_same_fields(language: str) -> None:
    assert list(SHIPPED[language]) == list(ENGLISH)
    for key, sentence in SHIPPED[language].items():
        assert fields_of(sentence) == fields_of(ENGLISH[key]), key


@pytest.mark.parametrize("language", TRANSLATED)
def test_every_sentence_is_translated(language: str) -> None:
    same = {key for key in ENGLISH if SHIPPED[language][key] == ENGLISH[key]}

    assert same == FOR_THE_AGENT
    assert all(letter in "".join(SHIPPED[language].values()) for letter in ALPHABET.get(language, ""))


@pytest.mark.parametrize("language", sorted(SHIPPED))
def test_commands_and_markup_are_the_same_in_every_language(language: str) -> None:
    """Commands, bold words, lists and paragraphs must match the English sentence."""
    for key, sentence in SHIPPED[language].items():
        marks = (re.findall(r"/[a-z]+", sentence), sentence.count("**"), sentence.count("\n"), sentence.count("- "))
        english = ENGLISH[key]
        expected = (re.findall(r"/[a-z]+", english), english.count("**"), english.count("\n"), english.count("- "))
        assert marks == expected, key


@pytest.mark.parametrize(("language", "key"), list(product(sorted(SHIPPED), sorted(ENGLISH))))
def test_a_sentence_is_clean_text_whose_markup_works(language: str, key: str) -> None:
    """Beside Chinese letters some `**` make no bold words without a blank or a letter on the right side."""
    sentence = SHIPPED[language][key]
    shown = MarkdownIt().render(re.sub(r"\{(\w+)\}", "/x", sentence))

    assert "*" not in shown
    assert sentence == sentence.strip() or key == "status_waiting"
    assert not re.search("\ufffd|\u00c3|\u00c2|\u00e2\u20ac|\u00ef\u00bc|\u00e1\u00ba|  |[\u0300-\u036f]", sentence)
    assert all(character.isprintable() or character == "\n" for character in sentence)


@pytest.mark.parametrize(("language", "info"), list(product(sorted(SHIPPED), COMMANDS)))
def test_help_and_menu_are_in_the_readers_language(language: str, info: CommandInfo) -> None:
    assert info.about(language) == SHIPPED[language][info.about_key]
    assert f"**{info.word}** – {info.about(language)}" in help_lines(language)
    assert 0 < len(info.about(language)) <= 128


def test_cards_notes_and_times_are_in_the_readers_language() -> None:
    chinese = SHIPPED["zh"]
    (card,) = confirm_new("zh-CN")["attachments"]

    assert interrupted(1, "T-1", "zh-CN")["summary"] == chinese["interrupted"]
    assert card["content"]["actions"][0]["title"] == chinese["new_yes"]
    assert chinese["answer_cut"] in answer("word " * (LONGEST_ANSWER // 5 + 1), "zh-CN")[-1]["text"]
    assert [span(seconds, "zh-CN") for seconds in (3, 44, 89, 90, 600)] == [
        "10 秒",
        "40 秒",
        "90 秒",
        "2 分钟",
        "10 分钟",
    ]
    assert [span(seconds, "vi-VN") for seconds in (44, 600)] == ["40 giây", "10 phút"]


# -- an admin's own --


@pytest.mark.usefixtures("shipped_sentences_afterwards")
def test_an_admin_replaces_a_sentence_in_one_language() -> None:
    texts.use({"vi": {"stopped": "Xong."}})

    assert say("stopped", "vi-VN") == "Xong."
    assert say("stopped", "en-US") == ENGLISH["stopped"]
    assert say("stop_nothing", "vi-VN") == SHIPPED["vi"]["stop_nothing"]


@pytest.mark.usefixtures("shipped_sentences_afterwards")
def test_sentences_missing_in_an_admins_language_are_said_in_the_admins_english() -> None:
    texts.use({"de": {"stopped": "Angehalten."}, "en": {"silent": "*Nothing to say.*"}})

    assert say("stopped", "de-AT") == "Angehalten."
    assert say("silent", "de-AT") == say("silent", "fr-FR") == "*Nothing to say.*"
    assert say("ask_again", "de-AT") == ENGLISH["ask_again"]


@pytest.mark.usefixtures("shipped_sentences_afterwards")
def test_a_second_use_drops_the_sentences_of_the_first() -> None:
    texts.use({"en": {"stopped": "One."}})
    texts.use({"en": {"silent": "Two."}})

    assert (say("stopped"), say("silent")) == (ENGLISH["stopped"], "Two.")


@pytest.mark.parametrize("language", sorted(SHIPPED))
def test_the_shipped_sentences_have_no_faults(language: str) -> None:
    assert list(faults({language: SHIPPED[language]})) == []


@pytest.mark.parametrize(
    "table",
    [
        {"en": {"stopped_by": "Stopped."}},  # a field may be left out
        {"en": {"stopped_by": "{{{name}}}"}},
        {"fil": {"stopped": "Hinto."}},
        {"en": {}},
        {},
    ],
)
def test_valid_sentences_of_an_admin_have_no_fault(table: dict[str, dict[str, str]]) -> None:
    assert list(faults(table)) == []


@pytest.mark.parametrize(
    ("table", "beginning"),
    [
        ({"stopped": "Stopped."}, "stopped: is not in a table; put"),
        ({"English": {}}, "[English]: is not a language; write"),
        ({"zh-TW": {}}, "[zh-TW]: is not a language; write"),
        ({"": {}}, "[]: is not a language; write"),
        ({"en": {"stoped": "x"}}, "[en] stoped: is none of the bridge's sentences; did you mean stopped?"),
        ({"en": {"qqqq": "x"}}, "[en] qqqq: is none of the bridge's sentences; remove it"),
        ({"en": {"stopped": 1}}, "[en] stopped: is no text; write"),
        ({"en": {"stopped": {"by": "x"}}}, "[en] stopped: is no text; write"),
        ({"en": {"stopped": " "}}, "[en] stopped: is no text; write"),
        ({"en": {"stopped": "x" * 4001}}, "[en] stopped: has 4001 characters; shorten it to 4,000"),
        ({"en": {"stopped": "{name}"}}, "[en] stopped: has an unknown hole {name}; use only its own holes (none)"),
        (
            {"en": {"stopped_by": "{nmae}"}},
            "[en] stopped_by: has an unknown hole {nmae}; use only its own holes ({name})",
        ),
        ({"en": {"stopped_by": "{}"}}, "[en] stopped_by: has an unknown hole {}; use"),
        ({"en": {"stopped_by": "{0}"}}, "[en] stopped_by: has an unknown hole {0}; use"),
        ({"en": {"stopped_by": "{name.__class__}"}}, "[en] stopped_by: has an unknown hole {name.__class__}; use"),
        ({"en": {"stopped_by": "{name[0]}"}}, "[en] stopped_by: has an unknown hole {name[0]}; use"),
        ({"en": {"stopped_by": "{name!r}"}}, "[en] stopped_by: has an unknown hole {name!r}; use"),
        ({"en": {"stopped_by": "{name:>999999999}"}}, "[en] stopped_by: has an unknown hole {name:>999999999}; use"),
        ({"en": {"stopped_by": "{name:{name}}"}}, "[en] stopped_by: has an unknown hole {name:{name}}; use"),
        ({"en": {"stopped_by": "{name"}}, "[en] stopped_by: has braces that do not fit together; write"),
        ({"en": {"stopped_by": "name}"}}, "[en] stopped_by: has braces that do not fit together; write"),
    ],
)
def test_a_faulty_sentence_of_an_admin_is_reported_with_the_remedy(table: dict[str, object], beginning: str) -> None:
    (fault,) = faults(table)

    assert fault.startswith(beginning)


@given(st.text(max_size=40) | st.text("{}!:name.[]0 ", max_size=12))
def test_a_sentence_without_a_fault_can_be_said(sentence: str) -> None:
    found = list(faults({"en": {"stopped_by": sentence}}))

    try:
        if not found:
            texts.use({"en": {"stopped_by": sentence}})
            assert say("stopped_by", name="Ann").count("{name}") == sentence.count("{{name}}")
    finally:
        texts.use({})


def test_every_fault_is_reported() -> None:
    own: dict[str, object] = {"en": {"stoped": "x", "stopped": "{x}", "silent": "fine"}, "xx1": {}, "vi": {"none": ""}}

    assert len(list(faults(own))) == 4
