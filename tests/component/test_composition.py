"""Settings reach their effect: sentences, proxy, switches, the app package."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.admin.app_package import build_package, read_package
from bridge.admin.registration import app_details
from bridge.app import compose, connected
from bridge.cli.main import app
from bridge.core import texts
from bridge.core.commands import COMMANDS
from bridge.core.errors import FileUnreachable
from bridge.core.files.shared import FileKind, SharedFile
from bridge.core.texts import ENGLISH, SHIPPED, say
from bridge.engine.progress import ProgressSwitches
from bridge.from_settings import policy_of, switches_of
from bridge.settings.load import load

MINIMUM = {
    "TEAMS_APP_ID": "00000000-0000-4000-8000-0000000000aa",
    "TEAMS_APP_PASSWORD": "secret",
    "TEAMS_TENANT_ID": "00000000-0000-4000-8000-0000000000bb",
    "GOCLAW_URL": "http://gateway:8080",
    "GOCLAW_TOKEN": "token",
}
STARTERS = "What can you do?; Who is away?"


@pytest.fixture(autouse=True)
def own_text() -> Iterator[None]:
    """Put the bridge's own sentences back in use after each test."""
    yield
    texts.use({})


@pytest.mark.parametrize("language", SHIPPED)
def test_the_sentences_are_printed_as_a_file_for_an_admin_to_change(language: str, tmp_path: Path) -> None:
    printed = CliRunner().invoke(app, ["texts", language])
    file = tmp_path / "texts.toml"
    file.write_bytes(printed.stdout_bytes)

    assert printed.exit_code == 0
    assert load({**MINIMUM, "BRIDGE_TEXTS": str(file)}).texts.sentences == {language: SHIPPED[language]}


def test_the_sentences_of_an_unknown_language_cannot_be_printed() -> None:
    printed = CliRunner().invoke(app, ["texts", "tlh"])

    assert (printed.exit_code, printed.stdout, printed.stderr) == (2, "", "tlh: there are en, vi, zh.\n")


async def test_requests_to_teams_go_through_the_companys_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as proxy:
        port = proxy.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        async with connected(load(MINIMUM)) as edges:
            file = SharedFile("a.txt", "https://contoso.sharepoint.com/a.txt", FileKind.DOWNLOAD)
            with pytest.raises(FileUnreachable):
                await edges.shared_files.fetch(file)
    assert asked == [b"CONNECT contoso.sharepoint.com:443 HTTP/1.1\r\n"]


async def test_a_composed_bridge_uses_the_admins_own_sentences(tmp_path: Path) -> None:
    file = tmp_path / "texts.toml"
    file.write_text("[vi]\nstopped = 'Xong.'\n[de]\nstopped = 'Fertig.'\n", encoding="utf-8")
    settings = load({**MINIMUM, "BRIDGE_TEXTS": str(file), "BRIDGE_STORE": str(tmp_path / "turns.db")})

    async with connected(settings) as edges:
        compose(settings, edges)

    assert [say("stopped", locale) for locale in ("vi-VN", "de-DE")] == ["Xong.", "Fertig."]
    assert say("stopped", "en-US") == ENGLISH["stopped"]


@pytest.mark.parametrize("switch", ["streaming", "progress", "notify", "reactions"])
def test_each_switch_of_progress_has_its_setting(switch: str) -> None:
    assert switches_of(load(MINIMUM)) == ProgressSwitches()
    assert switches_of(load({**MINIMUM, f"BRIDGE_{switch.upper()}": "false"})) == replace(
        ProgressSwitches(), **{switch: False}
    )


def test_starters_are_in_the_welcome_and_before_the_commands_of_the_app_package() -> None:
    settings = load({**MINIMUM, "BRIDGE_STARTERS": STARTERS})

    details = app_details(settings)

    assert policy_of(settings).starters == ("What can you do?", "Who is away?")
    assert [title for title, _ in details.starters] == ["What can you do?", "Who is away?"]
    assert details.commands == tuple((info.word, info.about()) for info in COMMANDS)


def test_the_app_package_has_every_language_of_the_bridge() -> None:
    texts.use({"de": {"about_new": "Neu anfangen"}})
    details = app_details(load({**MINIMUM, "BRIDGE_STARTERS": STARTERS}))

    files = read_package(build_package(details).content).others

    assert {"de.json", "vi.json", "zh.json"} <= files.keys()
    assert json.loads(files["zh.json"])["description.short"] == SHIPPED["zh"]["app_short"]
    assert json.loads(files["de.json"])["description.short"] == ENGLISH["app_short"]
    assert "Neu anfangen" in files["de.json"].decode()
    assert SHIPPED["vi"]["about_starter"] in files["vi.json"].decode()


def test_the_app_package_describes_the_commands_in_the_admins_words() -> None:
    texts.use({"en": {"about_new": "Begin anew"}})

    assert ("/new", "Begin anew") in app_details(load(MINIMUM)).commands
