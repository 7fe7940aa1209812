"""Prints the README's settings table from the code; a test compares the two."""

from __future__ import annotations

from bridge.settings import Setting, describe


def table() -> str:
    """The settings as a Markdown table."""
    lines = ["| Setting | Meaning | Default |", "|---|---|---|"]
    lines += [f"| {_names(setting)} | {setting.about} | {_default(setting)} |" for setting in describe()]
    return "\n".join(lines)


def _names(setting: Setting) -> str:
    names = ", ".join(f"`{name}`" for name in (setting.name, *setting.aliases))
    return f"{names}, or `{setting.name}_FILE`" if setting.secret else names


def _default(setting: Setting) -> str:
    if setting.required:
        return "**must be set**"
    return f"`{setting.default}`" if setting.default else ""


if __name__ == "__main__":
    print(table())
