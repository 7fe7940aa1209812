"""The wire shapes of Teams' streamed messages, and what the connector's refusals of them mean.

https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux (docs/reference/teams.md, "Streaming"). Microsoft's SDKs
write the three values into an entity and into `channelData`; so does this.
"""

from __future__ import annotations

from typing import Any

from bridge.core.errors import DeliveryRejected, StreamEnded, StreamRefused, StreamStopped
from bridge.core.ports.channel import Chunk
from bridge.core.turn import Activity

# All refusals of a stream share this code; what they mean stands in their words.
NOT_ALLOWED = "ContentStreamNotAllowed"


def chunk_activity(chunk: Chunk) -> Activity:
    """A request of an open stream; the first one opens it."""
    info: dict[str, Any] = {
        "streamType": "informative" if chunk.informative else "streaming",
        "streamSequence": chunk.sequence,
    }
    if chunk.stream:
        info["streamId"] = chunk.stream
    return {"type": "typing", "text": chunk.text, "textFormat": "markdown"} | _marked(info, [], {})


def final_activity(activity: Activity, stream: str) -> Activity:
    """The stream's last request: an ordinary message with all that it may hold."""
    info = {"streamType": "final", "streamId": stream}
    return activity | _marked(info, activity.get("entities", []), activity.get("channelData", {}))


def _marked(info: dict[str, Any], entities: list[Any], channel_data: dict[str, Any]) -> Activity:
    return {"entities": [{"type": "streaminfo", **info}, *entities], "channelData": {**channel_data, **info}}


def stream_failure(status: int, code: str, words: str) -> StreamEnded | DeliveryRejected | None:
    """What a refused request of a stream means; None where it is no matter of streams.

    `words`: the error's message. The order is that of Microsoft's SDK 2.1.1 (http_stream.py).
    """
    said = words.casefold()
    if status == 405 or (status == 400 and "streaming api is not enabled" in said):
        return StreamRefused(f"HTTP {status}")
    if status != 403 or (code and code != NOT_ALLOWED):
        return None
    if "cancel" in said and "exceeded streaming time" not in said:
        return StreamStopped("stopped by the user")
    if "not allowed" in said and "completed streamed message" not in said:
        return StreamRefused("not allowed")
    reasons = ("exceeded streaming time", "completed", "size too large", "previously streamed")
    return StreamEnded(next((reason for reason in reasons if reason in said), "other"))
