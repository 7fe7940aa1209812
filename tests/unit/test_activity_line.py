"""The activity line: tools in people's words, and durations."""

from __future__ import annotations

import pytest

from bridge.core.ports.agent import TextCame, TextWithdrawn, Thinking, ToolBegan, ToolEnded
from bridge.core.progress.activity_line import ActivityLine, duration
from bridge.core.texts import SHIPPED


@pytest.mark.parametrize(
    ("tool", "argument", "line"),
    [
        ("web_search", "penguins", "Searching: penguins"),
        ("memory_search", "Ann", "Looking into its notes: Ann"),
        ("web_fetch", "example.com", "Reading: example.com"),
        ("read_file", "report.pdf", "Reading: report.pdf"),
        ("list_files", "", "Reading"),
        ("write_file", "report.md", "Writing: report.md"),
        ("Bash", "", "Running a program"),
        ("create_image", "", "Making a picture"),
        ("get_time", "", "Looking at the clock"),
        ("spawn", "", "Asking another agent"),
        ("frobnicate", "secret", "Using frobnicate"),
        ("read_file", "x" * 1000, f"Reading: {'x' * 1000}"[:200]),
        ("y" * 1000, "", f"Using {'y' * 1000}"[:200]),
    ],
)
def test_each_tool_has_a_short_line_in_peoples_words(tool: str, argument: str, line: str) -> None:
    activity = ActivityLine("en-US")
    activity.on_event(ToolBegan(tool, argument))
    assert activity.now() == line
    activity.on_event(ToolEnded(tool, failed=False))
    assert activity.now() == "Working on it"


@pytest.mark.parametrize("language", [language for language in SHIPPED if language != "en"])
def test_the_activity_line_is_in_the_readers_language(language: str) -> None:
    translated, english = ActivityLine(language), ActivityLine("en")
    for event in (Thinking(), ToolBegan("web_search", "")):
        translated.on_event(event)
        english.on_event(event)
        assert translated.now() != english.now()


def test_thinking_does_not_hide_a_running_tool() -> None:
    activity = ActivityLine("en")
    activity.on_event(Thinking())
    assert activity.now() == "Thinking"
    activity.on_event(ToolBegan("web_search", "x"))
    activity.on_event(Thinking())
    assert activity.now() == "Searching: x"


def test_an_announcement_before_a_tool_is_withdrawn() -> None:
    activity = ActivityLine("en")
    activity.on_event(TextCame("Let me "))
    activity.on_event(TextCame("look."))
    assert (activity.text, activity.withdrawn) == ("Let me look.", 0)
    activity.on_event(TextWithdrawn())
    assert (activity.text, activity.withdrawn) == ("", 1)


def test_the_closing_line_names_the_first_tools_once_each_and_counts_the_rest() -> None:
    activity = ActivityLine("en")
    assert activity.done(4.6) == "✓ 5 s"
    for argument in ("a", "b", "a", "c", "d", "e"):
        activity.on_event(ToolBegan("web_search", argument))
    assert activity.done(63.0) == "✓ Searching: a, Searching: b, Searching: c (+2) · 1 min 3 s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (150, "2 min 30 s"), (301, "5 min")]
)
def test_a_duration_is_written_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds, "en") == words
