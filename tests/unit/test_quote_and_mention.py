"""Answers in groups and channels: quote, mention, and names that must break neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.outbound.answers_and_notes import AI_LABEL, FEEDBACK
from bridge.core.outbound.quote_and_mention import continued, mentioning, quoting
from bridge.core.turn import Activity, Person, Reference, Scope
from bridge.simulator.teams.rules import check

ANSWER: Activity = {"type": "message", "textFormat": "markdown", "text": "On Friday.", "entities": [AI_LABEL]}
CARD: Activity = {"type": "message", "summary": "words", "attachments": [{"contentType": "x", "content": {}}]}


def asked(message: str = "1789000061417") -> Reference:
    return Reference("https://x", "19:g@thread.v2", Scope.GROUP, "home", "28:bot", "29:ann", message, "en-US")


def test_an_answer_quotes_its_question_by_a_mark_and_an_entity() -> None:
    activity = quoting(ANSWER | FEEDBACK, asked())

    assert activity["text"] == '<quoted messageId="1789000061417"/>On Friday.'
    assert activity["entities"] == [
        AI_LABEL,
        {"type": "quotedReply", "quotedReply": {"messageId": "1789000061417"}},
    ]
    assert activity["channelData"] == FEEDBACK["channelData"]
    check(activity, personal=False)


@pytest.mark.parametrize("message", ["", "f:1", 'a"/><at>Bob</at>', "1 2"])
def test_without_a_valid_message_id_nothing_is_quoted(message: str) -> None:
    assert quoting(ANSWER, asked(message)) == ANSWER


def test_a_mention_has_the_same_words_in_text_and_entity() -> None:
    activity = mentioning(ANSWER, Person("29:ann", "aad-ann", "Ann Lee"))

    assert activity["text"] == "<at>Ann Lee</at> On Friday."
    mention = {"type": "mention", "text": "<at>Ann Lee</at>", "mentioned": {"id": "29:ann", "name": "Ann Lee"}}
    assert activity["entities"] == [AI_LABEL, mention]
    check(activity, personal=False)


@given(st.text(max_size=60))
def test_no_name_breaks_a_mention(name: str) -> None:
    activity = mentioning(ANSWER, Person("29:ann", "aad-ann", name))

    assert activity["text"].endswith("On Friday.")
    assert activity["text"].count("<at>") == activity["text"].count("</at>") <= 1
    check(activity, personal=False)


@pytest.mark.parametrize("person", [Person("", "aad-ann", "Ann"), Person("29:ann", "aad-ann", "")])
def test_a_person_without_id_or_name_is_not_mentioned(person: Person) -> None:
    assert mentioning(ANSWER, person) == ANSWER


def test_a_card_without_text_is_neither_quoted_nor_mentioned() -> None:
    assert quoting(mentioning(CARD, Person("29:ann", "aad-ann", "Ann")), asked()) == CARD


def test_a_sentence_of_the_bridge_stands_below_the_answer_in_italics() -> None:
    assert continued(ANSWER, "Mention me")["text"] == "On Friday.\n\n*Mention me*"
