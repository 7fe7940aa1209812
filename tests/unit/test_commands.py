"""Commands: parsing, help text, room for example questions beside the commands."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.commands import (
    COMMANDS,
    LONGEST_COMMAND_LIST,
    LONGEST_STARTER,
    MOST_STARTERS,
    Command,
    Unknown,
    help_lines,
    parse_command,
    starters_beside,
)


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
        ("/stop.", Command.STOP),
        ("/stop. ", Command.STOP),
        ("/Stop…", Command.STOP),
        ("/stop !", Command.STOP),
        ("／stop", Command.STOP),
        ("／停", Unknown("/停")),
        ("/stop。", Command.STOP),
        ("\u200b/stop\u200b", Command.STOP),
        ("> /stop", None),
        ("> GoClaw: /stop\n\nwhat does that do?", None),
        ("/stop\n\n> quoted after it", None),
        ("/new idea for the launch", None),
        ("/new\nidea", None),
        ("please /stop", None),
        ("//stop", None),
        ("/reset", Unknown("/reset")),
        ("/Reset!", Unknown("/Reset")),
        ("/new?", Unknown("/new")),
        ("> quoted\n\n/reset", Unknown("/reset")),
        ("/dừng", Unknown("/dừng")),
        ("/reset it", None),
        ("/etc/hosts", None),
        ("/etc/", None),
        ("/v2", None),
        ("/a-b", None),
        ("/**x**", None),
        ("/" + "x" * 33, None),
        ("//", None),
        ("/.", None),
        ("/?", None),
        ("stop", None),
        ("/", None),
        ("", None),
    ],
)
def test_a_command_is_a_whole_message(text: str, command: Command | Unknown | None) -> None:
    assert parse_command(text) == command


@given(st.text())
def test_an_unknown_word_is_safe_to_show(text: str) -> None:
    found = parse_command(f"/{text}")

    assert not isinstance(found, Unknown) or (found.word[1:].isalpha() and len(found.word) <= 33)


@given(st.text())
def test_text_without_a_leading_slash_goes_to_the_agent(text: str) -> None:
    assert parse_command("x" + text) is None


def test_every_command_is_in_the_table_once_and_in_the_help() -> None:
    assert sorted(info.command for info in COMMANDS) == sorted(Command)
    for info in COMMANDS:
        assert parse_command(info.word) is info.command
        assert f"**{info.word}** – {info.about()}" in help_lines()


def test_all_commands_and_the_starters_that_fit_make_up_teams_command_list() -> None:
    assert (LONGEST_COMMAND_LIST, LONGEST_STARTER) == (12, 128)
    for commands in range(len(COMMANDS), LONGEST_COMMAND_LIST + 1):
        assert commands + starters_beside(commands) == 12


def test_a_further_command_takes_nothing_from_the_starters_that_a_configuration_may_name() -> None:
    assert MOST_STARTERS == 8
    assert [starters_beside(commands) for commands in (0, 4, 5, 12, 13)] == [8, 8, 7, 0, 0]
