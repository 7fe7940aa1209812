"""A connector whose every answer is malformed: sending gives an id or an error of the bridge, never another error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.connector_world import Answer, Bench, bench
from support.wire_shapes import damaged

from bridge.core.errors import DeliveryFailure
from bridge.core.live_message import LiveMessage
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Person
from bridge.teams.roster import TeamsRoster

TEXT: dict[str, Any] = {"type": "message", "text": "hi"}
CREATED = {"id": "m1"}
REFUSAL = {"error": {"code": "ContentStreamNotAllowed", "message": "Content stream was canceled by user."}}
ANN = Person("29:ann", "5d1c7e90-41aa-4b8f-8d3c-2f6e7a9b0c1d", "Ann")
MEMBER = {"id": ANN.teams_id, "userPrincipalName": "ann@contoso.com", "tenantId": "tenant", "userRole": "user"}
STATUSES = (200, 201, 202, 204, 302, 400, 401, 403, 404, 405, 408, 412, 413, 429, 500, 502, 503)
WAITS = ("", "0", "1.5", "-1", "9" * 30, "Sat, 28 Nov 2026 10:00:00 +99999999999999999999", "Sat, 28 Nov 2026")
LIVE = LiveMessage("s0", stream=True, text="h")
CALLS: dict[str, Callable[[Bench], Awaitable[object]]] = {
    "send": lambda at: at.channel.send(at.to, TEXT),
    "update": lambda at: at.channel.update(at.to, "m0", TEXT),
    "typing": lambda at: at.channel.typing(at.to),
    "stream": lambda at: at.channel.stream(at.to, Chunk("hi", 2, "s0", informative=False)),
    "post_placeholder": lambda at: at.channel.post_placeholder(at.to, TEXT),
    "update_placeholder": lambda at: at.channel.update_placeholder(at.to, "m0", TEXT),
    "replace": lambda at: at.channel.replace(at.to, LIVE, TEXT),
    "react": lambda at: at.channel.react(at.to, "like", on=True),
    "guest": lambda at: TeamsRoster(at.channel, monotonic=lambda: 0.0).is_guest(at.to, ANN),
}


def test_a_connector_of_any_answers_causes_errors_of_the_delivery_only() -> None:
    with asyncio.Runner() as runner:
        context = bench()
        at = runner.run(context.__aenter__())

        async def once(name: str, script: list[Answer]) -> None:
            at.connector.script[:] = script
            at.clock[0] += 1000.0  # a token refused by the last example may be fetched again
            with suppress(DeliveryFailure):
                assert isinstance(await CALLS[name](at), str | bool | None)

        bodies = (
            st.sampled_from([CREATED, REFUSAL, MEMBER]).flatmap(damaged).map(lambda body: orjson.dumps(body).decode())
        )
        answers = st.builds(
            lambda status, text, wait: Answer(status, text=text, headers={"Retry-After": wait}),
            st.sampled_from(STATUSES),
            bodies | st.text(max_size=40),
            st.sampled_from(WAITS),
        )

        @settings(max_examples=200)
        @given(st.sampled_from(sorted(CALLS)), st.lists(answers, min_size=1, max_size=4))
        def any_answers(name: str, script: list[Answer]) -> None:
            runner.run(once(name, script))

        try:
            any_answers()
        finally:
            runner.run(context.__aexit__(None, None, None))


@pytest.mark.parametrize("wait", WAITS[3:])
async def test_a_refusal_with_an_unreadable_wait_is_repeated_like_one_without(wait: str) -> None:
    async with bench(Answer(429, headers={"Retry-After": wait}), Answer(201)) as at:
        with suppress(DeliveryFailure):
            assert await at.channel.send(at.to, TEXT) == "m2"


@pytest.mark.parametrize("field", ["userRole", "tenantId", "userPrincipalName"])
@pytest.mark.parametrize("value", [["guest"], {"a": 1}, 5, True])
async def test_a_roster_with_a_field_of_a_wrong_type_lets_no_person_in(field: str, value: object) -> None:
    async with bench(Answer(200, text=orjson.dumps({**MEMBER, field: value}).decode())) as at:
        with pytest.raises(DeliveryFailure):
            await CALLS["guest"](at)
