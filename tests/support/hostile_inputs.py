"""Inputs made to cost much time: each a shape that grows with `n`, the number of characters, and the reader."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bridge.core.files.answer_links import linked_files
from bridge.core.files.prompt import TextFile, with_files
from bridge.core.identity import prompt_text, speaker_name
from bridge.core.inbound.activities import parse_activity
from bridge.core.markdown.partial import visible_prefix
from bridge.core.markdown.plain_words import plain_words
from bridge.core.markdown.render import render_answer, render_with_cards
from bridge.core.turn import Scope

_BOT = "28:bot"


@dataclass(frozen=True, slots=True)
class Hostile:
    """A reader, and a function that makes its input of about `n` characters."""

    read: Callable[[Any], object]
    make: Callable[[int], Any]

    def seconds(self, n: int, tries: int = 3) -> float:
        """The least processor time of this thread for reading an input of `n` characters."""
        made = self.make(n)
        taken = []
        for _ in range(tries):
            began = time.thread_time()
            self.read(made)
            taken.append(time.thread_time() - began)
        return min(taken)


def _activity(text: str = "", html: str = "", entities: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "1",
        "serviceUrl": "https://smba.trafficmanager.net/emea/",
        "from": {"id": "29:ann", "name": "Ann", "aadObjectId": "5d1c7e90-41aa-4b8f-8d3c-2f6e7a9b0c1d"},
        "recipient": {"id": _BOT, "name": "Bot"},
        "conversation": {"id": "19:g@thread.v2", "conversationType": "groupChat"},
        "text": text,
        "attachments": [{"contentType": "text/html", "content": html}] if html else [],
        "entities": entities or [],
    }


def _mention(name: str, id_: str = "29:x", text: str | None = None) -> dict[str, Any]:
    shown = f"<at>{name}</at>" if text is None else text
    return {"type": "mention", "text": shown, "mentioned": {"id": id_, "name": name}}


def _quote(id_: str, preview: str = "x") -> dict[str, Any]:
    return {"type": "quotedReply", "quotedReply": {"messageId": id_, "preview": preview, "senderName": "Bo"}}


def _each(n: int, characters: int, make: Callable[[int], str]) -> str:
    return "".join(map(make, range(n // characters)))


ACTIVITIES: dict[str, Callable[[int], dict[str, Any]]] = {
    "entities without a tag": lambda n: _activity("x" * n, "", [_mention(f"N{i}") for i in range(n // 60)]),
    "a tag for each entity": lambda n: _activity(
        _each(n, 60, lambda i: f"<at>N{i}</at>"), "", [_mention(f"N{i}") for i in range(n // 60)]
    ),
    "tags of one name": lambda n: _activity("<at>N</at>" * (n // 60), "", [_mention("N")] * (n // 60)),
    "spellings without a tag": lambda n: _activity("x" * n, "", [_mention("N", text=f"@N{i}") for i in range(n // 60)]),
    "own spellings without a tag": lambda n: _activity(
        "x" * n, "", [_mention("N", _BOT, f"@N{i}") for i in range(n // 60)]
    ),
    "names of the bot": lambda n: _activity(
        "", "<at>Q</at>" * (n // 60), [_mention(f"N{i}", _BOT) for i in range(n // 60)]
    ),
    "many of one name, tags without position": lambda n: _activity(
        "", "<p>" + "<at>Q</at>" * (n // 60), [_mention("Q")] * (n // 60)
    ),
    "a long name in each tag": lambda n: _activity("", '<at id="0">Q</at>' * (n // 40), [_mention("N " * (n // 4))]),
    "a name of blanks": lambda n: _activity("<at></at>" * (n // 20), "", [_mention(" " * n)]),
    "open tags of mentions": lambda n: _activity("<at>" * (n // 4), "", [_mention("N")]),
    "tags of mentions without end": lambda n: _activity("<at " * (n // 4), "", [_mention("N")]),
    "quotes": lambda n: _activity(
        _each(n, 40, lambda i: f'<quoted messageId="{i}"/>'), "", [_quote(str(i)) for i in range(n // 60)]
    ),
    "a quote of many lines": lambda n: _activity("", "", [_quote("1", "a\n" * (n // 2))]),
    "html, nested lists": lambda n: _activity("", "<ul><li>a" * (n // 9)),
    "html, nested quotes": lambda n: _activity("", "<blockquote>a" * (n // 13)),
    "html, tags without end": lambda n: _activity("", "<a " * (n // 3)),
    "html, quotation marks": lambda n: _activity("", "<a x=\"'" * (n // 7)),
    "html, comments": lambda n: _activity("", "<!--" * (n // 4)),
    "html, ends without start": lambda n: _activity("", "<b></p>" * (n // 7)),
    "html, rows": lambda n: _activity("", "<table>" + "<tr><td>a|" * (n // 10)),
    "html, code": lambda n: _activity("", "<pre>" + "`a" * (n // 2)),
    "html, breaks": lambda n: _activity("", "<br>" * (n // 4)),
    "html, references": lambda n: _activity("", "<p>" + "&#" * (n // 2)),
    "html, attachments": lambda n: _activity("", '<attachment id="a">' * (n // 19)),
    "html, echo": lambda n: _activity("<p>" * (n // 3), "<p>" * (n // 3)),
}
SPOKEN: dict[str, Callable[[int], str]] = {
    "opening brackets": lambda n: "[" * n,
    "bracket and blanks": lambda n: "[" + " " * n,
    "brackets and blanks": lambda n: ("[" + " " * 30) * (n // 31),
    "brackets and half a name": lambda n: "[fro" * (n // 4),
    "tags with brackets": lambda n: "[<b [>" * (n // 6),
    "tags": lambda n: "[" + "<b>" * (n // 3),
    "tags without end": lambda n: "[" + "<" * n,
    "references to brackets": lambda n: "&lbrack;" * (n // 8),
    "references in tags": lambda n: "[<b &lbrack;>" * (n // 13),
    "signs of references": lambda n: "[" + "&" * n,
    "half references": lambda n: "&#0" * (n // 3),
    "marks": lambda n: "[F" + "\u0301" * n,
    "invisible": lambda n: "[" + "\u200b" * n,
}
MARKDOWN: dict[str, Callable[[int], str]] = {
    "opening brackets": lambda n: "[" * n,
    "closing brackets": lambda n: "[a" + "]" * n,
    "pictures": lambda n: "![" * (n // 2),
    "links without end": lambda n: "[a](" * (n // 4),
    "labels": lambda n: "[a][b]" * (n // 6),
    "labels in many paragraphs": lambda n: "[a][b]\n\n" * (n // 8),
    "brackets, then backslashes": lambda n: "[" * 60 + "\\" * n,
    "brackets and items": lambda n: "[\n- " * (n // 4),
    "backslashes": lambda n: "\\" * n,
    "stars": lambda n: "*" * n,
    "stars and words": lambda n: "*a **b " * (n // 7),
    "underscores and words": lambda n: "_a __b " * (n // 7),
    "tildes and words": lambda n: "~~a ~b " * (n // 7),
    "backticks of growing length": lambda n: " ".join("`" * k for k in range(1, int((2 * n) ** 0.5))),
    "fences of growing length": lambda n: "".join("`" * k + "\na\n" for k in range(3, 3 + int((2 * n) ** 0.5))),
    "backticks": lambda n: "`" * n,
    "quotes in quotes": lambda n: "> " * (n // 2),
    "deep quotes": lambda n: ("> " * 25 + "a\n") * (n // 52),
    "items in items": lambda n: "- " * (n // 2),
    "lines of an item": lambda n: "- a\n" + "  b\n" * (n // 4),
    "table of bare pipes": lambda n: ("|a" * 40 + "|\n" + "|-" * 40 + "|\n" + "|\n" * 1600 + "\n") * (1 + n // 3365),
    "table of many columns": lambda n: "|a" * (n // 8) + "|\n" + "|-" * (n // 8) + "|\n" + "|\n" * (n // 4),
    "heads of tables": lambda n: "|a|\n|-|-|\n" * (n // 10),
    "formulas": lambda n: "$a$ " * (n // 4),
    "formulas of blanks": lambda n: ("$$\n" + " " * 1900 + "\n$$\n\n") * (1 + n // 1906),
    "open formulas": lambda n: "$$a\n" * (n // 4),
    "open round formulas": lambda n: "\\(a " * (n // 4),
    "definitions": lambda n: "[a][b]\n\n" + _each(n, 20, lambda i: f"[l{i}]: https://x.y\n"),
    "html": lambda n: "<b>a" * (n // 4),
    "html without end": lambda n: "<p " * (n // 3),
    "automatic links": lambda n: "<http://a" * (n // 9),
    "references": lambda n: "&amp" * (n // 4),
    "a long reference": lambda n: "&" + "a" * n,
    "thoughts": lambda n: "<think>" * (n // 7),
    "blanks": lambda n: " " * n + "a",
    "lines": lambda n: "a" + "\n" * n + "b",
    "tabs": lambda n: "\t" * n,
    "wide letters": lambda n: "\u91cd" * n,
    "accents": lambda n: "a" + "\u0301" * n,
    "footnotes": lambda n: "[^a]" * (n // 4),
}
WORDS: dict[str, Callable[[int], str]] = {
    "letters": lambda n: "a" * n,
    "letters and colons": lambda n: "a:" * (n // 2),
    "dots": lambda n: "www" + "." * n,
    "ampersands": lambda n: "&" * n,
    "ampersands and letters": lambda n: "&" + "a" * n,
    "brackets": lambda n: "[" * n,
    "blanks": lambda n: " " * n,
}


def _with_a_card(text: str) -> str:
    return f"```adaptive-card\n{text}"


def _file(text: str) -> object:
    return with_files("q", [TextFile(text, text, len(text.encode()))], [text], named=True)


HOSTILE: dict[str, Hostile] = {
    **{f"activity: {name}": Hostile(parse_activity, make) for name, make in ACTIVITIES.items()},
    **{
        f"message: {name}": Hostile(lambda text: prompt_text(Scope.GROUP, "Ann", text), make)
        for name, make in (SPOKEN | WORDS).items()
    },
    **{f"name: {name}": Hostile(speaker_name, make) for name, make in (SPOKEN | WORDS).items()},
    **{f"file: {name}": Hostile(_file, make) for name, make in (SPOKEN | WORDS).items()},
    **{f"plain words: {name}": Hostile(plain_words, make) for name, make in (WORDS | SPOKEN).items()},
    **{f"answer: {name}": Hostile(render_answer, make) for name, make in MARKDOWN.items()},
    **{
        f"answer with cards: {name}": Hostile(lambda text: render_with_cards(_with_a_card(text)), make)
        for name, make in MARKDOWN.items()
    },
    **{f"growing answer: {name}": Hostile(visible_prefix, make) for name, make in MARKDOWN.items()},
    **{
        f"links of an answer: {name}": Hostile(lambda text: linked_files(f"{text}/v1/files/", "http://gateway"), make)
        for name, make in MARKDOWN.items()
    },
}
"""Each input with its reader, by name."""
