"""Messages in the journal and in the page API's form."""

from dataclasses import asdict
from typing import Any

import orjson
import pytest

from bridge.simulator.teams.messages import (
    File,
    Message,
    Quote,
    Reaction,
    message_from_record,
    page_form,
    with_reaction,
)

PLAIN: dict[str, Any] = {
    "id": "17",
    "chat": "c",
    "thread": None,
    "at": "t",
    "sender": "bot",
    "name": "GoClaw",
    "text": "a",
    "html": "a",
}
FULL = Message(
    **PLAIN,
    delivery="delivered",
    quoted=Quote("16", "Bob", "b"),
    reactions=(Reaction("like", ("bob", "bot")),),
    feedback_given={"bob": "like"},
    files=(File("a.txt", 3, "text/plain", None, "offered"),),
    consent={"name": "a.txt"},
)


def through_the_journal(message: Message) -> Message:
    return message_from_record(orjson.loads(orjson.dumps(asdict(message))))


def test_a_message_comes_back_from_the_journal_as_it_was() -> None:
    assert through_the_journal(FULL) == FULL


def test_after_a_restart_no_stream_is_open_and_no_delivery_under_way() -> None:
    found = through_the_journal(Message(**PLAIN, delivery="retrying", stream="streaming"))
    assert (found.delivery, found.stream) == ("lost", None)


def test_a_record_of_an_older_version_is_still_read() -> None:
    assert message_from_record({**PLAIN, "gone": 1}) == Message(**PLAIN)


@pytest.mark.parametrize(
    "record",
    [
        {},
        {**PLAIN, "id": "x"},
        {"id": "17"},
        {**PLAIN, "reactions": 7},
        {**PLAIN, "quoted": {"a": 1}},
        {**PLAIN, "files": [7]},
    ],
)
def test_a_damaged_record_is_an_error(record: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        message_from_record(record)


def test_the_page_form_leaves_out_the_contexts_for_the_bot() -> None:
    form = page_form(FULL, notify=True)
    assert form["from"] == {"id": "bot", "name": "GoClaw", "bot": True}
    assert form["notify"] is True
    assert form["files"][0]["state"] == "offered"
    assert "consent" not in form
    assert "sender" not in form


def test_the_page_form_of_a_deleted_message_is_empty() -> None:
    form = page_form(Message(**{**asdict(FULL), "deleted": True}))
    assert (form["text"], form["html"], form["files"], form["quoted"], form["reactions"]) == ("", "", [], None, [])


def test_reactions_of_a_type_share_an_entry_which_vanishes_when_empty() -> None:
    liked = with_reaction((), "bob", "like", on=True)
    two = with_reaction(with_reaction(liked, "bot", "like", on=True), "bob", "heart", on=True)
    assert two == (Reaction("like", ("bob", "bot")), Reaction("heart", ("bob",)))
    assert with_reaction(two, "bob", "heart", on=False) == (Reaction("like", ("bob", "bot")),)


def test_a_repeated_reaction_changes_nothing() -> None:
    liked = with_reaction((), "bob", "like", on=True)
    assert with_reaction(liked, "bob", "like", on=True) is liked
    assert with_reaction(liked, "bob", "heart", on=False) is liked
