"""The published limits of a Teams app manifest, compared with Microsoft's own validator if installed."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridge.admin.app_manifest import manifest_problems

BOT_ID = "6d2b9f3e-8c1a-4f57-9e0d-2a7c4b5e1f08"

GOOD: dict[str, Any] = {
    "$schema": "https://developer.microsoft.com/json-schemas/teams/v1.25/MicrosoftTeams.schema.json",
    "manifestVersion": "1.25",
    "version": "1.0.0",
    "id": "0f8e1d2c-3b4a-5968-8776-a5b4c3d2e1f0",
    "developer": {
        "name": "Contoso",
        "websiteUrl": "https://contoso.example",
        "privacyUrl": "https://contoso.example/privacy",
        "termsOfUseUrl": "https://contoso.example/terms",
    },
    "name": {"short": "GoClaw", "full": "GoClaw agent"},
    "description": {"short": "An agent.", "full": "An agent\nto talk with."},
    "icons": {"color": "color.png", "outline": "outline.png"},
    "accentColor": "#1B6B72",
    "bots": [
        {
            "botId": BOT_ID,
            "scopes": ["personal", "team", "groupChat"],
            "supportsFiles": False,
            "isNotificationOnly": False,
            "commandLists": [
                {"scopes": ["personal"], "commands": [{"title": "/help", "description": "What I can do"}]}
            ],
        }
    ],
    "validDomains": ["bridge.contoso.example"],
}

ABSENT = object()
Route = tuple[str | int, ...]


def with_value(path: Route, value: object) -> dict[str, Any]:
    """The good manifest with a value replaced, added, or (ABSENT) removed."""
    manifest = copy.deepcopy(GOOD)
    node: Any = manifest
    for step in path[:-1]:
        node = node[step]
    if value is ABSENT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return manifest


COMMAND = {"title": "/help", "description": "What I can do"}
COMMANDS = ("bots", 0, "commandLists", 0, "commands")

VIETNAMESE = {"languageTag": "vi", "file": "vi.json"}

ACCEPTED: list[tuple[Route, object]] = [
    (("name", "short"), "n" * 30),
    (("name", "short"), "🦀" * 30),
    (("name", "full"), "n" * 100),
    (("description", "short"), "d" * 80),
    (("description", "full"), "d" * 4000),
    (("developer", "name"), "d" * 32),
    (("developer", "privacyUrl"), "https://contoso.example:8443/a?b=c#d"),
    (("accentColor",), "#abcDEF"),
    (("version",), "12.0.345"),
    (("id",), "0F8E1D2C-3B4A-5968-8776-A5B4C3D2E1F0"),
    (("bots", 0, "scopes"), ["copilot"]),
    (("bots", 0, "commandLists"), []),
    ((*COMMANDS,), [COMMAND] * 12),
    ((*COMMANDS, 0, "title"), "t" * 128),
    ((*COMMANDS, 0, "description"), "t" * 4000),
    (("validDomains",), []),
    (("validDomains",), ABSENT),
    (("validDomains",), ["*.contoso.example", "xn--bcher-kva.example"]),
    (("validDomains",), [f"h{number}.contoso.example" for number in range(16)]),
    (("localizationInfo",), {"defaultLanguageTag": "en", "additionalLanguages": []}),
    (("localizationInfo",), {"defaultLanguageTag": "zh-Hant-TW", "additionalLanguages": [VIETNAMESE]}),
]

# Values that Microsoft's schema and the bridge refuse, with a part of the bridge's sentence.
REFUSED_BY_BOTH: list[tuple[Route, object, str]] = [
    (("manifestVersion",), "1.24", "manifestVersion: '1.24' is not allowed; write '1.25'"),
    (("version",), 1, "version: 1 is of the wrong kind"),
    (("version",), ABSENT, "version: is missing; add it"),
    (("id",), "goclaw", "id: 'goclaw' is not a GUID; give one"),
    (("bots", 0, "botId"), f"{BOT_ID}0", "bots[0].botId: "),
    (("bots", 0, "botId"), ABSENT, "bots[0].botId: is missing; add it"),
    (("bots", 0, "scopes"), ABSENT, "bots[0].scopes: is missing; add it"),
    (("bots", 0, "scopes"), ["channel"], "bots[0].scopes[0]: 'channel' is not allowed; write 'team'"),
    (("bots", 0, "scopes"), "personal", "bots[0].scopes: 'personal' is of the wrong kind"),
    (("bots", 0, "supportsFiles"), "yes", "bots[0].supportsFiles: 'yes' is of the wrong kind"),
    (("bots",), GOOD["bots"] * 2, "bots: has 2 entries, at most 1 are allowed; shorten it"),
    (("bots", 0, "commandLists"), GOOD["bots"][0]["commandLists"] * 4, "bots[0].commandLists: has 4 entries"),
    ((*COMMANDS,), [COMMAND] * 13, "bots[0].commandLists[0].commands: has 13 entries, at most 12"),
    ((*COMMANDS, 0, "title"), "t" * 129, "commands[0].title: has 129 characters, at most 128"),
    ((*COMMANDS, 0, "description"), "t" * 4001, "description: has 4001 characters, at most 4000"),
    ((*COMMANDS, 0, "title"), ABSENT, "bots[0].commandLists[0].commands[0].title: is missing"),
    (
        ("developer", "name"),
        "d" * 33,
        "developer.name: has 33 characters, at most 32 are allowed; shorten it",
    ),
    (
        ("developer", "websiteUrl"),
        "contoso.example",
        "developer.websiteUrl: 'contoso.example' is not an https",
    ),
    (("developer", "websiteUrl"), "ftp://contoso.example", "developer.websiteUrl: "),
    (
        ("developer", "privacyUrl"),
        "https://a.example/" + "p" * 2048,
        "developer.privacyUrl: has 2066 characters",
    ),
    (("developer", "termsOfUseUrl"), ABSENT, "developer.termsOfUseUrl: is missing"),
    (("name", "short"), "n" * 31, "name.short: has 31 characters, at most 30 are allowed; shorten it"),
    (("name", "full"), "n" * 101, "name.full: has 101 characters, at most 100"),
    (("description", "short"), "d" * 81, "description.short: has 81 characters, at most 80"),
    (("description", "full"), "d" * 4001, "description.full: has 4001 characters, at most 4000"),
    (("description", "full"), None, "description.full: None is of the wrong kind"),
    (("icons", "outline"), ABSENT, "icons.outline: is missing"),
    (("accentColor",), "teal", "accentColor: 'teal' is not a colour; write # and six"),
    (("accentColor",), "#1B6B72FF", "accentColor: "),
    (("accentColor",), "#1B6B7", "accentColor: "),
    (("validDomains",), "contoso.example", "validDomains: 'contoso.example' is of the wrong kind"),
    (("validDomains",), ["a.example"] * 17, "validDomains: has 17 entries, at most 16"),
    (
        ("supportsTargetedMessages",),
        True,
        "supportsTargetedMessages: is not a property of this app's manifest",
    ),
    (("bots", 0, "commands"), [], "bots[0].commands: is not a property"),
    (("localizationInfo",), {"additionalLanguages": []}, "localizationInfo.defaultLanguageTag: is missing; add it"),
    (
        ("localizationInfo",),
        {"defaultLanguageTag": "en", "additionalLanguages": [{"languageTag": "vi"}]},
        "localizationInfo.additionalLanguages[0].file: is missing; add it",
    ),
    (
        ("localizationInfo",),
        {"defaultLanguageTag": "tiếng việt"},
        "localizationInfo.defaultLanguageTag: 'tiếng việt' is not the tag of a language; write one such as en or zh-tw",
    ),
]

# Values that only the bridge refuses: Teams refuses these in a later step, or the bridge never needs the property.
REFUSED_BY_US: list[tuple[Route, object, str]] = [
    (("version",), "1.0", "version: '1.0' is not a version of three numbers; write one such as 1.0.0"),
    (("version",), "01.0.0", "version: "),
    (("version",), "1.0.0-beta", "version: "),
    (("version",), "١.٠.٠", "version: "),  # digits, but not ASCII digits
    (("name", "short"), "  ", "name.short: '  ' is empty; write a text"),
    (("name", "short"), "Go\nClaw", "name.short: 'Go\\nClaw' has a line break"),
    (("name", "short"), "Go\x00Claw", "name.short: 'Go\\x00Claw' has a line break or control character"),
    (("name", "full"), ABSENT, "name.full: is missing"),
    (("developer", "websiteUrl"), "http://contoso.example", "developer.websiteUrl: "),
    (("developer", "websiteUrl"), "https://", "developer.websiteUrl: "),
    (("developer", "websiteUrl"), "https://[", "developer.websiteUrl: "),
    (("developer", "websiteUrl"), "https://contoso.example:port", "developer.websiteUrl: "),
    (("developer", "websiteUrl"), "https://contoso.example/a b", "developer.websiteUrl: "),
    (("developer", "websiteUrl"), "https://contoso.example/\n", "developer.websiteUrl: "),
    (("developer", "websiteUrl"), "https://you@contoso.example", "developer.websiteUrl: "),
    (
        ("icons", "color"),
        "icons/color.png",
        "icons.color: 'icons/color.png' is not allowed; write 'color.png'",
    ),
    (("bots",), [], "bots: is an empty list; give at least one entry"),
    (("bots",), ABSENT, "bots: is missing"),
    (("bots", 0, "scopes"), [], "bots[0].scopes: is an empty list"),
    (("bots", 0, "scopes"), ["team", "team"], "bots[0].scopes: a list names a scope twice; name each once"),
    (
        ("validDomains",),
        ["https://contoso.example"],
        "validDomains[0]: 'https://contoso.example' is not a host",
    ),
    (("validDomains",), ["contoso.example/chat"], "validDomains[0]: "),
    (("validDomains",), ["contoso.example:443"], "validDomains[0]: "),
    (("validDomains",), ["localhost"], "validDomains[0]: "),
    (("validDomains",), ["127.0.0.1"], "validDomains[0]: "),
    (("validDomains",), ["*.com"], "validDomains[0]: "),
    (("validDomains",), ["a.*.example"], "validDomains[0]: "),
    (("validDomains",), ["-a.example"], "validDomains[0]: "),
    (("validDomains",), ["a.example\n"], "validDomains[0]: "),
    (("validDomains",), [f"{'a' * 64}.example"], "validDomains[0]: "),
    (("permissions",), ["identity"], "permissions: is not a property of this app's manifest; remove it"),
    (("name", "short"), "Go\ud800", "name.short: 'Go\\ud800' holds half a character"),
    (("description", "full"), "\udc80", "description.full: '\\udc80' holds half a character"),
]


def case_name(value: object) -> str | None:
    return ".".join(map(str, value)) if isinstance(value, tuple) else None


def test_a_manifest_written_by_the_bridge_has_no_problems() -> None:
    assert manifest_problems(GOOD) == []


@pytest.mark.parametrize(("path", "value"), ACCEPTED, ids=case_name)
def test_values_within_the_limits_are_accepted(path: Route, value: object) -> None:
    assert manifest_problems(with_value(path, value)) == []


@pytest.mark.parametrize(("path", "value", "sentence"), REFUSED_BY_BOTH + REFUSED_BY_US, ids=case_name)
def test_each_broken_limit_is_reported_in_a_sentence_with_the_field(path: Route, value: object, sentence: str) -> None:
    (problem,) = manifest_problems(with_value(path, value))
    assert sentence in problem


def test_all_problems_are_reported_at_once_in_the_order_of_the_manifest() -> None:
    manifest = with_value(("name", "short"), "n" * 31) | {"accentColor": "teal", "id": "x", "bots": []}
    assert [problem.partition(":")[0] for problem in manifest_problems(manifest)] == [
        "id",
        "name.short",
        "accentColor",
        "bots",
    ]


@pytest.mark.parametrize("document", [None, [], "manifest", 7])
def test_a_manifest_that_is_no_object_is_one_problem(document: object) -> None:
    (problem,) = manifest_problems(document)
    assert problem.startswith("manifest: ")


def test_a_sentence_quotes_a_long_value_only_in_part() -> None:
    (problem,) = manifest_problems(with_value(("accentColor",), "x" * 10_000))
    assert len(problem) < 200


VALIDATOR = os.environ.get("TEAMS_MANIFEST_VALIDATOR", "")
# `node -e` looks for packages in the working directory.
SCRIPT = """
const { AppManifestUtils } = require("@microsoft/app-manifest");
const manifests = JSON.parse(require("fs").readFileSync(0, "utf8"));
Promise.all(manifests.map((manifest) => AppManifestUtils.validateAgainstSchema(manifest)))
  .then((verdicts) => console.log(JSON.stringify(verdicts)));
"""


def microsofts_verdicts(manifests: list[dict[str, Any]]) -> list[list[str]]:
    """For each manifest, the problems found by @microsoft/app-manifest."""
    node = shutil.which("node")
    assert node, "TEAMS_MANIFEST_VALIDATOR is set, so node must be on the PATH"
    ran = subprocess.run(
        [node, "-e", SCRIPT],
        input=json.dumps(manifests).encode(),
        cwd=Path(VALIDATOR),
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr.decode()
    verdicts: list[list[str]] = json.loads(ran.stdout)
    return verdicts


# Needs Node and an npm package, which `make test` does not install; the test exists if the variable names the folder.
if VALIDATOR:

    def test_microsofts_validator_agrees_with_the_tables() -> None:
        expected = [(with_value(*case), False) for case in ACCEPTED]
        expected += [(with_value(path, value), True) for path, value, _ in REFUSED_BY_BOTH]
        expected += [(with_value(path, value), False) for path, value, _ in REFUSED_BY_US]

        verdicts = microsofts_verdicts([manifest for manifest, _ in expected])

        rows = [*ACCEPTED, *REFUSED_BY_BOTH, *REFUSED_BY_US]
        found = zip(rows, expected, verdicts, strict=True)
        assert [(row[0], row[1], sentence) for row, (_, refuses), sentence in found if bool(sentence) != refuses] == []
