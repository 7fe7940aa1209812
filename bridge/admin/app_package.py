"""Builds the Teams app package: a validated zip with manifest.json, two icons and the language files.

The zip is flat (docs/reference/teams.md, "The package and its icons"). The same details give the same bytes on every
machine. An admin updates an installed app with a higher version of the same id (docs/reference/teams.md, "Registration
and installation"), so the version goes up exactly when the content differs from the previous package.
"""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from bridge.admin.app_icons import ICON_SIDES, icon_problems
from bridge.admin.app_languages import language_file, localization, translated_strings, translation_problems
from bridge.admin.app_manifest import GUID, THREE_NUMBERS, manifest_problems
from bridge.core.commands import starters_beside
from bridge.core.texts import ENGLISH

MANIFEST_FILE = "manifest.json"
PLACEHOLDER = re.compile(r"\$\{(\w+)\}")
FIRST_VERSION = "1.0.0"
PACKAGE_LIMIT = 4 * 2**20  # bytes, packed and unpacked; the bridge's package has about 5 KB
SCOPES = ("personal", "team", "groupChat")
# Errors that zipfile and json raise on damaged, encrypted or foreign bytes.
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    LookupError,
    RuntimeError,
)


class ManifestInvalid(ValueError):
    """The details or the template break Teams' rules; `problems` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class PreviousPackageInvalid(ValueError):
    """The previous package cannot be read or belongs to a different app; the message names the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppDetails:
    """An admin's decisions about the app; bridge/admin/app_manifest.py has the limits of every field.

    `app_id` is the bot's Entra application id, `package_id` the app's own id in Teams (derived from `app_id`
    if None), `public_host` is a host name without scheme. `starters` and `commands` are pairs of title and
    description; starters are questions that a personal chat offers before the first message:
    https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/prompt-suggestions
    `translations` are the same details in further languages, by language tag.
    """

    app_id: str
    developer_name: str
    website_url: str
    privacy_url: str
    terms_url: str
    package_id: str | None = None
    name: str = "GoClaw"
    full_name: str = "GoClaw agent"
    description_short: str = ENGLISH["app_short"]
    description_full: str = ENGLISH["app_full"]
    accent_color: str = "#1B6B72"
    public_host: str | None = None
    starters: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, str], ...] = ()
    scopes: tuple[str, ...] = SCOPES
    supports_files: bool = False
    translations: tuple[tuple[str, AppDetails], ...] = ()


@dataclass(frozen=True, slots=True)
class Package:
    """The zip to upload; `changed` is False when the content equals the previous package."""

    version: str
    content: bytes
    changed: bool


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """The files of an app package: the manifest's JSON object, and all `others` (icons, languages) by name."""

    manifest: dict[str, Any]
    others: dict[str, bytes]

    @property
    def app_id(self) -> str:
        """The app's id in Teams, in lower case."""
        return str(self.manifest["id"]).lower()

    @property
    def version(self) -> str:
        """The manifest's version, three numbers."""
        return str(self.manifest["version"])

    def says_the_same_as(self, other: PackageFiles) -> bool:
        """Whether both packages differ in the version at most."""
        ours, theirs = (json.dumps(files.manifest | {"version": ""}, sort_keys=True) for files in (self, other))
        return ours == theirs and self.others == other.others


def template_folder(package: Path | None = None) -> Path:
    """The folder with manifest.json and the icons: inside an installed `bridge`, beside it in a checkout.

    `package` is the folder of the `bridge` package, by default the running package. Raises: FileNotFoundError.
    """
    bridge = package or Path(__file__).resolve().parent.parent
    for folder in (bridge / "app_template", bridge.parent / "manifest"):
        if (folder / MANIFEST_FILE).is_file():
            return folder
    raise FileNotFoundError(f"No app template beside {bridge}; install the bridge anew or give a template folder.")


def build_manifest(details: AppDetails, version: str, *, template: Path | None = None) -> dict[str, Any]:
    """The template's manifest with every "${field}" replaced by the field's value; not validated yet.

    A template that is no JSON object or names an unknown field is an error. Raises: ManifestInvalid.
    """
    app_id, scopes = details.app_id.strip().lower(), list(details.scopes)
    # Derived, so the id is stable without being stored: a package built again updates the same app.
    package_id = details.package_id or str(uuid5(NAMESPACE_URL, f"goclaw-teams-bridge:{app_id}"))
    fields = asdict(details) | {
        "version": version,
        "app_id": app_id,
        "package_id": package_id.strip().lower(),
        "scopes": scopes,
        "command_lists": _command_lists(details),
        "valid_domains": [details.public_host] if details.public_host else [],
        "localization": localization(language for language, _ in details.translations),
    }
    try:
        manifest = json.loads(((template or template_folder()) / MANIFEST_FILE).read_bytes())
    except (ValueError, RecursionError) as error:
        raise ManifestInvalid([f"{MANIFEST_FILE}: the template is not JSON ({error}); mend it"]) from None
    if not isinstance(manifest, dict):
        raise ManifestInvalid([f"{MANIFEST_FILE}: the template is not a JSON object; put it in braces"])
    unknown: list[str] = []
    filled = {key: _filled(value, fields, unknown) for key, value in manifest.items()}
    if unknown:
        raise ManifestInvalid([f"{MANIFEST_FILE}: {name} is not a known field; remove it" for name in unknown])
    return filled


def _command_lists(details: AppDetails) -> list[dict[str, Any]]:
    """The manifest's command lists: all commands and, before these, the first starters that fit.

    Starters go to personal chats only, as groups would show starters as commands.
    """
    commands = [_command(*command) for command in details.commands]
    starters = [_command(*starter) for starter in details.starters[: starters_beside(len(commands))]]
    apart = ["personal"] if starters and "personal" in details.scopes else []
    others = [scope for scope in details.scopes if scope not in apart]
    lists = [{"scopes": apart, "commands": starters + commands}, {"scopes": others, "commands": commands}]
    return [entry for entry in lists if entry["scopes"] and entry["commands"]]


def _command(title: str, description: str) -> dict[str, str]:
    return {"title": title, "description": description}


def _filled(node: Any, fields: dict[str, Any], unknown: list[str]) -> Any:
    """The template's JSON value with placeholders replaced; unknown placeholders are appended to `unknown`."""
    if isinstance(node, dict):
        return {key: _filled(value, fields, unknown) for key, value in node.items()}
    if isinstance(node, list):
        return [_filled(value, fields, unknown) for value in node]
    if not isinstance(node, str) or not (placeholder := PLACEHOLDER.fullmatch(node)):
        return node
    if placeholder[1] not in fields:
        unknown.append(node)
    return fields.get(placeholder[1])


def build_package(details: AppDetails, *, previous: bytes | None = None, template: Path | None = None) -> Package:
    """The app package for `details`: version 1.0.0, or the next version after `previous` (the zip's bytes).

    `template` is the folder with manifest.json and the icons, by default the shipped folder. ManifestInvalid holds all
    faults at once. Raises: ManifestInvalid, PreviousPackageInvalid.
    """
    folder = template or template_folder()
    icons = {name: _read_if_there(folder / name) for name in ICON_SIDES}
    manifest = build_manifest(details, FIRST_VERSION, template=folder)
    problems = [*manifest_problems(manifest), *icon_problems(icons)]
    languages = _languages(details, folder, problems)
    files = PackageFiles(manifest, icons | languages)
    if problems:
        raise ManifestInvalid(problems)
    if previous is None:
        return Package(FIRST_VERSION, _pack(files), changed=True)
    before = read_package(previous)
    if before.app_id != files.app_id:
        raise PreviousPackageInvalid(
            f"The previous package is of another app ({before.app_id}, not {files.app_id}); "
            "give this app's package, or none to begin with version 1.0.0."
        )
    if before.says_the_same_as(files):
        return Package(before.version, previous, changed=False)
    major, minor, patch = before.version.split(".")
    version = f"{major}.{minor}.{int(patch) + 1}"
    return Package(version, _pack(PackageFiles(files.manifest | {"version": version}, files.others)), changed=True)


def _languages(details: AppDetails, folder: Path, problems: list[str]) -> dict[str, bytes]:
    """The files of the further languages by name; appends a sentence to `problems` for each fault."""
    files = {}
    for language, translation in details.translations:
        manifest = build_manifest(translation, FIRST_VERSION, template=folder)
        found = [f"{language_file(language)}: {problem}" for problem in manifest_problems(manifest)]
        problems.extend(found)
        if not found:
            strings = translated_strings(manifest)
            problems.extend(translation_problems(language, strings))
            files[language_file(language)] = (json.dumps(strings, ensure_ascii=False, indent=2) + "\n").encode()
    return files


def read_package(content: bytes) -> PackageFiles:
    """The files of the app package with the bytes `content`. Raises: PreviousPackageInvalid."""
    try:
        files = _unpack(content)
        manifest = json.loads(files.pop(MANIFEST_FILE))
    except UNREADABLE:
        raise PreviousPackageInvalid(
            "The previous package is damaged or not an app package (a zip with manifest.json at its root); "
            "give the file that was uploaded to Teams last."
        ) from None
    known = manifest if isinstance(manifest, dict) else {}
    app_id, version = known.get("id"), known.get("version")
    if not GUID.fullmatch(str(app_id)) or not THREE_NUMBERS.fullmatch(str(version)):
        raise PreviousPackageInvalid(
            "The previous package's manifest has no id or no version of three numbers such as 1.0.0; "
            "give the file that was uploaded to Teams last."
        )
    return PackageFiles(known, files)


def _unpack(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = archive.infolist()
        if sum(entry.file_size for entry in entries) > PACKAGE_LIMIT:
            raise ValueError("unpacks to more than an app package holds")
        if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
            raise ValueError("packed in a way Teams does not read")
        return {entry.filename: archive.read(entry) for entry in entries}


def _pack(files: PackageFiles) -> bytes:
    manifest = json.dumps(files.manifest, ensure_ascii=False, indent=2) + "\n"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in {MANIFEST_FILE: manifest.encode(), **files.others}.items():
            # Stored, not deflated: compressed bytes differ between builds of zlib, and icons are compressed already.
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # Unix, even on Windows, so that the permissions below have a meaning
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, content)
    return packed.getvalue()


def _read_if_there(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""
