"""Foreign text in the bridge's own sentences becomes plain words without markup."""

from __future__ import annotations

import pytest

from bridge.core.identity import display_name
from bridge.core.markdown.plain_words import plain_words
from bridge.core.outbound.answers_and_notes import stopped
from bridge.core.ports.agent import ToolBegan
from bridge.core.progress.activity_line import ActivityLine
from bridge.core.turn import Payload, Person, Reference, Scope

HOSTILE = "[Sign in](https://evil.example) <at>Bob</at> <b>x</b> **y**"
WORDS = "Sign in ( evil.example) at Bob /at b x /b y"


@pytest.mark.parametrize(
    ("written", "plain"),
    [
        (HOSTILE, WORDS),
        ("R&D budget, 2 of 3 (draft)", "R&D budget, 2 of 3 (draft)"),
        ("&lt;at&gt;Bob", "lt;at gt;Bob"),
        ("a\nb\t\u200b\u202ec", "a b c"),
        ("https:a:////evil.example", "https: //evil.example"),
        ("www.wwwww..evil.example", "wwwww..evil.example"),
        ("***", ""),
        ("Đặng Thị Hồng", "Đặng Thị Hồng"),
    ],
)
def test_words_stay_and_markup_goes(written: str, plain: str) -> None:
    assert plain_words(written) == plain


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ToolBegan("web_search", HOSTILE), f"Searching: {WORDS}"),
        (ToolBegan(HOSTILE, "x"), f"Using {WORDS}"),
    ],
)
def test_the_activity_line_has_no_markup_from_the_agents_tools(event: ToolBegan, line: str) -> None:
    activity_line = ActivityLine("")
    activity_line.on_event(event)

    assert activity_line.now() == line
    assert activity_line.done(3) == f"✓ {line} · 3 s"


def test_a_name_in_the_note_of_a_stopped_turn_is_a_name_and_no_link() -> None:
    group = Reference("https://connector.example", "c", Scope.GROUP, "tenant", "bot", "a", "en")
    asked = Payload(group, Person("29:a", "a", HOSTILE))

    hostile = display_name(HOSTILE)
    assert stopped(asked, "Bob")["text"].startswith(f"Bob stopped {plain_words(hostile)}'s question.")
    assert stopped(asked, hostile)["text"].startswith(f"Stopped by {plain_words(hostile)}.")
    assert stopped(asked, "**")["text"].startswith("Stopped. ")
