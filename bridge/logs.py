"""Structured logs: one JSON object a line (or a console form for people), never message text, tokens or names."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Literal

import orjson
import structlog
from structlog.typing import EventDict, WrappedLogger


def configure(form: Literal["json", "console"], level: str) -> None:
    """Set up structlog and the standard library's logging for the whole process."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    # libraries log addresses and header values at INFO
    logging.basicConfig(level=max(threshold, logging.WARNING), stream=sys.stderr)
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


def _trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Where an error came from, without its words: an exception's message may quote what a user wrote."""
    error = event.pop("exc_info", None)
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)
        event["trace"] = [f"{frame.filename.rpartition('/')[2]}:{frame.lineno}" for frame in frames[-8:]]
    return event
