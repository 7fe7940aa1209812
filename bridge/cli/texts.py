"""The command `teams-bridge texts`: prints the bridge's sentences as TOML, for an admin to change."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from bridge.cli.terminal import fail
from bridge.core.texts import SHIPPED

_LANGUAGES = ", ".join(SHIPPED)


def texts(
    language: Annotated[str, typer.Argument(help=f"One of {_LANGUAGES}.")] = "en",
) -> None:
    """Print what the bridge says in a language, as a file for BRIDGE_TEXTS: change what you like, drop the rest."""
    if language not in SHIPPED:
        fail(f"{language}: there are {_LANGUAGES}.", 2)
    # Each JSON string is a TOML string: https://toml.io/en/v1.0.0#string
    lines = (f"{key} = {json.dumps(sentence, ensure_ascii=False)}\n" for key, sentence in SHIPPED[language].items())
    # Bytes, since TOML is UTF-8 and a pipe on Windows may use a different encoding.
    typer.echo(f"[{language}]\n{''.join(lines)}".encode(), nl=False)
