"""What commands print with, and how they end."""

from __future__ import annotations

from typing import NoReturn

import typer
from rich.console import Console
from rich.table import Table

OUT = Console(highlight=False)
ERR = Console(stderr=True, highlight=False)

_WIDEST = 1000


def wide(table: Table) -> None:
    """Print a table: cut to the width of a terminal, whole where it goes into a file or a pipe."""
    (OUT if OUT.is_terminal else Console(width=_WIDEST)).print(table)


def fail(message: str, code: int) -> NoReturn:
    """End the command: 1 failed, 2 wrong settings or usage."""
    ERR.print(message, markup=False, style="red")
    raise typer.Exit(code)
