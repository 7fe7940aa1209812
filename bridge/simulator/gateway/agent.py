"""The stand-in agent: answers by scripts instead of a model, and says so.

Pure: the text, the session's history and the time in; a script of steps out. The agent knows only the given history,
so a remembered name shows the gateway's session at work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain

from bridge.simulator.gateway.samples import CODE, MARKDOWN, TABLE, long_answer
from bridge.simulator.gateway.script import Deliver, Fail, Say, Script, Step, Think, UseTool, Wait
from bridge.simulator.gateway.sessions import Message

_LONGEST_WAIT = 600.0  # seconds; a demo needs no more, and a typing error must not hold a session for days


@dataclass(frozen=True, slots=True)
class Prompt:
    """The input of an answer: the person's name ("" if unknown) and words, earlier messages, the time."""

    speaker: str
    text: str
    past: tuple[tuple[str, str], ...]  # (speaker, line) of earlier user messages, oldest first
    now: datetime


@dataclass(frozen=True, slots=True)
class Phrase:
    """A known phrase and its effect in words; ``pattern`` matches messages, ``answer`` writes the script."""

    say: str
    shows: str
    pattern: re.Pattern[str] = field(repr=False)
    answer: Callable[[Prompt, re.Match[str]], Script] = field(repr=False)


def reply(text: str, history: Iterable[Message], now: datetime) -> Script:
    """The script that answers ``text`` in a session with this ``history`` (messages oldest first)."""
    past = chain.from_iterable(_lines(str(m["content"])) for m in history if m["role"] == "user")
    lines = _lines(text)
    speaker = lines[-1][0] if lines else ""
    said = "\n".join(line for _, line in lines)
    prompt = Prompt(speaker, said, (*past, *lines), now)
    for phrase in PHRASES:
        if found := phrase.pattern.search(said):
            return phrase.answer(prompt, found)
    return _echo(prompt)


def phrases() -> list[dict[str, str]]:
    """The table of phrases for people, each with its effect; the phrases to try first come first."""
    order = {say: place for place, say in enumerate(_TRY_FIRST)}
    sorted_for_people = sorted(PHRASES, key=lambda phrase: order.get(phrase.say, len(order)))
    return [{"say": phrase.say, "shows": phrase.shows} for phrase in sorted_for_people]


_TRY_FIRST = ("I'm Alice", "What's my name?", "take 20 seconds", "show me markdown", "What can you do?")

_FROM = re.compile(r"^\[From: (?P<name>[^\]]+)\]\s*")
_NAME = re.compile(
    r"^(?:(?P<loose>i['’]m|i am)|(?:my name is|call me))\s+"
    r"(?P<name>[^\W\d_][\w'’-]*(?: [^\W\d_a-z][\w'’-]*){0,2})\s*(?:[.!,;].*)?$",
    re.IGNORECASE,
)
_FACT = re.compile(r"^(?:please\s+)?remember(?:\s*[:,]\s*|\s+that\s+)(?P<fact>\S.*)$", re.IGNORECASE)


def _lines(text: str) -> list[tuple[str, str]]:
    """(speaker, line) of each line that is not blank; a ``[From: Name]`` holds until the next."""
    speaker, lines = "", []
    for line in text.splitlines():
        if found := _FROM.match(line):
            speaker, line = found["name"].strip(), line[found.end() :]  # noqa: PLW2901  without the prefix
        if line.strip():
            lines.append((speaker, line.strip()))
    return lines


def _name_in(line: str) -> str:
    """The name introduced by a line, or "". "I'm Alice" and "my name is bob" are introductions, "I'm tired" is not."""
    found = _NAME.match(line)
    if found is None or (found["loose"] and found["name"][0].islower()):
        return ""
    return found["name"]


def _greet(prompt: Prompt, _: re.Match[str]) -> Script:
    name = next((name for _, line in _lines(prompt.text) if (name := _name_in(line))), "")
    if not name:
        return _echo(prompt)
    return (Say(f"Hello {name}. I am the stand-in agent, and I will remember your name in this conversation."),)


def _tell_name(prompt: Prompt, _: re.Match[str]) -> Script:
    names = [name for speaker, line in prompt.past if speaker == prompt.speaker and (name := _name_in(line))]
    if names:
        return (Say(f"Your name is {names[-1]}."),)
    if prompt.speaker:
        return (Say(f"Teams says your name is {prompt.speaker}. You have not told me another one here."),)
    return (Say("I do not know your name: you have not told me in this conversation. Try “I'm Alice”."),)


def _facts(prompt: Prompt) -> list[str]:
    facts = []
    for speaker, line in prompt.past:
        if found := _FACT.match(line):
            facts.append(f"{speaker}: {found['fact']}" if speaker else found["fact"])
    return facts


def _note(prompt: Prompt, _: re.Match[str]) -> Script:
    noted = [found["fact"] for _, line in _lines(prompt.text) if (found := _FACT.match(line))]
    return (Say("Noted: " + "; ".join(noted)),)


def _recall(prompt: Prompt, _: re.Match[str]) -> Script:
    known = [f"Your name is {name}." for s, line in prompt.past if s == prompt.speaker and (name := _name_in(line))]
    entries = [*known[-1:], *_facts(prompt)]
    if not entries:
        return (Say("Nothing that I was to remember. Try “Remember: the launch is on Friday”."),)
    return (Say("In this conversation I was told:\n\n" + "\n".join(f"- {entry}" for entry in entries)),)


def _seconds(found: re.Match[str], default: float) -> float:
    number = float(found["n"].replace(",", ".")) if found["n"] else default
    return min(number * (60 if found["unit"].lower().startswith("min") else 1), _LONGEST_WAIT)


def _slow(_: Prompt, found: re.Match[str]) -> Script:
    seconds = _seconds(found, 20)
    return (Wait(seconds), Say(f"Done. That took {seconds:g} seconds, as you asked."))


def _slow_tool(_: Prompt, found: re.Match[str]) -> Script:
    seconds = _seconds(found, 20)
    tool = UseTool("exec", {"command": f"sleep {seconds:g}"}, "", seconds)
    return (Say("Let me run that."), tool, Say(f"The tool has run for {seconds:g} seconds."))


def _count(_: Prompt, found: re.Match[str]) -> Script:
    last = min(max(int(found["n"]), 1), 120)
    script: list[Step] = [Say(counted(1, last))]
    for n in range(2, last + 1):
        script += [Wait(0.5), Say(f"\n{counted(n, last)}")]
    return tuple(script)


def counted(n: int, last: int) -> str:
    """A counted line, long enough to be shown while being written (a short line may still become a heading)."""
    return f"This is number {n} of the {last} that I was asked to count."


def _time(prompt: Prompt, _: re.Match[str]) -> Script:
    written = prompt.now.isoformat(timespec="seconds")
    tool = UseTool("datetime", {}, written, 0.3)
    return (Say("Let me look."), tool, Say(f"The gateway's clock says {written}."))


def _research(_: Prompt, found: re.Match[str]) -> Script:
    topic = found["topic"].strip()
    page = f"https://example.com/{topic.split()[0].lower()}?session=1234"
    return (
        Think(f"I should look up {topic} first."),
        Say("Let me search."),
        UseTool("web_search", {"query": topic}, "1 result", 1.5),
        Say("I open the first result."),
        UseTool("web_fetch", {"url": page}, "HTTP 404", 0.5, failed=True),
        Wait(0.3),  # as a model, which takes a while to read a result
        Say(f"I have found one page on {topic}, and it could not be opened. I am a stand-in, and have no web."),
    )


def _fail(_: Prompt, found: re.Match[str]) -> Script:
    status = int(found["status"] or 500)
    words = (
        f'{{"error": {{"message": "The stand-in provider fails as asked (account acct_4711 at '
        f'https://provider.invalid/v1)", "type": "stand_in_error", "code": "{status}"}}}}'
    )
    return (Fail(status, words),)


def _file(prompt: Prompt, _: re.Match[str]) -> Script:
    facts = "\n".join(f"- {fact}" for fact in _facts(prompt)) or "- nothing yet"
    text = f"Notes of the stand-in agent\n\nWhat I was told in this conversation:\n{facts}\n"
    # named by the content, so that sessions do not overwrite the notes of a different session
    name = f"notes-{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:12]}.txt"
    return (Deliver(name, text), Say(f"Here are my notes: [{name}](/v1/files/workspace/{name})"))


def _help(_: Prompt, __: re.Match[str]) -> Script:
    table = "\n".join(f"- “{phrase.say}” — {phrase.shows}" for phrase in PHRASES)
    return (Say(f"I am the stand-in agent of the simulated gateway, not a model. I know these:\n\n{table}"),)


def _echo(prompt: Prompt) -> Script:
    quoted = "\n".join(f"> {line}" for line in prompt.text[:600].splitlines()) or "> (no text)"
    listed = "\n".join(f"- {phrase.say}" for phrase in PHRASES[:6])
    return (
        Say(
            f"I read{f', from {prompt.speaker}' if prompt.speaker else ''}:\n\n{quoted}\n\n"
            "I am the stand-in agent, not a model: I answer a few phrases, for example\n\n"
            f"{listed}\n\n“What can you do?” lists them all."
        ),
    )


def _text(*texts: str) -> Callable[[Prompt, re.Match[str]], Script]:
    return lambda _heard, _found: tuple(map(Say, texts))


def _phrase(say: str, shows: str, pattern: str, answer: Callable[[Prompt, re.Match[str]], Script]) -> Phrase:
    return Phrase(say, shows, re.compile(pattern, re.IGNORECASE | re.MULTILINE), answer)


_DURATION = r"(?P<n>\d{1,6}(?:[.,]\d{1,3})?)?\s*(?P<unit>s|sec|secs|seconds?|min|mins|minutes?)\b"
# Questions stand before statements: of a message with both, the question wants an answer.
PHRASES: Sequence[Phrase] = (
    _phrase("What's my name?", "whether it remembers you", r"\bwhat(?:['’]s| is) my name\b", _tell_name),
    _phrase(
        "What did I tell you?", "all it remembers of this conversation", r"\bwhat did (?:i|we) tell you\b", _recall
    ),
    _phrase("I'm Alice", "it remembers your name", r"^(?:i['’]m|i am|my name is|call me)\s+\S", _greet),
    _phrase(
        "Remember: the launch is on Friday",
        "it remembers what it is told",
        r"^(?:please\s+)?remember(?:\s*[:,]\s*|\s+that\s+)\S",
        _note,
    ),
    _phrase(
        "use a tool for 20 seconds", "a tool that runs for long", rf"\buse a (?:slow )?tool for {_DURATION}", _slow_tool
    ),
    _phrase("take 20 seconds", "a slow answer (any number up to 600)", rf"\btake (?:about )?{_DURATION}", _slow),
    _phrase(
        "count to 10",
        "an answer written bit by bit",
        r"\bcount to (?P<n>\d{1,3})\b",
        _count,
    ),
    _phrase(
        "write a long answer",
        "over 100 KB, sent in parts",
        r"\blong answer\b",
        lambda _heard, _found: (Say(long_answer()),),
    ),
    _phrase("show me code", "a code block", r"\bshow me (?:some )?code\b", _text(CODE)),
    _phrase("show me a table", "a table", r"\bshow me a table\b", _text(TABLE)),
    _phrase("show me markdown", "headings, lists, quotes, links", r"\bshow me (?:some )?markdown\b", _text(MARKDOWN)),
    _phrase("what time is it?", "a tool call, then the answer", r"\bwhat time is it\b", _time),
    _phrase(
        "research penguins",
        "thoughts, a search, and a tool that fails",
        r"\bresearch (?P<topic>\w[\w ]{0,60})",
        _research,
    ),
    _phrase(
        "send me a file",
        "an answer with a file: an offer, or in groups a link",
        r"\bsend me a file\b",
        _file,
    ),
    _phrase(
        "let the provider fail",
        "the model's provider fails (add “with 429” for another status)",
        r"\bprovider fail(?: with (?P<status>[45]\d\d))?\b",
        _fail,
    ),
    _phrase(
        "speak of an error",
        "an answer that only looks like a failure",
        r"\bspeak of an error\b",
        _text("Error: is how this answer begins, and yet all went well."),
    ),
    _phrase("stay silent", "the agent chooses not to answer", r"^stay silent\b", _text("NO_REPLY")),
    _phrase("say nothing", "an empty answer", r"^say nothing\b", _text("")),
    _phrase("What can you do?", "this table", r"\bwhat can you do\b|^help\b", _help),
)
