"""The operator's commands against a running bridge: output, effect, and the messages that people get."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from support.process_world import World, eventually, free_port, told, world

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

TOKEN = "the operators' token"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world for the whole file; each test has its own person and leaves the bridge running."""
    async with world(tmp_path_factory.mktemp("operator"), BRIDGE_ADMIN_TOKEN="") as here:
        await here.start()
        for who in ("alice", "bob", "chen"):
            await here.meet(who)
        await here.idle()
        yield here


@dataclass(frozen=True)
class CommandResult:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


async def command(here: World, *arguments: str, answer: str = "", **settings: str) -> CommandResult:
    """Run `teams-bridge …` with the running bridge's settings; `answer` is typed at the command's question."""

    def work() -> CommandResult:
        done = subprocess.run(
            [sys.executable, "-m", "bridge", *arguments],
            env={**here.bridge.environment, "COLUMNS": "160", **settings},
            input=answer,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return CommandResult(done.returncode, done.stdout, done.stderr)

    result = await asyncio.to_thread(work)
    assert "Traceback" not in result.out + result.err
    return result


async def listed(here: World, *filters: str) -> list[dict[str, Any]]:
    """The turns that `turns --json` lists."""
    result = await command(here, "turns", "--json", *filters)
    assert (result.code, result.err) == (0, "")
    found: list[dict[str, Any]] = json.loads(result.out)
    return found


async def newest(here: World, *filters: str) -> str:
    """The name of the newest turn under the filters."""
    return str((await listed(here, *filters))[0]["name"])


async def test_an_interrupted_question_is_listed_with_its_owners_and_asked_again_once(running: World) -> None:
    chat, question = "personal-alice", "take 1.2 seconds"
    first = await running.say(chat, "alice", question)
    await eventually(lambda: running.gateway.times_asked(question), "the agent is asked")
    await running.kill_and_restart()
    await running.bot_texts(chat, 1, first)
    await running.idle()

    name = await newest(running, "--outcome", "interrupted")
    result = await command(running, "turns", "show", name, "--json")
    history = json.loads(result.out)["history"]
    assert [step["what"] for step in history] == ["running", "adopted", "answered", "closed:interrupted"]
    assert len({step["by"] for step in history[:2]}) == 2
    assert question not in result.out

    result = await command(running, "turns", "again", name)
    assert (result.code, result.out.startswith(f"{name} is asked again as T-")) == (0, True)
    done = "Done. That took 1.2 seconds, as you asked."
    await eventually(lambda: done in running.listen(chat, first), "the answer takes the place of its progress")

    result = await command(running, "turns", "again", name.removeprefix("T-"))
    assert (result.code, result.out, result.err) == (1, "", f"{name} has been asked again already.\n")
    assert running.gateway.times_asked(question) == 2


async def test_a_dropped_question_is_never_asked_and_its_asker_gets_a_note(running: World) -> None:
    chat = "personal-bob"
    first = await running.say(chat, "bob", "take 60 seconds")
    await eventually(lambda: running.gateway.times_asked("take 60 seconds"), "the agent is asked")
    await running.say(chat, "bob", "Remember: to be dropped")
    waiting = await newest(running, "--state", "queued")
    at_work = await newest(running, "--state", "running")

    dropped = f"{told('bob', 'dropped')}\n\n*{waiting}*"
    result = await command(running, "turns", "drop", waiting, answer="n\n")
    assert (result.code, dropped in running.listen(chat, first)) == (1, False)

    result = await command(running, "turns", "drop", waiting, answer="y\n")
    assert (result.code, result.out.splitlines()[-1].endswith(f"{waiting} is dropped.")) == (0, True)
    await eventually(lambda: dropped in running.listen(chat, first), "Bob is told")

    result = await command(running, "turns", "drop", "--yes", at_work)
    assert (result.code, result.out) == (0, f"{at_work} was at work and is being stopped.\n")
    await running.bot_texts(chat, 2, first)
    assert running.gateway.times_asked("Remember: to be dropped") == 0
    await running.idle()
    assert (await command(running, "turns", "drop", "--yes", at_work)).err == f"{at_work} is closed already.\n"


async def test_a_pause_holds_questions_over_a_restart_until_it_is_resumed(running: World) -> None:
    chat, question = "personal-chen", "Remember: held back"
    assert (await command(running, "pause")).code == 0
    first = await running.say(chat, "chen", question)
    assert await running.bot_texts(chat, 1, first) == [told("chen", "waiting_paused")]

    await running.kill_and_restart()
    result = await command(running, "turns", "--state", "queued")
    assert "The bridge is paused" in result.out
    assert running.gateway.times_asked(question) == 0

    assert (await command(running, "resume")).code == 0
    await eventually(lambda: "Noted: held back" in running.listen(chat, first), "it is answered")
    assert "paused" not in (await command(running, "turns")).out


async def test_the_commands_show_neither_the_text_of_turns_nor_peoples_names(running: World) -> None:
    table = await command(running, "turns", "--limit", "100")
    record = await command(running, "turns", "show", await newest(running, "--kind", "ask", "--outcome", "delivered"))

    assert (table.code, table.err, record.code, record.err) == (0, "", 0, "")
    assert table.out.split()[:8] == ["turn", "kind", "state", "outcome", "accepted", "(UTC)", "time", "user"]
    assert all(f"{turn['name']} " in table.out for turn in await listed(running))
    assert "closed:delivered" in record.out
    for words in ("Alice", "Bob", "Chen", "take 1.2", "take 60", "held back", "to be dropped", "Noted", "Done."):
        assert words not in table.out + record.out


@pytest.mark.parametrize(
    "arguments",
    [("show", "T-x"), ("again", "T"), ("drop", "--yes", "1/2"), ("--before", "soon"), ("--state", "open"), ("burn",)],
)
async def test_wrong_arguments_end_with_exit_code_two(running: World, arguments: tuple[str, ...]) -> None:
    result = await command(running, "turns", *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err


async def test_an_unknown_turn_is_reported(running: World) -> None:
    result = await command(running, "turns", "show", "99999")
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("T-99999 is not known")


@pytest.mark.parametrize("arguments", [("turns",), ("turns", "show", "1"), ("pause",), ("resume",)])
async def test_without_a_running_bridge_commands_fail_with_a_sentence(
    running: World, arguments: tuple[str, ...]
) -> None:
    result = await command(running, *arguments, BRIDGE_ADMIN_PORT=str(free_port()))
    assert (result.code, result.out) == (1, "")
    assert result.err.startswith("The bridge is not running")


async def test_only_the_admin_token_allows_commands(tmp_path: Path) -> None:
    async with world(tmp_path / "guarded", BRIDGE_ADMIN_TOKEN=TOKEN) as here:
        await here.start()
        assert (await command(here, "turns")).out == "No such turns.\n"
        result = await command(here, "turns", BRIDGE_ADMIN_TOKEN="another")
        assert (result.code, result.out) == (1, "")
        assert result.err.startswith("The bridge refused BRIDGE_ADMIN_TOKEN")
