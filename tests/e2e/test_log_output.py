"""Turns and health checks go on while the log cannot be written or is not read."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import orjson
import pytest
from support.postgres_server import dsn, fresh_schema
from support.process_world import World, eventually, eventually_async, world

from bridge.simulator.teams.faults import Fault

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(sys.platform != "linux", reason="/dev/full and limits of another process are Linux's"),
]

CHAT = "personal-alice"
# The log file begins behind the end of every other file of the bridge, so that a limit of file size hits the log alone.
FILE_START = 1 << 26


class Output(Protocol):
    """The target of a bridge's standard output and standard error, with a fault."""

    descriptor: int

    def fail(self, pid: int, /) -> None:
        """Begin the fault for the process `pid`."""

    def close(self) -> None: ...


class Pipe:
    """A pipe with a reader. `fail` closes the reader."""

    def __init__(self, folder: Path) -> None:
        path = folder / "log.pipe"
        os.mkfifo(path)
        self._reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._path = path
        self.descriptor = os.open(path, os.O_WRONLY)

    def fail(self, _pid: int, /) -> None:
        os.close(self._reader)
        self._reader = -1

    def close(self) -> None:
        if self._reader >= 0:
            os.close(self._reader)

    def fill(self) -> None:
        """Write until the pipe is full. The new descriptor leaves the bridge's end of the pipe blocking."""
        filler = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK)
        for size in (4096, 1):
            with contextlib.suppress(BlockingIOError):
                while True:
                    os.write(filler, b"\n" * size)
        os.close(filler)

    def read(self) -> list[bytes]:
        """Empty the pipe: the lines that were in the pipe."""
        read = b""
        with contextlib.suppress(BlockingIOError):
            while part := os.read(self._reader, 1 << 16):
                read += part
        return read.split(b"\n")


class FullDisk:
    """A disk that is full from the start."""

    def __init__(self, _: Path) -> None:
        self.descriptor = os.open("/dev/full", os.O_WRONLY)

    def fail(self, _pid: int, /) -> None: ...

    def close(self) -> None: ...


class File:
    """A file on a disk with room. `fail` limits the file's size, `heal` ends the limit."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.json"
        self.descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.truncate(self.descriptor, FILE_START)

    def fail(self, pid: int, /) -> None:
        self._limit(pid, self.path.stat().st_size + 40)  # the first line fits in part only

    def heal(self, pid: int) -> None:
        self._limit(pid, resource.RLIM_INFINITY)

    def close(self) -> None: ...

    def lines(self) -> list[bytes]:
        with self.path.open("rb") as file:
            file.seek(FILE_START)
            return file.read().splitlines()

    def _limit(self, pid: int, size: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings that name one of the stores."""
    if request.param == "sqlite":
        return {}
    return {"BRIDGE_STORE": dsn(), "BRIDGE_STORE_SCHEMA": fresh_schema()}


@asynccontextmanager
async def bridge(output: Output, folder: Path, settings: dict[str, Any]) -> AsyncIterator[World]:
    """A world whose bridge, not started yet, writes to `output`."""
    try:
        async with world(folder / "world", **settings) as here:
            here.bridge.output_to = output.descriptor
            yield here
    finally:
        os.close(output.descriptor)
        output.close()


async def ask(here: World, text: str) -> None:
    """Ask a question and wait for the answer."""
    question = await here.say(CHAT, "alice", f"Remember: {text}")
    await eventually(lambda: here.listen(CHAT, question) == [f"Noted: {text}"], f"{text!r} is answered", 10)


async def work(here: World) -> None:
    """Turns that write log lines: two answered questions, and between them a question whose answer Teams refuses."""
    await ask(here, "the first")
    here.teams.faults.order("message", Fault(status=403))
    await here.say(CHAT, "alice", "Remember: the refused one")
    await here.idle()
    assert (await here.post({}, bearer="not a token"))[0] == 401
    await ask(here, "the second")
    await here.idle()
    assert [await status(here, path) for path in ("/healthz", "/readyz")] == [200, 200]


async def status(here: World, path: str) -> int:
    async with here.http.get(f"{here.bridge.base}{path}") as answer:
        return answer.status


async def lost(here: World, least: int) -> float:
    """Wait until the bridge has counted `least` lost lines; returns the count."""

    async def count() -> float:
        return (await here.bridge.metric(here.http, "bridge_log_lines_lost_total"))[""]

    async def enough() -> bool:
        return await count() >= least

    await eventually_async(enough, f"{least} lines are lost", 5)
    return await count()


async def end_in_order(here: World) -> None:
    here.bridge.ask_to_end()
    assert await here.bridge.ended(10) == 0


def events(lines: list[bytes]) -> list[str]:
    return [str(orjson.loads(line)["event"]) for line in lines if line]


def losses(lines: list[bytes]) -> list[dict[str, Any]]:
    """The lines that report lost lines; the line that was cut by the full disk is no JSON."""
    whole = [orjson.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]
    return [line for line in whole if line["event"] == "log_lines_lost"]


@pytest.mark.parametrize("kind", [Pipe, FullDisk])
async def test_a_log_that_cannot_be_written_from_the_start_keeps_turns_going(
    kind: type[Pipe | FullDisk], tmp_path: Path, store: dict[str, Any]
) -> None:
    output = kind(tmp_path)
    output.fail(0)
    async with bridge(output, tmp_path, store) as here:
        await here.start()
        await here.meet("alice")
        await work(here)
        await lost(here, 7)
        await end_in_order(here)


async def test_a_log_whose_reader_goes_away_keeps_turns_going(tmp_path: Path, store: dict[str, Any]) -> None:
    output = Pipe(tmp_path)
    async with bridge(output, tmp_path, store) as here:
        await here.start()
        await here.meet("alice")
        output.fail(here.bridge.pid)
        await work(here)
        await lost(here, 4)
        await end_in_order(here)


async def test_a_log_whose_disk_is_full_for_a_while_tells_how_many_lines_were_lost(
    tmp_path: Path, store: dict[str, Any]
) -> None:
    output = File(tmp_path)
    async with bridge(output, tmp_path, store) as here:
        await here.start()
        await here.meet("alice")
        await here.idle()
        output.fail(here.bridge.pid)
        await work(here)
        await lost(here, 4)
        output.heal(here.bridge.pid)
        await ask(here, "the disk has room")
        await eventually(lambda: losses(output.lines()) != [], "the lost lines are reported")
        counted = await lost(here, 4)
        await eventually(lambda: sum(loss["lines"] for loss in losses(output.lines())) == counted, "all are reported")
        assert losses(output.lines())[-1]["total"] == counted
        await end_in_order(here)

    # only the line that was written in part is broken
    whole = [line for line in output.lines() if line.endswith(b"}")]
    assert len(output.lines()) == len(whole) + 1
    assert events(whole)[-2:] == ["stopping", "stopped"]


@pytest.mark.parametrize("from_start", [True, False])
async def test_a_log_that_is_not_read_keeps_turns_going_and_is_whole_when_read_later(
    from_start: bool, tmp_path: Path, store: dict[str, Any]
) -> None:
    output = Pipe(tmp_path)
    if from_start:
        output.fill()
    async with bridge(output, tmp_path, store) as here:
        await here.start()
        await here.meet("alice")
        await here.idle()
        if not from_start:
            output.fill()
        await work(here)
        lines: list[bytes] = []

        def complete() -> bool:
            lines.extend(output.read())
            return events(lines).count("turn_closed") == 4

        await eventually(complete, "the log is read")
        said = events(lines)
        assert said[0] == "gateway_checked" or not from_start
        assert said.count("refused") == said.count("delivery_failed") == 1
        assert await lost(here, 0) == 0

        output.fill()
        await end_in_order(here)
