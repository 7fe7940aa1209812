"""Docstrings and comments name their subject, and each thing has a single word.

Counts words that stand for a subject without naming the subject ("it", "what", "other", "nobody"), per 100 words of
docstrings and comments. The limits are the project's own; public models of the field stand between 1.4 and 3.3.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WORD = re.compile(r"[A-Za-z][A-Za-z'-]*")
NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
INDEFINITE = re.compile(
    r"it|its|itself|they|them|their|theirs|this|these|that|those|what|whatever|whoever|whichever"
    r"|one|ones|other|others|another|some(?:body|one|thing)|any(?:body|one|thing)|nobody|nothing|every(?:body|thing)",
    re.IGNORECASE,
)
LIMITS = {"bridge": 4.0, "tests": 6.0}
MODULE_LIMIT = 7.0
COUNTED_FROM = 100  # words; the share of a shorter module swings too much
DOCUMENTED = 1_419  # definitions of `bridge` with a docstring: deleting docstrings is no way to plain words

# Words replaced by a word of the glossary (docs/architecture.md, "Glossary"). In the order of the alphabet.
RETIRED = re.compile(
    r"abandon(?:s|ed)?|abreast|adopt(?:s|ed|ions?)?|afterthoughts?|beat(?:s|en)?|buried|bury|deeds?|doings|insists?"
    r"|landing|life|lives|unmarked|whereabouts",
    re.IGNORECASE,
)
ALLOWED = re.compile(r"life[ -]?cycle", re.IGNORECASE)


@cache
def modules(folder: str) -> tuple[Path, ...]:
    return tuple(sorted((ROOT / folder).rglob("*.py")))


def docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield text


def comments(source: str) -> Iterator[str]:
    """The comments of a module, without directives to linters."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            text = token.string.lstrip("# ")
            if not text.startswith(("noqa", "type:", "!", "pragma")):
                yield text


@cache
def prose(path: Path) -> str:
    """A module's docstrings and comments."""
    source = path.read_text(encoding="utf-8")
    return "\n".join([*docstrings(ast.parse(source)), *comments(source)])


def counts(path: Path) -> tuple[int, int]:
    """The number of words in a module's prose, and the number of indefinite words."""
    words = WORD.findall(prose(path))
    return len(words), sum(INDEFINITE.fullmatch(word) is not None for word in words)


def share(pairs: list[tuple[int, int]]) -> float:
    """Indefinite words per 100 words."""
    total = sum(words for words, _ in pairs)
    return 100 * sum(indefinite for _, indefinite in pairs) / max(total, 1)


def name_words(path: Path) -> Iterator[str]:
    """The words of a module's identifiers: `take_over`, `TakeOver` and `TAKE_OVER` are all take, over."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.NAME:
            yield from NAME_PART.findall(token.string)


def retired(words: Iterator[str] | list[str]) -> set[str]:
    return {word.lower() for word in words if RETIRED.fullmatch(word)}


@pytest.mark.parametrize("folder", ["bridge", "tests"])
def test_prose_names_its_subjects(folder: str) -> None:
    assert share([counts(path) for path in modules(folder)]) <= LIMITS[folder]


@pytest.mark.parametrize("folder", ["bridge", "tests"])
def test_no_module_is_a_riddle(folder: str) -> None:
    measured = {str(path.relative_to(ROOT)): counts(path) for path in modules(folder)}

    assert {
        name: round(share([pair]), 1)
        for name, pair in measured.items()
        if pair[0] > COUNTED_FROM and share([pair]) > MODULE_LIMIT
    } == {}


def test_definitions_keep_their_docstrings() -> None:
    assert sum(1 for path in modules("bridge") for _ in docstrings(ast.parse(path.read_text("utf-8")))) >= DOCUMENTED


@pytest.mark.parametrize("folder", ["bridge", "tests"])
def test_no_retired_word_stands_in_a_name_docstring_or_comment(folder: str) -> None:
    found = {
        str(path.relative_to(ROOT)): words
        for path in modules(folder)
        if path != Path(__file__)
        and (words := retired(WORD.findall(ALLOWED.sub("", prose(path)))) | retired(name_words(path)))
    }

    assert found == {}


def test_no_retired_word_stands_in_a_page() -> None:
    found = {
        str(path.relative_to(ROOT)): words
        for path in [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]
        if (words := retired(WORD.findall(ALLOWED.sub("", path.read_text(encoding="utf-8")))))
    }

    assert found == {}


def test_no_retired_word_stands_in_a_comment_of_an_sql_statement() -> None:
    statements = ROOT / "bridge" / "store" / "sql" / "statements.sql"  # columns and stored words keep their names
    lines = re.findall(r"--.*", statements.read_text(encoding="utf-8"))

    assert retired(WORD.findall(ALLOWED.sub("", "\n".join(lines)))) == set()
