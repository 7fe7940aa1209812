"""Progress read from the gateway's events of a run; hostile and foreign events are ignored."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core.files.answer_links import AgentFile
from bridge.core.ports.agent import AgentEvent, RunEnded, TextCame, TextWithdrawn, Thinking, ToolBegan, ToolEnded
from bridge.gateway.run_events import FollowedRun, RunEvent, delivered, hint, one_line, run_event

RUN = "b742eb2f-0000-4000-8000-000000000001"
OTHER = "c0ffee00-0000-4000-8000-000000000002"


def event(kind: str, run: str = RUN, **payload: object) -> RunEvent:
    return RunEvent(kind, "sales", "u1", run, payload)


def progress_of(*events: RunEvent) -> list[AgentEvent]:
    run = FollowedRun()
    return [progress for event in events if run.owns(event) for progress in run.progress_in(event)]


def frame(**changes: object) -> str:
    payload: dict[str, object] = {
        "type": "chunk",
        "agentId": "sales",
        "runId": RUN,
        "payload": {"content": "a"},
        "userId": "u1",
    }
    payload |= {"channel": "http", "chatId": "api", "sessionKey": "agent:sales:http:direct:u1", **changes}
    return orjson.dumps({"type": "event", "event": "agent", "payload": payload}).decode()


def test_an_agent_event_of_the_gateway_is_read() -> None:
    assert run_event(frame()) == event("chunk", content="a")
    assert run_event(frame(type="run.cancelled", payload=None)) == event("run.cancelled")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "7",
        "null",
        '{"type":"event"}',
        '{"type":"event","event":"shutdown"}',
        '{"type":"event","event":"trace.status","payload":{"traceId":"x"}}',
        '{"type":"res","id":"1","ok":true,"payload":{}}',
        '{"type":"event","event":"agent","payload":[]}',
        '{"type":"event","event":"agent","payload":{"channel":"http"}}',
        "[" * 100_000,
        frame(channel="ws"),
        frame(runId=7),
        frame(userId=""),
        frame(type=None),
        frame(payload={"content": "x" * 600_000}),
    ],
)
def test_frames_without_an_agent_event_are_ignored(text: str) -> None:
    assert run_event(text) is None


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    assert run_event(text) is None


def test_a_run_with_a_tool_reports_its_progress_in_order() -> None:
    assert progress_of(
        event("run.started", message="what time is it?"),
        event("thinking", content="hmm"),
        event("chunk", content="Let me "),
        event("chunk", content="look."),
        event("block.reply", content="Let me look.", source="tool_announcement"),
        event("tool.call", arguments={"query": "time"}, id="call_1", name="datetime"),
        event("tool.result", arguments={}, id="call_1", is_error=True, name="datetime", content="no"),
        event("chunk", content="it is late"),
        event("run.completed", content="it is late"),
    ) == [
        Thinking(),
        TextCame("Let me "),
        TextCame("look."),
        TextWithdrawn(),
        ToolBegan("datetime", "time"),
        ToolEnded("datetime", failed=True),
        TextCame("it is late"),
        RunEnded(),
    ]


def test_text_before_a_tool_is_withdrawn_even_if_block_reply_was_lost() -> None:
    progress = progress_of(event("run.started"), event("chunk", content="Let me look."), event("tool.call", name="t"))
    assert progress == [TextCame("Let me look."), TextWithdrawn(), ToolBegan("t", "")]


def test_no_text_is_withdrawn_if_none_came() -> None:
    assert progress_of(event("run.started"), event("block.reply", content="x")) == []


@pytest.mark.parametrize(
    "odd",
    [
        event("chunk", content=None),
        event("chunk", content=""),
        event("chunk", content=["a"]),
        event("tool.call", name=7),
        event("tool.call", name=" \n"),
        event("tool.result"),
        event("invented"),
    ],
)
def test_malformed_events_report_no_progress(odd: RunEvent) -> None:
    assert progress_of(event("run.started"), odd) == []


def test_the_first_run_that_starts_is_followed() -> None:
    assert progress_of(
        event("chunk", OTHER, content="of an earlier run"),
        event("run.started"),
        event("run.started", OTHER),
        event("chunk", OTHER, content="of a later run"),
        event("chunk", content="ours"),
    ) == [TextCame("ours")]


def test_the_id_in_the_stream_overrides_the_run_that_started_first() -> None:
    run = FollowedRun()
    assert run.owns(event("run.started", OTHER))
    run.progress_in(event("run.failed", OTHER))
    run.identify(RUN[:8])
    assert run.ending is None
    assert not run.owns(event("chunk", OTHER, content="a"))
    assert run.owns(event("chunk", content="its start was lost"))
    run.identify(RUN[:8])
    run.progress_in(event("run.completed"))
    assert run.ending == "completed"


@pytest.mark.parametrize(
    ("kind", "ending"),
    [("run.completed", "completed"), ("run.failed", "failed"), ("run.cancelled", "cancelled"), ("chunk", None)],
)
def test_a_run_has_one_of_three_endings(kind: str, ending: str | None) -> None:
    run = FollowedRun()
    run.progress_in(event(kind))
    assert run.ending == ending


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"query": "sea birds"}, "sea birds"),
        ({"path": "/workspace/u1/notes/plan.md", "content": "secret"}, "plan.md"),
        ({"path": "C:\\work\\plan.md"}, "plan.md"),
        ({"path": "/workspace/notes/"}, "notes"),
        ({"pattern": "TODO", "path": "/src"}, "TODO"),
        ({"url": "https://user:pw@example.com:8080/a?key=secret"}, "example.com"),
        ({"url": "http://[broken"}, ""),
        ({"command": "curl -H 'Authorization: secret'"}, ""),
        ({"query": 7, "file": "a.txt"}, "a.txt"),
        ({"query": "a\n\tb \u202e c\x00\ud800"}, "a b c"),
        ({"query": "x" * 81}, "x" * 79 + "…"),
        ({"query": "x" * 80}, "x" * 80),
        ({}, ""),
        ([], ""),
        (None, ""),
    ],
)
def test_a_hint_is_search_words_a_file_name_or_a_host(arguments: object, shown: str) -> None:
    assert hint(arguments) == shown


@given(st.text(max_size=5000))
def test_a_hint_is_a_short_line_of_visible_characters(text: str) -> None:
    line = one_line(text)
    assert len(line) <= 80
    assert line == " ".join(line.split())
    assert line.replace(" ", "").isprintable()


FT = "?ft=" + "A" * 43 + ".1800000000"


def test_the_last_event_names_the_delivered_files() -> None:
    run = FollowedRun()
    media = [{"path": f"/v1/files/workspace/a%20b.txt{FT}", "content_type": "text/plain", "size": 10}]
    for each in (event("run.started"), event("tool.call", name="write"), event("run.completed", media=media)):
        assert run.owns(each)
        run.progress_in(each)
    assert run.files == (AgentFile(f"/v1/files/workspace/a%20b.txt{FT}", "a b.txt", "text/plain"),)
    assert run.used_tools


def test_the_files_of_another_run_are_forgotten() -> None:
    run = FollowedRun()
    for each in (event("run.started"), event("run.completed", media=[{"path": f"/v1/files/a{FT}"}])):
        assert run.owns(each)
        run.progress_in(each)
    run.identify("another")
    assert run.files == ()
    assert run.ending is None


@pytest.mark.parametrize(
    "media",
    [
        None,
        7,
        "x",
        {},
        [None, 7, [], {}],
        [{"path": 7}],
        [{"path": "/app/workspace/a.txt"}],
        [{"path": f"/v1/files/../agents{FT}"}],
        [{"path": f"https://evil.example/v1/files/a{FT}"}],
        [{"path": "/v1/files/" + "a" * 5000}],
    ],
)
def test_entries_that_are_no_files_of_the_gateway_are_ignored(media: object) -> None:
    assert delivered(media) == ()


def test_at_most_twenty_files_are_delivered() -> None:
    assert len(delivered([{"path": f"/v1/media/{n}.png{FT}"} for n in range(50)])) == 20
