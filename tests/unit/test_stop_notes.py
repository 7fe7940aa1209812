"""The note that names the questions which `/stop` closed while they waited."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.identity import prompt_text
from bridge.core.outbound.answers_and_notes import note, note_turn, stopped_early
from bridge.core.turn import Kind, Lane, Payload, Person, Reference, Scope, State, Turn

ANN = Person("29:ann", "aad-ann", "Ann")


def command(scope: Scope = Scope.PERSONAL, locale: str = "en-US") -> Payload:
    return Payload(Reference("https://smba.example/", "chat", scope, "tenant", "28:bot", "29:ann", "a1", locale), ANN)


def question(n: int, text: str, scope: Scope = Scope.PERSONAL) -> Turn:
    payload = replace(command(scope), text=prompt_text(scope, ANN.name, text) if text else "")
    return Turn(n, f"q{n}", Kind.ASK, Lane("lane"), State.CLOSED, payload, 0.0)


def words(questions: list[Turn], scope: Scope = Scope.PERSONAL, locale: str = "en-US") -> str:
    (activity,) = stopped_early(note_turn("stop", command(scope, locale), note(""), 0.0), questions).payload.activities
    return str(activity["text"])


@pytest.mark.parametrize("scope", list(Scope))
def test_the_questions_are_named_as_their_asker_wrote_them(scope: Scope) -> None:
    asked = [question(1, "What is [new]?", scope), question(2, "And then?", scope)]
    assert words(asked, scope) == "Stopped before the agent was asked: “What is new ?”, “And then?”"


def test_many_questions_are_counted() -> None:
    asked = [question(n, f"q{n}") for n in range(1, 8)]
    assert words(asked).endswith("“q4”, “q5”, and 2 more")
    assert words(asked, locale="vi-VN").endswith("“q5”, và 2 câu hỏi khác")
    assert words(asked, locale="zh-CN").endswith("“q5”, 以及另外 2 个问题")


def test_a_question_without_words_has_the_name_of_its_file_or_its_number() -> None:
    file = SharedFile("report.txt", "https://files.example/1", FileKind.DOWNLOAD)
    with_file = replace(question(1, ""), payload=replace(command(), files=(file,)))
    assert words([with_file, question(7, "")]).endswith("“report.txt”, “T-7”")


@given(st.lists(st.text(), min_size=1, max_size=20), st.sampled_from(list(Scope)))
def test_whatever_was_asked_the_note_is_one_short_line_without_markup(texts: list[str], scope: Scope) -> None:
    note_text = words([question(n, text, scope) for n, text in enumerate(texts, 1)], scope)
    assert note_text.isprintable()
    assert len(note_text) < 500
    assert not set("[]<>*_`~!#|") & set(note_text)
