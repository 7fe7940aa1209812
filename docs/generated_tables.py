"""Writes docs/settings.md and the table of phrases in docs/demo.md: `python docs/generated_tables.py [--check]`.

With --check nothing is written: exit code 1 if a page differs from the code. tests/unit/test_readme.py runs the check.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

from bridge.settings.describe import Setting, describe
from bridge.simulator.gateway.agent import phrases

DOCS = Path(__file__).parent
INTRO = """\
# Settings

Settings are environment variables, or the same names in a TOML file named by `BRIDGE_CONFIG` (`[teams] app_id = "…"` is
`TEAMS_APP_ID`); the environment wins. A secret may also come from a file whose path stands in the name with `_FILE`
(`GOCLAW_TOKEN_FILE=/run/secrets/goclaw-token`). Lists are separated by commas. Wrong settings are reported all at once,
with exit code 2. `teams-bridge config` shows the settings in effect, secrets masked.

This page is written by `python docs/generated_tables.py` from `bridge/settings/model.py`.
"""
# Heading of a group and the group's first setting; a group ends before the next group's first setting.
GROUPS = (
    ("Teams", "TEAMS_APP_ID"),
    ("GoClaw gateway", "GOCLAW_URL"),
    ("Addresses and listeners", "BRIDGE_HOST"),
    ("Store", "BRIDGE_STORE"),
    ("Limits", "BRIDGE_MAX_RUNNING"),
    ("Answers in Teams", "BRIDGE_STREAMING"),
    ("People and sessions", "BRIDGE_GUESTS"),
    ("Greeting, cards and sentences", "BRIDGE_WELCOME"),
    ("Times", "BRIDGE_TURN_TIMEOUT"),
    ("Log", "BRIDGE_LOG"),
    ("App package", "BRIDGE_APP_NAME"),
)
HEAD = "| Setting | Default | Meaning |\n|---|---|---|"


def settings_page(_: str = "") -> str:
    """The whole page of settings: the intro, and a heading with a table for each group."""
    headings = {first: heading for heading, first in GROUPS}
    page = INTRO
    for setting in describe():
        if setting.name in headings:
            page += f"\n## {headings.pop(setting.name)}\n\n{HEAD}\n"
        page += f"| {_names(setting)} | {_default(setting)} | {setting.about} |\n"
    if headings:
        raise ValueError(f"no such settings: {', '.join(headings)}")
    return page


def demo_page(text: str) -> str:
    """The page of the demo, given as `text`, with the table of phrases made anew. Raises: ValueError."""
    if "<!-- phrases -->" not in text:
        raise ValueError("docs/demo.md has no mark for the table of phrases")
    rows = [f"| {phrase['say']} | {phrase['shows']} |" for phrase in phrases()]
    table = "\n".join(["<!-- phrases -->", "", "| Say | It shows |", "|---|---|", *rows, "", "<!-- /phrases -->"])
    return re.sub("<!-- phrases -->.*?<!-- /phrases -->", lambda _: table, text, flags=re.DOTALL)


PAGES: dict[str, Callable[[str], str]] = {"settings.md": settings_page, "demo.md": demo_page}


def _names(setting: Setting) -> str:
    names = ", ".join(f"`{name}`" for name in (setting.name, *setting.aliases))
    return f"{names}, or `{setting.name}_FILE`" if setting.secret else names


def _default(setting: Setting) -> str:
    marks = ["**required**"] if setting.required else [f"`{setting.default}`"] if setting.default else []
    return ", ".join([*marks, "secret"] if setting.secret else marks)


def main() -> int:
    """Write the pages, or compare the pages with the code if --check is given; returns the exit code."""
    stale = []
    for name, made in PAGES.items():
        page = DOCS / name
        text = page.read_text(encoding="utf-8") if page.is_file() else ""
        if made(text) != text:
            stale.append(f"docs/{name}")
            if "--check" not in sys.argv[1:]:
                page.write_text(made(text), encoding="utf-8")
    if "--check" in sys.argv[1:]:
        for name in stale:
            print(f"{name} differs from the code", file=sys.stderr)
        return int(bool(stale))
    return 0


if __name__ == "__main__":
    sys.exit(main())
