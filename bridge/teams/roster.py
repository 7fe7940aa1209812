"""Who is a guest: the roster of a conversation, asked once for each person and kept for some hours.

The activity does not say it; the roster does (`userRole`, `tenantId`, a user principal name with `#EXT#`).
https://learn.microsoft.com/microsoftteams/platform/bots/how-to/get-teams-context#get-single-member-details
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from bridge.core.errors import DeliveryRejected
from bridge.core.turn import Person, Reference
from bridge.teams.channel import TeamsChannel, segment

_KEPT_SECONDS = 6 * 3600.0
_MOST_PEOPLE = 20_000
_TELLING = ("userRole", "tenantId", "userPrincipalName")
_NO_MEMBERS = ("guest", "anonymous")


class TeamsRoster:
    """Implements ports.Roster over the Bot Connector."""

    def __init__(self, channel: TeamsChannel, *, monotonic: Callable[[], float]) -> None:
        self._channel = channel
        self._monotonic = monotonic
        self._known: OrderedDict[tuple[str, str], tuple[float, bool]] = OrderedDict()

    async def is_guest(self, where: Reference, person: Person) -> bool:
        """Whether the person is a guest in the conversation's tenant. Raises DeliveryFailure."""
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
            raise DeliveryRejected("the roster names nobody")  # unknown is not a member
        if not any(isinstance(member.get(key), str) and member[key] for key in _TELLING):
            raise DeliveryRejected("the roster does not say who it is")
        home = member.get("tenantId")
        return (
            str(member.get("userRole")).lower() in _NO_MEMBERS
            or "#ext#" in str(member.get("userPrincipalName")).lower()
            or (isinstance(home, str) and home.lower() != where.tenant.lower())
        )
