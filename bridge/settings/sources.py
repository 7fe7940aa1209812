"""Reads raw values of settings: from the environment, a TOML file and files with secrets.

The environment wins over the TOML file. model.py and types.py check the values.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bridge.core.texts import Sentences, faults

_PREFIXES: Final = ("BRIDGE_", "TEAMS_")
# Kubernetes sets variables for every service in every container, also for a service called `bridge` or `teams-bridge`:
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_FOREIGN: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")
_FOREIGN_PORT: Final = re.compile(r"(tcp|udp|sctp)://\S+")


@dataclass(frozen=True, slots=True)
class OwnTexts:
    """An admin's own sentences, by language and key, and the path of the file."""

    path: str = ""
    sentences: Sentences = field(default_factory=dict)

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Names:
    """The names of all settings: `settings` maps each accepted name to a setting, the setting's own name first.

    `secrets` are the settings whose values may come from a file.
    """

    settings: Mapping[str, str]
    secrets: frozenset[str]

    @property
    def known(self) -> frozenset[str]:
        """All names that the environment and the TOML file may use."""
        files = {f"{name}_FILE" for name in self.secrets}
        return frozenset({*self.settings, *(name.upper() for name in self.settings), *files, "BRIDGE_CONFIG"})


def read(environment: Mapping[str, str], names: Names, problems: list[str]) -> dict[str, Any]:
    """The values by the names in use; appends a sentence to `problems` for each fault.

    The environment wins over the file of BRIDGE_CONFIG, even if the two use different names of a setting. An empty
    variable counts as not set, since compose files and manifests often pass on empty variables.
    """
    variables = {name: value for name, value in environment.items() if value != "" and not _is_foreign(name, value)}
    from_file = _from_toml(environment.get("BRIDGE_CONFIG", ""), problems)
    # Of the environment, only names with the bridge's prefixes are checked; the file is the bridge's own as a whole.
    problems.extend(_unknown({name: variables[name] for name in variables if name.startswith(_PREFIXES)}, names))
    problems.extend(_unknown(from_file, names))
    found = {**_values(from_file, names, problems), **_values(variables, names, problems)}
    return dict(found.values())


def own_texts(path: str, problems: list[str]) -> OwnTexts:
    """The sentences in the file of BRIDGE_TEXTS; appends a sentence to `problems` for each fault."""
    found = _toml("BRIDGE_TEXTS", path, problems)
    problems.extend(f"BRIDGE_TEXTS: {fault}" for fault in faults(found))
    return OwnTexts(path, found)


def _is_foreign(name: str, value: str) -> bool:
    by_value = name.endswith("_PORT") and _FOREIGN_PORT.fullmatch(value) is not None
    return by_value or _FOREIGN.fullmatch(name) is not None


def _unknown(values: Mapping[str, object], names: Names) -> Iterator[str]:
    for name in sorted(values.keys() - names.known):
        close = difflib.get_close_matches(name, sorted(names.known), 1)
        yield f"{name}: is not a setting" + (f"; did you mean {close[0]}?" if close else "; remove it")


def _values(source: Mapping[str, Any], names: Names, problems: list[str]) -> dict[str, tuple[str, Any]]:
    """The values in a source: for each setting, the name in use and the value."""
    found: dict[str, tuple[str, Any]] = {}
    for name, setting in names.settings.items():
        # On Windows and in the TOML file all names are upper case: MicrosoftAppId arrives as MICROSOFTAPPID.
        value = source.get(name, source.get(name.upper()))
        if value not in (None, ""):
            found.setdefault(setting, (name, value))
    for secret in sorted(names.secrets - found.keys()):
        if path := source.get(f"{secret}_FILE"):
            content = _content(f"{secret}_FILE", str(path), problems)
            if content:
                found[secret] = (secret, content)
    return found


def _content(name: str, path: str, problems: list[str]) -> str:
    try:
        content = Path(path).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        problems.append(f"{name}: cannot be read ({error.strerror}); check the path and its permissions")
    except ValueError:
        problems.append(f"{name}: cannot be read (not UTF-8 text); check the path and what the file holds")
    else:
        if not content:
            problems.append(f"{name}: the file is empty; write the secret into it")
        return content
    return ""


def _from_toml(path: str, problems: list[str]) -> dict[str, Any]:
    return dict(_flat(_toml("BRIDGE_CONFIG", path, problems))) if path else {}


def _toml(name: str, path: str, problems: list[str]) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        problems.append(f"{name}: cannot be read ({error.strerror}); check the path")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problems.append(f"{name}: is not valid TOML: {error}")
    except ValueError:  # a null character in the path
        problems.append(f"{name}: is no path of a file; check it")
    return {}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The entries of nested tables under flat names: `[teams] app_id = …` becomes TEAMS_APP_ID."""
    for key, value in table.items():
        name = f"{prefix}{key}".upper()
        if isinstance(value, dict):
            yield from _flat(value, f"{name}_")
        else:
            yield name, tuple(value) if isinstance(value, list) else value
