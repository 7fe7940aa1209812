"""The cut of the design: who may import whom, and how much of botbuilder is in use."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import bridge

ROOT = Path(bridge.__file__).parent
DECISIONS = ROOT.parent / "docs" / "decisions.md"
PARTS = ("teams", "gateway", "store", "engine", "web", "admin", "simulator")
LIBRARIES_OF_CORE = {"orjson", "markdown_it"}
IMPURE = {"asyncio", "os", "time", "random", "secrets", "socket", "sqlite3", "threading", "subprocess", "pathlib", "io"}
ROOT_FILES = ("app.py", "from_settings.py")
ROOT_MODULES = ("bridge.app.", "bridge.from_settings.", "bridge.settings.")


def modules(part: str = "") -> list[Path]:
    return sorted((ROOT / part).rglob("*.py"))


@cache
def imports(path: Path) -> frozenset[str]:
    return frozenset(_imports(path))


def _imports(path: Path) -> Iterator[str]:
    """The full name of everything a module imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where things come from"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(part: str) -> set[tuple[str, str]]:
    return {(path.relative_to(ROOT).as_posix(), name) for path in modules(part) for name in imports(path)}


def crossing(part: str, *forbidden: str) -> list[tuple[str, str]]:
    """What modules of `part` import out of the forbidden packages."""
    return sorted((path, name) for path, name in imported(part) if f"{name}.".startswith(forbidden))


def test_core_imports_nothing_of_the_rest() -> None:
    assert imported("core")
    assert [
        found for found in sorted(imported("core")) if found[1].startswith("bridge.") and ".core." not in found[1]
    ] == []


def test_core_has_no_clock_no_randomness_and_no_io() -> None:
    tops = {name.partition(".")[0] for _, name in imported("core")} - {"bridge"}

    assert tops & IMPURE == set()
    assert tops - set(sys.stdlib_module_names) <= LIBRARIES_OF_CORE


@pytest.mark.parametrize("edge", ["teams", "gateway", "store"])
def test_an_edge_imports_neither_another_nor_the_engine(edge: str) -> None:
    others = [f"bridge.{part}." for part in PARTS if part != edge]

    assert imported(edge)
    assert crossing(edge, *others, *ROOT_MODULES, "bridge.cli.") == []


def test_the_engine_knows_edges_only_as_ports() -> None:
    others = [f"bridge.{part}." for part in PARTS if part != "engine"]

    assert crossing("engine", *others, *ROOT_MODULES, "aiohttp.", "httpx.") == []


def test_the_simulator_does_not_share_the_bridges_mistakes() -> None:
    inner = [f"bridge.{part}." for part in ("core", *PARTS) if part != "simulator"]

    assert crossing("simulator", *inner, *ROOT_MODULES) == []


def test_only_the_composition_root_and_what_operators_use_know_the_settings() -> None:
    users = {path for path, name in imported("") if name.startswith("bridge.settings.")}

    assert users == {
        *ROOT_FILES,
        "server.py",
        "settings/model.py",
        "settings/load.py",
        "cli/main.py",
        "admin/doctor.py",
        "admin/registration.py",
    }


def test_the_environment_is_read_by_the_command_line_alone() -> None:
    readers = {
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    }

    assert {path for path in readers if not path.startswith("simulator/")} <= {"cli/main.py"}


def test_botbuilder_is_in_use_in_one_place() -> None:
    users = {path for path, name in imported("") if name.startswith(("botbuilder.", "botframework."))}

    assert users == {"teams/inbound.py"}


def test_every_symbol_of_botbuilder_in_use_is_listed_with_what_would_replace_it() -> None:
    """The library is at its end of life, so the list must stay true."""
    _, _, section = DECISIONS.read_text(encoding="utf-8").partition("## botbuilder symbols in use\n")
    rows = re.findall(r"^\| *`([\w.]+)` *\|(.+)\|$", section.partition("\n## ")[0], flags=re.MULTILINE)
    in_use = {name for _, name in imported("") if name.startswith(("botbuilder.", "botframework."))}

    assert {name for name, _ in rows} == in_use
    assert all(cell.strip() for _, rest in rows for cell in rest.split("|"))


def test_a_module_is_short_enough_to_be_read() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()
    }

    assert {name: lines for name, lines in lengths.items() if lines > 320} == {}


def test_every_module_says_its_job_first() -> None:
    silent = [path for path in modules() if path.read_bytes() and not ast.get_docstring(ast.parse(path.read_bytes()))]

    assert silent == []
