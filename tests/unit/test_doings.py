"""What people read while the agent works: its tools in their words, and how long it took."""

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
def test_each_tool_is_told_in_peoples_words_and_in_one_short_line(tool: str, argument: str, line: str) -> None:
    doings = ActivityLine("en-US")
    doings.on_event(ToolBegan(tool, argument))
    assert doings.now() == line
    doings.on_event(ToolEnded(tool, failed=False))
    assert doings.now() == "Working on it"


@pytest.mark.parametrize("language", [language for language in SHIPPED if language != "en"])
def test_what_goes_on_is_told_in_the_readers_language(language: str) -> None:
    told, english = ActivityLine(language), ActivityLine("en")
    for event in (Thinking(), ToolBegan("web_search", "")):
        told.on_event(event)
        english.on_event(event)
        assert told.now() != english.now()


def test_what_the_agent_thinks_is_no_tool_and_hides_none() -> None:
    doings = ActivityLine("en")
    doings.on_event(Thinking())
    assert doings.now() == "Thinking"
    doings.on_event(ToolBegan("web_search", "x"))
    doings.on_event(Thinking())
    assert doings.now() == "Searching: x"


def test_text_that_came_before_a_tool_is_withdrawn() -> None:
    doings = ActivityLine("en")
    doings.on_event(TextCame("Let me "))
    doings.on_event(TextCame("look."))
    assert (doings.text, doings.withdrawn) == ("Let me look.", 0)
    doings.on_event(TextWithdrawn())
    assert (doings.text, doings.withdrawn) == ("", 1)


def test_the_line_that_remains_names_the_first_tools_once_each_and_counts_the_others() -> None:
    doings = ActivityLine("en")
    assert doings.done(4.6) == "✓ 5 s"
    for what in ("a", "b", "a", "c", "d", "e"):
        doings.on_event(ToolBegan("web_search", what))
    assert doings.done(63.0) == "✓ Searching: a, Searching: b, Searching: c (+2) · 1 min 3 s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.4, "59 s"), (60, "1 min"), (150, "2 min 30 s"), (301, "5 min")]
)
def test_a_time_is_told_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds, "en") == words
