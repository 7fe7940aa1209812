"""Files and pictures between people and the bot, stored in the simulated OneDrive."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.simulator_world import Stage, stage, until

CHAT = "personal-alice"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
CONSENT = "application/vnd.microsoft.teams.card.file.consent"
INFO = "application/vnd.microsoft.teams.card.file.info"
DOWNLOAD = "application/vnd.microsoft.teams.file.download.info"
OFFER = {
    "contentType": CONSENT,
    "name": "plan.txt",
    "content": {
        "description": "The plan",
        "sizeInBytes": 8,
        "acceptContext": {"file": 1},
        "declineContext": {"file": 2},
    },
}


@pytest.fixture
async def teams(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage(tmp_path, send_limits=False) as running:
        await running.people.open(CHAT, "alice")
        yield running


def chosen(content: bytes, name: str = "plan.txt", kind: str = "text/plain") -> dict[str, str]:
    return {"name": name, "type": kind, "base64": base64.b64encode(content).decode()}


async def sent(
    teams: Stage, *files: dict[str, str], chat: str = CHAT, text: str = "", **more: object
) -> dict[str, Any]:
    """Alice sends files; gives the message activity received by the bot."""
    message_id = await teams.say(chat, "alice", text, files=list(files), **more)
    await until(lambda: any(activity["id"] == message_id for activity in teams.bot.received))
    return next(activity for activity in teams.bot.received if activity["id"] == message_id)


async def fetch(teams: Stage, url: str, bearer: str | None = None) -> tuple[int, bytes, str]:
    headers = {} if bearer is None else {"Authorization": f"Bearer {bearer}"}
    async with teams.session.get(url, headers=headers) as response:
        return response.status, await response.read(), response.content_type


async def upload(
    teams: Stage, url: str, content: bytes, content_range: str | None = None, **headers: str
) -> tuple[int, dict[str, Any]]:
    span = f"bytes 0-{len(content) - 1}/{len(content)}" if content_range is None else content_range
    async with teams.session.put(url, data=BytesIO(content), headers={"Content-Range": span, **headers}) as response:
        return response.status, await response.json()


async def offered(teams: Stage) -> str:
    """Let the bot offer a file; gives the message's id."""
    return str((await teams.send(CHAT, "", attachments=[OFFER]))[1]["id"])


async def answer(teams: Stage, message: str, action: str) -> tuple[int, dict[str, Any]]:
    """Alice answers the offer of a file: the page API's status, and the invoke received by the bot."""
    path = f"/api/chats/{CHAT}/messages/{message}/consent"
    status, _ = await teams.call("POST", path, {"as": "alice", "action": action})
    return status, teams.bot.of_type("invoke")[-1]


async def test_a_file_reaches_the_bot_with_a_link_that_takes_no_bearer(teams: Stage) -> None:
    activity = await sent(teams, chosen(b"the plan"), text="please read")
    content, file = activity["attachments"]
    assert activity["text"] == "please read"
    assert (file["contentType"], file["name"]) == (DOWNLOAD, "plan.txt")
    assert (file["content"]["fileType"], "tempauth=" in file["content"]["downloadUrl"]) == ("txt", True)
    assert f'<attachment id="{file["content"]["uniqueId"]}"></attachment>' in content["content"]
    link = file["content"]["downloadUrl"]
    assert await fetch(teams, link) == (200, b"the plan", "application/octet-stream")
    token = (await teams.ask_token())[1]["access_token"]
    assert (await fetch(teams, link, token))[0] == 401
    assert (await fetch(teams, link[:-3] + "xyz"))[0] == 401
    assert (await fetch(teams, file["contentUrl"]))[0] == 404


async def test_the_page_sees_the_file_as_a_download_under_its_name(teams: Stage) -> None:
    await sent(teams, chosen(b"<script>alert(1)</script>", "a b.html", "text/html"))
    (message,) = await teams.messages(CHAT)
    (file,) = message["files"]
    url = file.pop("url")
    assert file == {"name": "a b.html", "size": 25, "type": "application/octet-stream", "state": "sent"}
    async with teams.session.get(teams.base + url) as response:
        assert response.headers["Content-Disposition"] == "attachment"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.content_type == "application/octet-stream"
    assert (await fetch(teams, f"{teams.base}/api/files/..%2Fentra.pem/a"))[0] == 404


async def test_a_link_works_for_a_while_only(tmp_path: Path) -> None:
    now = 100.0
    async with stage(tmp_path, clock=lambda: now, link_seconds=60.0) as teams:
        await teams.people.open(CHAT, "alice")
        link = (await sent(teams, chosen(b"the plan")))["attachments"][1]["content"]["downloadUrl"]
        assert (await fetch(teams, link))[0] == 200
        now += 61
        assert (await fetch(teams, link))[0] == 401


@pytest.mark.parametrize("chat", [CHAT, "launch-team"])
async def test_a_picture_lies_below_the_service_url_and_demands_the_bots_bearer(teams: Stage, chat: str) -> None:
    activity = await sent(teams, chosen(PNG, "p.png", "image/png"), chat=chat, mention=True)
    content, picture = activity["attachments"]
    assert picture["contentType"] == "image/*"
    assert picture["contentUrl"].startswith(teams.identity.service_url + "v3/attachments/")
    assert picture["contentUrl"].endswith("/views/original")
    assert f'src="{picture["contentUrl"]}" itemtype="http://schema.skype.com/AMSImage"' in content["content"]
    assert (await fetch(teams, picture["contentUrl"]))[0] == 401
    token = (await teams.ask_token())[1]["access_token"]
    assert await fetch(teams, picture["contentUrl"], token) == (200, PNG, "image/png")
    (shown,) = (await teams.messages(chat))[-1]["files"]
    assert (shown["type"], await fetch(teams, teams.base + shown["url"])) == ("image/png", (200, PNG, "image/png"))


async def test_a_file_with_a_false_picture_type_is_sent_as_a_file(teams: Stage) -> None:
    activity = await sent(teams, chosen(b"<svg onload=alert(1)>", "p.svg", "image/svg+xml"))
    assert activity["attachments"][1]["contentType"] == DOWNLOAD


async def test_a_file_in_a_group_is_shown_there_and_not_given_to_the_bot(teams: Stage) -> None:
    activity = await sent(teams, chosen(b"the plan"), chat="launch-team", mention=True)
    assert [part["contentType"] for part in activity["attachments"]] == ["text/html"]
    assert (await teams.messages("launch-team"))[-1]["files"][0]["name"] == "plan.txt"


@pytest.mark.parametrize(
    ("files", "status"),
    [
        ([{"name": "a", "type": "b", "base64": "%%"}], 400),
        ([{"name": "", "type": "b", "base64": ""}], 400),
        ([{"name": "..", "type": "b", "base64": ""}], 400),
        ([{"name": "a\n", "type": "b", "base64": ""}, {"name": "a\u202eb", "type": "b", "base64": ""}], 400),
        ([{"name": "a"}], 400),
        (["a"], 400),
        ("a", 400),
        ([{"name": "a", "type": "b", "base64": ""}] * 11, 400),
        ([chosen(b"x" * 6_000_000)] * 2, 413),
    ],
)
async def test_files_that_cannot_be_sent_are_refused_with_a_sentence(teams: Stage, files: object, status: int) -> None:
    body = BytesIO(orjson.dumps({"as": "alice", "text": "", "files": files}))
    path, headers = f"{teams.base}/api/chats/{CHAT}/messages", {"Content-Type": "application/json"}
    async with teams.session.post(path, data=body, headers=headers) as response:
        assert response.status == status
        assert (await response.json())["error"].endswith(".")
    assert await teams.messages(CHAT) == []


async def test_the_path_of_a_name_is_cut_off(teams: Stage) -> None:
    activity = await sent(teams, chosen(b"x", "C:\\Users\\alice\\..\\plan.txt"))
    assert activity["attachments"][1]["name"] == "plan.txt"


async def test_an_accepted_offer_is_uploaded_once_without_a_bearer_and_shown(teams: Stage) -> None:
    message = await offered(teams)
    assert (await teams.messages(CHAT))[0]["files"] == [
        {"name": "plan.txt", "size": 8, "type": "application/octet-stream", "url": None, "state": "offered"}
    ]
    status, invoke = await answer(teams, message, "accept")
    assert (status, invoke["name"], invoke["replyToId"]) == (200, "fileConsent/invoke", message)
    assert (invoke["value"]["type"], invoke["value"]["action"]) == ("fileUpload", "accept")
    assert invoke["value"]["context"] == {"file": 1}
    info = invoke["value"]["uploadInfo"]
    assert (info["name"], info["fileType"]) == ("plan.txt", "txt")
    assert (await upload(teams, info["uploadUrl"], b"the plan", Authorization="Bearer x"))[0] == 401
    assert (await upload(teams, info["uploadUrl"], b"the plan"))[0] == 201
    assert (await upload(teams, info["uploadUrl"], b"the plan"))[0] == 404
    card = {"uniqueId": info["uniqueId"], "fileType": info["fileType"]}
    attachment = {"contentType": INFO, "contentUrl": info["contentUrl"], "name": info["name"], "content": card}
    await teams.send(CHAT, "", attachments=[attachment])
    consent, file = (await teams.messages(CHAT))[-2:]
    assert consent["files"][0]["state"] == "accepted"
    assert (file["files"][0]["state"], "attachment:" in file["html"]) == ("sent", False)
    assert (await fetch(teams, teams.base + file["files"][0]["url"]))[:2] == (200, b"the plan")


async def test_a_declined_offer_tells_the_bot_with_its_own_context(teams: Stage) -> None:
    message = await offered(teams)
    status, invoke = await answer(teams, message, "decline")
    assert status == 200
    assert invoke["value"] == {"type": "fileUpload", "action": "decline", "context": {"file": 2}}
    assert (await teams.messages(CHAT))[0]["files"][0]["state"] == "declined"


async def test_an_offer_whose_answer_is_lost_can_be_answered_again(teams: Stage) -> None:
    message = await offered(teams)
    await until(lambda: len(teams.bot.received) == 2)
    await teams.bot.stop()
    path = f"/api/chats/{CHAT}/messages/{message}/consent"
    assert (await teams.call("POST", path, {"as": "alice", "action": "accept"}))[0] == 502
    assert (await teams.messages(CHAT))[0]["files"][0]["state"] == "offered"
    await teams.bot.start()
    assert (await answer(teams, message, "accept"))[0] == 200


@pytest.mark.parametrize(
    "span", ["", "bytes 0-3/8", "bytes 4-7/8", "bytes 0-7/*", "bytes 0-8/9", "0-7/8", "bytes 0--1/0"]
)
async def test_an_upload_without_a_fitting_range_is_refused_and_can_be_repeated(teams: Stage, span: str) -> None:
    _, invoke = await answer(teams, await offered(teams), "accept")
    url = invoke["value"]["uploadInfo"]["uploadUrl"]
    assert (await upload(teams, url, b"the plan", span))[0] == 400
    assert (await upload(teams, url, b"the plan"))[0] == 201


async def test_files_cannot_be_offered_in_groups(teams: Stage) -> None:
    status, body = await teams.send("launch-team", "", attachments=[OFFER])
    assert (status, body["error"]["code"]) == (400, "BadArgument")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("data:image/png;base64,iVBORw0KGgo=", "data:image/png;base64,iVBORw0KGgo="),
        ("data:image/svg+xml;base64,AAAA", None),
        ("https://tracker.example/p.png", None),
        (7, None),
    ],
)
async def test_a_picture_of_the_bot_is_shown_only_when_embedded_in_the_message(
    teams: Stage, url: object, shown: str | None
) -> None:
    picture = {"contentType": "image/png", "contentUrl": url, "name": "p.png"}
    assert (await teams.send(CHAT, "", attachments=[picture]))[0] == 201
    (file,) = (await teams.messages(CHAT))[0]["files"]
    assert (file["type"], file["url"]) == ("image/png", shown)


async def test_a_file_card_with_a_foreign_address_has_no_link(teams: Stage) -> None:
    attachment = {"contentType": INFO, "contentUrl": "javascript:alert(1)", "name": "x", "content": {}}
    await teams.send(CHAT, "", attachments=[attachment])
    assert (await teams.messages(CHAT))[0]["files"][0]["url"] is None


async def test_files_survive_a_restart(tmp_path: Path) -> None:
    async with stage(tmp_path) as teams:
        await sent(teams, chosen(b"the plan"))
        (file,) = (await teams.messages(CHAT))[0]["files"]
    async with stage(tmp_path) as teams:
        assert (await teams.messages(CHAT))[0]["files"] == [file]
        assert (await fetch(teams, teams.base + file["url"]))[1] == b"the plan"
