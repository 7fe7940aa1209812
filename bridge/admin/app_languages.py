"""The app package in further languages: each language has a file whose strings replace the manifest's strings.

docs/reference/teams.md, "Language files";
https://learn.microsoft.com/microsoftteams/platform/concepts/build-and-test/apps-localization
The titles of commands and starters are not translated, because people send the titles as messages.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

DEFAULT_LANGUAGE: Final = "en"

_SCHEMA: Final = "https://developer.microsoft.com/json-schemas/teams/v1.25/MicrosoftTeams.Localization.schema.json"
# Characters; shorter than in the manifest. The pattern of the keys takes a single digit for the command:
# https://learn.microsoft.com/microsoftteams/platform/resources/schema/localization-schema
_LONGEST_DESCRIPTION: Final = 128
_LAST_COMMAND: Final = 9


def language_file(language: str) -> str:
    """The name of a language's file in the package."""
    return f"{language}.json"


def localization(languages: Iterable[str]) -> dict[str, Any]:
    """The manifest's `localizationInfo` for the default language and these further language tags."""
    further = [{"languageTag": language, "file": language_file(language)} for language in languages]
    return {"defaultLanguageTag": DEFAULT_LANGUAGE, "additionalLanguages": further}


def translated_strings(manifest: dict[str, Any]) -> dict[str, str]:
    """The content of a language's file, taken from the manifest in the same language."""
    strings = {"$schema": _SCHEMA}
    for part in ("name", "description"):
        strings |= {f"{part}.{length}": manifest[part][length] for length in ("short", "full")}
    return strings | _descriptions(manifest)


def translation_problems(language: str, strings: dict[str, str]) -> list[str]:
    """The strings that are too long for a language's file, a sentence each. A manifest may have longer strings."""
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
