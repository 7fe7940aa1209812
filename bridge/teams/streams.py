"""Builds the activities of Teams' streamed messages, and reads the connector's refusals of these activities.

docs/reference/teams.md, "Streaming"; https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux. Like
Microsoft's SDKs, the bridge writes the stream's values into an entity and into `channelData`.
"""

from __future__ import annotations

import re
from typing import Any

from bridge.core.errors import DeliveryRejected, StreamEnded, StreamRefused, StreamStopped
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Activity
from bridge.teams.connector_answers import CLOSED_CONVERSATION

# The code of all refusals of a stream; the error's message tells the reasons apart.
NOT_ALLOWED = "ContentStreamNotAllowed"

# Statuses that judge the request itself; 401, 408, 412, 429 and 5xx judge token, time and load.
_REFUSALS = frozenset({400, 403, 404, 405, 409, 410, 413, 415, 422})
_OWN_TIMEOUT = re.compile(r"\b(?:task|operation|request|connection) (?:was|has been|is) cancell?ed\b")


def chunk_activity(chunk: Chunk) -> Activity:
    """A request of an open stream, or the request that opens the stream where `chunk.stream` is empty."""
    info: dict[str, Any] = {
        "streamType": "informative" if chunk.informative else "streaming",
        "streamSequence": chunk.sequence,
    }
    if chunk.stream:
        info["streamId"] = chunk.stream
    return {"type": "typing", "text": chunk.text, "textFormat": "markdown"} | _marked(info, [], {})


def final_activity(activity: Activity, stream: str) -> Activity:
    """The stream's final request: `activity`, an ordinary message, marked as the end of the stream `stream`."""
    info = {"streamType": "final", "streamId": stream}
    return activity | _marked(info, activity.get("entities", []), activity.get("channelData", {}))


def _marked(info: dict[str, Any], entities: list[Any], channel_data: dict[str, Any]) -> Activity:
    return {"entities": [{"type": "streaminfo", **info}, *entities], "channelData": {**channel_data, **info}}


def stream_failure(status: int, code: str, message: str) -> StreamEnded | DeliveryRejected | None:
    """The error for a refused request of a stream; None where the refusal does not concern streams.

    `code` and `message` come from the connector's error body. The order of the checks is the order in Microsoft's
    SDK 2.1.1 (http_stream.py).
    """
    words = message.casefold()
    # "A task was canceled" is a server's own time-out. A person's Stop is told under several codes, in both spellings.
    stopped = "cancel" in f"{code} {words}".casefold() and not _OWN_TIMEOUT.search(words)
    if stopped and status in _REFUSALS and code not in CLOSED_CONVERSATION and "exceeded streaming time" not in words:
        return StreamStopped("stopped by the user")
    if status == 405 or (status == 400 and "streaming api is not enabled" in words):
        return StreamRefused(f"HTTP {status}")
    if status != 403 or (code and code != NOT_ALLOWED):
        return None
    if "not allowed" in words and "completed streamed message" not in words:
        return StreamRefused("not allowed")
    reasons = ("exceeded streaming time", "completed", "size too large", "previously streamed")
    return StreamEnded(next((reason for reason in reasons if reason in words), "other"))
