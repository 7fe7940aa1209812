"""The Bot Connector: what a bot may do in Teams' conversations, with the refusals of the real service.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference (reference:
docs/reference/teams.md, "Message format" and docs/reference/teams.md, "Rate limits and retries").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from bridge.simulator.teams import rules
from bridge.simulator.teams.bot_messages import bot_message, looks_of
from bridge.simulator.teams.connector_access import Admission, activity_body, explain
from bridge.simulator.teams.faults import Faults, Operation
from bridge.simulator.teams.identity import Identity
from bridge.simulator.teams.json_http import json_answer
from bridge.simulator.teams.messages import BOT_SENDER, Message, reacted
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_endpoint import Streaming
from bridge.simulator.teams.stream_rules import is_streamed
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.world import (
    BOT_NAME,
    PEOPLE,
    Person,
    Place,
    roster_entry,
    teams_user_id,
)

# how long the typing indicator stays: docs/reference/teams.md, "Typing, reactions, quotes" "Typing"
TYPING_SHOWN_MS = 3000
# `like`, `1f440_eyes` and the like, custom ones too (docs/reference/teams.md, "Typing, reactions, quotes" "Reactions by bot")
_REACTION = re.compile(r"[A-Za-z0-9_-]{1,100}")


def _not_in_roster() -> Refused:
    return Refused(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")


class Connector:
    """Handlers below `/emea/{tenant}/v3/conversations`."""

    def __init__(
        self, tenant: Tenant, identity: Identity, faults: Faults, admission: Admission, streaming: Streaming
    ) -> None:
        self._tenant = tenant
        self._identity = identity
        self._faults = faults
        self._admission = admission
        self._streaming = streaming

    def routes(self) -> list[web.RouteDef]:
        base = "/emea/{tenant}/v3/conversations"
        one = base + "/{conversation}"
        guarded = self._admission.guarded
        return [
            web.post(base, guarded(self._create)),
            web.post(one + "/activities", guarded(self._send)),
            web.post(one + "/activities/{activity}", guarded(self._send)),
            web.put(one + "/activities/{activity}", guarded(self._update)),
            web.delete(one + "/activities/{activity}", guarded(self._delete)),
            web.put(one + "/activities/{activity}/reactions/{reaction}", guarded(self._react)),
            web.delete(one + "/activities/{activity}/reactions/{reaction}", guarded(self._react)),
            web.get(one + "/members", guarded(self._members)),
            web.get(one + "/pagedmembers", guarded(self._paged_members)),
            web.get(one + "/members/{member}", guarded(self._member)),
        ]

    def _place(self, request: web.Request) -> Place:
        """The conversation of the request's address."""
        place = self._tenant.find(request.match_info["conversation"])
        if place is None:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        if not self._tenant.is_installed(place.chat.id):
            raise _not_in_roster()
        return place

    async def _send(self, request: web.Request) -> web.Response:
        """POST an activity. The conversation chooses the thread, an activity id in the address does not."""
        place = self._place(request)
        activity = await activity_body(request)
        rules.check_form(activity)
        if is_streamed(activity):
            return await self._streaming.take(request, place, activity)
        rules.check(activity, personal=place.chat.kind == "personal")
        operation: Operation = "typing" if activity["type"] == "typing" else "message"
        looks = await looks_of(activity, partial(self._tenant.message, place.chat.id))

        async def accept() -> web.Response:
            self._admission.spend_send(place.conversation)
            new_id = self._tenant.new_id()
            if operation == "typing":
                self._show_typing(request, place)
            else:
                await self._tenant.put(bot_message(place, new_id, looks), notify=True)
            return json_answer({"id": new_id}, 201)

        return await self._faults.around(operation, request, accept)

    async def _update(self, request: web.Request) -> web.Response:
        """PUT a new form of one of the bot's own messages."""
        place = self._place(request)
        activity = await activity_body(request)
        rules.check_form(activity)
        if is_streamed(activity):
            words = "A streamed message is edited without the streaminfo entity."
            raise Refused(400, "BadArgument", words)
        rules.check(activity, personal=place.chat.kind == "personal")
        if activity["type"] != "message":
            raise Refused(400, "BadArgument", "Only a message can be updated.")
        looks = await looks_of(activity, partial(self._tenant.message, place.chat.id))

        async def accept() -> web.Response:
            self._admission.spend_send(place.conversation)
            old = self._own_message(request, place)
            await self._streaming.before_edit(place.chat.id, old.id)
            await self._tenant.change(old, edited=True, **looks.changes())
            return json_answer({"id": old.id})

        return await self._faults.around("edit", request, accept)

    async def _delete(self, request: web.Request) -> web.Response:
        place = self._place(request)

        async def accept() -> web.Response:
            old = self._own_message(request, place)
            await self._streaming.before_edit(place.chat.id, old.id)
            await self._tenant.change(old, text="", html="", card=None, files=(), deleted=True)
            return json_answer({})

        return await self._faults.around("delete", request, accept)

    async def _react(self, request: web.Request) -> web.Response:
        """PUT or DELETE a reaction of the bot; repeating it changes nothing."""
        place, kind = self._place(request), request.match_info["reaction"]
        if not _REACTION.fullmatch(kind):
            raise Refused(400, "BadArgument", "Unknown reaction type.")

        async def accept() -> web.Response:
            self._admission.spend_reaction()
            message = self._message(request, place)
            reactions = reacted(message.reactions, BOT_SENDER, kind, on=request.method == "PUT")
            if reactions is message.reactions:
                explain(request, "Accepted: nothing changes.")
            else:
                await self._tenant.change(message, reactions=reactions)
            return json_answer({})

        return await self._faults.around("reaction", request, accept)

    def _message(self, request: web.Request, place: Place) -> Message:
        found = self._tenant.message(place.chat.id, request.match_info["activity"])
        if found is None or found.deleted:
            raise Refused(404, "ActivityNotFoundInConversation", "The activity was not found.")
        return found

    def _own_message(self, request: web.Request, place: Place) -> Message:
        found = self._message(request, place)
        if not found.from_bot:
            raise Refused(403, "ForbiddenOperationException", "A bot can only change its own messages.")
        return found

    def _show_typing(self, request: web.Request, place: Place) -> None:
        if place.chat.kind == "channel":  # docs/reference/teams.md, "Typing, reactions, quotes" "Typing"
            explain(request, "Accepted and not shown: Teams shows no typing in channels.")
        elif self._streaming.is_open(place.chat.id):  # docs/reference/teams.md, "Streaming"
            explain(request, "Accepted and not shown: no typing while a stream is open.")
        else:
            event = {"type": "typing", "chat": place.chat.id, "thread": place.thread, "name": BOT_NAME}
            self._tenant.news.announce({**event, "until_ms": TYPING_SHOWN_MS})

    async def _create(self, request: web.Request) -> web.Response:
        """POST conversations: the personal chat with one member, where the app is installed."""
        body = await activity_body(request)

        async def accept() -> web.Response:
            members = body.get("members")
            first = members[0] if isinstance(members, list) and members else None
            person = self._person(first.get("id")) if isinstance(first, dict) else None
            if person is None or len(members or ()) != 1 or body.get("isGroup"):
                raise Refused(400, "BadArgument", "Only a personal chat with one known member can be created.")
            chat = self._tenant.chats[f"personal-{person.id}"]
            if not self._tenant.is_installed(chat.id):
                raise _not_in_roster()
            self._admission.spend_send(chat.conversation)
            return json_answer({"id": chat.conversation}, 201)

        return await self._faults.around("create", request, accept)

    def _person(self, member: object) -> Person | None:
        """By Teams id or Entra object id."""
        app_id = self._identity.app.app_id
        known = (p for p in PEOPLE.values() if member in (teams_user_id(p, app_id), p.aad_id))
        return next(known, None)

    async def _members(self, request: web.Request) -> web.Response:
        return await self._read(request, lambda members: members)

    async def _paged_members(self, request: web.Request) -> web.Response:
        return await self._read(request, lambda members: {"members": members})

    async def _member(self, request: web.Request) -> web.Response:
        person = self._person(request.match_info["member"])

        def one(members: list[dict[str, Any]]) -> dict[str, Any]:
            found = [member for member in members if person and member["objectId"] == person.aad_id]
            if not found:
                raise Refused(404, "MemberNotFoundInConversation", "The member was not found.")
            return found[0]

        return await self._read(request, one)

    async def _read(self, request: web.Request, shape: Callable[[list[dict[str, Any]]], Any]) -> web.Response:
        place = self._place(request)

        async def answer() -> web.Response:
            self._admission.spend_read(place.conversation)
            return json_answer(shape([self._roster_entry(who) for who in place.chat.members]))

        return await self._faults.around("members", request, answer)

    def _roster_entry(self, person_id: str) -> dict[str, Any]:
        return roster_entry(PEOPLE[person_id], self._identity.app.app_id, self._identity.app.tenant_id)
