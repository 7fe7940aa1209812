"""The bot's own commands: one table that parses, renders the help text and fills the manifest's command list."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from itertools import dropwhile
from typing import Final

from bridge.core.texts import say


class Command(StrEnum):
    """What a user can tell the bridge itself."""

    NEW = "new"
    STOP = "stop"
    STATUS = "status"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A row of the table: `about` is what the help and Teams' command menu say of it."""

    command: Command
    about_key: str

    @property
    def word(self) -> str:
        """As people type it, in every language."""
        return f"/{self.command}"

    def about(self, locale: str = "") -> str:
        """What it does, in at most 128 characters."""
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
    """The number of example questions for which a command list with so many commands has room, 0 or more.

    Commands go first: a person can read the questions in the greeting as well.
    """
    return max(0, min(MOST_STARTERS, LONGEST_COMMAND_LIST - commands))


# What keyboards and Teams add by themselves: a full stop after a double blank, a full-width slash, invisible marks.
_SLASHES: Final = "/\uff0f"
_TRAILING: Final = ".\u2026,!\u3002\uff0e\uff0c\uff01"
_QUESTION: Final = "?\uff1f"
_LONGEST_WORD: Final = 32


@dataclass(frozen=True, slots=True)
class Unknown:
    """A word that looks like a command and is none. `word` has its slash and nothing but letters behind it."""

    word: str


def parse_command(text: str) -> Command | Unknown | None:
    """The command a message consists of, or None: case and blanks around do not matter, further words do.

    `/new idea for the launch` is a message to the agent, not a command, and so is a path such as `/etc/hosts`. In a
    reply, the message it quotes (the lines with `>` at its beginning, as html_text.py writes them) does not count:
    pitfalls.md 21. `/new?` asks what it does, so nothing is done.
    """
    if not any(slash in text for slash in _SLASHES):  # almost every message: what follows looks at each character
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
    """The table as a Markdown list."""
    return "\n".join(f"- **{info.word}** – {info.about(locale)}" for info in COMMANDS)
