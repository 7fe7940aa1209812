"""`teams-bridge texts`: the bridge's sentences in the form in which an admin changes them."""

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
    # a JSON string is a TOML string: https://toml.io/en/v1.0.0#string
    lines = (f"{key} = {json.dumps(sentence, ensure_ascii=False)}\n" for key, sentence in SHIPPED[language].items())
    # bytes, since a pipe of Windows has another encoding than TOML
    typer.echo(f"[{language}]\n{''.join(lines)}".encode(), nl=False)
