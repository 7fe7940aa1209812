"""Each row of docs/teams-behaviour.md has a rule, an existing test, and a browser test or the reason for none."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "teams-behaviour.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
HEAD = ["Behaviour", "Rule", "Test", "In a browser"]


def rows() -> list[list[str]]:
    """The cells of each row of each table, heads and rulers included."""
    lines = [line for line in PAGE.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def behaviours() -> list[list[str]]:
    """The rows without heads and rulers."""
    return [row for row in rows() if row != HEAD and set("".join(row)) != {"-"}]


@cache
def functions(file: str) -> frozenset[str]:
    """The names of a file's test functions; empty if the file is missing."""
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def opens_a_browser(file: str) -> bool:
    return file.startswith("tests/e2e/") and "from playwright" in (ROOT / file).read_text(encoding="utf-8")


def test_every_row_has_a_behaviour_a_rule_and_a_test() -> None:
    assert len(behaviours()) > 100
    for row in behaviours():
        assert len(row) == 4, row
        behaviour, rule, tests, _ = row
        assert behaviour, row
        assert re.search(r"\[[\w ]+\]|own: [\w*]", rule), f"neither a page nor a reason: {row}"
        assert TEST.sub("", tests).replace(",", "").strip() == "", f"text beside the tests: {row}"
        assert TEST.search(tests), f"no test: {row}"


def test_every_row_has_a_browser_test_or_the_reason_for_none() -> None:
    seen = [row for row in behaviours() if TEST.search(row[3])]
    assert len(seen) > 100
    for row in behaviours():
        cell = row[3]
        if row in seen:
            assert TEST.sub("", cell).replace(",", "").strip() == "", f"text beside the tests: {row}"
            assert all(opens_a_browser(file) for file, _ in TEST.findall(cell)), f"not in a browser: {row}"
        else:
            assert cell == "–" or re.fullmatch(r"no: \w.+", cell), f"neither a test nor a reason: {row}"


def test_every_named_test_exists() -> None:
    named = TEST.findall(PAGE)

    missing = [f"{file}::{name}" for file, name in named if name not in functions(file)]

    assert named
    assert missing == []


def test_every_named_page_is_linked_once_and_cited_in_the_code_or_its_reference_page() -> None:
    linked = dict(re.findall(r"^\[([\w ]+)\]: (https://\S+)$", PAGE, flags=re.MULTILINE))
    used = set(re.findall(r"\[([\w ]+)\](?![:(])", PAGE))
    sources = [*sorted((ROOT / "bridge").rglob("*.py")), ROOT / "docs" / "reference" / "teams.md"]
    cited = "".join(path.read_text(encoding="utf-8") for path in sources)
    pages = {url.partition("#")[0].rpartition("/")[2] for url in linked.values() if "//learn.microsoft.com/" in url}

    assert used == linked.keys()
    assert {page for page in pages if page not in cited} == set()
