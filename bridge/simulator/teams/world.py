"""The people of the simulated tenant "Contoso", their chats, and the ids of both in Teams' forms.

Ids have the forms of docs/reference/teams.md, "Fields of an activity", and are derived from names, so every restart
gives the same ids.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

ChatKind = Literal["personal", "groupChat", "channel"]

BOT_NAME = "GoClaw"
TENANT_NAME = "Contoso"
TENANT_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, "contoso.example"))


@dataclass(frozen=True, slots=True)
class Person:
    """A person who can write to the bot. `locale` is a language tag, `timezone` an IANA name.

    `utc_offset` in hours is the zone's winter time, as some machines have no time zone data.
    """

    id: str
    name: str
    locale: str
    timezone: str
    utc_offset: int
    guest: bool = False

    @property
    def aad_id(self) -> str:
        """The Entra object id. A guest's id is derived from the home tenant, so never equals a member's."""
        home = "fabrikam.example" if self.guest else "contoso.example"
        return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.id}.{home}"))

    @property
    def initials(self) -> str:
        """The first letters of the name's words."""
        return "".join(word[0] for word in self.name.split()).upper()

    @property
    def country(self) -> str:
        """The country of the locale, such as `US`."""
        return self.locale.partition("-")[2]

    @property
    def user_principal_name(self) -> str:
        """The sign-in name. Entra's form for guests: https://learn.microsoft.com/entra/external-id/user-properties"""
        guest_form = f"{self.id}_fabrikam.example#EXT#@contoso.example"
        return guest_form if self.guest else f"{self.id}@contoso.example"


@dataclass(frozen=True, slots=True)
class Chat:
    """A chat of people with the bot. `id` is the page's id; `conversation_id` Teams' id, without a thread suffix."""

    id: str
    kind: ChatKind
    title: str
    members: tuple[str, ...]
    conversation_id: str
    team: str | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """The conversation of a message: a chat and, in a channel, the id of the thread's first message."""

    chat: Chat
    thread: str | None = None

    @property
    def id(self) -> str:
        """The conversation id at the Bot Connector; the thread of a channel follows `;messageid=`."""
        return f"{self.chat.conversation_id};messageid={self.thread}" if self.thread else self.chat.conversation_id


PEOPLE = {
    person.id: person
    for person in (
        Person("alice", "Alice Nguyen", "en-US", "America/New_York", -5),
        Person("bob", "Bob Tran", "vi-VN", "Asia/Ho_Chi_Minh", 7),
        Person("chen", "Chen Wei", "zh-CN", "Asia/Shanghai", 8),
        Person("gina", "Gina Guest", "en-GB", "Europe/London", 0, guest=True),
    )
}


def _opaque(seed: str, length: int) -> str:
    """A stable id of `length` URL-safe characters."""
    digest = hashlib.sha512(seed.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=").replace("-", "x")[:length]


def teams_user_id(person: Person, app_id: str) -> str:
    """The person's Teams id `29:…`: each bot gets a different id for the same person."""
    return f"29:1{_opaque(f'{app_id}/{person.id}', 64)}"


def teams_bot_id(app_id: str) -> str:
    """The bot's Teams id `28:…`."""
    return f"28:{app_id}"


def team_id() -> str:
    """The team's id, also the id of the team's general channel."""
    return f"19:{_opaque('team Contoso', 32).lower()}@thread.tacv2"


def roster_entry(person: Person, app_id: str, tenant_id: str) -> dict[str, Any]:
    """The person as a TeamsChannelAccount.

    Source: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/get-teams-context
    """
    given, _, family = person.name.partition(" ")
    return {
        "id": teams_user_id(person, app_id),
        "name": person.name,
        "objectId": person.aad_id,
        "aadObjectId": person.aad_id,
        "givenName": given,
        "surname": family,
        "email": person.user_principal_name,
        "userPrincipalName": person.user_principal_name,
        "tenantId": tenant_id,
        "userRole": "guest" if person.guest else "user",
    }


def iso_now() -> str:
    """The present time in the page API's form: ISO 8601, UTC, milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def demo_chats(app_id: str) -> dict[str, Chat]:
    """A personal chat for each member, a group chat and a channel, by the page's chat id."""
    all_members = tuple(PEOPLE)
    chats = [
        Chat(
            id=f"personal-{person.id}",
            kind="personal",
            title=BOT_NAME,
            members=(person.id,),
            conversation_id=f"a:1{_opaque(f'{app_id}/personal/{person.id}', 70)}",
        )
        for person in PEOPLE.values()
        if not person.guest  # guests have no personal apps in Teams
    ]
    group = hashlib.sha256(b"launch team").hexdigest()[:32]
    launch_team = Chat("launch-team", "groupChat", "Launch team", ("alice", "bob", "chen"), f"19:{group}@thread.v2")
    general = Chat("general", "channel", "General", all_members, team_id(), team=TENANT_NAME)
    return {chat.id: chat for chat in (*chats, launch_team, general)}
