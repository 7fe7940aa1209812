"""What counts as a command, and that help says all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.commands import COMMANDS, Command, help_lines, parse_command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/new", Command.NEW),
        ("/stop", Command.STOP),
        ("/status", Command.STATUS),
        ("/help", Command.HELP),
        ("  /STOP \n", Command.STOP),
        ("\u00a0/stop\u00a0", Command.STOP),
        ("> GoClaw: working on it\n\n/stop", Command.STOP),
        ("> GoClaw: one\n> two\n>\n> three\n\n /Stop", Command.STOP),
        ("> /new\n\n/stop", Command.STOP),
        ("> /stop", None),
        ("> GoClaw: /stop\n\nwhat does that do?", None),
        ("/stop\n\n> quoted after it", None),
        ("/new idea for the launch", None),
        ("/new\nidea", None),
        ("please /stop", None),
        ("//stop", None),
        ("/reset", None),
        ("stop", None),
        ("/", None),
        ("", None),
    ],
)
def test_a_command_is_a_whole_message_of_its_own(text: str, command: Command | None) -> None:
    assert parse_command(text) is command


@given(st.text())
def test_any_other_text_goes_to_the_agent(text: str) -> None:
    assert parse_command("x" + text) is None


def test_every_command_is_in_the_table_once_and_in_the_help() -> None:
    assert sorted(info.command for info in COMMANDS) == sorted(Command)
    for info in COMMANDS:
        assert parse_command(info.word) is info.command
        assert f"**{info.word}** – {info.about}" in help_lines()


def test_descriptions_fit_into_teams_command_menu() -> None:
    assert all(0 < len(info.about) <= 128 for info in COMMANDS)
