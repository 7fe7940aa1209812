"""The Teams app package: manifest, languages, template, zip, version, refused packages, icons."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.admin.app_icons import icon_problems
from bridge.admin.app_manifest import manifest_problems
from bridge.admin.app_package import (
    AppDetails,
    ManifestInvalid,
    PreviousPackageInvalid,
    build_manifest,
    build_package,
    read_package,
    template_folder,
)
from bridge.core.commands import COMMANDS, LONGEST_STARTER, MOST_STARTERS
from bridge.core.texts import SHIPPED, say

REPOSITORY = Path(__file__).resolve().parents[2]

DETAILS = AppDetails(
    app_id="6d2b9f3e-8c1a-4f57-9e0d-2a7c4b5e1f08",
    developer_name="Contoso",
    website_url="https://contoso.example",
    privacy_url="https://contoso.example/privacy",
    terms_url="https://contoso.example/terms",
    public_host="bridge.contoso.example",
    commands=(("/new", "Start a new conversation"), ("/help", "What you can do here")),
)


def entries(package: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def previous_with(**changes: object) -> bytes:
    """The package of DETAILS with some properties of the manifest replaced, packed again."""
    files = entries(build_package(DETAILS).content)
    manifest = json.loads(files["manifest.json"]) | changes
    return zip_of(files | {"manifest.json": json.dumps(manifest).encode()})


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """A copy of the template for tests to damage."""
    return Path(shutil.copytree(template_folder(), tmp_path / "template"))


# --- the manifest


def test_the_manifest_holds_the_details() -> None:
    manifest = build_manifest(DETAILS, "1.2.3")

    assert manifest["version"] == "1.2.3"
    assert manifest["manifestVersion"] == "1.25"
    assert manifest["developer"] == {
        "name": "Contoso",
        "websiteUrl": "https://contoso.example",
        "privacyUrl": "https://contoso.example/privacy",
        "termsOfUseUrl": "https://contoso.example/terms",
    }
    assert manifest["validDomains"] == ["bridge.contoso.example"]
    assert manifest["bots"] == [
        {
            "botId": "6d2b9f3e-8c1a-4f57-9e0d-2a7c4b5e1f08",
            "scopes": ["personal", "team", "groupChat"],
            "supportsFiles": False,
            "isNotificationOnly": False,
            "commandLists": [
                {
                    "scopes": ["personal", "team", "groupChat"],
                    "commands": [
                        {"title": "/new", "description": "Start a new conversation"},
                        {"title": "/help", "description": "What you can do here"},
                    ],
                }
            ],
        }
    ]
    assert "permissions" not in manifest


def test_without_commands_and_host_the_lists_are_empty() -> None:
    manifest = build_manifest(replace(DETAILS, commands=(), public_host=None), "1.0.0")

    assert manifest["bots"][0]["commandLists"] == []
    assert manifest["validDomains"] == []


STARTERS = (("What can you do?", "A question you could begin with"), ("Who is on leave?", "Another"))


def test_starters_stand_before_the_commands_in_personal_chats_only() -> None:
    manifest = build_manifest(replace(DETAILS, starters=STARTERS), "1.0.0")

    personal, elsewhere = manifest["bots"][0]["commandLists"]

    assert (personal["scopes"], elsewhere["scopes"]) == (["personal"], ["team", "groupChat"])
    assert [entry["title"] for entry in personal["commands"]] == [
        "What can you do?",
        "Who is on leave?",
        "/new",
        "/help",
    ]
    assert personal["commands"][0]["description"] == "A question you could begin with"
    assert [entry["title"] for entry in elsewhere["commands"]] == ["/new", "/help"]
    assert manifest_problems(manifest) == []


@pytest.mark.parametrize(
    ("changes", "scopes"),
    [
        ({"scopes": ("personal",)}, [["personal"]]),
        ({"scopes": ("team",)}, [["team"]]),
        ({"scopes": ("team",), "commands": ()}, []),
        ({"commands": ()}, [["personal"]]),
    ],
)
def test_a_command_list_without_scope_or_entry_is_omitted(changes: dict[str, Any], scopes: list[list[str]]) -> None:
    manifest = build_manifest(replace(DETAILS, starters=STARTERS, **changes), "1.0.0")

    assert [entry["scopes"] for entry in manifest["bots"][0]["commandLists"]] == scopes


def test_the_most_starters_fit_with_the_commands_of_every_language() -> None:
    for language in SHIPPED:
        about = say("about_starter", language)
        starters = tuple((f"{n} ".ljust(LONGEST_STARTER, "q"), about) for n in range(MOST_STARTERS))
        commands = tuple((info.word, info.about(language)) for info in COMMANDS)
        package = build_package(replace(DETAILS, starters=starters, commands=commands))
        assert package.version == "1.0.0"


def test_beside_a_fifth_command_eight_starters_stay_valid_and_the_last_leaves_the_command_list() -> None:
    starters = tuple((f"Question {n}?", "An example") for n in range(MOST_STARTERS))
    commands = tuple((f"/{word}", "A command") for word in ("new", "stop", "status", "help", "share"))

    manifest = build_manifest(replace(DETAILS, starters=starters, commands=commands), "1.0.0")

    titles = [entry["title"] for entry in manifest["bots"][0]["commandLists"][0]["commands"]]
    assert titles == [f"Question {n}?" for n in range(7)] + ["/new", "/stop", "/status", "/help", "/share"]
    assert manifest_problems(manifest) == []


# --- languages

VIETNAMESE = replace(
    DETAILS,
    description_short="Trò chuyện với trợ lý.",
    description_full="Nhắn cho trợ lý.",
    commands=(("/new", "Bắt đầu lại"), ("/help", "Trợ giúp")),
)


def in_vietnamese(**changes: Any) -> AppDetails:
    return replace(DETAILS, translations=(("vi", replace(VIETNAMESE, **changes)),))


def test_each_further_language_has_a_file_named_by_the_manifest() -> None:
    package = read_package(build_package(in_vietnamese()).content)

    assert package.manifest["localizationInfo"] == {
        "defaultLanguageTag": "en",
        "additionalLanguages": [{"languageTag": "vi", "file": "vi.json"}],
    }
    assert json.loads(package.others["vi.json"]) == {
        "$schema": "https://developer.microsoft.com/json-schemas/teams/v1.25/MicrosoftTeams.Localization.schema.json",
        "name.short": "GoClaw",
        "name.full": "GoClaw agent",
        "description.short": "Trò chuyện với trợ lý.",
        "description.full": "Nhắn cho trợ lý.",
        "bots[0].commandLists[0].commands[0].description": "Bắt đầu lại",
        "bots[0].commandLists[0].commands[1].description": "Trợ giúp",
    }


def test_a_changed_translation_raises_the_patch_number() -> None:
    first = build_package(in_vietnamese())
    same = build_package(in_vietnamese(), previous=first.content)
    changed = build_package(in_vietnamese(description_short="Trợ lý của bạn."), previous=first.content)

    assert (same.version, same.changed) == ("1.0.0", False)
    assert (changed.version, changed.changed) == ("1.0.1", True)
    assert "Trợ lý của bạn." in read_package(changed.content).others["vi.json"].decode()


def test_the_first_ten_commands_of_each_list_are_translated() -> None:
    starters = tuple((f"Q{n}?", "Câu hỏi") for n in range(MOST_STARTERS))
    details = replace(in_vietnamese(starters=starters), starters=STARTERS)

    strings = json.loads(read_package(build_package(details).content).others["vi.json"])

    keys = [key for key in strings if key.startswith("bots[0].commandLists[0]")]
    assert keys == [f"bots[0].commandLists[0].commands[{n}].description" for n in range(10)]
    assert strings["bots[0].commandLists[1].commands[0].description"] == "Bắt đầu lại"


def test_faults_of_a_translation_are_reported_under_its_file() -> None:
    with pytest.raises(ManifestInvalid) as short:
        build_package(in_vietnamese(description_short="x" * 81))
    with pytest.raises(ManifestInvalid) as about:
        build_package(in_vietnamese(commands=(("/new", "x" * 129),)))

    assert short.value.problems == (
        "vi.json: description.short: has 81 characters, at most 80 are allowed; shorten it",
    )
    (problem,) = about.value.problems
    assert problem.startswith("vi.json: bots[0].commandLists[0].commands[0].description has 129 characters")


@pytest.mark.parametrize("tag", ["", "tiếng-việt", "en_us", "a-b-c-d", "ninecharss"])
def test_a_language_needs_a_tag(tag: str) -> None:
    with pytest.raises(ManifestInvalid, match="localizationInfo"):
        build_package(replace(DETAILS, translations=((tag, VIETNAMESE),)))


def test_the_apps_id_is_derived_from_the_bots_id() -> None:
    first = build_manifest(DETAILS, "1.0.0")["id"]
    again = build_manifest(replace(DETAILS, app_id=DETAILS.app_id.upper()), "1.0.0")["id"]
    other = build_manifest(replace(DETAILS, app_id=str(UUID(int=1))), "1.0.0")["id"]

    assert first == again == str(UUID(first))
    assert len({first, other, DETAILS.app_id}) == 3


def test_a_given_package_id_is_used() -> None:
    given_id = "0F8E1D2C-3B4A-5968-8776-A5B4C3D2E1F0"
    assert build_manifest(replace(DETAILS, package_id=given_id), "1.0.0")["id"] == given_id.lower()


def test_a_name_that_resembles_a_placeholder_is_not_replaced() -> None:
    assert build_manifest(replace(DETAILS, name="${app_id}"), "1.0.0")["name"]["short"] == "${app_id}"


def test_the_bridges_own_commands_fit_the_manifest() -> None:
    commands = tuple((info.word, info.about()) for info in COMMANDS)
    assert build_package(replace(DETAILS, commands=commands)).version == "1.0.0"


def test_all_problems_of_details_and_icons_are_reported_at_once(template: Path) -> None:
    (template / "color.png").unlink()
    spoilt = replace(
        DETAILS,
        app_id="my-bot",
        name="n" * 31,
        website_url="http://contoso.example",
        commands=(("/new", "Start"),) * 13,
        scopes=("channel",),
        public_host="https://bridge.contoso.example",
    )

    with pytest.raises(ManifestInvalid) as refused:
        build_package(spoilt, template=template)

    assert [problem.partition(":")[0] for problem in refused.value.problems] == [
        "developer.websiteUrl",
        "name.short",
        "bots[0].botId",
        "bots[0].scopes[0]",
        "bots[0].commandLists[0].scopes[0]",
        "bots[0].commandLists[0].commands",
        "validDomains[0]",
        "color.png",
    ]
    assert str(refused.value) == "\n".join(refused.value.problems)


# --- the template


def test_the_template_of_an_installed_wheel_wins_over_the_checkouts_template(tmp_path: Path) -> None:
    installed, checkout = tmp_path / "bridge" / "app_template", tmp_path / "manifest"
    with pytest.raises(FileNotFoundError, match="No app template beside"):
        template_folder(tmp_path / "bridge")

    for folder in (checkout, installed):
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text("{}")
        assert template_folder(tmp_path / "bridge") == folder


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{", "manifest.json: the template is not JSON"),
        ("[" * 100_000, "manifest.json: the template is not JSON"),
        ("[]", "manifest.json: the template is not a JSON object; put it in braces"),
        ('{"name": {"short": ["${nmae}"]}}', "manifest.json: ${nmae} is not a known field; remove it"),
    ],
    ids=["cut", "deep", "list", "unknown field"],
)
def test_a_faulty_template_is_reported(template: Path, text: str, sentence: str) -> None:
    (template / "manifest.json").write_text(text)

    with pytest.raises(ManifestInvalid) as refused:
        build_package(DETAILS, template=template)

    (problem,) = refused.value.problems
    assert problem.startswith(sentence)


# --- the zip


def test_the_zip_is_flat_and_holds_the_manifest_and_both_icons() -> None:
    package = build_package(DETAILS)

    files = entries(package.content)
    assert list(files) == ["manifest.json", "color.png", "outline.png"]
    assert json.loads(files["manifest.json"]) == build_manifest(DETAILS, "1.0.0")
    assert files["color.png"] == (template_folder() / "color.png").read_bytes()
    assert (package.version, package.changed) == ("1.0.0", True)


def test_names_in_any_script_survive_the_zip() -> None:
    package = build_package(replace(DETAILS, name="Кіготь 🦀"))
    assert read_package(package.content).manifest["name"]["short"] == "Кіготь 🦀"


# Prints the hash of a package built under a different umask, time zone and hash seed.
BUILD_ELSEWHERE = """
import hashlib, os
os.umask(int(os.environ["TEST_UMASK"], 8))
from bridge.admin.app_package import AppDetails, build_package
details = AppDetails(app_id="6d2b9f3e-8c1a-4f57-9e0d-2a7c4b5e1f08", developer_name="Contoso",
    website_url="https://contoso.example", privacy_url="https://contoso.example/privacy",
    terms_url="https://contoso.example/terms", public_host="bridge.contoso.example",
    commands=(("/new", "Start a new conversation"), ("/help", "What you can do here")))
print(hashlib.sha256(build_package(details).content).hexdigest())
"""


@pytest.mark.parametrize(("umask", "zone"), [("000", "Pacific/Kiritimati"), ("077", "America/Adak")])
def test_the_same_details_give_the_same_bytes_in_every_environment(umask: str, zone: str, tmp_path: Path) -> None:
    elsewhere = os.environ | {"TEST_UMASK": umask, "TZ": zone, "PYTHONHASHSEED": umask, "LC_ALL": "C"}
    ran = subprocess.run(
        [sys.executable, "-c", BUILD_ELSEWHERE],
        env=elsewhere | {"PYTHONPATH": str(REPOSITORY)},
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=60,
    )

    assert ran.stdout.decode().strip() == hashlib.sha256(build_package(DETAILS).content).hexdigest()


def test_entries_of_the_zip_hold_no_time_or_permission_of_the_machine() -> None:
    with zipfile.ZipFile(io.BytesIO(build_package(DETAILS).content)) as archive:
        for entry in archive.infolist():
            assert entry.date_time == (1980, 1, 1, 0, 0, 0)
            assert entry.external_attr >> 16 == 0o100644
            assert entry.create_system == 3
            assert entry.compress_type == zipfile.ZIP_STORED  # compressed bytes differ between builds of zlib


# --- the version


def test_unchanged_details_keep_version_and_bytes() -> None:
    first = build_package(DETAILS)
    again = build_package(DETAILS, previous=first.content)
    assert (again.version, again.content, again.changed) == ("1.0.0", first.content, False)


def test_a_previous_package_with_equal_content_is_returned_unchanged_even_if_packed_differently() -> None:
    repacked = previous_with(version="2.7.1")
    again = build_package(DETAILS, previous=repacked)
    assert (again.version, again.content, again.changed) == ("2.7.1", repacked, False)


def test_changed_details_raise_the_patch_number_each_time() -> None:
    first = build_package(DETAILS, previous=previous_with(version="1.4.9"))
    renamed = build_package(replace(DETAILS, name="Claw"), previous=first.content)
    back = build_package(DETAILS, previous=renamed.content)

    assert [package.version for package in (first, renamed, back)] == ["1.4.9", "1.4.10", "1.4.11"]
    assert renamed.changed
    assert read_package(renamed.content).manifest["version"] == "1.4.10"
    assert read_package(renamed.content).manifest["name"]["short"] == "Claw"


def test_a_changed_icon_raises_the_patch_number(template: Path) -> None:
    first = build_package(DETAILS, template=template)
    icon = template / "color.png"
    icon.write_bytes(icon.read_bytes() + b"\0")

    assert build_package(DETAILS, template=template, previous=first.content).version == "1.0.1"


def test_a_removed_file_raises_the_patch_number() -> None:
    previous = zip_of(entries(build_package(DETAILS).content) | {"de.json": b"{}"})
    package = build_package(DETAILS, previous=previous)
    assert package.version == "1.0.1"
    assert "de.json" not in entries(package.content)


# --- unusable previous packages


def test_the_package_of_a_different_app_is_refused_with_both_ids() -> None:
    other = build_package(replace(DETAILS, app_id=str(UUID(int=7)))).content

    with pytest.raises(PreviousPackageInvalid, match="is of another app") as refused:
        build_package(DETAILS, previous=other)

    assert read_package(other).app_id in str(refused.value)
    assert build_manifest(DETAILS, "1.0.0")["id"] in str(refused.value)


DAMAGED = "The previous package is damaged or not an app package"
NAMELESS = "The previous package's manifest has no id or no version of three numbers"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", DAMAGED),
        (b"not a zip", DAMAGED),
        (zip_of({}), DAMAGED),
        (zip_of({"app/manifest.json": b"{}"}), DAMAGED),
        (zip_of({"manifest.json": b"{"}), DAMAGED),
        (zip_of({"manifest.json": b"\xff\xfe\xff"}), DAMAGED),
        (zip_of({"manifest.json": b"[" * 100_000}), DAMAGED),
        (zip_of({"manifest.json": b"{}"}, zipfile.ZIP_BZIP2), DAMAGED),
        (zip_of(entries(build_package(DETAILS).content) | {"large.bin": bytes(5_000_000)}), DAMAGED),
        (zip_of({"manifest.json": b"[]"}), NAMELESS),
        (zip_of({"manifest.json": b"{}"}), NAMELESS),
        (previous_with(version="1.0"), NAMELESS),
        (previous_with(version=1), NAMELESS),
        (previous_with(version="1.0." + "9" * 5000), NAMELESS),
        (previous_with(id="\x1b[2Jgoclaw"), NAMELESS),
    ],
    ids=[
        "nothing", "no zip", "empty zip", "in a folder", "cut JSON", "no text", "deep JSON", "bzip2",
        "too large", "list", "no fields", "two numbers", "a number", "endless number", "no GUID",
    ],
)  # fmt: skip
def test_bytes_that_are_no_app_package_are_refused_with_a_sentence(content: bytes, sentence: str) -> None:
    with pytest.raises(PreviousPackageInvalid, match=sentence):
        build_package(DETAILS, previous=content)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_damaged_package_is_read_or_refused_and_never_raises_a_different_error(data: st.DataObject) -> None:
    spoilt = bytearray(previous_with(version="1.0.0"))
    for _ in range(data.draw(st.integers(1, 6))):
        spoilt[data.draw(st.integers(0, len(spoilt) - 1))] = data.draw(st.integers(0, 255))
    kept = bytes(spoilt[: data.draw(st.integers(0, len(spoilt)))])
    for content in (bytes(spoilt), kept):
        try:
            read_package(content)
        except PreviousPackageInvalid as refused:
            assert str(refused).startswith("The previous package")  # noqa: PT017  # both ends are allowed


# --- the icons

WHITE, CLEAR = b"\xff\xff\xff\xff", b"\xff\xff\xff\x00"


def png(lines: list[bytes], *, side: int = 32, depth: int = 8, colour: int = 6, interlace: int = 0) -> bytes:
    """A PNG made of filtered lines, each with the filter byte first."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, interlace)
    packed = zlib.compress(b"".join(lines))
    # Two chunks, since a PNG's data may come in any number of chunks.
    data = chunk(b"IDAT", packed[:5]) + chunk(b"IDAT", packed[5:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def lines_of(*pixels: bytes) -> list[bytes]:
    """32 lines that begin with the given pixels and are transparent in the rest."""
    return [b"\0" + b"".join(pixels) + CLEAR * (32 - len(pixels))] * 32


def with_outline(outline: bytes) -> dict[str, bytes]:
    return {"color.png": (template_folder() / "color.png").read_bytes(), "outline.png": outline}


NOT_WHITE = "outline.png: is not pure white on transparent; save it so, as an 8-bit RGBA PNG"
MISSING = "outline.png: is missing or not a PNG file; save a PNG of 32x32 pixels there"


@pytest.mark.parametrize(
    "lines",
    [
        lines_of(WHITE),
        lines_of(WHITE, b"\xff\xff\xff\x80"),
        lines_of(WHITE, b"\0\0\0\0"),
    ],
    ids=["plain", "soft edge", "black but invisible"],
)
def test_a_white_picture_on_transparent_is_accepted_as_outline(lines: list[bytes]) -> None:
    assert icon_problems(with_outline(png(lines))) == []


def filtered(kind: int, rows: list[bytes]) -> list[bytes]:
    """Rows of RGBA pixels under the PNG filter `kind`, computed from the filter's definition."""
    lines = []
    for y, row in enumerate(rows):
        above = rows[y - 1] if y else bytes(len(row))
        line = bytearray([kind])
        for x, value in enumerate(row):
            a, c = (row[x - 4], above[x - 4]) if x >= 4 else (0, 0)
            b = above[x]
            pa, pb, pc = abs(b - c), abs(a - c), abs(a + b - 2 * c)
            paeth = a if pa <= pb and pa <= pc else b if pb <= pc else c
            line.append((value - [0, a, b, (a + b) // 2, paeth][kind]) % 256)
        lines.append(bytes(line))
    return lines


@pytest.mark.parametrize("kind", range(5), ids=["none", "sub", "up", "average", "paeth"])
def test_an_outline_is_judged_by_its_pixels_under_each_png_filter(kind: int) -> None:
    pixels = [[b"\xff\xff\xff" + bytes([x * y * 7 % 256]) for x in range(32)] for y in range(32)]
    pixels[3][3], pixels[9][5] = WHITE, b"\0\0\0\0"
    rows = [b"".join(row) for row in pixels]
    assert icon_problems(with_outline(png(filtered(kind, rows)))) == []

    pixels[20][20] = b"\xff\xff\xfe\xff"
    rows = [b"".join(row) for row in pixels]
    assert icon_problems(with_outline(png(filtered(kind, rows)))) == [NOT_WHITE]


@pytest.mark.parametrize(
    ("outline", "sentence"),
    [
        (b"", MISSING),
        (b"GIF89a", MISSING),
        (b"\x89PNG\r\n\x1a\n", MISSING),
        (png(lines_of(WHITE), side=48), "outline.png: has 48x48 pixels; save it with 32x32"),
        (png(lines_of(WHITE, b"\xff\xff\xfe\xff")), NOT_WHITE),
        (png(lines_of(WHITE, b"\0\0\0\x01")), NOT_WHITE),
        (png(lines_of()), NOT_WHITE),
        (png(lines_of(*[WHITE] * 32)), NOT_WHITE),
        (png(lines_of(WHITE)[:31]), NOT_WHITE),
        (png([*lines_of(WHITE)[:31], lines_of(WHITE)[31][:50]]), NOT_WHITE),
        (png([b"\5" + WHITE * 32] * 32), NOT_WHITE),
        # The average of white and transparent is grey; without undoing the filter the pixels would seem white.
        (png([lines_of(WHITE)[0]] + [b"\3" + bytes(128)] * 31), NOT_WHITE),
        (png(lines_of(WHITE), colour=2), NOT_WHITE),
        (png(lines_of(WHITE), depth=16), NOT_WHITE),
        (png(lines_of(WHITE), interlace=1), NOT_WHITE),
        (png(lines_of(WHITE))[:60], NOT_WHITE),
    ],
    ids=[
        "missing", "other format", "signature only", "size", "off-white", "hint of black", "empty", "full",
        "line missing", "line short", "no such filter", "average", "no alpha", "16 bit", "interlaced", "cut",
    ],
)  # fmt: skip
def test_a_faulty_outline_is_refused_with_a_sentence(outline: bytes, sentence: str) -> None:
    assert icon_problems(with_outline(outline)) == [sentence]


def test_a_colour_icon_of_a_wrong_size_is_refused() -> None:
    icons = with_outline(png(lines_of(WHITE))) | {"color.png": png(lines_of(WHITE))}
    assert icon_problems(icons) == ["color.png: has 32x32 pixels; save it with 192x192"]


def picture(file: Path) -> tuple[bytes, bytes]:
    """A PNG's header and unpacked data, which do not depend on the build of zlib."""
    content, at = file.read_bytes(), 8
    chunks: dict[bytes, bytes] = {}
    while at < len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        chunks[kind] = content[at + 8 : at + 8 + length]
        at += 12 + length
    return chunks[b"IHDR"], zlib.decompress(chunks[b"IDAT"])


def test_drawing_the_icons_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("once", "twice"):
        (tmp_path / name).mkdir()
        script = [sys.executable, str(REPOSITORY / "docs" / "draw_icons.py"), str(tmp_path / name)]
        subprocess.run(script, check=True, timeout=60)

    for icon in ("color.png", "outline.png"):
        assert (tmp_path / "once" / icon).read_bytes() == (tmp_path / "twice" / icon).read_bytes()
        assert picture(tmp_path / "once" / icon) == picture(REPOSITORY / "manifest" / icon)
