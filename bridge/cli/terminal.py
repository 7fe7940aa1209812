"""Output and exit of the commands: consoles for stdout and stderr, tables, failures."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)

_FILE_WIDTH = 1000  # columns of a table in a file or pipe


def wide(table: Table) -> None:
    """Print a table: cut to the width of a terminal, whole in a file or pipe."""
    (OUT if OUT.is_terminal else Console(width=_FILE_WIDTH)).print(table)


def fail(message: str, code: int) -> NoReturn:
    """Print `message` to stderr and end the command with the exit code 1 (failed) or 2 (wrong settings or usage).

    Raises: typer.Exit.
    """
    ERR.print(message, markup=False, style="red")
    raise typer.Exit(code)
