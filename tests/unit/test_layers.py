"""Imports between packages and between the rooms of core; purity of core; use of botbuilder; size of modules."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
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
    """The full names of all imports of a module, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide the package of a name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported(part: str) -> set[tuple[str, str]]:
    return {(path.relative_to(ROOT).as_posix(), name) for path in modules(part) for name in imports(path)}


def crossing(part: str, *forbidden: str) -> list[tuple[str, str]]:
    """The imports of forbidden packages by modules of `part`, as pairs of path and imported name."""
    return sorted((path, name) for path, name in imported(part) if f"{name}.".startswith(forbidden))


def test_core_imports_nothing_of_the_rest() -> None:
    assert imported("core")
    assert [
        found for found in sorted(imported("core")) if found[1].startswith("bridge.") and ".core." not in found[1]
    ] == []


def layers(container: str) -> list[list[str]]:
    """The layers of a package in import-linter's contract, highest first; a layer is a list of rooms."""
    configured = tomllib.loads((ROOT.parent / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = configured["tool"]["importlinter"]["contracts"]
    (found,) = [entry["layers"] for entry in contracts if entry.get("containers") == [container]]
    return [layer.split(" | ") for layer in found]


@pytest.mark.parametrize("container", ["bridge", "bridge.core"])
def test_every_room_has_a_layer_and_imports_rooms_of_lower_layers_only(container: str) -> None:
    height = {room: -number for number, layer in enumerate(layers(container)) for room in layer}
    folder = ROOT.joinpath(*container.split(".")[1:])
    rooms = {path.stem for path in folder.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    upward = [
        (room, name)
        for room in height
        for path in (
            [folder / f"{room}.py"] if (folder / f"{room}.py").is_file() else sorted((folder / room).rglob("*.py"))
        )
        for name in imports(path)
        if name.startswith(f"{container}.")
        and (target := name.removeprefix(f"{container}.").partition(".")[0]) in height
        and target != room
        and height[target] >= height[room]
    ]

    assert rooms - {"__init__"} == height.keys()
    assert upward == []


def test_every_room_of_core_states_its_subject() -> None:
    doors = sorted((ROOT / "core").rglob("__init__.py"))

    assert len(doors) > 7
    assert [door for door in doors if not ast.get_docstring(ast.parse(door.read_bytes()))] == []


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


def test_the_simulator_imports_nothing_of_the_bridge() -> None:
    inner = [f"bridge.{part}." for part in ("core", *PARTS) if part != "simulator"]

    assert crossing("simulator", *inner, *ROOT_MODULES) == []


def test_settings_are_known_to_the_composition_root_and_operators_tools_only() -> None:
    users = {path for path, name in imported("") if name.startswith("bridge.settings.")}

    assert users == {
        *ROOT_FILES,
        "server.py",
        "settings/describe.py",
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


def test_botbuilder_is_imported_by_one_module() -> None:
    users = {path for path, name in imported("") if name.startswith(("botbuilder.", "botframework."))}

    assert users == {"teams/inbound.py"}


def test_every_symbol_of_botbuilder_in_use_is_listed_with_what_would_replace_it() -> None:
    """The library's support has ended, so the list of symbols to replace must stay true."""
    _, _, section = DECISIONS.read_text(encoding="utf-8").partition("## botbuilder symbols in use\n")
    rows = re.findall(r"^\| *`([\w.]+)` *\|(.+)\|$", section.partition("\n## ")[0], flags=re.MULTILINE)
    in_use = {name for _, name in imported("") if name.startswith(("botbuilder.", "botframework."))}

    assert {name for name, _ in rows} == in_use
    assert all(cell.strip() for _, rest in rows for cell in rest.split("|"))


def test_no_module_has_more_than_320_lines() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text(encoding="utf-8").splitlines()) for path in modules()
    }

    assert {name: lines for name, lines in lengths.items() if lines > 320} == {}


def test_every_module_has_a_docstring() -> None:
    silent = [path for path in modules() if path.read_bytes() and not ast.get_docstring(ast.parse(path.read_bytes()))]

    assert silent == []
