"""What is kept of a message: through the journal, to the page."""

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


def test_what_was_open_or_on_its_way_is_not_any_more() -> None:
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
def test_damage_is_an_error_that_the_journal_passes_over(record: dict[str, Any]) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        message_from_record(record)


def test_the_page_sees_all_but_what_is_for_the_bot_alone() -> None:
    form = page_form(FULL, notify=True)
    assert form["from"] == {"id": "bot", "name": "GoClaw", "bot": True}
    assert form["notify"] is True
    assert form["files"][0]["state"] == "offered"
    assert "consent" not in form
    assert "sender" not in form


def test_of_a_deleted_message_nothing_is_left_to_see() -> None:
    form = page_form(Message(**{**asdict(FULL), "deleted": True}))
    assert (form["text"], form["html"], form["files"], form["quoted"], form["reactions"]) == ("", "", [], None, [])


def test_reactions_of_one_type_are_one_entry_and_an_empty_one_goes() -> None:
    one = with_reaction((), "bob", "like", on=True)
    two = with_reaction(with_reaction(one, "bot", "like", on=True), "bob", "heart", on=True)
    assert two == (Reaction("like", ("bob", "bot")), Reaction("heart", ("bob",)))
    assert with_reaction(two, "bob", "heart", on=False) == (Reaction("like", ("bob", "bot")),)


def test_a_reaction_that_changes_nothing_gives_the_same_ones() -> None:
    one = with_reaction((), "bob", "like", on=True)
    assert with_reaction(one, "bob", "like", on=True) is one
    assert with_reaction(one, "bob", "heart", on=False) is one
