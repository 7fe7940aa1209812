"""bridge/output.py against real pipes, files and processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from bridge import metrics
from bridge.output import LossyFile

DETACHED = """
import sys, logging, threading, warnings
from bridge import logs, output
output.detach()
logs.configure("json", "info")
"""


def until(condition: Callable[[], object], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.005)


def numbered(first: int, last: int) -> list[bytes]:
    return [b"line %d\n" % number for number in range(first, last)]


class Lost:
    """Lines lost since the test began."""

    def __init__(self) -> None:
        self._before = metrics.LOG_LINES_LOST.total
        metrics.LOG_LINES_LOST.unreported()

    @property
    def count(self) -> int:
        return metrics.LOG_LINES_LOST.total - self._before


@pytest.fixture
def lost() -> Lost:
    return Lost()


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of the smallest size: reading end, writing end."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    if sys.platform == "linux":
        import fcntl  # noqa: PLC0415  not on every platform

        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def drained(reader: int) -> bytes:
    """Read the pipe until the pipe is empty."""
    read = b""
    while True:
        try:
            part = os.read(reader, 1 << 16)
        except BlockingIOError:
            return read
        if not part:
            return read
        read += part


def test_lines_come_out_whole_and_in_order(pipe: tuple[int, int], lost: Lost) -> None:
    reader, writer = pipe
    file = LossyFile(writer)
    lines = numbered(0, 3000)
    for line in lines:
        assert file.write(line) == len(line)
    read = b""

    def complete() -> bool:
        nonlocal read
        read += drained(reader)
        return len(read) == len(b"".join(lines))

    until(complete)
    assert read == b"".join(lines)
    assert lost.count == 0
    file.finish(1)


def test_queued_lines_are_bounded_and_a_line_tells_how_many_were_lost(pipe: tuple[int, int], lost: Lost) -> None:
    reader, writer = pipe
    os.write(writer, b"-" * 4095 + b"\n")
    file = LossyFile(writer, most=10)
    kept = []
    for line in numbered(0, 1000):
        before = lost.count
        file.write(line)
        kept += [line] if lost.count == before else []
    assert file.waiting == 10
    # beside the queue, the thread may hold up to 256 lines for the next write
    assert 10 <= len(kept) <= 10 + 256

    with capture_logs() as told:
        read = drained(reader)
        until(lambda: told)
        file.write(b"later\n")
        file.finish(1)
        read += drained(reader)

    assert read.splitlines(keepends=True)[1:] == [*kept, b"later\n"]
    assert [(line["event"], line["lines"], line["total"]) for line in told] == [
        ("log_lines_lost", lost.count, metrics.LOG_LINES_LOST.total)
    ]


def test_lines_without_a_reader_are_lost_and_counted(lost: Lost) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    file = LossyFile(writer)
    os.close(writer)
    for line in numbered(0, 3):
        file.write(line)

    until(lambda: lost.count == 3)
    file.finish(1)


@pytest.mark.skipif(sys.platform != "linux", reason="a limit of this process' files is set and taken back")
def test_after_a_full_disk_lines_are_whole_again_and_the_lost_ones_are_told(tmp_path: Path, lost: Lost) -> None:
    path = tmp_path / "log"
    with path.open("ab") as opened:
        os.truncate(opened.fileno(), 1 << 26)  # the limit must hit no other file of the test run
        file = LossyFile(opened.fileno())
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((1 << 26) + 10, before[1]))
    try:
        file.write(b"line 1\nline 2\nline 3\n")
        until(lambda: lost.count == 2)
        file.write(b"line 4\n")
        until(lambda: lost.count == 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    with capture_logs() as told:
        file.write(b"line 5\n")
        file.finish(1)

    assert path.read_bytes()[1 << 26 :] == b"line 1\nlin\nline 5\n"
    assert [line["lines"] for line in told] == [3]


def test_a_pipe_with_o_nonblock_set_by_another_process_loses_no_line(pipe: tuple[int, int], lost: Lost) -> None:
    reader, writer = pipe
    os.set_blocking(writer, False)
    file = LossyFile(writer)
    lines = numbered(0, 2000)
    for line in lines:
        file.write(line)
    read = b""

    def complete() -> bool:
        nonlocal read
        read += drained(reader)
        return len(read) == len(b"".join(lines))

    until(complete)
    assert (read, lost.count) == (b"".join(lines), 0)
    file.finish(1)


def test_the_end_waits_for_a_reader_for_a_bounded_time(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    file = LossyFile(writer)
    file.write(b"-" * 8192)
    began = time.monotonic()
    file.finish(0.2)
    assert time.monotonic() - began > 0.15  # and the call has returned, although nothing was read
    until(lambda: len(drained(reader)) or not file.waiting)


def test_the_metric_is_a_counter() -> None:
    (family,) = metrics.LOG_LINES_LOST.collect()
    (sample,) = family.samples
    assert (family.type, sample.name, sample.value) == (
        "counter",
        "bridge_log_lines_lost_total",
        metrics.LOG_LINES_LOST.total,
    )


# -- whole processes --


@pytest.mark.parametrize(
    ("code", "printed"),
    [
        ("print('hello'); print('oh', file=sys.stderr)", ("hello\n", "oh\n")),
        ("print('no end of line', end='')", ("no end of line", "")),
        ("sys.exit('a last word')", ("", "a last word\n")),
        ("warnings.warn('careful', stacklevel=1)", ("", "UserWarning: careful")),
        ("threading.Thread(target=lambda: 1 / 0).start()", ("", "ZeroDivisionError")),
        ("1 / 0", ("", "ZeroDivisionError")),
    ],
)
def test_the_last_words_of_a_process_are_printed(code: str, printed: tuple[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DETACHED + code], capture_output=True, text=True, timeout=30, check=False
    )

    assert done.stdout == printed[0]
    assert printed[1] in done.stderr


PRINTING = """
import structlog
class Failing(logging.Handler):
    def emit(self, record):
        try:
            raise ValueError
        except ValueError:
            self.handleError(record)
class Unraisable:
    def __del__(self):
        raise ValueError
for number in range(3000):
    structlog.get_logger().info("line", number=number, long="-" * 100)
    print("print", number)
    print("error", number, file=sys.stderr)
    warnings.warn(f"warning {number}")
logging.getLogger("a").addHandler(Failing())
logging.getLogger("a").warning("handled")
Unraisable()
print("no end of line", end="")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize("output", ["closed", "full disk", "not read", "none"])
@pytest.mark.parametrize(("code", "exit_code"), [("", 0), ("sys.exit(2)", 2), ("1 / 0", 1)])
def test_a_process_whose_output_cannot_be_written_keeps_its_exit_code(output: str, code: str, exit_code: int) -> None:
    reader, writer = os.pipe()
    command = [sys.executable, "-c", DETACHED + PRINTING + code]
    if output == "closed":
        os.close(reader)
    elif output == "full disk":
        os.close(writer)
        writer = os.open("/dev/full", os.O_WRONLY)
    elif output == "none":
        command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *command]
    try:
        done = subprocess.run(command, stdout=writer, stderr=writer, timeout=20, check=False)
    finally:
        os.close(writer)
        if output != "closed":
            os.close(reader)

    assert done.returncode == exit_code


def test_a_closed_standard_stream_leaves_its_number_to_no_other_file() -> None:
    code = DETACHED + "import os; sys.exit(os.open('/dev/null', os.O_RDONLY) < 3)"
    command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(command, timeout=20, check=False).returncode == 0


def test_the_garbage_collector_may_log_in_the_middle_of_a_log_call() -> None:
    """As asyncio does for a task whose exception was never retrieved: a lock in the log call would be a deadlock."""
    code = """
import gc, structlog
log = structlog.get_logger()
class Cycle:
    def __init__(self):
        self.me = self
    def __del__(self):
        log.info("collected")
gc.set_threshold(1)
for number in range(500):
    Cycle()
    log.info("line", number=number)
gc.collect()
"""
    done = subprocess.run([sys.executable, "-c", DETACHED + code], capture_output=True, timeout=20, check=True)
    assert sorted({line[:9] for line in done.stdout.splitlines()}) == [b'{"event":', b'{"number"']
    assert (done.stdout.count(b"\n"), done.stderr) == (1000, b"")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
@pytest.mark.parametrize("command", [["version"], ["--help"], ["texts", "vi"]])
def test_a_command_with_a_full_disk_behind_its_output_ends_with_a_sentence(command: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "bridge", *command], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )

    assert done.returncode == 1
    assert done.stderr.strip() == "The system refused an operation: No space left on device."
