"""The bot's commands: a table for parsing, for the help text and for the command list of the app package."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from itertools import dropwhile
from typing import Final

from bridge.core.texts import say


class Command(StrEnum):
    """A command for the bridge, not for the agent."""

    NEW = "new"
    STOP = "stop"
    STATUS = "status"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A row of the table; `about_key` is the text key of the command's description."""

    command: Command
    about_key: str

    @property
    def word(self) -> str:
        """The command as people type it (`/new`), the same in every language."""
        return f"/{self.command}"

    def about(self, locale: str = "") -> str:
        """The description in the help and in Teams' command menu, at most 128 characters."""
        return say(self.about_key, locale)


COMMANDS: tuple[CommandInfo, ...] = (
    CommandInfo(Command.NEW, "about_new"),
    CommandInfo(Command.STOP, "about_stop"),
    CommandInfo(Command.STATUS, "about_status"),
    CommandInfo(Command.HELP, "about_help"),
)

# Entries of one command list in the app package, and characters of an entry's title (manifest 1.24 and newer):
# https://learn.microsoft.com/microsoft-365/extensibility/schema/root-bots-command-lists-commands
LONGEST_COMMAND_LIST: Final = 12
LONGEST_STARTER: Final = 128
# Fixed, not computed from the commands: a further command must not make an admin's valid BRIDGE_STARTERS invalid.
MOST_STARTERS: Final = 8


def starters_beside(commands: int) -> int:
    """How many example questions fit into a command list beside so many commands.

    Commands go first: a person can read the questions in the greeting as well.
    """
    return max(0, min(MOST_STARTERS, LONGEST_COMMAND_LIST - commands))


# Additions of keyboards and Teams: a full stop after a double blank, a full-width slash, invisible characters.
_SLASHES: Final = "/\uff0f"
_TRAILING: Final = ".\u2026,!\u3002\uff0e\uff0c\uff01"
_QUESTION: Final = "?\uff1f"
_LONGEST_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message that looks like a command but is not in the table; `word`: a slash and letters only."""

    word: str


def parse_command(text: str) -> Command | Unknown | None:
    """The command a message consists of; None: a message for the agent.

    Case and surrounding blanks do not matter, further words do: `/new idea for the launch` and the path `/etc/hosts`
    go to the agent. `/new?` is a question about the command, so `Unknown`. Quoted lines (`>`) at the beginning of a
    reply are skipped (docs/reference/teams.md, "What breaks in comparable bridges"); `inbound` has written them.
    """
    if not any(slash in text for slash in _SLASHES):  # saves almost every message the loop over its characters
        return None
    own = dropwhile(lambda line: not line.strip() or line.startswith(">"), text.splitlines())
    typed = "".join(c for c in "\n".join(own).strip() if unicodedata.category(c) != "Cf").strip()
    if typed[:1] not in tuple(_SLASHES):
        return None
    word = typed[1:].rstrip(_TRAILING).rstrip()
    command = next((info.command for info in COMMANDS if word.casefold() == info.command), None)
    if command is not None:
        return command
    letters = word.rstrip(_TRAILING + _QUESTION).rstrip()
    return Unknown(f"/{letters}") if letters.isalpha() and len(letters) <= _LONGEST_WORD else None


def help_lines(locale: str = "") -> str:
    """The table as a Markdown list in the locale's language."""
    return "\n".join(f"- **{info.word}** – {info.about(locale)}" for info in COMMANDS)
