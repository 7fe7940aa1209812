"""Standard output and standard error that neither block nor fail, for a process that must outlive their readers."""

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

# Some megabytes of log: minutes of a busy bridge.
MOST_WAITING: Final = 10_000
_MOST_AT_ONCE: Final = 256
# Waking the thread for every single line costs more than writing it.
_GATHER_SECONDS: Final = 0.01
# A pipe may be shared with a process that has made writing to it non-blocking.
_RETRY_SECONDS: Final = 0.05
_FINISH_SECONDS: Final = 1.0


class LossyFile(io.RawIOBase):
    """A binary file for whole lines, whose writes return at once and raise nothing.

    A thread writes the lines to the descriptor in order. Lines are lost and counted (`metrics.LOG_LINES_LOST`) where
    `most` of them wait already, and where the descriptor refuses them.
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
        """The number of writes that the thread has not begun with."""
        return self._waiting.qsize()

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: Any, /) -> int:
        """Queue lines; gives the number of bytes, as all files do."""
        lines = bytes(data)
        if self.waiting < self._most:
            self._waiting.put(lines)
        else:
            metrics.LOG_LINES_LOST.add(1)
        return len(lines)

    def finish(self, seconds: float) -> None:
        """Write the lines that wait, which takes up to `seconds`. Later lines are not written."""
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
        """The next lines in order, once there are any."""
        lines = [self._waiting.get()]
        if self._waiting.empty():
            time.sleep(_GATHER_SECONDS)
        while self.waiting and len(lines) < _MOST_AT_ONCE:
            lines.append(self._waiting.get())
        return lines

    def _write(self, lines: bytes) -> None:
        rest = lines
        try:
            if self._torn:  # what comes next begins a line of its own
                self._torn = not self._write_some(b"\n")
            while rest:
                rest = rest[self._write_some(rest) :]
        except OSError:
            metrics.LOG_LINES_LOST.add(rest.count(b"\n"))
            written = lines[: len(lines) - len(rest)]
            self._torn = self._torn or bool(written and not written.endswith(b"\n"))
        else:
            if lost := metrics.LOG_LINES_LOST.untold():
                _log.error("log_lines_lost", lines=lost, total=metrics.LOG_LINES_LOST.total)

    def _write_some(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:
                time.sleep(_RETRY_SECONDS)


def detach() -> None:
    """From now on nothing that this process prints or logs blocks or fails, its end included.

    At exit, what was printed last is written if that takes no longer than a second.
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

    Else the next file or socket gets the free number, and libraries in C print into it.
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
