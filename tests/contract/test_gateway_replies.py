"""The form of answers, plain and streamed, of provider failures and of files.

docs/reference/goclaw.md, "Reply", "Stream", "Errors" and "Files".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from support.gateway_contract import Answer, Gateway


def content(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(json.loads(answer.body)["choices"][0]["message"]["content"])


async def test_a_plain_reply_has_its_keys_in_order_and_a_line_end(gateway: Gateway) -> None:
    answer = await gateway.chat("hello")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    shape = (
        rb'\{"id":"chatcmpl-[0-9a-f]{8}","object":"chat.completion","created":\d+,"model":"goclaw:[^"]+","choices":'
        rb'\[\{"index":0,"message":\{"role":"assistant","content":".*"\},"finish_reason":"stop"\}\]'
        rb'(,"usage":\{"prompt_tokens":\d+,"completion_tokens":\d+,"total_tokens":\d+\})?\}\n'
    )
    assert re.fullmatch(shape, answer.body, re.DOTALL)


async def test_html_characters_are_escaped_as_go_does(scripted: Gateway) -> None:
    answer = await scripted.chat("<b>&\u2028x")
    assert rb"\u003cb\u003e\u0026" in answer.body
    assert not re.search(rb"[<>&]", answer.body)


async def test_a_long_reply_is_chunked(scripted: Gateway) -> None:
    answer = await scripted.chat("write a long answer")
    assert answer.headers["Transfer-Encoding"] == "chunked"
    assert len(content(answer).encode()) > 100_000


async def test_a_stream_is_a_role_one_text_and_done(gateway: Gateway) -> None:
    answer = await gateway.chat("hello", stream=True)
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["Cache-Control"] == "no-cache"
    head = rb'"created":\d+,"id":"chatcmpl-[0-9a-f]{8}","model":"goclaw:[^"]+","object":"chat.completion.chunk"\}\n\n'
    first = rb'data: \{"choices":\[\{"delta":\{"role":"assistant","content":""\},"finish_reason":null,"index":0\}\],'
    last = rb'data: \{"choices":\[\{"delta":\{"role":"","content":".*"\},"finish_reason":"stop","index":0\}\],'
    assert re.fullmatch(first + head + last + head + rb"data: \[DONE\]\n\n", answer.body, re.DOTALL)


async def test_a_streams_id_is_that_of_its_run(gateway: Gateway, open_socket: Callable[..., Any]) -> None:
    socket = await open_socket(gateway, gateway.user)
    answer = await gateway.chat("hello", stream=True)
    run = (await socket.agent_event("run.completed"))["runId"]
    assert set(re.findall(rb'"id":"(.*?)"', answer.body)) == {f"chatcmpl-{run[:8]}".encode()}


@pytest.mark.parametrize(("said", "answered"), [("stay silent", ""), ("say nothing", "...")])
async def test_a_stream_says_silence_and_nothing_as_a_plain_reply_does(
    scripted: Gateway, said: str, answered: str
) -> None:
    _, last, *_ = (await scripted.chat(said, stream=True)).body.split(b"\n\n")
    choice = json.loads(last.removeprefix(b"data: "))["choices"][0]
    assert choice == {"delta": {"role": "", "content": answered}, "finish_reason": "stop", "index": 0}


async def test_a_stream_of_a_refused_question_keeps_its_status(gateway: Gateway) -> None:
    answer = await gateway.chat("hello", stream=True, model="goclaw:nobody-by-this-name")
    assert (answer.status, answer.body) == (404, b'{"error":{"message":"agent not found: nobody-by-this-name"}}\n')


@pytest.mark.parametrize(
    ("said", "answered"), [("stay silent", ""), ("say nothing", "...")], ids=["silence", "nothing"]
)
async def test_silence_is_an_empty_reply_and_nothing_is_three_dots(scripted: Gateway, said: str, answered: str) -> None:
    assert content(await scripted.chat(said)) == answered


async def test_text_before_a_tool_call_is_no_part_of_the_reply(scripted: Gateway) -> None:
    assert content(await scripted.chat("what time is it?")).startswith("The gateway's clock says ")


async def test_a_provider_failure_is_500_with_its_raw_words_and_no_json(scripted: Gateway) -> None:
    answer = await scripted.chat("let the provider fail")
    assert answer.status == 500
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    start = b'{"error":{"message":"internal error: iter 0 think: llm call: HTTP 500: openai: {"error": {"message": "'
    assert answer.body.startswith(start)
    assert answer.body.endswith(b'"}}"}}\n')


async def test_a_streamed_failure_is_200_with_an_error_text(scripted: Gateway) -> None:
    answer = await scripted.chat("let the provider fail with 401", stream=True)
    assert answer.status == 200
    assert b'"content":"Error: iter 0 think: llm call: HTTP 401: openai: {' in answer.body
    assert answer.body.endswith(b"data: [DONE]\n\n")


async def test_a_text_over_32000_bytes_is_cut_and_still_answered(
    scripted: Gateway, open_socket: Callable[..., Any]
) -> None:
    assert (await scripted.chat("x" * 40_000)).status == 200
    socket = await open_socket(scripted, scripted.user)
    kept = (await socket.call("sessions.preview", key=scripted.key()))["payload"]["messages"][0]["content"]
    remark = "\n\n[System: Message was truncated from 40000 to 32000 characters due to size limit."
    assert kept.startswith("x" * 32_000 + remark)


async def test_a_file_link_is_relative_signed_and_opens_without_bearer(scripted: Gateway) -> None:
    found = re.search(r"\((/v1/files/\S+\?ft=[\w-]{43}\.\d+)\)", content(await scripted.chat("send me a file")))
    assert found
    opened = await scripted.call("GET", found[1], headers={})
    assert (opened.status, opened.headers["Accept-Ranges"]) == (200, "bytes")
    assert opened.body.startswith(b"Notes of the stand-in agent")
    unsigned = found[1].split("?", maxsplit=1)[0]
    assert (await scripted.call("GET", unsigned, headers={})).body == b'{"error":"unauthorized"}\n'
    forged = await scripted.call("GET", unsigned + "?ft=" + "a" * 43 + ".9999999999", headers={})
    assert (forged.status, forged.body) == (401, b"invalid or expired file token\n")
    outside = await scripted.call("GET", "/v1/files/etc/passwd")
    assert (outside.status, outside.body) == (403, b"invalid path\n")
    missing = await scripted.call("GET", "/v1/files/workspace/none.txt")
    assert (missing.status, missing.body) == (404, b"404 page not found\n")
