"""How much may leave for one conversation, so that Teams never has to refuse an answer (docs/architecture.md, "Progress and budgets").

Everything counts: answers, their parts, notes, typing. Answers wait until they fit; progress is left out where it would
take from what answers may need. Time comes in as a number of seconds that only grows.
"""

from __future__ import annotations

# Limits of a bot in one conversation, and a tenth left free: the server may split a message and count more.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit#per-bot-per-thread-limit
_SHORT = ((1.0, 6), (2.0, 7), (30.0, 54))
_HOUR = 1620
_MINUTE = 60.0
# What progress leaves to answers; of several replicas each sees only what it sends itself.
_PROGRESS = 0.75
# A tenant's limit is 50 a second for everything an app sends, and 2 a second for reactions; answers come first.
# https://learn.microsoft.com/microsoftteams/platform/bots/how-to/rate-limit#per-app-per-tenant-limit
_PROGRESS_IN_A_SECOND = 30
_REACTIONS_A_SECOND = 1.5
_BURST_SECONDS = 0.25
_PROGRESS_RATE = (_PROGRESS_IN_A_SECOND - 1) / (1.0 + _BURST_SECONDS)  # so that no second holds more, burst and all
STREAM_INTERVAL = 1.0
"""Seconds between two requests of one stream, its last one included.

https://learn.microsoft.com/microsoftteams/platform/bots/streaming-ux#rate-limits
"""
_LONGEST = max(limit for _, limit in _SHORT)


class ConversationBudget:
    """What has left for one conversation. `shared`: other replicas may send there, too.

    `inherited`: the process is young, so half of what the hour allows may have been sent before it began.
    `typed`: an indicator was shown since the last answer; another one only renews it.
    """

    __slots__ = ("_held", "_hour", "_minute", "_minutes", "_recent", "_share", "streamed", "typed")

    def __init__(self, now: float, *, shared: bool = False, inherited: bool = False) -> None:
        self._share = _PROGRESS / 2 if shared else _PROGRESS
        self._recent: list[float] = []
        before = int(_HOUR * (0.25 if shared else 0.5))
        self._minute = int(now // _MINUTE)
        self._minutes: dict[int, int] = {self._minute: before} if inherited else {}
        self._hour = before if inherited else 0
        self._held = 0.0
        self.typed = False
        self.streamed = float("-inf")

    def wait(self, now: float) -> float:
        """Seconds until an answer fits; 0.0: now."""
        recent, pause = self._recent, 0.0
        for window, limit in _SHORT:
            if len(recent) < limit:
                break
            pause = max(pause, recent[-limit] + window - now)
        if self._this_hour(now) >= _HOUR:
            pause = max(pause, (min(self._minutes) + 61) * _MINUTE - now)
        return pause

    def affords_progress(self, now: float) -> bool:
        """Whether something that may as well be left out fits, with enough left for answers."""
        if now < self._held or self.wait(now) > 0.0:
            return False
        half_minute = sum(at > now - 30.0 for at in self._recent)
        return half_minute < self._share * _LONGEST and self._this_hour(now) < self._share * _HOUR

    def spent(self, now: float) -> None:
        """Something leaves now."""
        self._recent.append(now)
        del self._recent[:-_LONGEST]
        self._forget(now)
        self._minutes[self._minute] = self._minutes.get(self._minute, 0) + 1
        self._hour += 1

    def hold(self, until: float) -> None:
        """Teams has refused: nothing that may be left out before `until`."""
        self._held = max(self._held, until)

    def _this_hour(self, now: float) -> int:
        self._forget(now)
        return self._hour

    def _forget(self, now: float) -> None:
        """What is older than an hour counts no more; looked at when a minute has passed."""
        minute = int(now // _MINUTE)
        if minute == self._minute:
            return
        self._minute = minute
        for old in [old for old in self._minutes if old < minute - 60]:
            self._hour -= self._minutes.pop(old)


class TenantBudget:
    """So many in a second over all conversations, for what may be left out."""

    __slots__ = ("_interval", "_tat", "_tolerance")

    def __init__(self, a_second: float) -> None:
        self._interval = 1.0 / a_second
        # none where they come more slowly than one a second
        self._tolerance = max(0.0, min(_BURST_SECONDS, 1.0 - self._interval))
        self._tat = float("-inf")

    @classmethod
    def of_progress(cls, *, shared: bool) -> TenantBudget:
        """Streams, edits and repeated typing; of several replicas each takes half."""
        return cls(_PROGRESS_RATE / 2 if shared else _PROGRESS_RATE)

    @classmethod
    def of_reactions(cls, *, shared: bool) -> TenantBudget:
        """Reactions put on messages and taken off."""
        return cls(_REACTIONS_A_SECOND / 2 if shared else _REACTIONS_A_SECOND)

    def take(self, now: float) -> bool:
        """Whether there is one left for now; then it is taken (the generic cell rate algorithm)."""
        if self._tat - now > self._tolerance:
            return False
        self._tat = max(self._tat, now) + self._interval
        return True


def progress_interval(running: int, least: float) -> float:
    """Seconds between two signs of progress of one turn, where so many run: all together stay under 30 a second."""
    return max(least, running / _PROGRESS_RATE)
