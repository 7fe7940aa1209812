"""People's actions in Teams beside writing: the page API's answers, and the activities sent to the bot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from support.simulator_world import Stage, news, stage, until

from bridge.simulator.teams.world import PEOPLE, teams_user_id

CHAT = "personal-alice"
FEEDBACK = {"feedbackLoop": {"type": "default"}}


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    """A tenant where Alice has installed the app and the bot knows; rate limits are off."""
    async with stage(tmp_path, send_limits=False) as running:
        await running.people.open(CHAT, "alice")
        await until(lambda: len(running.bot.received) == 2)
        running.bot.received.clear()
        yield running


async def received(teams: Stage, kind: str, count: int = 1) -> dict[str, Any]:
    """Wait for `count` activities of type `kind`; gives the latest."""
    await until(lambda: len(teams.bot.of_type(kind)) >= count)
    return teams.bot.of_type(kind)[-1]


async def act(teams: Stage, method: str, message: str, subpath: str = "", **body: object) -> tuple[int, Any]:
    """Alice acts on a message: status and JSON of the page API. `subpath` follows the message's path."""
    path = f"/api/chats/{body.pop('chat', CHAT)}/messages/{message}{subpath}"
    return await teams.call(method, path, {"as": "alice", **body})


async def answer_of_the_bot(teams: Stage, **answer: Any) -> str:
    """Let the bot send a message into Alice's chat; gives the message's id."""
    _, sent = await teams.send(CHAT, "an answer", **answer)
    return str(sent["id"])


async def newest(teams: Stage, chat: str = CHAT) -> dict[str, Any]:
    return (await teams.messages(chat))[-1]


def answering(teams: Stage, status: int = 200, body: bytes = b"") -> None:
    """Let the bot answer all activities with `status` and `body`."""

    async def answer(_activity: dict[str, Any]) -> web.Response:
        return web.Response(status=status, body=body)

    teams.bot.answer = answer


async def test_a_person_edits_deletes_and_undeletes_a_message(teams: Stage) -> None:
    message_id = await teams.say(CHAT, "alice", "helo")
    await received(teams, "message")
    assert (await act(teams, "PUT", message_id, text="hello"))[0] == 204
    edited = await received(teams, "messageUpdate")
    assert (edited["id"], edited["text"], edited["channelData"]["eventType"]) == (message_id, "hello", "editMessage")
    assert edited["from"]["aadObjectId"] == PEOPLE["alice"].aad_id
    assert ((await newest(teams))["text"], (await newest(teams))["edited"]) == ("hello", True)
    assert (await act(teams, "DELETE", message_id))[0] == 204
    deleted = await received(teams, "messageDelete")
    assert (deleted["id"], deleted["channelData"]["eventType"]) == (message_id, "softDeleteMessage")
    assert ((await newest(teams))["text"], (await newest(teams))["deleted"]) == ("", True)
    assert (await act(teams, "POST", message_id, "/undelete"))[0] == 204
    again = await received(teams, "messageUpdate", 2)
    assert (again["text"], again["channelData"]["eventType"]) == ("hello", "undeleteMessage")
    assert ((await newest(teams))["text"], (await newest(teams))["deleted"]) == ("hello", False)


async def test_changes_of_a_message_unknown_to_the_bot_are_not_sent_to_the_bot(teams: Stage) -> None:
    message_id = await teams.say("launch-team", "alice", "just us")
    assert (await act(teams, "PUT", message_id, chat="launch-team", text="only us"))[0] == 204
    assert (await act(teams, "DELETE", message_id, chat="launch-team"))[0] == 204
    await teams.say("launch-team", "alice", "and you?", mention=True)
    await received(teams, "message")
    assert len(teams.bot.received) == 1


async def test_reactions_are_counted_and_reactions_to_the_bots_messages_reach_the_bot(teams: Stage) -> None:
    sent = (await teams.send("launch-team", "an answer"))[1]["id"]
    message_id = await teams.say("launch-team", "bob", "nice")
    for who, message, kind in (
        ("alice", sent, "like"),
        ("bob", sent, "like"),
        ("bob", sent, "heart"),
        ("alice", message_id, "like"),
    ):
        body = {"as": who, "type": kind, "on": True}
        status, _ = await teams.call("POST", f"/api/chats/launch-team/messages/{message}/reactions", body)
        assert status == 204
    answer, own = (await teams.messages("launch-team"))[-2:]
    assert answer["reactions"] == [{"type": "like", "by": ["alice", "bob"]}, {"type": "heart", "by": ["bob"]}]
    assert own["reactions"] == [{"type": "like", "by": ["alice"]}]
    await received(teams, "messageReaction", 3)
    assert (await act(teams, "POST", sent, "/reactions", chat="launch-team", type="like", on=False))[0] == 204
    assert (await act(teams, "POST", sent, "/reactions", chat="launch-team", type="like", on=False))[0] == 204
    removed = await received(teams, "messageReaction", 4)
    assert (removed["replyToId"], removed["reactionsRemoved"]) == (sent, [{"type": "like"}])
    assert (await teams.messages("launch-team"))[-2]["reactions"][0]["by"] == ["bob"]
    assert [activity["replyToId"] for activity in teams.bot.of_type("messageReaction")] == [sent] * 4


@pytest.mark.parametrize("body", [b"", b"{}", b" {} "])
async def test_feedback_is_an_invoke_with_the_words_as_json(teams: Stage, body: bytes) -> None:
    message = await answer_of_the_bot(teams, channelData=FEEDBACK)
    assert (await newest(teams))["feedback"] is True
    answering(teams, body=body)
    given = await act(teams, "POST", message, "/feedback", reaction="dislike", text='not "it"')
    assert given == (200, {"ok": True, "message": None})
    invoke = await received(teams, "invoke")
    assert (invoke["name"], invoke["replyToId"]) == ("message/submitAction", message)
    assert invoke["value"]["actionName"] == "feedback"
    assert invoke["value"]["actionValue"]["reaction"] == "dislike"
    assert orjson.loads(invoke["value"]["actionValue"]["feedback"]) == {"feedbackText": 'not "it"'}
    assert (await newest(teams))["feedback_given"] == {"alice": "dislike"}


@pytest.mark.parametrize(("status", "body"), [(200, b'{"ok":true}'), (202, b""), (501, b""), (400, b"")])
async def test_feedback_fails_when_the_bots_answer_is_not_an_empty_200(teams: Stage, status: int, body: bytes) -> None:
    message = await answer_of_the_bot(teams, channelData=FEEDBACK)
    answering(teams, status, body)
    given = await act(teams, "POST", message, "/feedback", reaction="like")
    assert given == (502, {"ok": False, "message": "Unable to reach app"})
    assert (await newest(teams))["feedback_given"] == {}


async def test_feedback_fails_when_the_bot_answers_too_late(tmp_path: Path) -> None:
    async with stage(tmp_path, invoke_limit=0.1) as teams:
        await teams.people.open(CHAT, "alice")
        message = await answer_of_the_bot(teams, channelData=FEEDBACK)

        async def late(_activity: dict[str, Any]) -> web.Response:
            await asyncio.sleep(30)
            return web.Response()

        teams.bot.answer = late
        assert (await act(teams, "POST", message, "/feedback", reaction="like"))[0] == 502
        assert (await newest(teams))["feedback_given"] == {}


@pytest.mark.parametrize(
    ("channel_data", "shown"),
    [({}, False), ({"feedbackLoopEnabled": True}, True), ({"feedbackLoop": {"type": "custom"}}, False), (None, False)],
)
async def test_feedback_buttons_show_where_the_bot_asks_for_them(
    teams: Stage, channel_data: object, shown: bool
) -> None:
    message = await answer_of_the_bot(teams, channelData=channel_data)
    assert (await newest(teams))["feedback"] is shown
    assert (await act(teams, "POST", message, "/feedback", reaction="like"))[0] == (200 if shown else 404)


async def test_a_quote_reaches_the_bot_as_html_and_as_an_entity(teams: Stage) -> None:
    quoted = await answer_of_the_bot(teams)
    message_id = await teams.say(CHAT, "alice", "which <one>?", quote=quoted)
    message = await received(teams, "message")
    bot = f"28:{teams.identity.app.app_id}"
    assert message["text"] == f'<quoted messageId="{quoted}"/>which <one>?'
    (content,) = message["attachments"]
    assert content["content"] == (
        f'<blockquote itemscope="" itemtype="http://schema.skype.com/Reply" itemid="{quoted}">'
        f'<strong itemprop="mri" itemid="{bot}">GoClaw</strong><span itemprop="time" itemid="{quoted}"></span>'
        '<p itemprop="preview">an answer</p></blockquote><p>which &lt;one&gt;?</p>'
    )
    (entity,) = [entity for entity in message["entities"] if entity["type"] == "quotedReply"]
    reply = {"senderId": bot, "senderName": "GoClaw", "preview": "an answer", "time": quoted}
    assert entity["quotedReply"] == {"messageId": quoted, **reply}
    shown = await newest(teams)
    assert (shown["id"], shown["quoted"]) == (message_id, {"id": quoted, "name": "GoClaw", "text": "an answer"})


async def test_messages_of_people_can_be_quoted_in_groups_but_not_in_channels(teams: Stage) -> None:
    message_id = await teams.say("launch-team", "bob", "lunch?")
    await teams.say("launch-team", "alice", "what is near?", quote=message_id, mention=True)
    message = await received(teams, "message")
    (entity,) = [entity for entity in message["entities"] if entity["type"] == "quotedReply"]
    assert entity["quotedReply"]["senderId"] == teams_user_id(PEOPLE["bob"], teams.identity.app.app_id)
    post = await teams.say("general", "bob", "lunch?")
    body = {"as": "alice", "text": "a", "quote": post}
    assert (await teams.call("POST", "/api/chats/general/messages", body))[0] == 400


async def test_the_app_is_removed_added_and_upgraded(teams: Stage) -> None:
    async def app(action: str) -> int:
        return (await teams.call("POST", f"/api/chats/{CHAT}/app", {"as": "alice", "action": action}))[0]

    async with teams.session.get(f"{teams.base}/api/events") as events:
        assert [await app("upgrade"), await app("add"), await app("remove")] == [204, 409, 204]
        (event,) = await news(events, 1)
        assert (event["type"], event["chat"]["id"], event["chat"]["app"]) == ("chat", CHAT, "removed")
    await until(lambda: len(teams.bot.received) == 2)
    assert {activity["action"] for activity in teams.bot.of_type("installationUpdate")} == {"add-upgrade", "remove"}
    assert [await app("upgrade"), await app("remove")] == [409, 409]
    await teams.people.open(CHAT, "alice")
    status, refusal = await teams.call("POST", f"/api/chats/{CHAT}/messages", {"as": "alice", "text": "hello?"})
    assert (status, refusal["error"]) == (409, "The app was removed from this chat: add it again first.")
    assert await app("add") == 204
    await received(teams, "conversationUpdate")
    await teams.say(CHAT, "alice", "hello?")
    await received(teams, "message")


async def test_the_bot_gets_nothing_from_a_chat_without_the_app(teams: Stage) -> None:
    message_id = await teams.say("launch-team", "bob", "hello", mention=True)
    await received(teams, "message")
    await teams.people.remove_app("launch-team", "bob")
    await received(teams, "installationUpdate")
    assert (await newest(teams, "launch-team"))["delivery"] == "delivered"
    await teams.people.edit("launch-team", "bob", message_id, "hello?")
    await teams.say("launch-team", "bob", "hello?", mention=True)
    assert (await newest(teams, "launch-team"))["delivery"] is None
    await teams.people.add_app("launch-team", "bob")
    await received(teams, "conversationUpdate")
    assert len(teams.bot.received) == 4


async def test_a_removed_app_stays_removed_after_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as teams:
        await teams.people.open(CHAT, "alice")
        await teams.people.remove_app(CHAT, "alice")
    async with stage(tmp_path) as teams:
        chats = (await teams.call("GET", "/api/state"))[1]["chats"]
        assert {chat["id"]: chat["app"] for chat in chats} == {
            "personal-alice": "removed",
            "personal-bob": "none",
            "personal-chen": "none",
            "launch-team": "added",
            "general": "added",
        }


async def test_reactions_quotes_and_feedback_survive_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path, send_limits=False) as teams:
        await teams.people.open(CHAT, "alice")
        message = await answer_of_the_bot(teams, channelData=FEEDBACK)
        await teams.people.react(CHAT, "alice", message, "heart")
        await act(teams, "POST", message, "/feedback", reaction="like")
        await teams.say(CHAT, "alice", "why?", quote=message)
        await until(lambda: teams.tenant.messages(CHAT)[-1].delivery == "delivered")
        before = await teams.messages(CHAT)
    async with stage(tmp_path) as teams:
        assert await teams.messages(CHAT) == before


async def test_a_bots_message_notifies_once_and_an_edit_never(teams: Stage) -> None:
    async with teams.session.get(f"{teams.base}/api/events") as events:
        message = await answer_of_the_bot(teams)
        path = f"/{teams.conversation(CHAT)}/activities/{message}"
        await teams.as_bot("PUT", path, {"type": "message", "text": "two"})
        await teams.say(CHAT, "alice", "hi")
        assert [event["message"]["notify"] for event in await news(events, 3)] == [True, False, False]
    assert (await newest(teams))["notify"] is False


@pytest.mark.parametrize(
    ("method", "subpath", "body", "status"),
    [
        ("PUT", "", {"text": " "}, 400),
        ("PUT", "", {}, 400),
        ("PUT", "", {"text": "a", "as": "bob"}, 400),
        ("DELETE", "", {"as": 7}, 400),
        ("POST", "/undelete", {}, 404),
        ("POST", "/stop", {}, 404),
        ("POST", "/feedback", {"reaction": "like"}, 404),
        ("POST", "/consent", {"action": "accept"}, 404),
        ("POST", "/consent", {"action": "maybe"}, 400),
        ("POST", "/reactions", {"type": "</b>", "on": True}, 400),
        ("POST", "/reactions", {"type": "", "on": True}, 400),
        ("POST", "/reactions", {"on": True}, 400),
    ],
)
async def test_an_impossible_action_is_refused_with_a_sentence(
    teams: Stage, method: str, subpath: str, body: dict[str, object], status: int
) -> None:
    message_id = await teams.say(CHAT, "alice", "mine")
    await received(teams, "message")
    got, answer = await act(teams, method, message_id, subpath, **body)
    assert got == status
    assert answer["error"].endswith(".")
    assert len(teams.bot.received) == 1


async def test_a_person_cannot_change_messages_of_the_bot_or_unknown_messages(teams: Stage) -> None:
    for message in (await answer_of_the_bot(teams), "4711"):
        assert (await act(teams, "PUT", message, text="a"))[0] == 404
        assert (await act(teams, "DELETE", message))[0] == 404
    message = await answer_of_the_bot(teams, channelData=FEEDBACK)
    assert (await act(teams, "POST", message, "/feedback", reaction="so-so"))[0] == 400
    assert (await act(teams, "POST", message, "/feedback", reaction="like", text="x" * 6000))[0] == 400
    app = {"as": "alice", "action": "explode"}
    assert (await teams.call("POST", f"/api/chats/{CHAT}/app", app))[0] == 400
