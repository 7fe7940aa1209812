"""Limits of Teams that the bridge keeps: sizes, rates, times; each with its source and the bridge's margin.

What the connector answers beyond a limit (429, 413 MessageSizeTooBig, 403 of a stream) is read in
`teams/connector_answers.py` and `teams/streams.py`.
"""

from __future__ import annotations

PART_UNITS = 40_000
"""Longest text of a message in UTF-16 units, which is 80 KB; Teams takes about 100 KB, with all that stands around the
text (docs/reference/teams.md, "Size of a message")."""

CARD_BYTES = 28_000
"""Longest Adaptive Card in bytes of JSON (docs/reference/teams.md, "Size of a message")."""

PICTURE_BYTES = 1024 * 1024
PICTURE_SIDE = 1024
"""Largest picture beside a message, in bytes and in pixels a side (docs/reference/teams.md, "Pictures and cards")."""

ACTIVITY_LINE = 200
"""Longest activity line in characters; a stream takes 1,000 (docs/reference/teams.md, "What each request of a stream
holds")."""

STREAM_SECONDS = 110.0
"""Longest stream; Teams ends a stream after 120 s, two minutes, and the closing request must be there before
(docs/reference/teams.md, "Where and how long a stream runs")."""

STREAM_INTERVAL = 1.0
"""Seconds between two requests of a stream, the last request included.

https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux#rate-limits
"""

CONVERSATION_REQUESTS = ((1.0, 6), (2.0, 7), (30.0, 54))
CONVERSATION_REQUESTS_AN_HOUR = 1620
"""Requests of a bot in one conversation, as (seconds, requests) and in an hour: a tenth below Teams' limits, since the
server may split a message and count more. Beyond the limits the connector answers 429.

https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit#per-bot-per-thread-limit
"""

PROGRESS_A_SECOND = 30
REACTIONS_A_SECOND = 1.5
"""Progress and reactions in a whole tenant; Teams takes 50 requests of an app and 2 reactions a second, and answers
come first.

https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit#per-app-per-tenant-limit
"""
