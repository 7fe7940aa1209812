"""The Bot Connector: what a bot may do in Teams' conversations, with the refusals of the real service.

Source: learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference (reference:
teams-platform.md §3, §4).
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bridge.simulator.teams import rules
from bridge.simulator.teams.admission import Admission, activity_body
from bridge.simulator.teams.answers import json_answer
from bridge.simulator.teams.appearance import Appearance, appearance
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.world import (
    BOT_NAME,
    BOT_SENDER,
    PEOPLE,
    Message,
    Person,
    Place,
    iso_now,
    roster_entry,
    teams_user_id,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.simulator.teams.faults import Faults, Operation
    from bridge.simulator.teams.identity import Identity
    from bridge.simulator.teams.tenant import Tenant

# how long the typing indicator stays: teams-platform.md §10 "Typing"
TYPING_SHOWN_MS = 3000
_LONG_TEXT = 2000


def _not_in_roster() -> Refused:
    return Refused(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")


async def _looks(activity: dict[str, Any]) -> Appearance:
    """Rendering a long text takes a while: not on the event loop."""
    if len(activity.get("text") or "") < _LONG_TEXT:
        return appearance(activity)
    return await asyncio.to_thread(appearance, activity)


def _bot_message(place: Place, message_id: str, looks: Appearance) -> Message:
    return Message(
        id=message_id,
        chat=place.chat.id,
        thread=place.thread,
        at=iso_now(),
        sender=BOT_SENDER,
        name=BOT_NAME,
        **asdict(looks),
    )


class Connector:
    """Handlers below `/emea/{tenant}/v3/conversations`."""

    def __init__(self, tenant: Tenant, identity: Identity, faults: Faults, admission: Admission) -> None:
        self._tenant = tenant
        self._identity = identity
        self._faults = faults
        self._admission = admission

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
        rules.check(activity)
        operation: Operation = "typing" if activity["type"] == "typing" else "message"
        looks = await _looks(activity)

        async def accept() -> web.Response:
            self._admission.spend_send(place.conversation)
            new_id = self._tenant.new_id()
            if operation == "typing":
                self._show_typing(place)
            else:
                await self._tenant.put(_bot_message(place, new_id, looks))
            return json_answer({"id": new_id}, 201)

        return await self._faults.around(operation, request, accept)

    async def _update(self, request: web.Request) -> web.Response:
        """PUT a new form of one of the bot's own messages."""
        place = self._place(request)
        activity = await activity_body(request)
        rules.check(activity)
        if activity["type"] != "message":
            raise Refused(400, "BadArgument", "Only a message can be updated.")
        looks = await _looks(activity)

        async def accept() -> web.Response:
            self._admission.spend_send(place.conversation)
            old = self._own_message(request, place)
            await self._tenant.change(old, edited=True, **asdict(looks))
            return json_answer({"id": old.id})

        return await self._faults.around("edit", request, accept)

    async def _delete(self, request: web.Request) -> web.Response:
        place = self._place(request)

        async def accept() -> web.Response:
            old = self._own_message(request, place)
            await self._tenant.change(old, text="", html="", card=None, deleted=True)
            return json_answer({})

        return await self._faults.around("delete", request, accept)

    def _own_message(self, request: web.Request, place: Place) -> Message:
        found = self._tenant.message(place.chat.id, request.match_info["activity"])
        if found is None or found.deleted:
            raise Refused(404, "ActivityNotFoundInConversation", "The activity was not found.")
        if not found.from_bot:
            raise Refused(403, "ForbiddenOperationException", "A bot can only change its own messages.")
        return found

    def _show_typing(self, place: Place) -> None:
        # Teams shows no typing indicator in channels (teams-platform.md §10)
        if place.chat.kind != "channel":
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
