"""Each source named in code, tests and docs can be followed: page and heading exist, and so do linked files."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("bridge", "tests", "docs", "manifest", ".github")
ENDINGS = {".py", ".sql", ".js", ".css", ".html", ".sh", ".md", ".toml", ".yml", ".yaml"}
# A page in parentheses is the target of a link, which has a test of its own.
CITATION = re.compile(r'(?<!\()\bdocs/[\w./-]+\.md\b(?:, "([^"\n]+)")?')
LINK = re.compile(r"\]\(([\w./-]+)(?:#[\w-]*)?\)")
CODE = re.compile(r"```.*?```|`[^`]*`", re.DOTALL)
# A paragraph sign is allowed in a citation of an RFC. The rest are pages outside of the repository.
DANGLING = re.compile(
    r"(?<!RFC \d{4} )§|\b[Dd]esign(?:'s)? (?:section|§)|\bthe design\b"
    r"|teams-platform\.md|goclaw-gateway\.md|pitfalls\.md|\bdesign\.md"
)
# A vendor's page, a link by name, or the words for an own observation.
SOURCE = re.compile(r"https://|\]\[|\[\w[\w ]*\](?!\()|\b(?:observed|seen|measured|read)\b", re.IGNORECASE)


def texts() -> list[Path]:
    """All files of the repository with citations; the golden files are answers of an agent."""
    found = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in ENDINGS]
    found += [path for path in ROOT.iterdir() if path.suffix in ENDINGS or path.name in {"Dockerfile", "Makefile"}]
    return sorted(path for path in found if "golden" not in path.parts and path != Path(__file__))


@cache
def headings(page: Path) -> frozenset[str]:
    return frozenset(re.findall(r"^#{1,4} (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE))


def unwrapped(path: Path) -> str:
    """A file's text without line breaks and comment signs, since a citation may be wrapped."""
    return re.sub(r"\s*\n\s*(?:#|--|//|\*)?\s*", " ", path.read_text(encoding="utf-8"))


def test_every_citation_names_an_existing_page_and_heading() -> None:
    broken, followed = [], 0
    for path in texts():
        for match in CITATION.finditer(unwrapped(path)):
            page = ROOT / match[0].partition(",")[0]
            followed += 1
            if not page.is_file() or (match[1] and match[1] not in headings(page)):
                broken.append(f"{path.relative_to(ROOT)}: {match[0]}")

    assert broken == []
    assert followed > 100


def test_every_link_within_the_repository_leads_to_a_file() -> None:
    pages = [path for path in texts() if path.suffix == ".md" and "tests" not in path.parts]

    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
        if not (page.parent / target).exists()
    ]

    assert broken == []


def test_no_source_outside_the_repository_is_cited_but_vendors_pages() -> None:
    dangling = [
        f"{path.relative_to(ROOT)}: {match[0]}" for path in texts() for match in DANGLING.finditer(unwrapped(path))
    ]

    assert dangling == []


@pytest.mark.parametrize("name", ["teams.md", "goclaw.md"])
def test_every_section_of_a_reference_page_names_its_source(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]

    silent = [section.splitlines()[0] for section in sections if not SOURCE.search(section)]

    assert len(sections) > 10
    assert silent == []
