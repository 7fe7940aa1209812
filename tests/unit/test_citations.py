"""Each source named in code, tests and docs can be followed: pages, headings, linked files, modules and their names."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
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

# A module in prose (`core/errors.py`), and a name within a module, package or class (`core.history.steps`).
MODULE_FILE = re.compile(r"(?<![\w/.-])[\w/-]+\.(?:py|sql)\b")
DOTTED_NAME = re.compile(r"`((?:[A-Za-z_]\w*\.)+(?!(?:py|md|sql|env)`)\w+)(?:\(\))?`")


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


@cache
def vendors_words() -> str:
    """The reference pages, which name modules, methods and settings of the two platforms."""
    return "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs" / "reference").glob("*.md")))


@cache
def members() -> dict[str, set[str]]:
    """The names within each package, module and class, by the last part of the package's, module's or class's name."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in [*(ROOT / "bridge").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]:
        module = path.parent if path.name == "__init__.py" else path.with_suffix("")
        found[module.parent.name].add(module.name)
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found[module.name] |= defined(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name] |= defined(node)
    return found


def defined(owner: ast.AST) -> set[str]:
    """The functions, classes, variables and attributes that a module or class defines or sets, at any depth."""
    names = set()
    for node in ast.walk(owner):
        match node:
            case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
                names.add(name)
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                names.add(name)
    return names


def leads_nowhere(name: str) -> bool:
    """Whether a dotted name begins with a package, module or class of ours, and then names a missing member."""
    known = members()
    return name.partition(".")[0] in known and any(
        left in known and right not in known[left] for left, right in pairwise(name.split("."))
    )


def prose(path: Path) -> Iterator[str]:
    """The comments and docstrings of a module, docstrings of variables included; the whole text of a page."""
    source = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield source
        return
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value.value


@cache
def described() -> tuple[tuple[Path, str], ...]:
    """Each passage of prose about our own code, with the file of the passage."""
    pages = [path for path in texts() if path.suffix in {".py", ".md"} and "reference" not in path.parts]
    return tuple((path.relative_to(ROOT), passage) for path in pages for passage in prose(path))


def test_every_module_named_in_prose_exists() -> None:
    files = [f"/{path.relative_to(ROOT)}" for path in [*texts(), Path(__file__)]]

    missing = [
        f"{path}: {name}"
        for path, passage in described()
        for name in MODULE_FILE.findall(passage)
        if not any(file.endswith(f"/{name}") for file in files) and name not in vendors_words()
    ]

    assert missing == []


def test_every_dotted_name_in_prose_leads_to_a_definition() -> None:
    names = [(path, name) for path, passage in described() for name in DOTTED_NAME.findall(passage)]

    missing = [f"{path}: {name}" for path, name in names if leads_nowhere(name) and f"`{name}`" not in vendors_words()]

    assert missing == []
    assert len(names) > 100


@pytest.mark.parametrize("name", ["core.history.stepz", "TurnStore.take_away", "bridge.core.histories", "ports.Agent"])
def test_a_name_without_a_definition_is_noticed(name: str) -> None:
    assert leads_nowhere(name)
