"""The bot's own commands: one table that parses, renders the help text and fills the manifest's command list."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import dropwhile


class Command(StrEnum):
    """What a user can tell the bridge itself."""

    NEW = "new"
    STOP = "stop"
    STATUS = "status"
    HELP = "help"


@dataclass(frozen=True, slots=True)
class CommandInfo:
    """A row of the table: `about` is what the help and Teams' command menu say (at most 128 characters)."""

    command: Command
    about: str

    @property
    def word(self) -> str:
        """As people type it."""
        return f"/{self.command}"


COMMANDS: tuple[CommandInfo, ...] = (
    CommandInfo(Command.NEW, "Start a new conversation: the agent forgets what was said here"),
    CommandInfo(Command.STOP, "Stop what the agent is doing now"),
    CommandInfo(Command.STATUS, "Who answers here, what is running and what waits"),
    CommandInfo(Command.HELP, "What you can do here"),
)


def parse_command(text: str) -> Command | None:
    """The command a message consists of, or None: case and blanks around do not matter, further words do.

    `/new idea for the launch` is a message to the agent, not a command. In a reply, the message it quotes (the lines
    with `>` at its beginning, as html_text.py writes them) does not count: pitfalls.md 21.
    """
    own = dropwhile(lambda line: not line.strip() or line.startswith(">"), text.splitlines())
    word = "\n".join(own).strip().casefold()
    return next((info.command for info in COMMANDS if word == info.word), None)


def help_lines() -> str:
    """The table as a Markdown list."""
    return "\n".join(f"- **{info.word}** – {info.about}" for info in COMMANDS)
