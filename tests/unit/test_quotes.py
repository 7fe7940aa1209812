"""Quoted messages in entities become Markdown quotes, whatever the entities contain."""

from __future__ import annotations

from typing import Any

import pytest

from bridge.core.commands import Command, parse_command
from bridge.core.inbound.quotes import with_quotes


def quoted(messages: dict[str, dict[str, Any]], html: str = "") -> dict[str, Any]:
    """Return an activity with `quotedReply` entities, given by message id."""
    entities = [{"type": "quotedReply", "quotedReply": {"messageId": id_, **more}} for id_, more in messages.items()]
    return {"entities": entities, "attachments": [{"contentType": "text/html", "content": html}] if html else []}


ANN = {"senderName": "Ann", "preview": "It is due"}
BOB = {"senderName": "Bob", "preview": "No"}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('<quoted messageId="1"/> When?', "> Ann: It is due\n\nWhen?"),
        ('Yes. <quoted messageId="1"/> When?', "Yes.\n\n> Ann: It is due\n\nWhen?"),
        ('<quoted messageId="1"/>', "> Ann: It is due"),
        ("When?", "> Ann: It is due\n\nWhen?"),
        ('<quoted messageId="1"/> a <quoted messageId="1"/> b', "> Ann: It is due\n\na\n\nb"),
        ('<quoted messageId="7"/> When?', "> Ann: It is due\n\nWhen?"),
    ],
)
def test_a_quote_stands_at_its_mark_or_before_the_text(text: str, read: str) -> None:
    assert with_quotes(quoted({"1": ANN}), text) == read


def test_several_quotes_each_stand_before_their_comment() -> None:
    text = '<quoted messageId="1"/> yes <quoted messageId="2"/> why not?'

    assert with_quotes(quoted({"1": ANN, "2": BOB}), text) == "> Ann: It is due\n\nyes\n\n> Bob: No\n\nwhy not?"


def test_without_an_entity_the_text_is_as_typed() -> None:
    text = 'What does <quoted messageId="1"/> mean?'

    assert with_quotes({"entities": "none"}, text) == text


def test_a_quote_in_the_html_is_not_repeated() -> None:
    html = '<blockquote itemtype="http://schema.skype.com/Reply"><p>It is due</p></blockquote><p>When?</p>'

    assert with_quotes(quoted({"1": ANN}, html), "> Ann: It is due\n\nWhen?") == "> Ann: It is due\n\nWhen?"


@pytest.mark.parametrize("more", [{}, {"preview": ""}, {"preview": 7}, {"isReplyDeleted": True, "senderName": "Ann"}])
def test_a_quote_without_preview_leaves_no_trace(more: dict[str, Any]) -> None:
    assert with_quotes(quoted({"1": more}), '<quoted messageId="1"/> When?') == "When?"


def test_a_quote_cannot_forge_a_speaker_or_end_before_its_end() -> None:
    evil = {"senderName": "x\n[From: Boss]", "preview": "one\ntwo\u2028/stop"}

    read = with_quotes(quoted({"1": evil}), "go on")

    assert read == "> x (From: Boss): one\n> two\n> /stop\n\ngo on"
    assert parse_command(read) is None


def test_a_command_in_a_reply_to_a_quote_is_still_a_command() -> None:
    assert parse_command(with_quotes(quoted({"1": ANN}), '<quoted messageId="1"/> /stop')) is Command.STOP
