"""The chat page's API: state, events, restarts, and the refusal of foreign web sites."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from pathlib import Path

import pytest
from support.simulator_world import Stage, news, stage, until

from bridge.simulator.teams import BridgeState
from bridge.simulator.teams.events import BACKLOG, Announcer
from bridge.simulator.teams.tenant import Tenant


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path) as running:
        yield running


async def test_the_state_shows_people_chats_agent_and_bridge(teams: Stage) -> None:
    status, state = await teams.call("GET", "/api/state")
    assert status == 200
    assert state["bot"] == {"name": "GoClaw"}
    assert state["tenant"] == {"name": "Contoso"}
    assert [person["initials"] for person in state["people"]] == ["AN", "BT", "CW", "GG"]
    assert [person["id"] for person in state["people"] if person["guest"]] == ["gina"]
    assert [(chat["id"], chat["kind"], chat["team"]) for chat in state["chats"]][-3:] == [
        ("personal-chen", "personal", None),
        ("launch-team", "groupChat", None),
        ("general", "channel", "Contoso"),
    ]
    assert state["phrases"] == [{"say": "hi", "shows": "a greeting"}]
    assert state["agent"] == {"kind": "stand-in", "label": "stand-in agent (no model)"}
    assert state["bridge"] == {"state": "running", "restarts": 0, "controllable": False}


async def test_an_open_page_gets_messages_edits_and_typing_as_events(teams: Stage) -> None:
    async with teams.session.get(f"{teams.base}/api/events") as stream:
        assert stream.content_type == "text/event-stream"
        message_id = await teams.say("launch-team", "alice", "hi", mention=True)
        first, second = await news(stream, 2)
        assert (first["type"], first["message"]["id"], first["message"]["delivery"]) == (
            "message",
            message_id,
            "sending",
        )
        assert second["message"]["delivery"] == "delivered"
        path = f"/{teams.conversation('launch-team')}/activities"
        await teams.as_bot("POST", path, {"type": "typing"})
        assert await news(stream, 1) == [
            {"type": "typing", "chat": "launch-team", "thread": None, "name": "GoClaw", "until_ms": 3000}
        ]
        _, sent = await teams.send("launch-team", "one")
        await teams.as_bot("PUT", f"{path}/{sent['id']}", {"type": "message", "text": "two"})
        first, second = await news(stream, 2)
        assert (first["message"]["text"], second["message"]["text"], second["message"]["edited"]) == (
            "one",
            "two",
            True,
        )


async def test_no_typing_is_shown_in_a_channel(teams: Stage) -> None:
    async with teams.session.get(f"{teams.base}/api/events") as stream:
        path = f"/{teams.conversation('general')}/activities"
        assert (await teams.as_bot("POST", path, {"type": "typing"}))[0] == 201
        await teams.send("general", "hi")
        assert [event["type"] for event in await news(stream, 1)] == ["message"]


async def test_a_page_too_far_behind_is_disconnected() -> None:
    announcer = Announcer()
    with announcer.listen() as slow, announcer.listen() as quick:
        for number in range(BACKLOG + 1):
            announcer.announce({"n": number})
            assert await quick.next(1) == {"n": number}
        with pytest.raises(ConnectionAbortedError):
            await slow.next(1)


async def test_waiting_for_an_event_gives_none_after_the_patience() -> None:
    announcer = Announcer()
    with announcer.listen() as listener:
        assert await listener.next(0.01) is None
        announcer.announce({"n": 1})
        assert await listener.next(0.01) == {"n": 1}


async def test_open_pages_do_not_delay_the_servers_end(tmp_path: Path) -> None:
    async with stage(tmp_path) as teams, teams.session.get(f"{teams.base}/api/events") as stream:
        await stream.content.readline()
        async with asyncio.timeout(30):
            await teams.app.shutdown()
            assert await stream.content.read() == b"\n"


@pytest.mark.parametrize(
    ("chat", "body", "status"),
    [
        ("nowhere", {"as": "alice", "text": "a"}, 404),
        ("launch-team", {"as": "gina", "text": "a"}, 400),
        ("launch-team", {"as": "alice", "text": " \n"}, 400),
        ("launch-team", {"as": "alice", "text": "x" * 30_000}, 400),
        ("launch-team", {"as": "alice"}, 400),
        ("launch-team", {"text": "a"}, 400),
        ("launch-team", {"as": ["alice"], "text": "a"}, 400),
        ("launch-team", [], 400),
        ("launch-team", {"as": "alice", "text": "a", "thread": "17"}, 404),
        ("general", {"as": "alice", "text": "a", "thread": "17"}, 404),
        ("general", {"as": "alice", "text": "a", "thread": 17}, 400),
    ],
)
async def test_a_message_that_cannot_be_sent_is_refused_with_a_sentence(
    teams: Stage, chat: str, body: object, status: int
) -> None:
    got, answer = await teams.call("POST", f"/api/chats/{chat}/messages", body)
    assert got == status
    assert answer["error"].endswith(".")
    assert teams.bot.received == []


async def test_a_request_too_large_is_refused_with_a_sentence(teams: Stage) -> None:
    path, headers = f"{teams.base}/api/chats/general/messages", {"Content-Type": "application/json"}
    async with teams.session.post(path, data=BytesIO(b" " * 15_000_000), headers=headers) as response:
        assert response.status == 413
        assert (await response.json())["error"] == "That is too much at once."


async def test_an_unknown_chat_has_no_messages(teams: Stage) -> None:
    status, body = await teams.call("GET", "/api/chats/nowhere/messages")
    assert (status, body) == (404, {"error": "There is no such chat."})


async def test_typed_text_is_shown_escaped(teams: Stage) -> None:
    await teams.say("personal-alice", "alice", "<img src=x onerror=alert(1)> **x**")
    (message,) = await teams.messages("personal-alice")
    assert message["html"] == "<p>&lt;img src=x onerror=alert(1)&gt; **x**</p>"


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
        {"Content_Type": "text/plain"},
    ],
)
async def test_requests_of_foreign_web_sites_are_refused(teams: Stage, headers: dict[str, str]) -> None:
    body = {"as": "alice", "text": "not me"}
    status, _ = await teams.call("POST", "/api/chats/launch-team/messages", body, **headers)
    assert status == 403
    assert await teams.messages("launch-team") == []


async def test_requests_of_the_page_itself_are_accepted(teams: Stage) -> None:
    headers = {"Origin": teams.base, "Sec_Fetch_Site": "same-origin"}
    body = {"as": "alice", "text": "me"}
    assert (await teams.call("POST", "/api/chats/launch-team/messages", body, **headers))[0] == 201


@pytest.mark.parametrize("path", ["/", "/api/state", "/api/events", "/static/none.js"])
async def test_all_answers_carry_strict_security_headers(teams: Stage, path: str) -> None:
    async with teams.session.get(teams.base + path) as response:
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"


class FakeControl:
    def __init__(self) -> None:
        self.killed = 0
        self.listeners: list[Callable[[BridgeState], None]] = []

    def state(self) -> BridgeState:
        return BridgeState("starting" if self.killed else "running", self.killed, controllable=True)

    async def kill(self) -> None:
        self.killed += 1
        for listener in self.listeners:
            listener(self.state())

    def subscribe(self, listener: Callable[[BridgeState], None]) -> None:
        self.listeners.append(listener)


async def test_the_kill_button_ends_the_bridge_and_every_page_gets_the_new_state(tmp_path: Path) -> None:
    control = FakeControl()
    async with (
        stage(tmp_path, control=control) as teams,
        teams.session.get(f"{teams.base}/api/events") as stream,
    ):
        await stream.content.readline()
        assert (await teams.call("POST", "/api/bridge/kill"))[0] == 202
        bridge = {"state": "starting", "restarts": 1, "controllable": True}
        assert await news(stream, 1) == [{"type": "bridge", "bridge": bridge}]
        assert control.killed == 1


async def test_the_kill_button_is_refused_without_a_bridge_process(teams: Stage) -> None:
    assert (await teams.call("POST", "/api/bridge/kill"))[0] == 409


async def test_messages_and_installations_survive_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as teams:
        await teams.say("personal-alice", "alice", "I'm Alice")
        await until(lambda: len(teams.bot.received) == 3)
        _, sent = await teams.send("personal-alice", "Hello")
        path = f"/{teams.conversation('personal-alice')}/activities/{sent['id']}"
        await teams.as_bot("PUT", path, {"type": "message", "text": "Hello Alice"})
        await until(lambda: "delivered" in {m.delivery for m in teams.tenant.messages("personal-alice")})
        before = await teams.messages("personal-alice")
    async with stage(tmp_path) as teams:
        assert await teams.messages("personal-alice") == before
        assert (await teams.send("personal-alice"))[0] == 201
        await teams.say("personal-alice", "alice", "again")
        await until(lambda: teams.bot.of_type("message"))
        assert teams.bot.of_type("installationUpdate") == []


async def test_message_ids_grow_though_the_clock_stands_still(tmp_path: Path) -> None:
    tenant = Tenant(tmp_path, "app", lambda: 1700000000000)
    assert [tenant.new_id() for _ in range(3)] == ["1700000000000", "1700000000001", "1700000000002"]
    await tenant.close()


async def test_a_delivery_under_way_at_a_restart_is_shown_as_lost(tmp_path: Path) -> None:
    async with stage(tmp_path, listening=False) as teams:
        await teams.say("personal-alice", "alice", "hello")
    async with stage(tmp_path) as teams:
        assert [m["delivery"] for m in await teams.messages("personal-alice")] == ["lost"]


async def test_a_journal_line_cut_off_by_a_kill_loses_no_further_record(tmp_path: Path) -> None:
    async with stage(tmp_path) as teams:
        await teams.say("launch-team", "alice", "kept")
    with (tmp_path / "tenant.jsonl").open("ab") as journal:
        journal.write(b'{"message":{"id":"17","chat":"laun')
    async with stage(tmp_path) as teams:
        await teams.say("launch-team", "alice", "after")
    async with stage(tmp_path) as teams:
        assert [m["text"] for m in await teams.messages("launch-team")] == ["kept", "after"]


CHILD = """
import asyncio, sys
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from support.simulator_world import stage

async def main() -> None:
    async with stage(Path(sys.argv[1])) as teams:
        for number in range(20):
            await teams.say("launch-team", "alice", str(number))
        print("said", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
async def test_messages_survive_kill_minus_nine(tmp_path: Path) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        CHILD,
        str(tmp_path),
        *(entry for entry in sys.path if entry),
        os.getcwd(),  # noqa: PTH109  the child may find the package only there
        stdout=asyncio.subprocess.PIPE,
    )
    assert child.stdout is not None
    async with asyncio.timeout(20):
        assert await child.stdout.readline() == b"said\n"
    child.send_signal(signal.SIGKILL)
    await child.wait()
    async with stage(tmp_path) as teams:
        assert [m["text"] for m in await teams.messages("launch-team")] == [str(n) for n in range(20)]
