"""The app package in further languages: a file for each, whose strings take the place of the manifest's.

https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/apps-localization
The titles of commands and starters are not translated: they are what people send.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

DEFAULT_LANGUAGE: Final = "en"

_SCHEMA: Final = "https://developer.microsoft.com/json-schemas/teams/v1.25/MicrosoftTeams.Localization.schema.json"
# Shorter than in the manifest, and the pattern of the keys names commands by one digit only:
# https://learn.microsoft.com/microsoftteams/platform/resources/schema/localization-schema
_LONGEST_DESCRIPTION: Final = 128
_LAST_COMMAND: Final = 9


def language_file(language: str) -> str:
    """The name of a language's file in the package."""
    return f"{language}.json"


def localization(languages: Iterable[str]) -> dict[str, Any]:
    """What the manifest says of its languages."""
    further = [{"languageTag": language, "file": language_file(language)} for language in languages]
    return {"defaultLanguageTag": DEFAULT_LANGUAGE, "additionalLanguages": further}


def translated_strings(manifest: dict[str, Any]) -> dict[str, str]:
    """The content of a language's file, out of the manifest as it would be in that language."""
    strings = {"$schema": _SCHEMA}
    for part in ("name", "description"):
        strings |= {f"{part}.{length}": manifest[part][length] for length in ("short", "full")}
    return strings | _descriptions(manifest)


def translation_problems(language: str, strings: dict[str, str]) -> list[str]:
    """What Teams takes in a manifest, but not in a language's file."""
    return [
        f"{language_file(language)}: {key} has {len(words)} characters, at most {_LONGEST_DESCRIPTION} are allowed; "
        "shorten it"
        for key, words in strings.items()
        if key.startswith("bots") and len(words) > _LONGEST_DESCRIPTION
    ]


def _descriptions(manifest: dict[str, Any]) -> dict[str, str]:
    return {
        f"bots[0].commandLists[{which}].commands[{number}].description": command["description"]
        for which, entries in enumerate(manifest["bots"][0]["commandLists"])
        for number, command in enumerate(entries["commands"])
        if number <= _LAST_COMMAND
    }
