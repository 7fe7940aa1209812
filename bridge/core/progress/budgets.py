"""Send budgets for conversations and tenants, so that Teams never has to refuse an answer.

All requests count: parts of answers, notes, typing. Answers wait for room; progress is skipped where answers may need
the room. Times are seconds of a monotonic clock (docs/architecture.md, "Progress and budgets").
"""

from __future__ import annotations

from bridge.core.teams_limits import (
    CONVERSATION_REQUESTS,
    CONVERSATION_REQUESTS_AN_HOUR,
    PROGRESS_A_SECOND,
    REACTIONS_A_SECOND,
)

_MINUTE = 60.0
# Progress takes this share at most, the rest is for answers. With several replicas each counts its own requests only.
_PROGRESS = 0.75
_BURST_SECONDS = 0.25
_PROGRESS_RATE = (PROGRESS_A_SECOND - 1) / (1.0 + _BURST_SECONDS)  # no second has more, a burst included
_LONGEST = max(limit for _, limit in CONVERSATION_REQUESTS)


class ConversationBudget:
    """The requests sent to one conversation. `shared`: further replicas may send there as well.

    `inherited`: the process is young, so half of the hour's requests count as sent by the process before.
    `typed`: the typing indicator was sent since the last answer; a further request only renews the indicator.
    `streamed`: when the last request of a stream was sent.
    """

    __slots__ = ("_held", "_hour", "_minute", "_minutes", "_recent", "_share", "streamed", "typed")

    def __init__(self, now: float, *, shared: bool = False, inherited: bool = False) -> None:
        self._share = _PROGRESS / 2 if shared else _PROGRESS
        self._recent: list[float] = []
        before = int(CONVERSATION_REQUESTS_AN_HOUR * (0.25 if shared else 0.5))
        self._minute = int(now // _MINUTE)
        self._minutes: dict[int, int] = {self._minute: before} if inherited else {}
        self._hour = before if inherited else 0
        self._held = 0.0
        self.typed = False
        self.streamed = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until there is room for an answer; 0.0: now."""
        recent, pause = self._recent, 0.0
        for window, limit in CONVERSATION_REQUESTS:
            if len(recent) < limit:
                break
            pause = max(pause, recent[-limit] + window - now)
        if self._this_hour(now) >= CONVERSATION_REQUESTS_AN_HOUR:
            pause = max(pause, (min(self._minutes) + 61) * _MINUTE - now)
        return pause

    def affords_progress(self, now: float) -> bool:
        """Whether there is room for progress, with enough left for answers."""
        if now < self._held or self.wait(now) > 0.0:
            return False
        half_minute = sum(at > now - 30.0 for at in self._recent)
        return (
            half_minute < self._share * _LONGEST and self._this_hour(now) < self._share * CONVERSATION_REQUESTS_AN_HOUR
        )

    def spent(self, now: float) -> None:
        """Count a request that is sent now."""
        self._recent.append(now)
        del self._recent[:-_LONGEST]
        self._forget(now)
        self._minutes[self._minute] = self._minutes.get(self._minute, 0) + 1
        self._hour += 1

    def hold(self, until: float) -> None:
        """Teams has refused a request: no progress before `until`."""
        self._held = max(self._held, until)

    def _this_hour(self, now: float) -> int:
        self._forget(now)
        return self._hour

    def _forget(self, now: float) -> None:
        """Drop counts older than an hour, once a minute."""
        minute = int(now // _MINUTE)
        if minute == self._minute:
            return
        self._minute = minute
        for old in [old for old in self._minutes if old < minute - 60]:
            self._hour -= self._minutes.pop(old)


class TenantBudget:
    """A rate limit over all conversations of a tenant, for progress and reactions."""

    __slots__ = ("_interval", "_tat", "_tolerance")

    def __init__(self, a_second: float) -> None:
        self._interval = 1.0 / a_second
        # no burst below one request a second
        self._tolerance = max(0.0, min(_BURST_SECONDS, 1.0 - self._interval))
        self._tat = float("-inf")

    @classmethod
    def of_progress(cls, *, shared: bool) -> TenantBudget:
        """The budget of streams, edits and repeated typing; with several replicas each takes half."""
        return cls(_PROGRESS_RATE / 2 if shared else _PROGRESS_RATE)

    @classmethod
    def of_reactions(cls, *, shared: bool) -> TenantBudget:
        """The budget of reactions added and removed; with several replicas each takes half."""
        return cls(REACTIONS_A_SECOND / 2 if shared else REACTIONS_A_SECOND)

    def take(self, now: float) -> bool:
        """Take a token if there is one (generic cell rate algorithm); False: the budget is empty, nothing was taken."""
        if self._tat - now > self._tolerance:
            return False
        self._tat = max(self._tat, now) + self._interval
        return True


def progress_interval(running: int, least: float) -> float:
    """Seconds between two requests of a turn's progress while `running` turns run, `least` or more.

    All turns together stay under 30 requests a second.
    """
    return max(least, running / _PROGRESS_RATE)
