"""TeamsChannel's streams, placeholders, final answers and reactions: requests, and the error for each refusal.

A local Bot Connector checks the requests, the simulator applies Teams' rules.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.connector_world import HANG_UP, Answer, Bench, bench
from support.simulator_world import Stage, stage

from bridge.core.errors import (
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    StreamEnded,
    StreamRefused,
    StreamStopped,
    Throttled,
)
from bridge.core.live_message import LiveMessage
from bridge.core.outbound.answers_and_notes import AI_LABEL, FEEDBACK, answer, note
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Activity, Reference, Scope
from bridge.teams.channel import TeamsChannel
from bridge.teams.clouds import custom
from bridge.teams.credentials import OutboundToken

FIRST = Chunk("Reading …", 1, "", informative=True)
NEXT = Chunk("One two", 2, "s1", informative=False)
ANSWER: Activity = {"type": "message", "textFormat": "markdown", "text": "One two three", "entities": [AI_LABEL]}
POST = ("POST", "/emea/v3/conversations/a:1x-y_z/activities")
PUT = ("PUT", "/emea/v3/conversations/a:1x-y_z/activities/s1")


def refused(words: str) -> Answer:
    return Answer(403, "ContentStreamNotAllowed", message=words)


TIMED_OUT = "Content stream finished due to exceeded streaming time."
COMPLETED = "Content stream is not allowed on an already completed streamed message"
TOO_LARGE = "Message size too large"
NOT_GROWING = "Content stream should contain the previously streamed content"
CANCELED = "Content stream was canceled by user."
CANCELLED = "Content stream was cancelled by user"
NOT_ALLOWED = "Content stream is not allowed"


def requests(b: Bench) -> list[tuple[str, str]]:
    return [(seen.method, seen.path) for seen in b.connector.seen]


def info(body: dict[str, Any]) -> dict[str, Any]:
    (found,) = [entity for entity in body["entities"] if entity["type"] == "streaminfo"]
    return dict(found)


async def test_the_first_request_of_a_stream_has_no_id_and_returns_one() -> None:
    async with bench() as b:
        assert await b.channel.stream(b.to, FIRST) == "m1"

        (seen,) = b.connector.seen
        assert (seen.method, seen.path) == POST
        assert (seen.body["type"], seen.body["text"]) == ("typing", "Reading …")
        assert info(seen.body) == {"type": "streaminfo", "streamType": "informative", "streamSequence": 1}
        assert seen.body["channelData"] == {"streamType": "informative", "streamSequence": 1}
        assert seen.body["conversation"]["id"] == b.to.conversation


@pytest.mark.parametrize(
    "taken", [Answer(202, text=""), Answer(202, text="{}"), Answer(202, "SequenceOrder", text="[]")]
)
async def test_later_requests_of_a_stream_carry_its_id_and_the_whole_text(taken: Answer) -> None:
    async with bench(taken) as b:
        assert await b.channel.stream(b.to, NEXT) == "s1"

        (seen,) = b.connector.seen
        assert (seen.method, seen.path) == POST
        assert (seen.body["type"], seen.body["text"]) == ("typing", "One two")
        marks = {"streamType": "streaming", "streamSequence": 2, "streamId": "s1"}
        assert info(seen.body) == {"type": "streaminfo"} | marks
        assert seen.body["channelData"] == marks


async def test_the_final_of_a_stream_is_a_message_with_label_and_feedback_buttons() -> None:
    async with bench(Answer(202, text="")) as b:
        replaced = await b.channel.replace(b.to, LiveMessage("s1", stream=True, text="One two"), ANSWER | FEEDBACK)

        assert replaced == "s1"
        (seen,) = b.connector.seen
        assert (seen.method, seen.path) == POST
        assert (seen.body["type"], seen.body["text"]) == ("message", "One two three")
        assert info(seen.body) == {"type": "streaminfo", "streamType": "final", "streamId": "s1"}
        assert AI_LABEL in seen.body["entities"]
        marks = {"streamType": "final", "streamId": "s1"}
        assert seen.body["channelData"] == {"feedbackLoop": {"type": "default"}} | marks


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (refused(TIMED_OUT), StreamEnded),
        (refused(f"{TIMED_OUT} Content stream was canceled."), StreamEnded),
        (refused(COMPLETED), StreamEnded),
        (refused(TOO_LARGE), StreamEnded),
        (refused(NOT_GROWING), StreamEnded),
        (refused("words that nobody has seen before"), StreamEnded),
        (refused(CANCELED), StreamStopped),
        (refused(CANCELLED), StreamStopped),
        (Answer(403, "ContentStreamCanceled"), StreamStopped),
        (Answer(403, "StreamCancelledByUser", message="Forbidden"), StreamStopped),
        (Answer(403, "Forbidden", message=CANCELED), StreamStopped),
        (Answer(400, "BadArgument", message=CANCELLED), StreamStopped),
        (Answer(400, "BadRequest", message="Streaming was cancelled by the user."), StreamStopped),
        (Answer(409, "Conflict", message=CANCELED), StreamStopped),
        (Answer(403, "Forbidden", message="A task was canceled."), DeliveryRejected),
        (Answer(500, "ServiceError", message=CANCELED), DeliveryUnknown),
        (Answer(429, message="The operation was canceled."), Throttled),
        (refused(NOT_ALLOWED), StreamRefused),
        (Answer(403, text=""), StreamEnded),
        (Answer(403, text="<html>"), StreamEnded),
        (Answer(405, message="Method Not Allowed"), StreamRefused),
        (Answer(400, "BadArgument", message="Streaming api is not enabled."), StreamRefused),
        (Answer(400, "BadRequest", message="Start streaming activities should include text"), DeliveryRejected),
        (Answer(403, "BotNotInConversationRoster", message="canceled"), DeliveryRefused),
        (Answer(403, "ConversationBlockedByUser"), DeliveryRefused),
        (Answer(404, "ConversationNotFound"), DeliveryRefused),
        (Answer(429, message="API calls quota exceeded!"), Throttled),
        (Answer(502), DeliveryUnknown),
        (HANG_UP, DeliveryUnknown),
    ],
)
@pytest.mark.parametrize("chunk", [FIRST, NEXT])
async def test_each_refusal_of_a_stream_raises_its_error_and_is_not_retried(
    reply: Answer, failure: type[DeliveryFailure], chunk: Chunk
) -> None:
    async with bench(reply) as b:
        with pytest.raises(DeliveryFailure) as raised:
            await b.channel.stream(b.to, chunk)

        assert type(raised.value) is failure
        assert (b.sent, b.sleeps, b.doubled) == (1, [], [])


async def test_the_message_of_a_refusal_stays_out_of_the_error_detail() -> None:
    async with bench(refused("Ann wrote: my secret")) as b:
        with pytest.raises(StreamEnded) as raised:
            await b.channel.stream(b.to, NEXT)

        assert "secret" not in raised.value.detail


@pytest.mark.parametrize(
    "reply",
    [
        *(refused(words) for words in (TIMED_OUT, COMPLETED, TOO_LARGE, NOT_GROWING, NOT_ALLOWED)),
        Answer(403, text=""),
        Answer(405),
        Answer(400, "BadArgument", message="Streaming api is not enabled."),
        Answer(400, "BadRequest"),
        Answer(413, "MessageSizeTooBig"),
        Answer(502),
        HANG_UP,
    ],
)
async def test_an_edit_shows_the_answer_if_the_final_is_refused(reply: Answer) -> None:
    async with bench(reply, Answer(200, text="{}")) as b:
        live = LiveMessage("s1", stream=True, text="One two")
        assert await b.channel.replace(b.to, live, ANSWER) == "s1"

        assert requests(b) == [POST, PUT]
        last = b.connector.seen[1].body
        assert (last["id"], last["text"], last["entities"]) == ("s1", "One two three", [AI_LABEL])
        assert "channelData" not in last
        assert b.doubled == []


@pytest.mark.parametrize("words", [CANCELED, CANCELLED])
async def test_a_stream_stopped_by_the_user_gets_no_edit(words: str) -> None:
    async with bench(refused(words)) as b:
        with pytest.raises(StreamStopped):
            await b.channel.replace(b.to, LiveMessage("s1", stream=True, text="One two"), ANSWER)

        assert requests(b) == [POST]


async def test_an_answer_that_does_not_begin_with_the_streamed_text_follows_as_an_edit() -> None:
    async with bench(Answer(202, text=""), Answer(200)) as b:
        await b.channel.replace(b.to, LiveMessage("s1", stream=True, text="Let me look."), ANSWER)

        assert requests(b) == [POST, PUT]
        end, edit = (seen.body for seen in b.connector.seen)
        assert (end["type"], end["text"], info(end)["streamType"]) == ("message", "Let me look.", "final")
        assert AI_LABEL not in end["entities"]
        assert edit["text"] == "One two three"


@pytest.mark.parametrize(
    ("streamed", "summary", "words"), [("", "Done", "Done"), ("", "", "…"), ("Hello", "Done", "Hello")]
)
async def test_an_answer_without_text_ends_the_stream_with_some_text_and_follows_as_an_edit(
    streamed: str, summary: str, words: str
) -> None:
    card: Activity = {"type": "message", "attachments": [{"contentType": "x", "content": {}}], "summary": summary}
    async with bench(Answer(202, text=""), Answer(200)) as b:
        await b.channel.replace(b.to, LiveMessage("s1", stream=True, text=streamed), card)

        assert requests(b) == [POST, PUT]
        end, edit = (seen.body for seen in b.connector.seen)
        assert end["text"] == words
        assert "attachments" not in end
        assert edit["attachments"] == card["attachments"]


async def test_the_final_of_a_stream_is_retried_while_throttled() -> None:
    async with bench(Answer(429, headers={"Retry-After": "1"}), Answer(202, text="")) as b:
        assert await b.channel.replace(b.to, LiveMessage("s1", stream=True), ANSWER) == "s1"

        assert requests(b) == [POST, POST]
        assert 1.0 <= b.sleeps[0] <= 1.3


async def test_a_conversation_closed_to_the_bot_gets_no_edit_after_the_refused_final() -> None:
    async with bench(Answer(403, "BotNotInConversationRoster")) as b:
        with pytest.raises(DeliveryRefused):
            await b.channel.replace(b.to, LiveMessage("s1", stream=True), ANSWER)

        assert b.sent == 1


async def test_an_answer_replaces_a_placeholder_by_an_edit_that_is_repeated_if_unknown() -> None:
    async with bench(Answer(502), Answer(429), Answer(200)) as b:
        assert await b.channel.replace(b.to, LiveMessage("s1"), ANSWER) == "m3"

        assert requests(b) == [PUT] * 3
        assert b.doubled == []


async def test_an_answer_for_a_deleted_placeholder_is_rejected() -> None:
    async with bench(Answer(404, "ActivityNotFoundInConversation")) as b:
        with pytest.raises(DeliveryRejected):
            await b.channel.replace(b.to, LiveMessage("s1"), ANSWER)


async def test_a_placeholder_and_its_updates_are_sent_once() -> None:
    async with bench(Answer(201), Answer(200)) as b:
        group = replace(b.to, scope=Scope.GROUP)
        assert await b.channel.post_placeholder(group, note("Working on it")) == "m1"
        await b.channel.update_placeholder(group, "s1", note("Reading"))

        assert requests(b) == [POST, PUT]
        placeholder, edited = (seen.body for seen in b.connector.seen)
        assert (placeholder["text"], edited["id"], edited["text"]) == ("Working on it", "s1", "Reading")


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Answer(429), Throttled),
        (Answer(502), DeliveryUnknown),
        (Answer(404, "ActivityNotFoundInConversation"), DeliveryRejected),
        (Answer(405), DeliveryRejected),
    ],
)
async def test_a_refused_placeholder_or_update_is_not_retried(reply: Answer, failure: type[DeliveryFailure]) -> None:
    calls: tuple[Callable[[Bench], Awaitable[object]], ...] = (
        lambda b: b.channel.post_placeholder(b.to, note("Working")),
        lambda b: b.channel.update_placeholder(b.to, "s1", note("Working")),
    )
    for call in calls:
        async with bench(reply) as b:
            with pytest.raises(failure):
                await call(b)

            assert (b.sent, b.sleeps, b.doubled) == (1, [], [])


@pytest.mark.parametrize(("on", "method"), [(True, "PUT"), (False, "DELETE")])
async def test_a_reaction_is_put_on_the_question_and_taken_off_again(on: bool, method: str) -> None:
    async with bench(Answer(200, text="")) as b:
        await b.channel.react(b.to, "1f440_eyes", on=on)

        (seen,) = b.connector.seen
        assert (seen.method, seen.path) == (method, f"{POST[1]}/170000/reactions/1f440_eyes")
        assert (seen.body, seen.headers["Authorization"]) == ({}, "Bearer token.1")


@pytest.mark.parametrize(
    ("reply", "failure"), [(Answer(429), Throttled), (Answer(400, "BadArgument"), DeliveryRejected)]
)
async def test_a_refused_reaction_is_not_retried(reply: Answer, failure: type[DeliveryFailure]) -> None:
    async with bench(reply) as b:
        with pytest.raises(failure):
            await b.channel.react(b.to, "1f440_eyes", on=True)

        assert (b.sent, b.sleeps) == (1, [])


@pytest.mark.parametrize("host", ["https://evil.example/", ""])
async def test_streams_placeholders_and_reactions_never_go_to_a_foreign_host(host: str) -> None:
    async with bench() as b:
        elsewhere = replace(b.to, service_url=host)
        for call in (
            b.channel.stream(elsewhere, FIRST),
            b.channel.post_placeholder(elsewhere, note("x")),
            b.channel.update_placeholder(elsewhere, "s1", note("x")),
            b.channel.replace(elsewhere, LiveMessage("s1", stream=True), ANSWER),
            b.channel.react(elsewhere, "like", on=True),
        ):
            with pytest.raises(DeliveryRefused):
                await call

        assert (b.sent, b.connector.tokens) == (0, 0)


@dataclass
class Chat:
    """Alice's chat in the simulated tenant, and the real channel to it."""

    teams: Stage
    channel: TeamsChannel
    to: Reference
    id: str = "personal-alice"

    async def last_message(self) -> dict[str, Any]:
        return (await self.teams.messages(self.id))[-1]


@asynccontextmanager
async def chat(data: Path, id_: str = "personal-alice", **options: Any) -> AsyncIterator[Chat]:
    async with stage(data, **{"send_limits": False} | options) as teams, aiohttp.ClientSession() as session:
        await teams.people.open(id_, "alice")
        question = await teams.say(id_, "alice", "a question")
        app, host = teams.identity.app, teams.base.removeprefix("http://")
        cloud = custom(f"{teams.base}/openid", teams.base, [host])
        token = OutboundToken(cloud, app.app_id, app.app_password, app.tenant_id)
        to = Reference(
            service_url=teams.identity.service_url,
            conversation=teams.conversation(id_),
            scope=Scope.PERSONAL,
            tenant=app.tenant_id,
            bot=f"28:{app.app_id}",
            user="",
            activity=question,
        )
        yield Chat(teams, TeamsChannel(session, token, cloud, lambda: None), to, id_)


async def test_the_simulator_shows_a_stream_from_its_start_to_the_answer(tmp_path: Path) -> None:
    async with chat(tmp_path) as c:
        stream = await c.channel.stream(c.to, FIRST)
        assert (await c.last_message())["stream"] == "informative"
        assert await c.channel.stream(c.to, replace(NEXT, stream=stream)) == stream
        assert (await c.last_message())["text"] == "One two"
        (last,) = answer("One two three", feedback=True)
        assert await c.channel.replace(c.to, LiveMessage(stream, stream=True, text="One two"), last) == stream
        message = await c.last_message()
        assert (message["text"], message["stream"], message["ai"]) == ("One two three", None, True)
        assert (message["feedback"], message["edited"]) == (True, False)


async def test_the_simulator_replaces_the_streamed_text_by_a_different_answer(tmp_path: Path) -> None:
    async with chat(tmp_path) as c:
        stream = await c.channel.stream(c.to, replace(FIRST, text="Let me look.", informative=False))
        await c.channel.replace(c.to, LiveMessage(stream, stream=True, text="Let me look."), ANSWER)
        message = await c.last_message()
        assert (message["text"], message["stream"], message["edited"]) == ("One two three", None, True)
        # The answer replaces the text even if the caller does not know the streamed text.
        stream = await c.channel.stream(c.to, replace(FIRST, text="Let me look.", informative=False))
        await c.channel.replace(c.to, LiveMessage(stream, stream=True), ANSWER)
        assert (await c.last_message())["text"] == "One two three"


async def test_the_simulator_takes_an_answer_after_the_two_minutes_of_a_stream_as_an_edit(tmp_path: Path) -> None:
    now = 1000.0
    async with chat(tmp_path, clock=lambda: now) as c:
        stream = await c.channel.stream(c.to, FIRST)
        now += 121.0
        with pytest.raises(StreamEnded, match="exceeded streaming time"):
            await c.channel.stream(c.to, replace(NEXT, stream=stream))
        assert await c.channel.replace(c.to, LiveMessage(stream, stream=True), ANSWER) == stream
        assert (await c.last_message())["text"] == "One two three"


async def test_the_simulators_stop_button_ends_the_stream_for_the_bot(tmp_path: Path) -> None:
    async with chat(tmp_path) as c:
        stream = await c.channel.stream(c.to, FIRST)
        await c.teams.call("POST", f"/api/chats/{c.id}/messages/{stream}/stop", {"as": "alice"})
        with pytest.raises(StreamStopped):
            await c.channel.stream(c.to, replace(NEXT, stream=stream))
        with pytest.raises(StreamStopped):
            await c.channel.replace(c.to, LiveMessage(stream, stream=True), ANSWER)
        with pytest.raises(DeliveryRejected):
            await c.channel.update_placeholder(c.to, stream, note("more"))


async def test_the_simulator_refuses_streams_in_groups_and_channels_and_when_told_to(tmp_path: Path) -> None:
    for id_, options in (("launch-team", {}), ("general", {}), ("personal-alice", {"streaming": False})):
        (tmp_path / id_).mkdir()
        async with chat(tmp_path / id_, id_, **options) as c:
            with pytest.raises(StreamRefused):
                await c.channel.stream(c.to, FIRST)
            placeholder = await c.channel.post_placeholder(c.to, note("Working on it"))
            await c.channel.update_placeholder(c.to, placeholder, note("Reading"))
            assert await c.channel.replace(c.to, LiveMessage(placeholder), ANSWER) == placeholder


async def test_the_simulator_shows_the_bots_reaction_until_it_is_taken_off(tmp_path: Path) -> None:
    async with chat(tmp_path) as c:
        await c.channel.react(c.to, "1f440_eyes", on=True)
        assert [reaction["type"] for reaction in (await c.last_message())["reactions"]] == ["1f440_eyes"]
        await c.channel.react(c.to, "1f440_eyes", on=False)
        assert (await c.last_message())["reactions"] == []
