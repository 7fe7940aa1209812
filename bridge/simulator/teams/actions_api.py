"""The page API's actions: a person writes, edits, reacts, clicks. Each request names the person in `as`."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from bridge.simulator.teams.clicks import ClickResult, Clicks
from bridge.simulator.teams.json_http import json_answer, json_object
from bridge.simulator.teams.membership import NotPossible
from bridge.simulator.teams.onedrive import MOST_BYTES
from bridge.simulator.teams.people import ChosenFile, People

Handler = Callable[[web.Request], Awaitable[web.Response]]

# bytes: the files as base64, and the message's text and fields
_LARGEST_MESSAGE = MOST_BYTES * 4 // 3 + 512 * 1024


class ActionsApi:
    """Handlers below `/api/chats/{chat}`:

    - `POST /open` `{"as"}`; `POST /app` `{"as", "action": "add" | "remove" | "upgrade"}`
    - `POST /messages` `{"as", "text", "mention"?, "thread"?, "quote"?, "files"?: [{"name", "type", "base64"}]}`
      -> 201 `{"id"}`
    - `PUT` and `DELETE /messages/{id}` `{"as", "text"}`; `POST …/undelete` `{"as"}`
    - `POST …/reactions` `{"as", "type", "on"}`; `POST …/stop` `{"as"}`
    - `POST …/actions` `{"as", "action": number}`; `POST …/feedback` `{"as", "reaction": "like" | "dislike", "text"?}`;
      `POST …/consent` `{"as", "action": "accept" | "decline"}`: all three wait for the bot, and answer 200
      `{"ok": true, "message": null}` or, when the bot failed, 502 `{"ok": false, "message": Teams' words for people}`

    All remaining actions answer 204. A refusal is `{"error": sentence}` with a status of 400 and above.
    """

    def __init__(self, people: People, clicks: Clicks) -> None:
        self._people = people
        self._clicks = clicks

    def routes(self) -> list[web.RouteDef]:
        chat = "/api/chats/{chat}"
        message = chat + "/messages/{message}"
        return [
            web.post(chat + "/open", json_refusals(self._open)),
            web.post(chat + "/app", json_refusals(self._app)),
            web.post(chat + "/messages", json_refusals(self._say)),
            web.put(message, json_refusals(self._edit)),
            web.delete(message, json_refusals(self._delete)),
            web.post(message + "/undelete", json_refusals(self._undelete)),
            web.post(message + "/reactions", json_refusals(self._react)),
            web.post(message + "/stop", json_refusals(self._stop)),
            web.post(message + "/actions", json_refusals(self._press)),
            web.post(message + "/feedback", json_refusals(self._give_feedback)),
            web.post(message + "/consent", json_refusals(self._consent)),
        ]

    async def _open(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        await self._people.open(request.match_info["chat"], _text(body, "as"))
        return _no_content()

    async def _app(self, request: web.Request) -> web.Response:
        body = await json_object(request)
        acts = {"add": self._people.add_app, "remove": self._people.remove_app, "upgrade": self._people.upgrade_app}
        act = acts.get(_text(body, "action"))
        if act is None:
            raise NotPossible("'action' must be 'add', 'remove' or 'upgrade'.")
        await act(request.match_info["chat"], _text(body, "as"))
        return _no_content()

    async def _say(self, request: web.Request) -> web.Response:
        body = await json_object(request, _LARGEST_MESSAGE)
        message = await self._people.say(
            request.match_info["chat"],
            _text(body, "as"),
            _text(body, "text"),
            mention=body.get("mention") is True,
            thread=None if body.get("thread") is None else _text(body, "thread"),
            quoting=None if body.get("quote") is None else _text(body, "quote"),
            files=_files(body.get("files") or []),
        )
        return json_answer({"id": message.id}, 201)

    async def _edit(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        await self._people.edit(chat, _text(body, "as"), message, _text(body, "text"))
        return _no_content()

    async def _delete(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        await self._people.delete(chat, _text(body, "as"), message)
        return _no_content()

    async def _undelete(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        await self._people.undelete(chat, _text(body, "as"), message)
        return _no_content()

    async def _react(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        kind, added = _text(body, "type"), body.get("on") is not False
        await self._people.react(chat, _text(body, "as"), message, kind, added=added)
        return _no_content()

    async def _stop(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        await self._clicks.stop(chat, _text(body, "as"), message)
        return _no_content()

    async def _press(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        number = body.get("action")
        if not isinstance(number, int) or isinstance(number, bool):
            raise NotPossible("'action' must be a number.")
        return _clicked(await self._clicks.press(chat, _text(body, "as"), message, number))

    async def _give_feedback(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        words = "" if body.get("text") is None else _text(body, "text")
        reaction = _text(body, "reaction")
        return _clicked(await self._clicks.give_feedback(chat, _text(body, "as"), message, reaction, words))

    async def _consent(self, request: web.Request) -> web.Response:
        body, (chat, message) = await json_object(request), _path_ids(request)
        action = _text(body, "action")
        if action not in ("accept", "decline"):
            raise NotPossible("'action' must be 'accept' or 'decline'.")
        return _clicked(await self._clicks.consent(chat, _text(body, "as"), message, accepted=action == "accept"))


def json_refusals(handler: Handler) -> Handler:
    """Wrap `handler`: refusals become `{"error": sentence}` with status 400 and above."""

    async def wrapped(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except NotPossible as refused:
            return json_answer({"error": str(refused)}, refused.status)
        except web.HTTPRequestEntityTooLarge:
            return json_answer({"error": "That is too much at once."}, 413)
        except ValueError:
            return json_answer({"error": "The body is no JSON object."}, 400)

    return wrapped


def _path_ids(request: web.Request) -> tuple[str, str]:
    """The ids of chat and message in the request's path."""
    return request.match_info["chat"], request.match_info["message"]


def _no_content() -> web.Response:
    return web.Response(status=204)


def _clicked(result: ClickResult) -> web.Response:
    return json_answer({"ok": result.accepted, "message": result.message}, 200 if result.accepted else 502)


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise NotPossible(f"'{name}' must be a text.")
    return value


def _files(listed: object) -> list[ChosenFile]:
    if not isinstance(listed, list) or not all(isinstance(file, dict) for file in listed):
        raise NotPossible("'files' must be a list of files.")
    chosen = [ChosenFile(_text(file, "name"), _text(file, "type"), _decoded(_text(file, "base64"))) for file in listed]
    if sum(len(file.content) for file in chosen) > MOST_BYTES:
        raise NotPossible("All files together can have 10 MB at most.", 413)
    return chosen


def _decoded(encoded: str) -> bytes:
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as damage:
        raise NotPossible("A file's content must be base64.") from damage
