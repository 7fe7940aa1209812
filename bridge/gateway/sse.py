"""Decodes server-sent events: pieces of bytes in, the data of complete events out. Pure.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream. Names, ids and comments are
ignored, since the gateway sends none (docs/reference/goclaw.md, "Stream"). The caller limits the number of bytes, and
checks for the last event: an event without its blank line is dropped.
"""

from __future__ import annotations

_BOM = b"\xef\xbb\xbf"


class SseDecoder:
    """The decoder of a single stream."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._data: list[bytes] = []
        self._after_cr = False
        self._first = True

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of each event that the piece completes."""
        if not piece:
            return []
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]  # second half of a CRLF cut in two
        self._after_cr = piece.endswith(b"\r")
        events = []
        # splitlines of bytes knows CR, LF and CRLF only, as the standard does
        for part in piece.splitlines(keepends=True):
            text = part.rstrip(b"\r\n")
            self._line += text
            if len(text) == len(part):
                break  # the line goes on in the next piece
            if (data := self._end_of_line()) is not None:
                events.append(data)
        return events

    def _end_of_line(self) -> bytes | None:
        line = bytes(self._line)
        self._line.clear()
        if self._first:
            self._first, line = False, line.removeprefix(_BOM)
        if not line:
            data, self._data = self._data, []
            return b"\n".join(data) if data else None
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return None
