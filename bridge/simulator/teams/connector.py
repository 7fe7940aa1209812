"""The Bot Connector: the bot's requests to Teams' conversations, with the refusals of the real service.

Sources: docs/reference/teams.md, "Message format" and docs/reference/teams.md, "Rate limits and retries";
https://learn.microsoft.com/azure/bot-service/rest-api/bot-framework-rest-connector-api-reference
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from bridge.simulator.teams import rules
from bridge.simulator.teams.bot_messages import bot_message, rendering_of
from bridge.simulator.teams.connector_access import ConnectorAccess, activity_body, set_verdict
from bridge.simulator.teams.faults import Faults, Operation
from bridge.simulator.teams.identity import Identity
from bridge.simulator.teams.json_http import json_answer
from bridge.simulator.teams.messages import BOT_SENDER, Message, with_reaction
from bridge.simulator.teams.rules import Refused
from bridge.simulator.teams.stream_endpoint import StreamEndpoint
from bridge.simulator.teams.stream_rules import is_streamed
from bridge.simulator.teams.tenant import Tenant
from bridge.simulator.teams.world import (
    BOT_NAME,
    PEOPLE,
    Conversation,
    Person,
    roster_entry,
    teams_user_id,
)

# milliseconds of the typing indicator: docs/reference/teams.md, "Typing"
TYPING_SHOWN_MS = 3000
# names such as `like` and `1f440_eyes`, custom names included: docs/reference/teams.md, "Reactions"
_REACTION = re.compile(r"[A-Za-z0-9_-]{1,100}")


def _not_in_roster() -> Refused:
    return Refused(403, "BotNotInConversationRoster", "The bot is not part of the conversation roster.")


class Connector:
    """Handlers below `/emea/{tenant}/v3/conversations`."""

    def __init__(
        self, tenant: Tenant, identity: Identity, faults: Faults, access: ConnectorAccess, streams: StreamEndpoint
    ) -> None:
        self._tenant = tenant
        self._identity = identity
        self._faults = faults
        self._access = access
        self._streams = streams

    def routes(self) -> list[web.RouteDef]:
        base = "/emea/{tenant}/v3/conversations"
        conversation = base + "/{conversation}"
        guarded = self._access.guarded
        return [
            web.post(base, guarded(self._create)),
            web.post(conversation + "/activities", guarded(self._send)),
            web.post(conversation + "/activities/{activity}", guarded(self._send)),
            web.put(conversation + "/activities/{activity}", guarded(self._update)),
            web.delete(conversation + "/activities/{activity}", guarded(self._delete)),
            web.put(conversation + "/activities/{activity}/reactions/{reaction}", guarded(self._react)),
            web.delete(conversation + "/activities/{activity}/reactions/{reaction}", guarded(self._react)),
            web.get(conversation + "/members", guarded(self._members)),
            web.get(conversation + "/pagedmembers", guarded(self._paged_members)),
            web.get(conversation + "/members/{member}", guarded(self._member)),
        ]

    def _conversation(self, request: web.Request) -> Conversation:
        """The conversation of the request's address."""
        conversation = self._tenant.find(request.match_info["conversation"])
        if conversation is None:
            raise Refused(404, "ConversationNotFound", "Conversation not found.")
        if not self._tenant.is_installed(conversation.chat.id):
            raise _not_in_roster()
        return conversation

    async def _send(self, request: web.Request) -> web.Response:
        """POST an activity. The conversation id decides the thread; an activity id in the path is ignored."""
        conversation = self._conversation(request)
        activity = await activity_body(request)
        rules.check_form(activity)
        if is_streamed(activity):
            return await self._streams.take(request, conversation, activity)
        rules.check(activity, personal=conversation.chat.kind == "personal")
        operation: Operation = "typing" if activity["type"] == "typing" else "message"
        rendering = await rendering_of(activity, partial(self._tenant.message, conversation.chat.id))

        async def accept() -> web.Response:
            self._access.spend_send(conversation.id)
            new_id = self._tenant.new_id()
            if operation == "typing":
                self._show_typing(request, conversation)
            else:
                await self._tenant.put(bot_message(conversation, new_id, rendering), notify=True)
            return json_answer({"id": new_id}, 201)

        return await self._faults.apply(operation, request, accept)

    async def _update(self, request: web.Request) -> web.Response:
        """PUT new content for a message of the bot."""
        conversation = self._conversation(request)
        activity = await activity_body(request)
        rules.check_form(activity)
        if is_streamed(activity):
            words = "A streamed message is edited without the streaminfo entity."
            raise Refused(400, "BadArgument", words)
        rules.check(activity, personal=conversation.chat.kind == "personal")
        if activity["type"] != "message":
            raise Refused(400, "BadArgument", "Only a message can be updated.")
        rendering = await rendering_of(activity, partial(self._tenant.message, conversation.chat.id))

        async def accept() -> web.Response:
            self._access.spend_send(conversation.id)
            old = self._own_message(request, conversation)
            await self._streams.before_edit(conversation.chat.id, old.id)
            await self._tenant.change(old, edited=True, **rendering.changes())
            return json_answer({"id": old.id})

        return await self._faults.apply("edit", request, accept)

    async def _delete(self, request: web.Request) -> web.Response:
        conversation = self._conversation(request)

        async def accept() -> web.Response:
            old = self._own_message(request, conversation)
            await self._streams.before_edit(conversation.chat.id, old.id)
            await self._tenant.change(old, text="", html="", card=None, files=(), deleted=True)
            return json_answer({})

        return await self._faults.apply("delete", request, accept)

    async def _react(self, request: web.Request) -> web.Response:
        """PUT or DELETE a reaction of the bot; a repeated request changes nothing."""
        conversation, kind = self._conversation(request), request.match_info["reaction"]
        if not _REACTION.fullmatch(kind):
            raise Refused(400, "BadArgument", "Unknown reaction type.")

        async def accept() -> web.Response:
            self._access.spend_reaction()
            message = self._message(request, conversation)
            reactions = with_reaction(message.reactions, BOT_SENDER, kind, on=request.method == "PUT")
            if reactions is message.reactions:
                set_verdict(request, "Accepted: nothing changes.")
            else:
                await self._tenant.change(message, reactions=reactions)
            return json_answer({})

        return await self._faults.apply("reaction", request, accept)

    def _message(self, request: web.Request, conversation: Conversation) -> Message:
        found = self._tenant.message(conversation.chat.id, request.match_info["activity"])
        if found is None or found.deleted:
            raise Refused(404, "ActivityNotFoundInConversation", "The activity was not found.")
        return found

    def _own_message(self, request: web.Request, conversation: Conversation) -> Message:
        found = self._message(request, conversation)
        if not found.from_bot:
            raise Refused(403, "ForbiddenOperationException", "A bot can only change its own messages.")
        return found

    def _show_typing(self, request: web.Request, conversation: Conversation) -> None:
        if conversation.chat.kind == "channel":  # docs/reference/teams.md, "Typing"
            set_verdict(request, "Accepted and not shown: Teams shows no typing in channels.")
        elif self._streams.is_open(conversation.chat.id):
            set_verdict(request, "Accepted and not shown: no typing while a stream is open.")
        else:
            event = {"type": "typing", "chat": conversation.chat.id, "thread": conversation.thread, "name": BOT_NAME}
            self._tenant.news.announce({**event, "until_ms": TYPING_SHOWN_MS})

    async def _create(self, request: web.Request) -> web.Response:
        """POST a conversation: gives the personal chat with the only member, if the app is installed there."""
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
            self._access.spend_send(chat.conversation_id)
            return json_answer({"id": chat.conversation_id}, 201)

        return await self._faults.apply("create", request, accept)

    def _person(self, member: object) -> Person | None:
        """The person with the Teams id or Entra object id `member`."""
        app_id = self._identity.app.app_id
        known = (p for p in PEOPLE.values() if member in (teams_user_id(p, app_id), p.aad_id))
        return next(known, None)

    async def _members(self, request: web.Request) -> web.Response:
        return await self._read(request, lambda members: members)

    async def _paged_members(self, request: web.Request) -> web.Response:
        return await self._read(request, lambda members: {"members": members})

    async def _member(self, request: web.Request) -> web.Response:
        person = self._person(request.match_info["member"])

        def find_member(members: list[dict[str, Any]]) -> dict[str, Any]:
            found = [member for member in members if person and member["objectId"] == person.aad_id]
            if not found:
                raise Refused(404, "MemberNotFoundInConversation", "The member was not found.")
            return found[0]

        return await self._read(request, find_member)

    async def _read(self, request: web.Request, shape: Callable[[list[dict[str, Any]]], Any]) -> web.Response:
        conversation = self._conversation(request)

        async def answer() -> web.Response:
            self._access.spend_read(conversation.id)
            return json_answer(shape([self._roster_entry(who) for who in conversation.chat.members]))

        return await self._faults.apply("members", request, answer)

    def _roster_entry(self, person_id: str) -> dict[str, Any]:
        return roster_entry(PEOPLE[person_id], self._identity.app.app_id, self._identity.app.tenant_id)
