"""Delivery of people's activities to the bot: retries, lost messages, and clicks that wait for an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from support.simulator_world import Stage, stage, until

CARD_TYPE = "application/vnd.microsoft.card.adaptive"
CARD = {
    "type": "AdaptiveCard",
    "body": [{"type": "TextBlock", "text": "Interrupted"}],
    "actions": [
        {"type": "Action.Execute", "title": "Ask again", "verb": "again", "data": {"turn": 7}},
        {"type": "Action.Submit", "title": "Send", "data": {"n": 1}},
        {"type": "Action.OpenUrl", "title": "Site", "url": "https://x.example"},
    ],
}


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, send_limits=False) as running:
        yield running


def delivery(teams: Stage, chat: str, message: str) -> str | None:
    found = teams.tenant.message(chat, message)
    assert found is not None
    return found.delivery


async def card_in(teams: Stage, chat: str = "personal-alice") -> str:
    """Let the bot send a card with three buttons; gives the message's id."""
    _, sent = await teams.send(chat, "", attachments=[{"contentType": CARD_TYPE, "content": CARD}])
    return str(sent["id"])


async def test_a_message_is_delivered_with_what_the_person_typed(teams: Stage) -> None:
    message_id = await teams.say("personal-alice", "alice", "I'm Alice")
    await until(lambda: delivery(teams, "personal-alice", message_id) == "delivered")
    (received,) = teams.bot.of_type("message")
    assert (received["id"], received["text"], received["from"]["name"]) == (message_id, "I'm Alice", "Alice Nguyen")


async def test_only_the_first_opening_of_a_chat_installs_the_app(teams: Stage) -> None:
    for _ in range(2):
        assert (await teams.call("POST", "/api/chats/personal-bob/open", {"as": "bob"}))[0] == 204
    await teams.say("personal-bob", "bob", "hi")
    await until(lambda: len(teams.bot.received) == 3)
    (installed,) = teams.bot.of_type("installationUpdate")
    assert (installed["action"], installed["from"]["name"]) == ("add", "Bob Tran")
    (updated,) = teams.bot.of_type("conversationUpdate")
    assert updated["membersAdded"] == [{"id": f"28:{teams.identity.app.app_id}"}]


async def test_in_groups_the_bot_gets_only_messages_that_mention_the_bot(teams: Stage) -> None:
    silent = await teams.say("launch-team", "bob", "just us")
    mentioning = await teams.say("launch-team", "bob", "and you?", mention=True)
    typed = await teams.say("launch-team", "chen", "@GoClaw ask @Bob Tran")
    await until(lambda: len(teams.bot.received) == 2)
    assert delivery(teams, "launch-team", silent) is None
    by_id = {activity["id"]: activity for activity in teams.bot.received}
    assert by_id[mentioning]["text"] == "<at>GoClaw</at> and you?"
    assert by_id[typed]["text"] == "<at>GoClaw</at> ask <at>Bob Tran</at>"
    assert '<span class="mention">GoClaw</span>' in (await teams.messages("launch-team"))[1]["html"]


async def test_a_post_in_a_channel_opens_a_thread_and_a_reply_stays_in_it(teams: Stage) -> None:
    root = await teams.say("general", "gina", "hello", mention=True)
    reply = await teams.say("general", "bob", "me too", mention=True, thread=root)
    await until(lambda: len(teams.bot.received) == 2)
    thread = f"{teams.conversation('general')};messageid={root}"
    assert [activity["conversation"]["id"] for activity in teams.bot.received] == [thread, thread]
    assert [(m["id"], m["thread"]) for m in await teams.messages("general")] == [(root, None), (reply, root)]


async def test_an_activity_not_answered_in_time_comes_again_with_the_same_id(tmp_path: Path) -> None:
    async with stage(tmp_path, resend_after=0.1) as teams:

        async def slow_at_first(_activity: dict[str, Any]) -> web.Response:
            if len(teams.bot.of_type("message")) == 1:
                teams.courier.resend_after = 60.0  # a busy machine may need more than the short limit to answer at once
                await asyncio.sleep(30)
            return web.Response()

        teams.bot.answer = slow_at_first
        message_id = await teams.say("launch-team", "alice", "hello", mention=True)
        await until(lambda: delivery(teams, "launch-team", message_id) == "delivered")
        first, second = teams.bot.of_type("message")
        assert first == second


async def test_while_the_bot_is_down_messages_wait_and_then_come_in_order(tmp_path: Path) -> None:
    async with stage(tmp_path, listening=False) as teams:
        messages = [await teams.say("launch-team", "alice", f"@GoClaw {n}") for n in range(3)]
        await until(lambda: all(delivery(teams, "launch-team", message) == "retrying" for message in messages))
        assert (await teams.call("GET", "/api/state"))[1]["bridge"]["state"] == "down"
        await teams.bot.start()
        await until(lambda: all(delivery(teams, "launch-team", message) == "delivered" for message in messages))
        assert [activity["id"] for activity in teams.bot.received] == messages
        assert (await teams.call("GET", "/api/state"))[1]["bridge"]["state"] == "running"


async def test_a_later_message_waits_for_an_earlier_message_under_retry(teams: Stage) -> None:
    down = True

    async def answer(activity: dict[str, Any]) -> web.Response:
        return web.Response(status=503 if down and "first" in activity["text"] else 200)

    teams.bot.answer = answer
    first = await teams.say("launch-team", "alice", "@GoClaw first")
    await until(lambda: delivery(teams, "launch-team", first) == "retrying")
    second = await teams.say("launch-team", "alice", "@GoClaw second")
    await until(lambda: delivery(teams, "launch-team", second) == "retrying")
    tried = len(teams.bot.received)
    await until(lambda: len(teams.bot.received) > tried)
    assert {activity["id"] for activity in teams.bot.received} == {first}
    down = False
    await until(lambda: delivery(teams, "launch-team", second) == "delivered")
    assert [activity["id"] for activity in teams.bot.received[-2:]] == [first, second]


async def test_a_message_is_lost_when_the_bot_stays_down(tmp_path: Path) -> None:
    async with stage(tmp_path, listening=False, retry_for=0.1) as teams:
        message_id = await teams.say("launch-team", "alice", "hello", mention=True)
        await until(lambda: delivery(teams, "launch-team", message_id) == "lost")


async def test_a_server_error_is_tried_again_and_a_refusal_is_not(teams: Stage) -> None:
    statuses = [503, 200, 403, 200]

    async def answer(_activity: dict[str, Any]) -> web.Response:
        return web.Response(status=statuses.pop(0))

    teams.bot.answer = answer
    kept = await teams.say("launch-team", "alice", "one", mention=True)
    await until(lambda: delivery(teams, "launch-team", kept) == "delivered")
    refused = await teams.say("launch-team", "alice", "two", mention=True)
    await until(lambda: delivery(teams, "launch-team", refused) == "refused")
    assert statuses == [200]


async def test_a_redirect_of_the_bot_is_not_followed_with_the_token(teams: Stage) -> None:
    async def answer(_activity: dict[str, Any]) -> web.Response:
        return web.Response(status=307, headers={"Location": "/api/messages"})

    teams.bot.answer = answer
    message_id = await teams.say("launch-team", "alice", "one", mention=True)
    await until(lambda: delivery(teams, "launch-team", message_id) == "refused")
    assert len(teams.bot.received) == 1


async def press(teams: Stage, message: str, action: object, who: str = "alice") -> tuple[int, Any]:
    path = f"/api/chats/personal-alice/messages/{message}/actions"
    return await teams.call("POST", path, {"as": who, "action": action})


async def test_an_execute_button_is_an_invoke_whose_card_replaces_the_pressed_card(teams: Stage) -> None:
    await teams.people.open("personal-alice", "alice")
    message = await card_in(teams)
    new_card = {"type": "AdaptiveCard", "body": [{"type": "TextBlock", "text": "Asked again"}]}

    async def answer(activity: dict[str, Any]) -> web.Response:
        if activity["type"] != "invoke":
            return web.Response()
        return web.json_response({"statusCode": 200, "type": CARD_TYPE, "value": new_card})

    teams.bot.answer = answer
    assert await press(teams, message, 0) == (200, {"ok": True, "message": None})
    (invoke,) = teams.bot.of_type("invoke")
    assert invoke["value"]["action"]["data"] == {"turn": 7}
    assert invoke["replyToId"] == message
    assert (await teams.messages("personal-alice"))[-1]["card"] == new_card


async def test_an_execute_button_may_be_answered_with_a_sentence(teams: Stage) -> None:
    await teams.people.open("personal-alice", "alice")
    message = await card_in(teams)

    async def answer(_activity: dict[str, Any]) -> web.Response:
        body = {"statusCode": 200, "type": "application/vnd.microsoft.activity.message", "value": "Done."}
        return web.json_response(body)

    teams.bot.answer = answer
    assert await press(teams, message, 0) == (200, {"ok": True, "message": "Done."})
    assert (await teams.messages("personal-alice"))[-1]["answered_action"] == "Ask again"


async def test_a_button_says_when_the_app_cannot_be_reached(teams: Stage) -> None:
    await teams.people.open("personal-alice", "alice")
    message = await card_in(teams)
    await until(lambda: len(teams.bot.received) == 2)
    await teams.bot.stop()
    for action in (0, 1):
        assert await press(teams, message, action) == (
            502,
            {"ok": False, "message": "Unable to reach app"},
        )
    assert (await teams.messages("personal-alice"))[-1]["answered_action"] is None


async def test_a_submit_button_sends_its_data_as_a_value(teams: Stage) -> None:
    await teams.people.open("personal-alice", "alice")
    message = await card_in(teams)
    assert (await press(teams, message, 1))[0] == 200
    assert teams.bot.of_type("message")[-1]["value"] == {"n": 1}


async def test_a_button_absent_from_the_card_cannot_be_pressed(teams: Stage) -> None:
    await teams.people.open("personal-alice", "alice")
    message = await card_in(teams)
    assert (await press(teams, message, 9))[0] == 404
    assert (await press(teams, message, -1))[0] == 404
    assert (await press(teams, message, 2))[0] == 400
    assert (await press(teams, message, "0"))[0] == 400
    assert (await press(teams, message, 0, who="bob"))[0] == 400
    assert (await press(teams, "17", 0))[0] == 404


async def test_edits_deletions_and_reactions_reach_the_bot(teams: Stage) -> None:
    message_id = await teams.say("personal-alice", "alice", "helo")
    await teams.people.edit("personal-alice", "alice", message_id, "hello")
    await teams.people.delete("personal-alice", "alice", message_id)
    _, sent = await teams.send("personal-alice", "answer")
    await teams.people.react("personal-alice", "alice", sent["id"])
    await until(lambda: len(teams.bot.received) == 6)
    assert teams.bot.of_type("messageUpdate")[0]["text"] == "hello"
    assert teams.bot.of_type("messageDelete")[0]["id"] == message_id
    assert teams.bot.of_type("messageReaction")[0]["replyToId"] == sent["id"]
    first = (await teams.messages("personal-alice"))[0]
    assert (first["edited"], first["deleted"], first["html"]) == (True, True, "")
