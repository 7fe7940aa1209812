"""The simulated Bot Connector: accepted requests, and refusals with Teams' codes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from support.simulator_world import Stage, stage, until

from bridge.simulator.teams.faults import Fault
from bridge.simulator.teams.world import PEOPLE, teams_user_id

CARD = {"type": "AdaptiveCard", "version": "1.5", "body": [{"type": "TextBlock", "text": "hi"}]}
AI = {"type": "https://schema.org/Message", "@type": "Message", "additionalType": ["AIGeneratedContent"]}


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    """A tenant where Alice has installed the app; rate limits are off."""
    async with stage(tmp_path, send_limits=False) as running:
        await running.people.open("personal-alice", "alice")
        yield running


async def test_a_message_is_shown_rendered_in_its_chat(teams: Stage) -> None:
    status, body = await teams.send("personal-alice", "**Hello**")
    assert status == 201
    assert abs(int(body["id"]) / 1000 - time.time()) < 60
    (message,) = await teams.messages("personal-alice")
    assert message["id"] == body["id"]
    assert message["from"] == {"id": "bot", "name": "GoClaw", "bot": True}
    assert message["html"].strip() == "<p><strong>Hello</strong></p>"
    assert message["text"] == "**Hello**"
    assert (message["ai"], message["card"], message["edited"], message["delivery"]) == (
        False,
        None,
        False,
        None,
    )


async def test_ai_label_and_card_of_a_message_are_shown(teams: Stage) -> None:
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": CARD}
    await teams.send("personal-alice", "", attachments=[attachment], entities=[AI])
    (message,) = await teams.messages("personal-alice")
    assert message["ai"] is True
    assert message["card"] == CARD


async def test_a_reply_shows_the_quoted_message(teams: Stage) -> None:
    message_id = await teams.say("launch-team", "bob", "what is due?", mention=True)
    tag = f'<quoted messageId="{message_id}"/>'
    entity = {"type": "quotedReply", "quotedReply": {"messageId": message_id}}
    await teams.send("launch-team", f"{tag}\n\nThe **report**.", entities=[entity])
    message = (await teams.messages("launch-team"))[-1]
    assert message["quoted"] == {"id": message_id, "name": "Bob Tran", "text": "@GoClaw what is due?"}
    assert (message["text"], message["html"].strip()) == ("The **report**.", "<p>The <strong>report</strong>.</p>")
    unknown = {"type": "quotedReply", "quotedReply": {"messageId": "4711"}}
    for odd in (unknown, {"type": "quotedReply", "quotedReply": 7}, {"type": "quotedReply"}):
        assert (await teams.send("launch-team", "hello", entities=[odd]))[0] == 201
        assert (await teams.messages("launch-team"))[-1]["quoted"] is None


@pytest.mark.parametrize("spelling", [quote, lambda conversation: quote(conversation, safe="")])
async def test_a_reply_in_a_channel_appears_in_the_thread_of_its_conversation_id(teams: Stage, spelling: Any) -> None:
    root = await teams.say("general", "bob", "hi all", mention=True)
    conversation = spelling(f"{teams.conversation('general')};messageid={root}")
    status, body, _ = await teams.as_bot(
        "POST", f"/{conversation}/activities/{root}", {"type": "message", "text": "hi", "replyToId": root}
    )
    assert status == 201
    reply = (await teams.messages("general"))[-1]
    assert (reply["id"], reply["thread"]) == (body["id"], root)
    await teams.send("general", "a new post")
    assert (await teams.messages("general"))[-1]["thread"] is None


async def test_an_edit_keeps_the_id_and_shows_as_edited(teams: Stage) -> None:
    _, sent = await teams.send("personal-alice", "one", entities=[AI])
    path = f"/{teams.conversation('personal-alice')}/activities/{sent['id']}"
    status, body, _ = await teams.as_bot("PUT", path, {"type": "message", "text": "two"})
    assert (status, body) == (200, {"id": sent["id"]})
    (message,) = await teams.messages("personal-alice")
    assert (message["text"], message["edited"], message["ai"]) == ("two", True, False)


async def test_a_deleted_message_is_gone_for_edits_too(teams: Stage) -> None:
    _, sent = await teams.send("personal-alice", "one")
    path = f"/{teams.conversation('personal-alice')}/activities/{sent['id']}"
    assert (await teams.as_bot("DELETE", path))[0] == 200
    (message,) = await teams.messages("personal-alice")
    assert (message["deleted"], message["text"], message["html"]) == (True, "", "")
    for method, body in (("PUT", {"type": "message", "text": "two"}), ("DELETE", None)):
        status, answer, _ = await teams.as_bot(method, path, body)
        assert (status, answer["error"]["code"]) == (404, "ActivityNotFoundInConversation")


async def test_a_bot_edits_only_its_own_messages_under_their_conversation_id(
    teams: Stage,
) -> None:
    message_id = await teams.say("personal-alice", "alice", "mine")
    _, sent = await teams.send("personal-alice", "one")
    change = {"type": "message", "text": "two"}
    mine = f"/{teams.conversation('personal-alice')}/activities/{message_id}"
    status, answer, _ = await teams.as_bot("PUT", mine, change)
    assert (status, answer["error"]["code"]) == (403, "ForbiddenOperationException")
    elsewhere = f"/{teams.conversation('launch-team')}/activities/{sent['id']}"
    assert (await teams.as_bot("PUT", elsewhere, change))[0] == 404


@pytest.mark.parametrize(
    "conversation",
    ["a:nobody", "19:x@thread.v2", "{general};messageid=17", "{alice};messageid=17", "{general};"],
)
async def test_an_unknown_conversation_is_404(teams: Stage, conversation: str) -> None:
    known = conversation.format(general=teams.conversation("general"), alice=teams.conversation("personal-alice"))
    status, answer, _ = await teams.as_bot("POST", f"/{known}/activities", {"type": "message", "text": "hello"})
    assert (status, answer["error"]["code"]) == (404, "ConversationNotFound")


async def test_a_reply_cannot_start_a_thread(teams: Stage) -> None:
    root = await teams.say("general", "bob", "hi all")
    reply = await teams.say("general", "bob", "and more", thread=root)
    path = f"/{teams.conversation('general')};messageid={reply}/activities"
    assert (await teams.as_bot("POST", path, {"type": "message", "text": "hello"}))[0] == 404


async def test_another_tenant_is_404(teams: Stage) -> None:
    token = (await teams.ask_token())[1]["access_token"]
    url = teams.identity.service_url.replace(teams.identity.app.tenant_id, "fabrikam.example")
    path = f"{url}v3/conversations/{teams.conversation('personal-alice')}/members"
    async with teams.session.get(path, headers={"Authorization": f"Bearer {token}"}) as response:
        assert response.status == 404


async def test_a_chat_without_the_app_is_403(teams: Stage) -> None:
    await teams.people.remove_app("personal-alice", "alice")
    for chat in ("personal-bob", "personal-alice"):
        status, answer = await teams.send(chat)
        assert (status, answer["error"]["code"]) == (403, "BotNotInConversationRoster")


async def test_only_a_valid_bearer_of_this_app_is_let_in(teams: Stage) -> None:
    good = (await teams.ask_token())[1]["access_token"]
    claims = jwt.decode(good, options={"verify_signature": False})
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    entra = teams.identity._entra  # noqa: SLF001  only the tenant's own key can sign such tokens
    bad = {
        "forged": jwt.encode(claims, stranger, algorithm="RS256", headers=jwt.get_unverified_header(good)),
        "expired": entra.sign({**claims, "exp": int(time.time()) - 1}),
        "another audience": entra.sign({**claims, "aud": "https://graph.microsoft.com"}),
        "another app": entra.sign({**claims, "appid": "someone-else"}),
        "another issuer": entra.sign({**claims, "iss": "https://sts.windows.net/other/"}),
        "without end": entra.sign({k: v for k, v in claims.items() if k != "exp"}),
        "the channel's own": teams.identity.channel_token(),
        "no token": "",
        "no text": "\udcff\udcfe",
        "cut": good[:-20],
    }
    path = f"/{teams.conversation('personal-alice')}/activities"
    message = {"type": "message", "text": "hello"}
    for case, bearer in bad.items():
        status, answer, _ = await teams.as_bot("POST", path, message, bearer=bearer)
        assert (case, status) == (case, 401)
        assert "denied" in answer["message"]
    assert (await teams.as_bot("POST", path, message, bearer=good))[0] == 201
    assert len(await teams.messages("personal-alice")) == 1


@pytest.mark.parametrize(
    ("data", "content_type", "status", "code"),
    [
        (b"{", "application/json", 400, "BadSyntax"),
        (b"[]", "application/json", 400, "BadSyntax"),
        (b"\xff", "application/json", 400, "BadSyntax"),
        (b'{"type":"message"}', "application/json", 400, "BadSyntax"),
        (b'{"type":"message","text":"a"}', "text/plain", 415, "UnsupportedMediaType"),
        (b" " * 3_000_000, "application/json", 413, "MessageSizeTooBig"),
        (b'{"type":"message","text":"%s"}' % (b"x" * 52_000), "application/json", 413, "MessageSizeTooBig"),
        (
            b'{"type":"message","text":"a","entities":[{"type":"streaminfo"}]}',
            "application/json",
            400,
            "BadRequest",
        ),
    ],
)
async def test_a_bad_body_is_refused_with_its_code(
    teams: Stage, data: bytes, content_type: str, status: int, code: str
) -> None:
    path = f"/{teams.conversation('personal-alice')}/activities"
    got, answer, _ = await teams.as_bot("POST", path, data=data, content_type=content_type)
    assert (got, answer["error"]["code"]) == (status, code)
    assert await teams.messages("personal-alice") == []


@pytest.mark.parametrize(
    "odd",
    [
        {"entities": [{"type": "mention", "text": "", "mentioned": []}]},
        {"entities": [{"type": "https://schema.org/Message", "additionalType": 7, "citation": 7}]},
        {"attachments": [{"contentType": ["x"], "content": 3}]},
        {"textFormat": {"a": 1}},
    ],
)
async def test_oddly_shaped_fields_never_break_the_service(teams: Stage, odd: dict[str, Any]) -> None:
    status, _ = await teams.send("personal-alice", "hello", **odd)
    assert status in (201, 400)


async def test_a_member_list_holds_names_ids_and_roles(teams: Stage) -> None:
    general = f"/{teams.conversation('general')}"
    status, listed, _ = await teams.as_bot("GET", f"{general}/members")
    assert status == 200
    assert [member["name"] for member in listed] == [person.name for person in PEOPLE.values()]
    assert [member["userRole"] for member in listed] == ["user", "user", "user", "guest"]
    paged = (await teams.as_bot("GET", f"{general}/pagedmembers"))[1]
    assert paged["members"] == listed
    bob = teams_user_id(PEOPLE["bob"], teams.identity.app.app_id)
    assert (await teams.as_bot("GET", f"{general}/members/{bob}"))[1]["aadObjectId"] == PEOPLE["bob"].aad_id
    launch = f"/{teams.conversation('launch-team')}/members/{PEOPLE['gina'].aad_id}"
    assert (await teams.as_bot("GET", launch))[0] == 404


async def test_a_personal_chat_can_be_created_with_a_person_who_has_the_app(teams: Stage) -> None:
    wish = {"members": [{"id": PEOPLE["alice"].aad_id}], "tenantId": teams.identity.app.tenant_id}
    status, body, _ = await teams.as_bot("POST", "", wish)
    assert (status, body["id"]) == (201, teams.conversation("personal-alice"))
    status, body, _ = await teams.as_bot("POST", "", {"members": [{"id": PEOPLE["bob"].aad_id}]})
    assert (status, body["error"]["code"]) == (403, "BotNotInConversationRoster")
    wrong: list[object] = [[], [{"id": "29:nobody"}], "x", [7], [{}, {}], None]
    for members in wrong:
        assert (await teams.as_bot("POST", "", {"members": members}))[0] == 400


async def test_the_eighth_message_of_a_second_waits_and_says_how_long(tmp_path: Path) -> None:
    now = 100.0
    async with stage(tmp_path, clock=lambda: now) as teams:
        path = f"/{teams.conversation('launch-team')}/activities"
        typing = {"type": "typing"}
        answers = [await teams.as_bot("POST", path, typing) for _ in range(8)]
        assert [status for status, _, _ in answers] == [201] * 7 + [429]
        _, body, headers = answers[-1]
        assert body["error"]["code"] == "Throttled"
        assert headers["Retry-After"] == "1"
        elsewhere = f"/{teams.conversation('general')}/activities"
        assert (await teams.as_bot("POST", elsewhere, typing))[0] == 201
        now += 1
        assert (await teams.as_bot("POST", path, typing))[0] == 201


async def test_an_app_may_ask_fifty_times_a_second(tmp_path: Path) -> None:
    async with stage(tmp_path, clock=lambda: 100.0) as teams:
        statuses = [(await teams.as_bot("GET", "/a:nobody/members"))[0] for _ in range(60)]
        assert statuses == [404] * 50 + [429] * 10


async def test_a_reaction_of_the_bot_is_put_on_once_and_taken_off(teams: Stage) -> None:
    message_id = await teams.say("personal-alice", "alice", "a question")
    path = f"/{teams.conversation('personal-alice')}/activities/{message_id}/reactions"
    for _ in range(2):
        assert (await teams.as_bot("PUT", f"{path}/1f440_eyes"))[0] == 200
    assert (await teams.messages("personal-alice"))[0]["reactions"] == [{"type": "1f440_eyes", "by": ["bot"]}]
    for _ in range(2):
        assert (await teams.as_bot("DELETE", f"{path}/1f440_eyes"))[0] == 200
    assert (await teams.messages("personal-alice"))[0]["reactions"] == []
    status, body, _ = await teams.as_bot("PUT", path.replace(message_id, "4711") + "/like")
    assert (status, body["error"]["code"]) == (404, "ActivityNotFoundInConversation")
    for odd in ("%3Cb%3E", "%FF%FE", "x" * 500):
        assert (await teams.as_bot("PUT", f"{path}/{odd}"))[0] == 400
        assert (await teams.call("GET", "/api/traffic"))[0] == 200
    status, body, _ = await teams.as_bot("PUT", f"{path}/%3Cb%3E")
    assert (status, body["error"]["code"]) == (400, "BadArgument")


async def test_an_app_has_two_reactions_a_second_over_all_its_conversations(tmp_path: Path) -> None:
    now = 100.0
    async with stage(tmp_path, clock=lambda: now) as teams:
        chats = ("launch-team", "general", "launch-team")
        messages = [await teams.say(chat, "bob", "hi") for chat in chats]
        paths = [
            f"/{teams.conversation(chat)}/activities/{message}/reactions/like"
            for chat, message in zip(chats, messages, strict=True)
        ]
        assert [(await teams.as_bot("PUT", path))[0] for path in paths] == [200, 200, 429]
        now += 1
        assert (await teams.as_bot("PUT", paths[2]))[0] == 200


async def test_edits_count_as_sends_and_deletions_do_not(tmp_path: Path) -> None:
    async with stage(tmp_path, clock=lambda: 100.0) as teams:
        sent = [(await teams.send("launch-team", "one"))[1]["id"] for _ in range(3)]
        path = f"/{teams.conversation('launch-team')}/activities"
        change = {"type": "message", "text": "two"}
        edits = [(await teams.as_bot("PUT", f"{path}/{sent[0]}", change))[0] for _ in range(5)]
        assert edits == [200] * 4 + [429]
        assert (await teams.as_bot("DELETE", f"{path}/{sent[1]}"))[0] == 200


async def test_an_ordered_fault_meets_the_next_sends_only(teams: Stage) -> None:
    teams.faults.order("message", Fault(status=429, code="Throttled", retry_after="2"), times=2)
    path = f"/{teams.conversation('personal-alice')}/activities"
    message = {"type": "message", "text": "hello"}
    assert (await teams.as_bot("POST", path, {"type": "typing"}))[0] == 201
    status, body, headers = await teams.as_bot("POST", path, message)
    assert (status, body["error"]["code"], headers["Retry-After"]) == (429, "Throttled", "2")
    assert (await teams.as_bot("POST", path, message))[0] == 429
    assert (await teams.as_bot("POST", path, message))[0] == 201
    assert len(await teams.messages("personal-alice")) == 1


async def test_a_cut_connection_leaves_the_message_in_the_chat(teams: Stage) -> None:
    teams.faults.order("message", Fault(cut=True))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await teams.send("personal-alice", "said and not confirmed")
    assert [m["text"] for m in await teams.messages("personal-alice")] == ["said and not confirmed"]


async def test_a_held_back_answer_comes_after_the_message(teams: Stage) -> None:
    teams.faults.order("message", Fault(delay=60))
    sending = asyncio.ensure_future(teams.send("personal-alice", "slow"))
    await until(lambda: teams.tenant.messages("personal-alice"))
    assert not sending.done()
    sending.cancel()


async def test_the_token_endpoint_can_fail_on_order(teams: Stage) -> None:
    teams.faults.order("token", Fault(status=503))
    assert (await teams.ask_token())[0] == 503
    assert (await teams.ask_token())[0] == 200


async def test_the_bots_requests_are_recorded(teams: Stage) -> None:
    await teams.send("personal-alice", "hello")
    record = teams.log[-1]
    assert (record.method, record.status) == ("POST", 201)
    assert record.conversation == teams.conversation("personal-alice")
    assert record.body == {"type": "message", "text": "hello"}
