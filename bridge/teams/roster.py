"""Finds out who is a guest: asks the roster of a conversation once for each person, and keeps the answer for 6 hours.

An activity does not tell guests apart; the roster does (docs/reference/teams.md, "Who is a guest";
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/get-teams-context#get-single-member-details).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from bridge.core.errors import DeliveryRejected
from bridge.core.turn import Person, Reference
from bridge.teams.channel import TeamsChannel
from bridge.teams.connector_requests import segment

_KEPT_SECONDS = 6 * 3600.0
_MOST_PEOPLE = 20_000
_TELLING_FIELDS = ("userRole", "tenantId", "userPrincipalName")
_GUEST_ROLES = ("guest", "anonymous")


class TeamsRoster:
    """The port `Roster` over the Bot Connector. `monotonic` gives seconds."""

    def __init__(self, channel: TeamsChannel, *, monotonic: Callable[[], float]) -> None:
        self._channel = channel
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()

    async def is_guest(self, where: Reference, person: Person) -> bool:
        """Whether the person is a guest in the conversation's tenant. Raises: DeliveryFailure."""
        key = (where.tenant, person.aad_id)
        until, guest = self._known.get(key, (0.0, False))
        if until > self._monotonic():
            return guest
        guest = await self._ask(where, person)
        self._known[key] = (self._monotonic() + _KEPT_SECONDS, guest)
        self._known.move_to_end(key)
        if len(self._known) > _MOST_PEOPLE:
            self._known.popitem(last=False)
        return guest

    async def _ask(self, where: Reference, person: Person) -> bool:
        conversation = where.conversation.partition(";messageid=")[0]  # the roster is the channel's, not the thread's
        path = f"v3/conversations/{segment(conversation)}/members/{segment(person.teams_id)}"
        member = await self._channel.look_up(where, path)
        if member.get("id") != person.teams_id:
            raise DeliveryRejected("the roster names nobody")  # an unknown person counts as no member
        role, home, name = (member.get(key) for key in _TELLING_FIELDS)
        # a field of a wrong type tells nothing, and a person of whom nothing is known is not let in
        texts = [value for value in (role, home, name) if value is not None]
        if not any(texts) or not all(isinstance(value, str) for value in texts):
            raise DeliveryRejected("the roster does not say who it is")
        return (
            (role is not None and role.lower() in _GUEST_ROLES)
            or (name is not None and "#ext#" in name.lower())
            or (home is not None and home.lower() != where.tenant.lower())
        )
