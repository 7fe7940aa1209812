"""What others wrote stands in the bridge's own sentences as plain words, whatever it tries to be."""

from __future__ import annotations

import pytest

from bridge.core.markdown.plain_words import plain_words
from bridge.core.outbound.answers_and_notes import stopped
from bridge.core.ports.agent import ToolBegan
from bridge.core.progress.activity_line import ActivityLine
from bridge.core.turn import Reference, Scope

HOSTILE = "[Sign in](https://evil.example) <at>Bob</at> <b>x</b> **y**"
WORDS = "Sign in ( evil.example) at Bob /at b x /b y"


@pytest.mark.parametrize(
    ("written", "shown"),
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
def test_words_stay_and_markup_goes(written: str, shown: str) -> None:
    assert plain_words(written) == shown


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (ToolBegan("web_search", HOSTILE), f"Searching: {WORDS}"),
        (ToolBegan(HOSTILE, "x"), f"Using {WORDS}"),
    ],
)
def test_what_the_agent_is_doing_is_told_without_its_markup(event: ToolBegan, line: str) -> None:
    doings = ActivityLine("")
    doings.on_event(event)

    assert doings.now() == line
    assert doings.done(3) == f"✓ {line} · 3 s"


def test_a_name_in_the_note_of_a_stopped_turn_is_a_name_and_no_link() -> None:
    group = Reference("https://connector.example", "c", Scope.GROUP, "tenant", "bot", "a", "en")

    assert stopped(group, HOSTILE)["text"].startswith(f"Stopped by {WORDS}.")
    assert stopped(group, "**")["text"].startswith("Stopped. ")
