"""TeamsChannel against a local Bot Connector: addresses, errors, retries, tokens."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import unused_port
from support.connector_world import HANG_UP, NO_ANSWER, Answer, bench
from support.servers import serving_on_test_port

from bridge.core.errors import (
    ConnectorUnreachable,
    CredentialsRefused,
    DeliveryFailure,
    DeliveryRefused,
    DeliveryRejected,
    DeliveryUnknown,
    Throttled,
)
from bridge.core.turn import Scope
from bridge.teams.channel import TeamsChannel
from bridge.teams.clouds import custom

HELLO = {"type": "message", "text": "hello"}


async def test_a_message_is_posted_to_the_conversation_and_its_id_returned() -> None:
    async with bench() as b:
        assert await b.channel.send(b.to, HELLO) == "m1"

        (seen,) = b.connector.seen
        assert (seen.method, seen.path) == ("POST", "/emea/v3/conversations/a:1x-y_z/activities")
        assert seen.headers["Authorization"] == "Bearer token.1"
        assert seen.headers["Content-Type"] == "application/json"
        assert seen.body == {
            "type": "message",
            "text": "hello",
            "from": {"id": "28:app"},
            "recipient": {"id": "29:alice"},
            "conversation": {"id": "a:1x-y_z", "conversationType": "personal", "tenantId": "tenant"},
            "channelId": "msteams",
            "serviceUrl": b.to.service_url,
            "replyToId": "170000",
            "locale": "de-DE",
        }
        assert HELLO == {"type": "message", "text": "hello"}


async def test_fields_of_the_content_cannot_change_the_address_of_a_message() -> None:
    async with bench() as b:
        evil = {"conversation": {"id": "a:other"}, "serviceUrl": "https://evil.example", "from": {"id": "me"}}
        await b.channel.send(b.to, HELLO | evil)

        assert b.connector.seen[0].body["conversation"]["id"] == b.to.conversation
        assert b.connector.seen[0].body["serviceUrl"] == b.to.service_url
        assert b.connector.seen[0].body["from"] == {"id": "28:app"}


async def test_a_message_to_a_channel_thread_keeps_the_thread_suffix_and_has_no_reply_to_id() -> None:
    async with bench() as b:
        thread = replace(b.to, conversation="19:abc@thread.tacv2;messageid=1700000000001", scope=Scope.CHANNEL)
        await b.channel.send(thread, HELLO)

        (seen,) = b.connector.seen
        wanted = "/emea/v3/conversations/19:abc@thread.tacv2;messageid=1700000000001/activities"
        assert seen.path == wanted
        assert seen.body["conversation"]["id"] == thread.conversation
        assert "replyToId" not in seen.body


async def test_an_id_is_escaped_within_its_path_segment() -> None:
    async with bench() as b:
        await b.channel.send(replace(b.to, conversation="a/../../b?c=d#e%2f é"), HELLO)

        assert b.connector.seen[0].path == ("/emea/v3/conversations/a%2F..%2F..%2Fb%3Fc=d%23e%252f%20%C3%A9/activities")


@pytest.mark.parametrize("conversation", ["", ".", ".."])
async def test_an_empty_id_or_an_id_of_dots_is_refused(conversation: str) -> None:
    async with bench() as b:
        with pytest.raises(DeliveryRefused):
            await b.channel.send(replace(b.to, conversation=conversation), HELLO)

        assert b.sent == 0


async def test_a_service_url_without_last_slash_and_a_reference_without_optional_fields_work() -> None:
    async with bench() as b:
        bare = replace(
            b.to, service_url=b.to.service_url.rstrip("/"), user="", activity="", locale="", scope=Scope.GROUP
        )
        await b.channel.send(bare, HELLO)

        (seen,) = b.connector.seen
        assert seen.path == "/emea/v3/conversations/a:1x-y_z/activities"
        assert not {"recipient", "replyToId", "locale"} & seen.body.keys()


@pytest.mark.parametrize("host", ["https://evil.example/", "http://127.0.0.1:1/", ""])
async def test_a_reference_to_a_foreign_host_gets_no_request_and_no_token(host: str) -> None:
    async with bench() as b:
        elsewhere = replace(b.to, service_url=host)
        for call in (
            b.channel.send(elsewhere, HELLO),
            b.channel.update(elsewhere, "m1", HELLO),
            b.channel.typing(elsewhere),
        ):
            with pytest.raises(DeliveryRefused):
                await call

        assert b.sent == 0
        assert b.connector.tokens == 0


async def test_a_redirect_is_not_followed() -> None:
    async with bench(Answer(307, headers={"Location": "/emea/elsewhere"})) as b:
        with pytest.raises(DeliveryRejected):
            await b.channel.send(b.to, HELLO)

        assert b.sent == 1


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Answer(400, "BadArgument"), DeliveryRejected),
        (Answer(400, "BadSyntax"), DeliveryRejected),
        (Answer(403, "BotDisabledByAdmin"), DeliveryRefused),
        (Answer(403, "BotNotInConversationRoster"), DeliveryRefused),
        (Answer(403, "ConversationBlockedByUser"), DeliveryRefused),
        (Answer(403, "ForbiddenOperationException"), DeliveryRefused),
        (Answer(403, "NotEnoughPermissions"), DeliveryRefused),
        (Answer(403, "InvalidBotApiHost"), DeliveryRefused),
        (Answer(403, "MessageSizeTooBig"), DeliveryRejected),
        (Answer(403, text="<html>firewall</html>"), DeliveryRejected),
        (Answer(404, "ConversationNotFound"), DeliveryRefused),
        (Answer(404, "ActivityNotFoundInConversation"), DeliveryRejected),
        (Answer(404, text=""), DeliveryRefused),
        (Answer(405), DeliveryRejected),
        (Answer(413, "MessageSizeTooBig"), DeliveryRejected),
        (Answer(415), DeliveryRejected),
        (Answer(422, text="[1]"), DeliveryRejected),
    ],
)
async def test_each_final_refusal_raises_the_error_for_its_status_and_code(
    answer: Answer, failure: type[DeliveryFailure]
) -> None:
    async with bench(answer) as b:
        with pytest.raises(failure) as raised:
            await b.channel.send(b.to, HELLO)

        assert type(raised.value) is failure
        assert raised.value.detail == f"HTTP {answer.status} {answer.code}".strip()
        assert b.sent == 1


async def test_an_error_code_with_free_text_stays_out_of_the_error_detail() -> None:
    async with bench(Answer(400, "user wrote: my secret")) as b:
        with pytest.raises(DeliveryRejected) as raised:
            await b.channel.send(b.to, HELLO)

        assert raised.value.detail == "HTTP 400"


@pytest.mark.parametrize(
    ("answer", "too_large", "content"),
    [
        (Answer(413, "MessageSizeTooBig"), True, False),
        (Answer(413, text="<html>proxy</html>"), True, False),
        (Answer(413, text=""), True, False),
        (Answer(403, "MessageSizeTooBig"), True, False),
        (Answer(400, "RequestEntityTooLarge"), True, True),
        (Answer(400, "BadRequest", message="The message is too long."), True, True),
        (Answer(400, "BadArgument", message="Message size exceeded."), True, True),
        (Answer(400, "BadSyntax"), False, True),
        (Answer(422), False, True),
        (Answer(403, "Forbidden"), False, False),
        (Answer(404, "ActivityNotFoundInConversation"), False, False),
    ],
)
async def test_a_refusal_says_whether_size_or_content_was_the_reason(
    answer: Answer, *, too_large: bool, content: bool
) -> None:
    async with bench(answer) as b:
        with pytest.raises(DeliveryRejected) as raised:
            await b.channel.send(b.to, HELLO)

        assert (raised.value.too_large, raised.value.content) == (too_large, content)


@pytest.mark.parametrize("text", ["", " \n"])
async def test_a_403_without_a_word_is_waited_out(text: str) -> None:
    async with bench(Answer(403, text=text), Answer(403, text=text)) as b:
        assert await b.channel.send(b.to, HELLO)
        assert b.sent == 3


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "7"}, 7.0, 7.3),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:49:30 GMT"}, 7.0, 7.3),
        ({"Retry-After": "Sun, 06 Nov 1994 08:49:37 GMT", "Date": "Sun, 06 Nov 1994 08:59:30 GMT"}, 0.0, 0.3),
        ({"Retry-After": "soon"}, 0.5, 1.1),
        ({"Retry-After": "-7"}, 0.5, 1.1),
        ({}, 0.5, 1.1),
    ],
)
@pytest.mark.parametrize("status", [412, 429])
async def test_a_throttled_message_is_sent_again_after_the_retry_after_of_teams(
    status: int, headers: dict[str, str], least: float, most: float
) -> None:
    async with bench(Answer(status, headers=headers)) as b:
        assert await b.channel.send(b.to, HELLO) == "m2"

        (pause,) = b.sleeps
        assert least <= pause <= most
        assert b.doubled == []


async def test_a_503_is_retried_without_counting_a_doubled_message() -> None:
    async with bench(Answer(503), Answer(503)) as b:
        assert await b.channel.send(b.to, HELLO) == "m3"

        assert b.doubled == []


async def test_pauses_grow_without_a_retry_after() -> None:
    async with bench(*[Answer(429)] * 4) as b:
        await b.channel.send(b.to, HELLO)

        assert b.sleeps[3] > b.sleeps[1] > b.sleeps[0]
        assert max(b.sleeps) <= 10.5


async def test_a_retry_after_beyond_a_minute_ends_the_call_at_once() -> None:
    async with bench(Answer(429, "Throttled", {"Retry-After": "300"})) as b:
        with pytest.raises(Throttled) as raised:
            await b.channel.send(b.to, HELLO)

        assert raised.value.retry_after == 300
        assert b.sent == 1
        assert b.sleeps == []


@pytest.mark.parametrize("trouble", [Answer(408), Answer(500), Answer(502), Answer(504), Answer(599), HANG_UP])
async def test_a_message_that_may_have_been_shown_is_sent_once_more_and_counted(trouble: Answer) -> None:
    async with bench(trouble) as b:
        assert await b.channel.send(b.to, HELLO) == "m2"

        assert len(b.doubled) == 1
        assert len(b.sleeps) == 1


async def test_a_message_that_may_have_been_shown_twice_is_not_sent_again() -> None:
    async with bench(*[Answer(502)] * 5) as b:
        with pytest.raises(DeliveryUnknown, match="HTTP 502"):
            await b.channel.send(b.to, HELLO)

        assert b.sent == 2
        assert len(b.doubled) == 1


async def test_throttling_does_not_allow_more_repeats_after_an_unknown_result() -> None:
    async with bench(Answer(429), Answer(502), Answer(429), Answer(429), Answer(502), Answer(201)) as b:
        with pytest.raises(DeliveryUnknown):
            await b.channel.send(b.to, HELLO)

        assert b.sent == 5
        assert len(b.doubled) == 1


async def test_a_final_refusal_ends_the_retries() -> None:
    async with bench(Answer(429), Answer(403, "ConversationBlockedByUser"), Answer(201)) as b:
        with pytest.raises(DeliveryRefused):
            await b.channel.send(b.to, HELLO)

        assert b.sent == 2


async def test_a_connector_that_does_not_answer_is_an_unknown_result_after_the_call_limit() -> None:
    async with bench(NO_ANSWER, call_limit=2.0) as b:
        assert await b.channel.send(b.to, HELLO) == "m2"

        assert len(b.doubled) == 1


async def test_an_edit_is_repeated_until_its_result_is_known_and_never_counted_as_doubled() -> None:
    async with bench(Answer(502), HANG_UP, Answer(429), Answer(504), Answer(200, text="")) as b:
        assert await b.channel.update(b.to, "170:1", HELLO) == "170:1"

        assert {(s.method, s.path) for s in b.connector.seen} == {
            ("PUT", "/emea/v3/conversations/a:1x-y_z/activities/170:1")
        }
        assert b.connector.seen[-1].body["id"] == "170:1"
        assert b.connector.seen[-1].body["text"] == "hello"
        assert b.doubled == []


async def test_an_edit_of_a_deleted_message_is_rejected() -> None:
    async with bench(Answer(404, "ActivityNotFoundInConversation")) as b:
        with pytest.raises(DeliveryRejected):
            await b.channel.update(b.to, "170:1", HELLO)


async def test_the_typing_indicator_is_sent_without_text() -> None:
    async with bench() as b:
        await b.channel.typing(b.to)

        (seen,) = b.connector.seen
        assert seen.body["type"] == "typing"
        assert seen.body["conversation"]["id"] == b.to.conversation
        assert "text" not in seen.body


@pytest.mark.parametrize(("answer", "failure"), [(Answer(429), Throttled), (Answer(502), DeliveryUnknown)])
async def test_a_failed_typing_indicator_is_not_sent_again(answer: Answer, failure: type[DeliveryFailure]) -> None:
    async with bench(answer) as b:
        with pytest.raises(failure):
            await b.channel.typing(b.to)

        assert b.sent == 1
        assert b.sleeps == []


async def test_a_refused_token_is_replaced_by_a_fresh_token() -> None:
    async with bench(Answer(201), Answer(401)) as b:
        await b.channel.send(b.to, HELLO)
        b.clock[0] += 600

        assert await b.channel.send(b.to, HELLO) == "m3"

        tokens = [seen.headers["Authorization"] for seen in b.connector.seen]
        assert tokens == ["Bearer token.1", "Bearer token.1", "Bearer token.2"]
        assert b.sleeps == []


async def test_an_unregistered_bot_does_not_fetch_a_token_for_each_call() -> None:
    async with bench(Answer(201), *[Answer(401, "BotNotRegistered")] * 3) as b:
        await b.channel.typing(b.to)
        b.clock[0] += 600

        with pytest.raises(CredentialsRefused, match="HTTP 401 BotNotRegistered"):
            await b.channel.typing(b.to)
        with pytest.raises(CredentialsRefused, match="HTTP 401 BotNotRegistered"):
            await b.channel.typing(b.to)

        assert b.sent == 4
        assert b.connector.tokens == 2


async def test_an_unreachable_connector_is_retried_without_counting_a_doubled_message() -> None:
    async with bench() as b, aiohttp.ClientSession() as session:
        port = unused_port()
        cloud = custom(f"{b.connector.url}/openid", b.connector.url, [f"127.0.0.1:{port}"])
        pauses: list[float] = []

        async def enough(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                raise asyncio.CancelledError

        channel = TeamsChannel(session, b.token, cloud, lambda: b.doubled.append(None), sleep=enough)
        nowhere = replace(b.to, service_url=f"http://127.0.0.1:{port}/emea/")

        with pytest.raises(ConnectorUnreachable):
            await channel.typing(nowhere)
        with pytest.raises(asyncio.CancelledError):
            await channel.send(nowhere, HELLO)
        assert len(pauses) == 3
        assert b.doubled == []


@pytest.mark.parametrize("text", ["", "{}", "<html>", "[]", '{"id":7}'])
async def test_an_accepted_message_without_readable_id_is_not_sent_again(text: str) -> None:
    async with bench(Answer(202, text=text)) as b:
        assert await b.channel.send(b.to, HELLO) == ""

        assert b.sent == 1


async def test_an_id_in_a_chunked_answer_is_read() -> None:
    async with bench() as b:

        async def chunked(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse(status=201)
            await response.prepare(request)
            await response.write(b'{"id":')
            await asyncio.sleep(0.01)
            await response.write(b'"m9"}')
            return response

        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", chunked)
        async with serving_on_test_port(app) as server, aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{server.port}"
            cloud = custom(f"{url}/openid", url, [f"127.0.0.1:{server.port}"])
            channel = TeamsChannel(session, b.token, cloud, lambda: None)

            assert await channel.send(replace(b.to, service_url=f"{url}/"), HELLO) == "m9"


async def test_content_that_json_cannot_express_is_rejected_and_not_sent() -> None:
    async with bench() as b:
        with pytest.raises(DeliveryRejected):
            await b.channel.send(b.to, {"type": "message", "text": "half a pair \ud83d"})

        assert b.sent == 0


async def test_a_cancelled_send_ends_and_is_not_sent_again() -> None:
    async with bench(NO_ANSWER) as b:
        task = asyncio.create_task(b.channel.send(b.to, HELLO))
        async with asyncio.timeout(30):
            while b.sent == 0:
                await asyncio.sleep(0.005)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task
        assert b.doubled == []


@pytest.mark.parametrize(
    ("text", "id_"), [('{"id":"1:a=b"', "1:a=b"), ('{"id": "1795864228221",', "1795864228221"), ('{"id":"17958', "")]
)
async def test_of_an_answer_that_breaks_off_the_id_is_taken(text: str, id_: str) -> None:
    async with bench(Answer(201, text=text, headers={"Content-Length": "90"}), call_limit=0.3) as b:
        assert await b.channel.post_placeholder(b.to, HELLO) == id_
        assert b.sent == 1
