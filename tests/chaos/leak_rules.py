"""Judges what people and the agent must never read: texts of different people, and words of providers. Pure.

docs/architecture.md, "Guarantees", 7 and the second half of 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from chaos.allowed_words import is_allowed
from chaos.records import BotMessage, History, Violation

_TOKEN = re.compile(r"\[(t\d+)\]")
_MENTION = re.compile(r"<at>([^<]*)</at>")
_QUOTED = re.compile(r'<quoted messageId="(\w+)"/>')


def check_leaks(history: History) -> Iterator[Violation]:
    """Judge all texts that were ever shown, all runs, and all deletions of sessions."""
    lanes = {message.id: message.lane for message in history.person_messages}
    by_token = {message.token: message.lane for message in history.person_messages if message.token}
    for shown in dict.fromkeys([*history.bot_messages, *history.visible]):
        yield from _shown_elsewhere(shown, lanes, by_token)
        if not is_allowed(shown.text):
            yield Violation("raw words", shown.lane, f"{shown.reply_to} {shown.at:.2f} {shown.text[:120]!r}")
    yield from _asked_elsewhere(history, by_token)
    yield from _deleted_elsewhere(history)


def _shown_elsewhere(shown: BotMessage, lanes: dict[str, str], by_token: dict[str, str]) -> Iterator[Violation]:
    """Guarantee 7: each lane shows answers to its own messages only, quotes and mentions its own people only."""
    tokens = {token for token in _TOKEN.findall(shown.text) if by_token.get(token, shown.lane) != shown.lane}
    about = {shown.reply_to, *_QUOTED.findall(shown.text)}
    ids = {id_ for id_ in about if lanes.get(id_, shown.lane) != shown.lane}
    names = {name for name in _MENTION.findall(shown.text) if not f"{name} ".startswith(f"{shown.lane} ")}
    if found := sorted(tokens | ids | names):
        yield Violation("another's answer", shown.lane, f"{' '.join(found)} at {shown.at:.2f}")


def _asked_elsewhere(history: History, by_token: dict[str, str]) -> Iterator[Violation]:
    """Guarantee 7: questions and files reach the session of their own lane only; refused runs were sent as well."""
    for run in history.runs:
        asked = (*run.tokens, *run.files)
        if found := sorted({token for token in asked if by_token.get(token, run.lane) != run.lane}):
            yield Violation("another's session", run.lane, f"{' '.join(found)} at {run.began:.2f}")


def _deleted_elsewhere(history: History) -> Iterator[Violation]:
    """Guarantee 7: a session is deleted only after a `/new` in its own lane."""
    for deleted in history.deleted_sessions:
        asked = (m for m in history.person_messages if m.lane == deleted.lane and not m.token)
        if not any(message.sent < deleted.at for message in asked):
            yield Violation("another's session", deleted.lane, f"deleted at {deleted.at:.2f}")
