"""Every source that code, tests and docs name can be followed: the page exists, and so does its heading."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
FOLDERS = ("bridge", "tests", "docs", "manifest", ".github")
ENDINGS = {".py", ".sql", ".js", ".css", ".html", ".sh", ".md", ".toml", ".yml", ".yaml"}
FOLLOWED = re.compile(r'\bdocs/[\w./-]+\.md\b(?:, "([^"\n]+)")?')
# A paragraph sign belongs to an RFC; a page of the team's own that is not in this repository is no source.
DANGLING = re.compile(
    r"(?<!RFC \d{4} )§|\b[Dd]esign(?:'s)? (?:section|§)|\bthe design\b"
    r"|teams-platform\.md|goclaw-gateway\.md|pitfalls\.md|\bdesign\.md"
)


def texts() -> list[Path]:
    """All files in which a source may be named."""
    found = [path for name in FOLDERS for path in (ROOT / name).rglob("*") if path.suffix in ENDINGS]
    found += [path for path in ROOT.iterdir() if path.suffix in ENDINGS or path.name in {"Dockerfile", "Makefile"}]
    return sorted(path for path in found if "golden" not in path.parts and path != Path(__file__))


@cache
def headings(page: Path) -> frozenset[str]:
    return frozenset(re.findall(r"^#{1,4} (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE))


def unwrapped(path: Path) -> str:
    """The text with line breaks inside comments and docstrings taken out, since a citation may be wrapped."""
    return re.sub(r"\s*\n\s*(?:#|--|//|\*)?\s*", " ", path.read_text(encoding="utf-8"))


def test_every_citation_names_a_page_and_a_heading_that_exist() -> None:
    broken, followed = [], 0
    for path in texts():
        for match in FOLLOWED.finditer(unwrapped(path)):
            page = ROOT / match[0].partition(",")[0]
            followed += 1
            if not page.is_file() or (match[1] and match[1] not in headings(page)):
                broken.append(f"{path.relative_to(ROOT)}: {match[0]}")

    assert broken == []
    assert followed > 100


def test_no_source_outside_the_repository_is_cited_but_vendors_pages() -> None:
    dangling = [
        f"{path.relative_to(ROOT)}: {match[0]}" for path in texts() for match in DANGLING.finditer(unwrapped(path))
    ]

    assert dangling == []


@pytest.mark.parametrize("name", ["teams.md", "goclaw.md"])
def test_every_section_of_a_reference_page_names_its_source(name: str) -> None:
    page = (ROOT / "docs" / "reference" / name).read_text(encoding="utf-8")
    sections = re.split(r"^## ", page, flags=re.MULTILINE)[1:]

    silent = [
        section.splitlines()[0]
        for section in sections
        if not re.search(r"https://|\]\[|\[\w|observed|seen|Seen|Observed|[Mm]easured|[Rr]ead", section)
    ]

    assert len(sections) > 10
    assert silent == []
