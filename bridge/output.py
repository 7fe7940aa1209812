"""Standard output and standard error that neither block nor fail, whether or not their readers read."""

from __future__ import annotations

import atexit
import contextlib
import io
import os
import sys
import time
from queue import SimpleQueue
from threading import Thread
from typing import Any, Final

import structlog

from bridge import metrics

_log = structlog.get_logger()

# Some megabytes of memory, minutes of a busy bridge's log.
MOST_WAITING: Final = 10_000
_MOST_AT_ONCE: Final = 256
# The thread waits for further lines before a write: waking for each line would cost more CPU than writing the line.
_GATHER_SECONDS: Final = 0.01
# The pause before a retry where a process with the same pipe has set O_NONBLOCK.
_RETRY_SECONDS: Final = 0.05
_FINISH_SECONDS: Final = 1.0


class LossyFile(io.RawIOBase):
    """A binary file for whole lines; a write returns at once and raises no error.

    A thread writes the lines to the descriptor, in order. Lines are lost and counted (`metrics.LOG_LINES_LOST`) while
    `most` lines wait, and when the descriptor refuses the write.
    """

    def __init__(self, descriptor: int, most: int = MOST_WAITING) -> None:
        super().__init__()
        self._descriptor = os.dup(descriptor)
        self._most = most
        # put() is reentrant: the garbage collector may log in the middle of a log call
        self._waiting: SimpleQueue[bytes | None] = SimpleQueue()
        self._torn = False
        self._thread = Thread(target=self._run, name=f"output {descriptor}", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """The number of queued writes."""
        return self._waiting.qsize()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        """Queue whole lines for the thread. Returns the number of bytes."""
        lines = bytes(data)
        if self.waiting < self._most:
            self._waiting.put(lines)
        else:
            metrics.LOG_LINES_LOST.add(1)
        return len(lines)

    def finish(self, seconds: float) -> None:
        """Write the queued lines, for at most `seconds`, and end the thread."""
        self._waiting.put(None)
        self._thread.join(max(0.0, seconds))

    def _run(self) -> None:
        finishing = False
        while not finishing or self.waiting:
            lines = self._gathered()
            finishing = finishing or None in lines
            self._write(b"".join(filter(None, lines)))
        os.close(self._descriptor)

    def _gathered(self) -> list[bytes | None]:
        """Wait for lines, and take them from the queue in order."""
        lines = [self._waiting.get()]
        if self._waiting.empty():
            time.sleep(_GATHER_SECONDS)
        while self.waiting and len(lines) < _MOST_AT_ONCE:
            lines.append(self._waiting.get())
        return lines

    def _write(self, lines: bytes) -> None:
        rest = lines
        try:
            if self._torn:  # the part of a line that was written before an error must not run into the next line
                self._torn = not self._write_some(b"\n")
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            metrics.LOG_LINES_LOST.add(rest.count(b"\n"))
            written = lines[: len(lines) - len(rest)]
            self._torn = self._torn or bool(written and not written.endswith(b"\n"))
        else:
            if lost := metrics.LOG_LINES_LOST.unreported():
                _log.error("log_lines_lost", lines=lost, total=metrics.LOG_LINES_LOST.total)

    def _write_some(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                time.sleep(_RETRY_SECONDS)


def detach() -> None:
    """Replace sys.stdout and sys.stderr: printing and logging neither block nor fail until the process has ended.

    At exit, queued lines are written for at most one second.
    """
    _occupy_standard_descriptors()
    files = [LossyFile(descriptor) for descriptor in (1, 2)]
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", line_buffering=True)  # type: ignore[type-var]
        for file in files
    )
    atexit.register(_finish, files)


def _occupy_standard_descriptors() -> None:
    """Open the null device for each standard stream that is closed.

    Otherwise the next file or socket would get the free number, and C libraries would print into that file.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.open(os.devnull, os.O_RDWR)


def _finish(files: list[LossyFile]) -> None:
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    deadline = time.monotonic() + _FINISH_SECONDS
    for file in files:
        file.finish(deadline - time.monotonic())
