"""The activity line of a run, in people's words: the agent's events in, one line out. For display only."""

from __future__ import annotations

from typing import Final, assert_never

from bridge.core.markdown.plain_words import plain_words
from bridge.core.ports.agent import AgentEvent, RunEnded, TextCame, TextWithdrawn, Thinking, ToolBegan, ToolEnded
from bridge.core.teams_limits import ACTIVITY_LINE
from bridge.core.texts import say

# Part of a tool's name, and the text key for such tools. Agents choose the names; the first match wins.
_TOOLS: Final = (
    ("search_memory", "doing_memory"),
    ("memory", "doing_memory"),
    ("search", "doing_search"),
    ("fetch", "doing_read"),
    ("browse", "doing_read"),
    ("read", "doing_read"),
    ("list", "doing_read"),
    ("write", "doing_write"),
    ("edit", "doing_write"),
    ("exec", "doing_run"),
    ("shell", "doing_run"),
    ("bash", "doing_run"),
    ("python", "doing_run"),
    ("image", "doing_picture"),
    ("time", "doing_clock"),
    ("spawn", "doing_delegate"),
    ("agent", "doing_delegate"),
)
_MOST_DONE = 3


class ActivityLine:
    """The activities of one run so far. `text`: the raw answer so far; `withdrawn`: how often text was withdrawn."""

    __slots__ = ("_done", "_locale", "_now", "text", "withdrawn")

    def __init__(self, locale: str) -> None:
        self._locale = locale
        self._now = ""
        self._done: dict[str, None] = {}
        self.text = ""
        self.withdrawn = 0

    def on_event(self, event: AgentEvent) -> None:
        """Take in an event of the run."""
        match event:
            case Thinking():
                self._now = self._now or say("doing_think", self._locale)
            case ToolBegan():
                self._now = _line(event, self._locale)
                self._done[self._now] = None
            case ToolEnded():
                self._now = ""
            case TextCame():
                self.text += event.text
                self._now = ""
            case TextWithdrawn():
                self.text = ""
                self.withdrawn += 1
            case RunEnded():
                pass
            case _:
                assert_never(event)

    def now(self) -> str:
        """The present activity, in the reader's language."""
        return self._now or say("doing_work", self._locale)

    def done(self, seconds: float) -> str:
        """The closing line: the first tools, the number of further tools, and the time in all (`seconds`)."""
        listed = list(self._done)[:_MOST_DONE]
        more = len(self._done) - len(listed)
        words = ", ".join(listed) + (f" (+{more})" if more else "")
        return f"✓ {words} · {duration(seconds, self._locale)}" if words else f"✓ {duration(seconds, self._locale)}"


def duration(seconds: float, locale: str) -> str:
    """A time as people say it: `40 s`, `2 min`."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return say("seconds", locale, count=rest)
    words = say("minutes", locale, count=minutes)
    return f"{words} {say('seconds', locale, count=rest)}" if rest and minutes < 5 else words


def _line(tool: ToolBegan, locale: str) -> str:
    name = tool.name.casefold()
    key = next((key for part, key in _TOOLS if part in name), "")
    argument = plain_words(tool.argument)
    if not key:
        return say("doing_tool", locale, tool=plain_words(tool.name))[:ACTIVITY_LINE]
    words = say(key, locale)
    return (f"{words}: {argument}" if argument else words)[:ACTIVITY_LINE]
