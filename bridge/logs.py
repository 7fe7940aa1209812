"""Structured logs: one JSON object a line (or a console form for people), never message text, tokens or names."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Literal, cast

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge import metrics

_QUIET_SECONDS = 60.0


def configure(form: Literal["json", "console"], level: str) -> None:
    """Set up structlog and the standard library's logging for the whole process."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    # libraries log addresses and header values at INFO
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[Libraries()], force=True)
    renderer = (
        structlog.processors.JSONRenderer(serializer=orjson.dumps)
        if form == "json"
        else structlog.dev.ConsoleRenderer()
    )
    structlog.configure(
        processors=[
            Rendering(
                structlog.processors.add_log_level,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _trace,
                renderer,
            )
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=_StandardOutput,
        cache_logger_on_first_use=True,
    )


class Rendering:
    """The processor that renders an event as a log line, by calling `processors` in order.

    An event on which a processor fails becomes the line `log_line_not_rendered`.
    """

    def __init__(self, *processors: Processor) -> None:
        self._processors = processors

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> str | bytes:
        name = event["event"]  # a renderer may take the name out of the event
        try:
            return self._rendered(logger, method, event)
        except Exception as error:  # noqa: BLE001  a log line must not end the caller's work
            metrics.LOG_LINES_LOST.add(1)
            ascii_name = str(name).encode("ascii", "backslashreplace").decode()
            known = {"event": "log_line_not_rendered", "name": ascii_name, "error": type(error).__name__}
            return self._rendered(logger, method, known)

    def _rendered(self, logger: WrappedLogger, method: str, event: EventDict) -> str | bytes:
        result: Any = event
        for processor in self._processors:
            result = processor(logger, method, result)
        return cast("str | bytes", result)


class _StandardOutput:
    """The logger that structlog gives rendered lines to; prints to standard output.

    Without a lock: the garbage collector may log in the middle of a log call.
    """

    def __init__(self, *_: object) -> None:
        """Ignore the arguments of structlog.get_logger()."""

    def msg(self, line: str | bytes) -> None:
        """Print a line and flush."""
        if sys.stdout is not None:  # None where the shell closed standard output (`>&-`)
            data = line.encode("utf-8", "backslashreplace") if isinstance(line, str) else line
            sys.stdout.buffer.write(data + b"\n")
            sys.stdout.buffer.flush()

    debug = info = warning = error = critical = msg


class Libraries(logging.Handler):
    """The log lines of libraries, without their values: aiohttp quotes headers, asyncio an exception's message.

    Strangers can cause such lines, for example by bad requests: a line from the same place is logged once a minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._logged_at: dict[tuple[str, ...], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._log(record)
        except Exception:  # noqa: BLE001  a log line must not make a library fail
            metrics.LOG_LINES_LOST.add(1)

    def _log(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        where = f"{record.module}:{record.lineno}"
        if not self._is_due((record.name, where, type(error).__name__)):
            return
        fields: dict[str, Any] = {"error": type(error).__name__, "exc_info": error} if error else {}
        if record.args:  # without arguments the message may already hold values
            fields["template"] = str(record.msg)
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        structlog.get_logger().log(level, "library", library=record.name, where=where, **fields)

    def _is_due(self, line: tuple[str, ...]) -> bool:
        now = self._clock()
        if now < self._logged_at.get(line, float("-inf")) + _QUIET_SECONDS:
            return False
        self._logged_at[line] = now
        return True


def _trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the places where an error came from, without its message, which may quote a person's text."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["trace"] = [f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames[-8:]]
    return event
