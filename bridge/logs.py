"""Structured logs: one JSON object a line (or a console form for people), never message text, tokens or names."""

from __future__ import annotations

import logging
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import PurePath
from typing import Any, Literal

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger

_QUIET_SECONDS = 60.0


def configure(form: Literal["json", "console"], level: str) -> None:
    """Set up structlog and the standard library's logging for the whole process."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    # libraries log addresses and header values at INFO
    logging.basicConfig(level=max(threshold, logging.WARNING), handlers=[Libraries()], force=True)
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _trace,
    ]
    if form == "json":
        structlog.configure(
            processors=[*shared, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
            wrapper_class=structlog.make_filtering_bound_logger(threshold),
            logger_factory=structlog.BytesLoggerFactory(sys.stdout.buffer),
            cache_logger_on_first_use=True,
        )
    else:
        structlog.configure(
            processors=[*shared, structlog.dev.ConsoleRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(threshold),
            cache_logger_on_first_use=True,
        )


class Libraries(logging.Handler):
    """What libraries log, without what they put into it: aiohttp quotes headers, asyncio an exception's words.

    Strangers make them log as well, as with bad requests: the same from the same place is told once a minute.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._told: dict[tuple[str, ...], float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        where = f"{record.module}:{record.lineno}"
        if not self._is_news((record.name, where, type(error).__name__)):
            return
        fields: dict[str, Any] = {"error": type(error).__name__, "exc_info": error} if error else {}
        if record.args:  # else the sentence may have been put together before
            fields["template"] = str(record.msg)
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        structlog.get_logger().log(level, "library", library=record.name, where=where, **fields)

    def _is_news(self, what: tuple[str, ...]) -> bool:
        now = self._clock()
        if now < self._told.get(what, float("-inf")) + _QUIET_SECONDS:
            return False
        self._told[what] = now
        return True


def _trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Where an error came from, without its words: an exception's message may quote what a user wrote."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["trace"] = [f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in frames[-8:]]
    return event
