"""What the process logs: one JSON object a line, and never what somebody wrote."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from bridge.logs import Libraries

SECRET = "what Ann wrote"
BEGIN = """
import asyncio, logging, structlog
from bridge.logs import configure
configure({form!r}, {level!r})
log = structlog.get_logger()
SECRET = {secret!r}
def fail():
    raise ValueError(SECRET)
"""
CAUGHT = """
try:
    fail()
except ValueError as error:
    {statement}
"""
FORGOTTEN = """
async def main():
    task = asyncio.ensure_future(asyncio.to_thread(fail))
    await asyncio.wait({task})
    del task
asyncio.run(main())
"""


def run(code: str, form: str = "json", level: str = "info") -> str:
    """Everything that a process of its own prints."""
    script = BEGIN.format(form=form, level=level, secret=SECRET) + code
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, timeout=30)
    return done.stdout + done.stderr


def lines(code: str, level: str = "info") -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in run(code, level=level).splitlines()]


def test_a_line_is_one_json_object_with_time_and_level() -> None:
    (line,) = lines("log.info('turn_closed', turn='T-1', outcome='delivered')")

    assert (line["event"], line["level"], line["turn"], line["outcome"]) == ("turn_closed", "info", "T-1", "delivered")
    assert line["timestamp"].endswith("Z")


def test_what_is_less_important_than_asked_for_is_left_out() -> None:
    code = "log.info('small'); log.warning('large'); logging.getLogger('x').warning('w')"

    assert [line["event"] for line in lines(code, "warning")] == ["large", "library"]
    assert lines(code, "error") == []


@pytest.mark.parametrize(
    "statement",
    [
        "log.error('turn_broken', error=type(error).__name__, exc_info=error)",
        "log.error('turn_broken', error=type(error).__name__, exc_info=True)",
        "log.exception('turn_broken', error=type(error).__name__)",
    ],
)
@pytest.mark.parametrize("form", ["json", "console"])
def test_an_error_is_logged_by_kind_and_place_without_its_words(statement: str, form: str) -> None:
    printed = run(CAUGHT.format(statement=statement), form)

    assert SECRET not in printed
    assert "ValueError" in printed
    assert "<string>:" in printed


@pytest.mark.parametrize(
    ("code", "library"),
    [
        (
            CAUGHT.format(statement="logging.getLogger('aiohttp.server').exception('Unhandled exception')"),
            "aiohttp.server",
        ),
        ("logging.getLogger('msal').error(f'odd answer: {SECRET}')", "msal"),
        ("logging.getLogger('x').warning('header %s', SECRET)", "x"),
        ("async def main(): asyncio.get_running_loop().call_soon(fail)\nasyncio.run(main())", "asyncio"),
        (FORGOTTEN, "asyncio"),
    ],
)
def test_log_lines_of_libraries_come_without_their_values(code: str, library: str) -> None:
    """aiohttp quotes headers that it cannot read, asyncio the words of an exception that nobody took."""
    printed = run(code)

    (line,) = [orjson.loads(line) for line in printed.splitlines()]
    assert SECRET not in printed
    assert (line["event"], line["library"]) == ("library", library)
    assert line["where"]


def test_a_librarys_own_sentence_is_kept_where_its_values_stand_apart() -> None:
    (line,) = lines("logging.getLogger('x').warning('gave up after %d tries', 3)")

    assert line["template"] == "gave up after %d tries"


def test_libraries_are_not_asked_for_details_even_when_debugging() -> None:
    assert lines("logging.getLogger('httpx').info('GET http://x?secret')", "debug") == []


def test_nobody_fills_the_log_by_making_a_library_complain() -> None:
    now = [0.0]
    library = logging.getLogger("aiohttp.server")
    handler = Libraries(lambda: now[0])
    library.addHandler(handler)
    try:
        with capture_logs() as told:
            for seconds in (0.0, 1.0, 59.9, 60.0, 61.0):
                now[0] = seconds
                library.warning("bad request from %s", "10.0.0.1")
            library.warning("something else")
    finally:
        library.removeHandler(handler)

    assert [line["where"] for line in told[:2]] == [told[0]["where"]] * 2
    assert [line.get("template") for line in told] == ["bad request from %s"] * 2 + [None]


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("value", ["'\\ud800'", "Broken()"])
def test_a_line_that_cannot_be_rendered_is_replaced_by_a_report(value: str, form: str) -> None:
    code = f"""
class Broken:
    def __repr__(self):
        raise ValueError(SECRET)
log.info('turn_closed', detail={value})
log.info('next')
"""
    printed = run(code, form)

    assert SECRET not in printed
    assert "next" in printed
    if (form, value) != ("console", "'\\ud800'"):  # a terminal is shown the character's number
        assert "log_line_not_rendered" in printed
        assert "turn_closed" in printed


def test_what_a_library_logs_wrongly_costs_the_line() -> None:
    code = """
class Broken:
    def __str__(self):
        raise ValueError(SECRET)
logging.getLogger('x').warning(Broken(), 1)
log.info('next')
"""
    assert [line["event"] for line in lines(code)] == ["next"]
