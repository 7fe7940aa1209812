"""Streamed messages at the simulated Bot Connector."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.simulator_world import Stage, news, stage, until

from bridge.simulator.teams.faults import Fault

CHAT = "personal-alice"
LABEL = {"type": "https://schema.org/Message", "@type": "Message", "additionalType": ["AIGeneratedContent"]}


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    """A tenant where Alice has installed the app; rate limits are off."""
    async with stage(tmp_path, send_limits=False) as running:
        await running.people.open(CHAT, "alice")
        yield running


async def part(teams: Stage, text: str, stream: str | None = None, number: int = 1, **more: Any) -> tuple[int, Any]:
    """Let the bot send part `number` of a stream; `more` may hold the `chat` and the part's `kind`."""
    info = {"type": "streaminfo", "streamType": more.get("kind", "streaming"), "streamSequence": number}
    if stream is not None:
        info["streamId"] = stream
    path = f"/{teams.conversation(more.get('chat', CHAT))}/activities"
    status, body, _ = await teams.as_bot("POST", path, {"type": "typing", "text": text, "entities": [info]})
    return status, body


async def final(teams: Stage, text: str, stream: str, *entities: object, **more: object) -> tuple[int, Any]:
    """Let the bot send the final part of a stream."""
    info = {"type": "streaminfo", "streamType": "final", "streamId": stream}
    message = {"type": "message", "text": text, "entities": [info, *entities], **more}
    status, body, _ = await teams.as_bot("POST", f"/{teams.conversation(CHAT)}/activities", message)
    return status, body


async def start(teams: Stage, text: str = "One", **more: Any) -> str:
    """Let the bot start a stream; gives the stream's id."""
    status, body = await part(teams, text, **more)
    assert status == 201, body
    return str(body["id"])


async def edit(teams: Stage, stream: str, text: str) -> tuple[int, Any]:
    path = f"/{teams.conversation(CHAT)}/activities/{stream}"
    status, body, _ = await teams.as_bot("PUT", path, {"type": "message", "text": text})
    return status, body


def code(body: Any) -> tuple[str, str]:
    return body["error"]["code"], body["error"]["message"]


async def test_a_stream_grows_in_its_chat_and_ends_with_label_and_feedback(teams: Stage) -> None:
    stream = await start(teams, "Reading…", kind="informative")
    (message,) = await teams.messages(CHAT)
    assert (message["id"], message["stream"], message["text"]) == (stream, "informative", "Reading…")
    assert await part(teams, "**On", stream, 2) == (202, {})
    assert await part(teams, "**One** two", stream, 3) == (202, {})
    (message,) = await teams.messages(CHAT)
    assert (message["stream"], message["html"].strip()) == ("streaming", "<p><strong>One</strong> two</p>")
    feedback = {"feedbackLoop": {"type": "default"}}
    assert await final(teams, "**One** two three", stream, LABEL, channelData=feedback) == (202, {})
    (message,) = await teams.messages(CHAT)
    assert (message["stream"], message["text"], message["edited"]) == (None, "**One** two three", False)
    assert (message["ai"], message["feedback"]) == (True, True)


async def test_every_part_is_announced_and_only_the_start_notifies(teams: Stage) -> None:
    async with teams.session.get(f"{teams.base}/api/events") as events:
        stream = await start(teams)
        await part(teams, "One two", stream, 2)
        await final(teams, "One two three", stream)
        seen = [event["message"] for event in await news(events, 3, kind="message")]
        assert [(message["text"], message["stream"], message["notify"]) for message in seen] == [
            ("One", "streaming", True),
            ("One two", "streaming", False),
            ("One two three", None, False),
        ]


async def test_only_start_and_final_part_are_written_to_the_journal(tmp_path: Path) -> None:
    async with stage(tmp_path, send_limits=False) as teams:
        await teams.people.open(CHAT, "alice")
        stream = await start(teams)
        await part(teams, "One two", stream, 2)
        await final(teams, "One two three", stream)
        lines = [line for line in (tmp_path / "tenant.jsonl").read_text().splitlines() if stream in line]
        assert len(lines) == 2


async def test_while_a_stream_is_open_no_typing_is_shown(teams: Stage) -> None:
    async with teams.session.get(f"{teams.base}/api/events") as events:
        stream = await start(teams)
        path = f"/{teams.conversation(CHAT)}/activities"
        assert (await teams.as_bot("POST", path, {"type": "typing"}))[0] == 201
        await final(teams, "One", stream)
        await teams.as_bot("POST", path, {"type": "typing"})
        assert [event["type"] for event in await news(events, 3)] == ["message", "message", "typing"]


async def test_groups_and_channels_have_no_streams(teams: Stage) -> None:
    status, body = await part(teams, "One", chat="launch-team")
    assert (status, code(body)[1]) == (405, "Method Not Allowed")
    status, body = await part(teams, "One", chat="general")
    assert (status, code(body)) == (400, ("BadArgument", "Streaming api is not enabled."))


async def test_a_switch_refuses_every_stream(tmp_path: Path) -> None:
    async with stage(tmp_path, streaming=False) as teams:
        await teams.people.open(CHAT, "alice")
        status, body = await part(teams, "One")
        assert (status, code(body)) == (403, ("ContentStreamNotAllowed", "Content stream is not allowed"))
        assert (await teams.send(CHAT))[0] == 201


async def test_a_part_out_of_order_is_dropped(teams: Stage) -> None:
    stream = await start(teams)
    await part(teams, "One two", stream, 3)
    status, body = await part(teams, "One", stream, 2)
    assert (status, code(body)[0]) == (202, "ContentStreamSequenceOrderPreConditionFailed")
    assert (await teams.messages(CHAT))[0]["text"] == "One two"


async def test_parts_that_are_not_cumulative_are_refused(teams: Stage) -> None:
    stream = await start(teams)
    for status, body in (await part(teams, "Two", stream, 2), await final(teams, "Two", stream)):
        assert (status, code(body)[0]) == (403, "ContentStreamNotAllowed")
        assert "previously streamed content" in code(body)[1]
    assert (await teams.messages(CHAT))[0]["text"] == "One"


async def test_parts_come_one_a_second_and_count_as_sends(tmp_path: Path) -> None:
    now = 100.0
    async with stage(tmp_path, clock=lambda: now) as teams:
        await teams.people.open(CHAT, "alice")
        stream = await start(teams)
        status, body = await part(teams, "One two", stream, 2)
        assert (status, code(body)) == (429, ("Throttled", "API calls quota exceeded!"))
        assert [(await teams.send(CHAT))[0] for _ in range(6)] == [201] * 6
        now += 0.96
        assert (await part(teams, "One two", stream, 2))[0] == 429  # the chat's eighth send in a second
        now += 0.1
        assert (await part(teams, "One two", stream, 2))[0] == 202
        assert (await teams.send(CHAT))[0] == 429  # the chat's ninth send in two seconds


async def test_a_part_sent_before_the_answer_to_the_previous_part_is_refused(teams: Stage) -> None:
    stream = await start(teams)
    teams.faults.order("stream", Fault(delay=60))
    slow = asyncio.ensure_future(part(teams, "One two", stream, 2))
    await until(lambda: teams.tenant.messages(CHAT)[0].text == "One two")
    status, body = await part(teams, "One two three", stream, 3)
    assert (status, code(body)[0]) == (429, "Throttled")
    slow.cancel()


async def test_a_bot_that_hung_up_may_send_the_next_part(teams: Stage) -> None:
    stream = await start(teams)
    teams.faults.order("stream", Fault(cut=True))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await part(teams, "One two", stream, 2)
    assert (await part(teams, "One two three", stream, 3))[0] == 202


async def test_an_ordered_fault_refuses_a_stream_in_its_own_words(teams: Stage) -> None:
    words = "Content stream was canceled by user."
    teams.faults.order("stream", Fault(status=403, code="ContentStreamNotAllowed", message=words))
    status, body = await part(teams, "One")
    assert (status, code(body)) == (403, ("ContentStreamNotAllowed", words))


async def test_stop_keeps_the_shown_text_and_refuses_later_parts(teams: Stage) -> None:
    stream = await start(teams, "One two")
    path = f"/api/chats/{CHAT}/messages/{stream}/stop"
    assert (await teams.call("POST", path, {"as": "bob"}))[0] == 400
    assert (await teams.call("POST", path, {"as": "alice"}))[0] == 204
    assert (await teams.call("POST", path, {"as": "alice"}))[0] == 404
    (message,) = await teams.messages(CHAT)
    assert (message["text"], message["stream"], message["stopped"]) == ("One two", None, True)
    for status, body in (
        await part(teams, "One two three", stream, 2),
        await final(teams, "One two three", stream),
        await edit(teams, stream, "Three"),
    ):
        assert (status, code(body)) == (403, ("ContentStreamNotAllowed", "Content stream was canceled by user."))
    assert (await teams.messages(CHAT))[0]["text"] == "One two"
    assert (await teams.send(CHAT, "after"))[0] == 201
    assert (await part(teams, "a new stream"))[0] == 201


async def test_a_stream_left_open_closes_by_itself_and_can_then_be_edited(tmp_path: Path) -> None:
    async with stage(tmp_path, send_limits=False, stream_seconds=0.2) as teams:
        await teams.people.open(CHAT, "alice")
        stream = await start(teams, "Half a mess")
        await until(lambda: teams.tenant.messages(CHAT)[0].stream is None)
        status, body = await final(teams, "Half a message", stream)
        assert (status, "exceeded streaming time" in code(body)[1]) == (403, True)
        assert (await teams.messages(CHAT))[0]["text"] == "Half a mess"
        assert await edit(teams, stream, "Something else") == (200, {"id": stream})
        (message,) = await teams.messages(CHAT)
        assert (message["text"], message["edited"]) == ("Something else", True)


async def test_a_late_final_closes_the_stream_too(tmp_path: Path) -> None:
    now = 100.0
    async with stage(tmp_path, clock=lambda: now) as teams:
        await teams.people.open(CHAT, "alice")
        stream = await start(teams)
        now += 121
        assert (await final(teams, "One two", stream))[0] == 403
        assert (await teams.messages(CHAT))[0]["stream"] is None


async def test_after_the_final_part_a_streamed_message_can_be_edited_and_deleted(teams: Stage) -> None:
    stream = await start(teams)
    await final(teams, "One", stream)
    status, body = await final(teams, "One", stream)
    assert (status, "already completed streamed message" in code(body)[1]) == (403, True)
    assert (await edit(teams, stream, "Two"))[0] == 200
    path = f"/{teams.conversation(CHAT)}/activities/{stream}"
    assert (await teams.as_bot("DELETE", path))[0] == 200


async def test_an_edit_of_an_open_stream_ends_it(teams: Stage) -> None:
    stream = await start(teams)
    assert (await edit(teams, stream, "Interrupted"))[0] == 200
    (message,) = await teams.messages(CHAT)
    assert (message["text"], message["stream"]) == ("Interrupted", None)
    assert (await part(teams, "One two", stream, 2))[0] == 403
    assert (await part(teams, "a new stream"))[0] == 201


async def test_an_edit_that_claims_to_be_a_part_is_refused(teams: Stage) -> None:
    stream = await start(teams)
    info = {"type": "streaminfo", "streamType": "final", "streamId": stream}
    path = f"/{teams.conversation(CHAT)}/activities/{stream}"
    status, body, _ = await teams.as_bot("PUT", path, {"type": "message", "text": "One", "entities": [info]})
    assert (status, code(body)[0]) == (400, "BadArgument")


async def test_an_unfinished_stream_remains_as_a_message_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path, send_limits=False) as teams:
        await teams.people.open(CHAT, "alice")
        stream = await start(teams, "Half a mess")
    async with stage(tmp_path, send_limits=False) as teams:
        (message,) = await teams.messages(CHAT)
        assert (message["text"], message["stream"]) == ("Half a mess", None)
        assert (await part(teams, "Half a message", stream, 2))[0] == 403
        assert (await edit(teams, stream, "Whole"))[0] == 200
