"""Fills the README's generated tables (settings, phrases) from the code: `python docs/readme_tables.py [--check]`.

A test runs it with --check: exit code 1 where the README and the code differ.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bridge.settings.model import Setting, describe
from bridge.simulator.gateway.agent import phrases

README = Path(__file__).parent.parent / "README.md"


def settings_table() -> str:
    """Every setting as a row of a Markdown table."""
    rows = [f"| {_names(setting)} | {setting.about} | {_default(setting)} |" for setting in describe()]
    return "\n".join(["| Setting | Meaning | Default |", "|---|---|---|", *rows])


def phrases_table() -> str:
    """What to say to the stand-in agent, and what it shows."""
    rows = [f"| {phrase['say']} | {phrase['shows']} |" for phrase in phrases()]
    return "\n".join(["| Say | It shows |", "|---|---|", *rows])


def filled(text: str) -> str:
    """The README with its generated parts made anew."""
    for name, table in (("settings", settings_table()), ("phrases", phrases_table())):
        begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        part = f"{begin}\n\n{table}\n\n{end}"
        text = re.sub(f"{begin}.*?{end}", lambda _, part=part: part, text, flags=re.DOTALL)
    return text


def _names(setting: Setting) -> str:
    names = ", ".join(f"`{name}`" for name in (setting.name, *setting.aliases))
    return f"{names}, or `{setting.name}_FILE`" if setting.secret else names


def _default(setting: Setting) -> str:
    if setting.required:
        return "**must be set**"
    return f"`{setting.default}`" if setting.default else ""


def main() -> int:
    """Write the README, or compare it with --check."""
    text = README.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        return int(filled(text) != text)
    README.write_text(filled(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
