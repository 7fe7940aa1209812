"""The commands as real processes: output, exit codes, secrets that stay secret."""

from __future__ import annotations

import asyncio
import io
import json
import re
import subprocess
import sys
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from support.process_world import (
    AGENT,
    TOKEN,
    GatewayStandIn,
    Process,
    World,
    clean_environment,
    eventually_async,
    free_port,
    world,
)

from bridge import __version__

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

VERDICTS = ("ok", "failed", "not checked")
GATEWAY_CHECKS = ("gateway token accepted", "agent exists", "user ids honoured", "sessions persist", "agent events")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world with a running bridge, which no test stops."""
    async with world(tmp_path_factory.mktemp("cli")) as here:
        here.bridge.environment["BRIDGE_PUBLIC_URL"] = here.bridge.base
        await here.start()
        yield here


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


async def bridge(*arguments: str, **settings: str) -> CommandResult:
    """Run `teams-bridge …` to the end, with no settings but the given ones."""
    environment = clean_environment(**{"COLUMNS": "160", **settings})

    def work() -> CommandResult:
        command = [sys.executable, "-m", "bridge", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
        return CommandResult(done.returncode, done.stdout, done.stderr)

    result = await asyncio.to_thread(work)
    assert "Traceback" not in result.out + result.err
    return result


@dataclass(frozen=True)
class Line:
    """A line of the doctor."""

    verdict: str
    detail: str
    fix: str


async def doctor(running: World, **changes: str) -> tuple[int, dict[str, Line]]:
    """The doctor's exit code, and the lines by the check's name. The doctor has a separate store unless given."""
    own = {"BRIDGE_STORE": str(running.store.with_name("of-the-doctor.db"))}
    result = await bridge("doctor", **{**running.bridge.environment, **own, **changes})
    lines: dict[str, Line] = {}
    for line in result.out.splitlines():
        found = re.match(rf"({'|'.join(VERDICTS)})\s+(.+?): (.*)", line)
        if found:
            lines[found[2]] = Line(found[1], found[3], "")
        elif "->" in line:
            last = list(lines)[-1]
            lines[last] = Line(lines[last].verdict, lines[last].detail, line.partition("->")[2].strip())
    assert result.err == ""
    return result.code, lines


def verdicts(lines: dict[str, Line], verdict: str) -> set[str]:
    return {name for name, line in lines.items() if line.verdict == verdict}


async def test_the_doctor_reports_ok_for_every_check_of_a_working_bridge(running: World) -> None:
    code, lines = await doctor(running, BRIDGE_STORE=str(running.store))
    assert verdicts(lines, "ok") == set(lines), lines
    assert len(lines) == 11
    assert lines["store"].detail.startswith("in use by a running bridge; made, new and empty: 20")
    assert code == 0


async def test_the_doctor_reports_checks_without_model_call_or_public_address_as_not_made(running: World) -> None:
    runs = len(running.gateway.asked)
    store = str(running.store.with_name("of-the-doctor.db"))
    environment = {**running.bridge.environment, "BRIDGE_PUBLIC_URL": "", "BRIDGE_STORE": store}
    result = await bridge("doctor", "--no-model-call", **environment)
    assert result.code == 0
    assert re.search(r"^not checked\s+sessions persist: .*--no-model-call", result.out, re.MULTILINE)
    assert re.search(r"^not checked\s+public address: BRIDGE_PUBLIC_URL is not set", result.out, re.MULTILINE)
    assert len(running.gateway.asked) == runs


async def test_the_doctor_names_a_wrong_secret_and_still_makes_the_other_checks(running: World) -> None:
    code, lines = await doctor(running, TEAMS_APP_PASSWORD="not the secret")
    assert code == 1
    assert verdicts(lines, "failed") == {"outbound token from Entra ID"}
    token = lines["outbound token from Entra ID"]
    assert "TEAMS_APP_PASSWORD" in token.fix
    assert "not the secret" not in token.detail
    assert len(verdicts(lines, "ok")) == 10


async def test_the_doctor_names_a_wrong_gateway_token_and_skips_the_checks_behind_the_token(running: World) -> None:
    code, lines = await doctor(running, GOCLAW_TOKEN="wrong")
    assert code == 1
    assert verdicts(lines, "failed") == {"gateway token accepted"}
    assert "GOCLAW_TOKEN" in lines["gateway token accepted"].fix
    assert verdicts(lines, "not checked") == {"agent exists", "user ids honoured", "sessions persist", "agent events"}


async def test_the_doctor_names_an_unknown_agent(running: World) -> None:
    code, lines = await doctor(running, GOCLAW_AGENT="nobody")
    assert code == 1
    assert verdicts(lines, "failed") == {"agent exists"}
    assert "GOCLAW_AGENT" in lines["agent exists"].fix
    assert verdicts(lines, "not checked") == {"sessions persist"}


async def test_the_doctor_names_a_gateway_without_memory(running: World, tmp_path: Path) -> None:
    gateway = GatewayStandIn(tmp_path / "forgetful", persistent=False)
    await gateway.start()
    try:
        code, lines = await doctor(running, GOCLAW_URL=gateway.base)
    finally:
        await gateway.stop()
    assert code == 1
    assert verdicts(lines, "failed") == {"sessions persist"}
    assert "one session per user" in lines["sessions persist"].fix


async def test_the_doctor_names_all_faults_on_a_machine_where_no_service_answers(
    running: World, tmp_path: Path
) -> None:
    unused = f"http://127.0.0.1:{free_port()}"
    (tmp_path / "file").write_text("no folder")
    changes = {
        "GOCLAW_URL": unused,
        "BRIDGE_PUBLIC_URL": unused,
        "BRIDGE_STORE": str(tmp_path / "file" / "bridge.db"),
    }
    code, lines = await doctor(running, **changes)
    assert code == 1
    assert verdicts(lines, "failed") == {"gateway reachable", "public address", "store"}
    assert verdicts(lines, "not checked") == set(GATEWAY_CHECKS)
    assert all(lines[name].fix for name in verdicts(lines, "failed"))
    assert lines["gateway reachable"].fix.startswith("Set GOCLAW_URL")


async def test_help_and_version_need_no_settings() -> None:
    helped, version = await asyncio.gather(bridge("--help"), bridge("version"))
    assert helped.code == version.code == 0
    for command in ("run", "doctor", "manifest", "config", "demo", "simulate", "healthcheck", "version"):
        assert re.search(rf"\b{command}\b", helped.out), command
    assert version.out.strip() == __version__


async def test_the_command_config_shows_no_secret(running: World) -> None:
    own = {**running.bridge.environment, "BRIDGE_ADMIN_TOKEN": "the admin's own secret"}
    result = await bridge("config", **own)
    assert result.code == 0
    for secret in (own["TEAMS_APP_PASSWORD"], TOKEN, own["BRIDGE_ADMIN_TOKEN"]):
        assert secret not in result.out
    assert re.search(r"TEAMS_APP_PASSWORD\s+\*{8}", result.out)
    assert re.search(r"GOCLAW_TOKEN\s+\*{8}", result.out)
    assert re.search(rf"GOCLAW_AGENT\s+{AGENT}", result.out)
    assert own["TEAMS_APP_ID"] in result.out


@pytest.mark.parametrize("command", ["run", "doctor"])
async def test_wrong_settings_are_reported_all_at_once(command: str, tmp_path: Path) -> None:
    wrong = {
        "TEAMS_APP_ID": "not-a-guid",
        "TEAMS_CLOUD": "custom",
        "GOCLAW_URL": "gateway.example.com",
        "GOCLAW_TOKEN_FILE": str(tmp_path / "missing"),
        "BRIDGE_PORT": "99999",
        "BRIDGE_SHUTDOWN_GRAC": "5",
        "BRIDGE_ADMIN_HOST": "0.0.0.0",  # noqa: S104  the wrong setting under test
    }
    result = await bridge(command, **wrong)
    assert result.code == 2
    named = (*wrong, "TEAMS_APP_PASSWORD", "TEAMS_TENANT_ID", "TEAMS_OPENID_URL", "TEAMS_LOGIN_URL")
    for name in {*named, "TEAMS_SERVICE_HOSTS", "BRIDGE_ADMIN_TOKEN"} - {"TEAMS_CLOUD", "BRIDGE_ADMIN_HOST"}:
        assert name in result.err, name
    assert "did you mean BRIDGE_SHUTDOWN_GRACE?" in result.err


async def test_the_command_manifest_gives_the_same_bytes_until_a_setting_changes(
    running: World, tmp_path: Path
) -> None:
    settings = {**running.bridge.environment, "BRIDGE_PUBLIC_URL": "https://bot.contoso.example"}
    left, right = tmp_path / "left.zip", tmp_path / "right.zip"
    first, second = await asyncio.gather(
        bridge("manifest", "--out", str(left), **settings), bridge("manifest", "--out", str(right), **settings)
    )
    assert (first.code, second.code) == (0, 0), first.err
    assert left.read_bytes() == right.read_bytes()
    same = await bridge("manifest", "--out", str(right), **settings)
    assert "version 1.0.0, unchanged" in same.out
    assert left.read_bytes() == right.read_bytes()

    renamed = await bridge("manifest", "--out", str(right), **settings, BRIDGE_APP_NAME="Contoso Claw")
    assert "version 1.0.1, written" in renamed.out
    with zipfile.ZipFile(io.BytesIO(right.read_bytes())) as package:
        assert sorted(package.namelist()) == ["color.png", "manifest.json", "outline.png", "vi.json", "zh.json"]
        manifest = json.loads(package.read("manifest.json"))
    assert manifest["version"] == "1.0.1"
    assert manifest["name"]["short"] == "Contoso Claw"
    assert manifest["bots"][0]["botId"] == settings["TEAMS_APP_ID"]


async def test_the_command_healthcheck_tells_a_ready_bridge_from_a_missing_bridge(running: World) -> None:
    own = running.bridge.environment
    well, ill = await asyncio.gather(
        bridge("healthcheck", **own), bridge("healthcheck", **{**own, "BRIDGE_PORT": str(free_port())})
    )
    assert (well.code, well.out.strip()) == (0, "ready")
    assert ill.code == 1
    assert "not reachable" in ill.err


async def test_the_simulated_gateway_and_tenant_run_alone(running: World, tmp_path: Path) -> None:
    ports = free_port(), free_port()
    bases = [f"http://127.0.0.1:{port}" for port in ports]
    gateway = Process(clean_environment(COLUMNS="160"), tmp_path / "gateway.log",
        "simulate", "gateway", "--token", "t", "--port", str(ports[0]), "--data", str(tmp_path / "g"))  # fmt: skip
    teams = Process(clean_environment(COLUMNS="160"), tmp_path / "teams.log",
        "simulate", "teams", "--port", str(ports[1]), "--data", str(tmp_path / "t"))  # fmt: skip

    async def answers(url: str) -> bool:
        try:
            async with running.http.get(url) as response:
                return response.status == 200
        except OSError:
            return False

    try:
        gateway.begin()
        teams.begin()
        await eventually_async(lambda: answers(f"{bases[0]}/health"), "the gateway answers")
        await eventually_async(lambda: answers(f"{bases[1]}/api/state"), "the tenant answers")
        body = {"model": "goclaw:demo", "messages": [{"role": "user", "content": "I'm Alice"}]}
        headers = {"Authorization": "Bearer t", "X-GoClaw-User-Id": "u"}
        async with running.http.post(f"{bases[0]}/v1/chat/completions", json=body, headers=headers) as response:
            assert "Hello Alice" in (await response.json())["choices"][0]["message"]["content"]
        gateway.ask_to_end()
        teams.ask_to_end()
        assert [await gateway.ended(), await teams.ended()] == [0, 0]
    finally:
        gateway.kill()
        teams.kill()
    assert f"GOCLAW_URL={bases[0]}" in gateway.output()
    # The printed settings suffice for a bot.
    printed = dict(re.findall(r"^\s*([A-Z_]+)=(\S+)$", teams.output(), re.MULTILINE))
    assert printed["TEAMS_CLOUD"] == "custom"
    assert (await bridge("config", **printed, GOCLAW_URL=bases[0], GOCLAW_TOKEN="t")).code == 0


async def test_the_demo_with_a_gateway_asks_for_its_token(tmp_path: Path) -> None:
    result = await bridge("demo", "--no-open", "--data", str(tmp_path / "demo"), "--gateway", "http://127.0.0.1:1")
    assert result.code == 2
    assert "--token-file" in result.err
