"""TeamsRoster against a local Bot Connector: who is a guest, and how long answers are kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.servers import serving_on_test_port

from bridge.core.errors import DeliveryFailure, DeliveryRefused, DeliveryRejected
from bridge.core.turn import Person, Reference, Scope
from bridge.teams.channel import TeamsChannel
from bridge.teams.clouds import custom
from bridge.teams.credentials import OutboundToken
from bridge.teams.roster import TeamsRoster

HOME = "3f2b8c1e-6a4d-4c7e-9b55-0d1e2f3a4b5c"
ANN = Person("29:ann", "5d1c7e90-41aa-4b8f-8d3c-2f6e7a9b0c1d", "Ann")
MEMBER: dict[str, Any] = {
    "id": ANN.teams_id,
    "name": "Ann",
    "aadObjectId": ANN.aad_id,
    "userPrincipalName": "ann@contoso.com",
    "tenantId": HOME,
    "userRole": "user",
}


@dataclass
class World:
    """A connector whose roster has a single entry, the requests for the roster, and a clock."""

    member: Any = field(default_factory=lambda: dict(MEMBER))
    status: int = 200
    asked: list[str] = field(default_factory=list)
    clock: float = 1000.0
    service_url: str = ""
    roster: TeamsRoster = field(init=False)

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.raw_path)
        return web.json_response(self.member, status=self.status)

    async def is_guest(self, person: Person = ANN, **where: Any) -> bool:
        group = Reference(self.service_url, "19:g@thread.v2", Scope.GROUP, HOME, "28:bot", person.teams_id)
        return await self.roster.is_guest(replace(group, **where), person)


@asynccontextmanager
async def world(**changes: Any) -> AsyncIterator[World]:
    made = World(member={**MEMBER, **changes})

    async def discovery(request: web.Request) -> web.Response:
        base = f"http://{request.host}/t"
        return web.json_response({"token_endpoint": f"{base}/token", "authorization_endpoint": f"{base}/a"})

    async def token(_: web.Request) -> web.Response:
        return web.json_response({"token_type": "Bearer", "expires_in": 3600, "access_token": "token"})

    app = web.Application()
    app.router.add_get("/t/v2.0/.well-known/openid-configuration", discovery)
    app.router.add_post("/t/token", token)
    app.router.add_get("/emea/{tail:.*}", made.answer)
    async with serving_on_test_port(app) as server, aiohttp.ClientSession() as http:
        address = f"127.0.0.1:{server.port}"
        cloud = custom(f"http://{address}/openid", f"http://{address}", [address])
        outbound = OutboundToken(cloud, "app", "secret", "t")
        made.service_url = f"http://{address}/emea/"
        made.roster = TeamsRoster(TeamsChannel(http, outbound, cloud, lambda: None), monotonic=lambda: made.clock)
        yield made


@pytest.mark.parametrize(
    ("changes", "guest"),
    [
        ({}, False),
        ({"userRole": None}, False),
        ({"tenantId": HOME.upper()}, False),
        ({"tenantId": None}, False),
        ({"userRole": "guest"}, True),
        ({"userRole": "Guest"}, True),
        ({"userRole": "anonymous"}, True),
        ({"userPrincipalName": "ann_fabrikam.com#EXT#@contoso.onmicrosoft.com"}, True),
        ({"userPrincipalName": "ann_fabrikam.com#ext#@contoso.onmicrosoft.com"}, True),
        ({"tenantId": "99999999-6a4d-4c7e-9b55-0d1e2f3a4b5c"}, True),
    ],
)
async def test_a_guest_is_recognised_by_role_principal_name_or_home_tenant(
    changes: dict[str, Any], guest: bool
) -> None:
    async with world(**changes) as at:
        assert await at.is_guest() is guest


@pytest.mark.parametrize("member", [{}, [], {"id": "29:bob"}, {**MEMBER, "id": ["29:ann"]}])
async def test_a_roster_entry_of_a_different_person_is_rejected(member: Any) -> None:
    async with world() as at:
        at.member = member

        with pytest.raises(DeliveryFailure):
            await at.is_guest()


@pytest.mark.parametrize(("status", "failure"), [(404, DeliveryRefused), (400, DeliveryRejected)])
async def test_a_person_outside_the_roster_is_not_taken_for_a_member(
    status: int, failure: type[DeliveryFailure]
) -> None:
    async with world() as at:
        at.status = status

        with pytest.raises(failure):
            await at.is_guest()


async def test_the_roster_of_a_thread_is_asked_at_its_channel() -> None:
    async with world() as at:
        await at.is_guest(conversation="19:c@thread.tacv2;messageid=170", scope=Scope.CHANNEL)

        assert at.asked == ["/emea/v3/conversations/19:c@thread.tacv2/members/29:ann"]


async def test_a_person_is_looked_up_once_in_six_hours_over_all_conversations() -> None:
    async with world() as at:
        await at.is_guest()
        await at.is_guest(conversation="19:other@thread.v2")
        assert len(at.asked) == 1

        at.member["userRole"] = "guest"
        at.clock += 6 * 3600 + 1
        assert await at.is_guest()
        assert len(at.asked) == 2


async def test_a_kept_answer_holds_for_the_same_person_and_tenant_only() -> None:
    async with world() as at:
        await at.is_guest()
        bob = Person("29:bob", "b0b", "Bob")
        at.member = {**MEMBER, "id": "29:bob", "userRole": "guest"}

        assert await at.is_guest(bob)
        at.member = dict(MEMBER)
        assert await at.is_guest(tenant="99999999-6a4d-4c7e-9b55-0d1e2f3a4b5c")


async def test_a_failed_look_up_is_not_kept() -> None:
    async with world() as at:
        at.status = 404
        with pytest.raises(DeliveryRefused):
            await at.is_guest()
        at.status = 200

        assert not await at.is_guest()


async def test_a_roster_entry_without_role_tenant_and_name_is_rejected() -> None:
    async with world() as w:
        w.member = {"id": ANN.teams_id, "name": "Ann"}

        with pytest.raises(DeliveryRejected):
            await w.is_guest()
