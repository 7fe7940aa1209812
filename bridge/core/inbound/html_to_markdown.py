"""Turns the `text/html` attachment of a Teams message into Markdown for the agent.

Lists, code, tables, links, emphasis and quotes become Markdown; the caller decides the text of mentions; of all
remaining elements only the words stay. Elements in Teams' HTML: docs/reference/teams.md, "Fields of an activity".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from bridge.core.inbound.html_tables import Cell, cell, grid
from bridge.core.inbound.html_tokens import End, Start, decode, events

_ECHO = re.compile(r"\s*+(?:<(?:div|p)>\s*+)*+([^<]*+)(?:</(?:div|p)>\s*+)*+")
_SPACES = re.compile(r"[ \t\r\n\f]+")
_LANGUAGE = re.compile(r"(?:language-)?([\w+#.-]{1,30})")
_QUOTES = ("http://schema.skype.com/Reply", "http://schema.skype.com/Forward")
_MENTION = "http://schema.skype.com/Mention"
_MAX_DEPTH = 40  # open elements; deeper elements lose their Markdown, never their words

_MARKS = {"b": "**", "strong": "**", "i": "*", "em": "*", "s": "~~", "strike": "~~", "del": "~~"}
_CODE = ("pre", "code", "codeblock")
_SILENT = ("script", "style", "head", "title", "attachment")
_PARAGRAPHS = ("p", "h1", "h2", "h3", "h4", "h5", "h6")
_LINES = ("div", "section", "article", "header", "footer", "figure", "caption")
_BLOCKS = ("blockquote", "ul", "ol", "li", "table", "tr", "td", "th")
_INLINE = frozenset((*_MARKS, "a", "span", "at", "emoji", "customemoji"))
_CONTAINERS = _INLINE | frozenset((*_CODE, *_SILENT, *_BLOCKS))
_OFTEN_EMPTY = ("attachment", "emoji", "customemoji", "at")
# The open elements which a start tag closes.
_ENDS = {
    "li": ("li",),
    "td": ("td", "th"),
    "th": ("td", "th"),
    "tr": ("td", "th", "tr"),
}
_NESTED_LIST = "\0"  # begins an item made of a nested list; `html_tokens` removes control characters from the input


def plain_echo(html: str, text: str) -> str | None:
    """The words of `text`, the activity's own text, where the attachment `html` says the same; else None.

    Says the same: the HTML is a single run of words, bare or in `<p>` and `<div>` without attributes. Where both have
    the same character references, the text is decoded.
    """
    match = _ECHO.fullmatch(html)
    if match is None:
        return None
    words, typed = match[1], text.split()
    if "&" in words and words.split() == typed:
        return decode(text).strip()
    return text.strip() if words == text or decode(words).split() == typed else None


def html_to_markdown(html: str, mention: Callable[[str, str], str] = lambda _ident, name: name) -> str:
    """Turn the HTML of a Teams message into Markdown, in linear time and without errors for any input.

    Each mention (`<at id="0">` or Skype's `<span itemid="0">`) is replaced by `mention(ident, name)`; `ident` is ""
    for a mention without id. A quoted message becomes "> Author: words".
    """
    return tokens_to_markdown(events(html), mention)


def tokens_to_markdown(tokens: Iterable[str | Start | End], mention: Callable[[str, str], str]) -> str:
    """Turn HTML, split into tokens by `html_tokens.events`, into Markdown; see `html_to_markdown`."""
    reader = _Reader(mention)
    for token in tokens:
        match token:
            case str():
                reader.words(token)
            case Start(name, attributes):
                reader.start(name, attributes)
            case End(name):
                reader.end(name)
    return reader.result()


@dataclass(slots=True)
class _Frame:
    """An open element, with the text read inside so far."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    parts: list[str] = field(default_factory=list)
    items: list[str] = field(default_factory=list)  # of a list
    cells: list[Cell] = field(default_factory=list)  # of a row
    rows: list[list[Cell]] = field(default_factory=list)  # of a table
    author: str = ""  # of a quoted message
    same_inside: int = 0  # open elements of the same name without a frame of their own
    pending: int = 0  # line breaks due before the next words

    def write(self, text: str) -> None:
        """Append `text`, after the line breaks which are due."""
        if self.pending or not (self.parts or self.name in _INLINE):
            text = text.lstrip(" ")
        elif self.parts and self.parts[-1][-1] in " \n" and text.startswith(" "):
            text = text[1:]
        if not text:
            return
        if self.pending and self.parts:
            self.parts[-1] = self.parts[-1].rstrip(" ")
            self.parts.append("\n" * self.pending)
        self.pending = 0
        self.parts.append(text)

    def text(self) -> str:
        """Return the element's text without blanks around."""
        return "".join(self.parts).strip(" \n")


class _Reader:
    """Builds the Markdown from tags and words; words go to the innermost open element."""

    def __init__(self, mention: Callable[[str, str], str]) -> None:
        self._mention = mention
        self._open = [_Frame("")]
        self._code = 0  # how many code elements are open: 0 or 1

    def result(self) -> str:
        while len(self._open) > 1:
            self._close()
        return self._open[0].text()

    def words(self, words: str) -> None:
        if self._code:
            self._open[-1].parts.append(words)
        elif words:
            self._open[-1].write(_SPACES.sub(" ", words))

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if self._code:
            self._start_in_code(name, attributes)
        elif name == "br":
            self._break(1, add=True)
        elif name == "img":
            self._open[-1].write(" ".join((attributes.get("alt") or attributes.get("title", "")).split()))
        elif name == "hr":
            self._break(2)
            self._open[-1].write("---")
            self._break(2)
        elif name in _PARAGRAPHS:
            self._break(2)
            if name != "p":
                self._open[-1].write("#" * int(name[1]) + " ")
        elif name in _LINES:
            self._break(1)
        elif name in _CONTAINERS:
            self._start_container(name, attributes)

    def end(self, name: str) -> None:
        if name in _PARAGRAPHS:
            self._break(2)
        elif name in _LINES:
            self._break(1)
        elif name in _CONTAINERS and (frame := self._innermost(name)):
            if frame.same_inside:
                frame.same_inside -= 1
                return
            while self._close() is not frame:
                pass

    def _start_container(self, name: str, attributes: dict[str, str]) -> None:
        while self._open[-1].name in _ENDS.get(name, ()):
            self._close()
        if len(self._open) >= _MAX_DEPTH:
            self._start_without_frame(name)
            return
        self._open.append(_Frame(name, attributes))
        self._code += name in _CODE
        if name in _OFTEN_EMPTY and attributes.pop("/", None) is not None:
            self._close()

    def _start_in_code(self, name: str, attributes: dict[str, str]) -> None:
        code = self._open[-1]
        if name == "br" or (name in (*_PARAGRAPHS, *_LINES) and code.parts and not code.parts[-1].endswith("\n")):
            code.parts.append("\n")
        elif name in _CODE and "class" in attributes:
            code.attributes.setdefault("class", attributes["class"])
        self._start_without_frame(name)

    def _start_without_frame(self, name: str) -> None:
        if frame := self._innermost(name):
            frame.same_inside += 1

    def _innermost(self, name: str) -> _Frame | None:
        return next((frame for frame in reversed(self._open) if frame.name == name), None)

    def _break(self, lines: int, *, add: bool = False) -> None:
        """Note line breaks before the next words: of this element and, while without words, of its inline parents."""
        if self._code:
            return
        for frame in reversed(self._open):
            frame.pending = min(2, frame.pending + lines) if add else max(frame.pending, lines)
            if frame.parts or frame.name not in _INLINE:
                return

    def _close(self) -> _Frame:
        frame = self._open.pop()
        name = frame.name
        if name in _CODE:
            self._code -= 1
            self._close_code(frame)
        elif name in _INLINE:
            self._close_inline(frame)
        elif name in ("ul", "ol"):
            self._close_list(frame)
        elif name == "li" and self._open[-1].name in ("ul", "ol"):
            self._open[-1].items.append(frame.text())
        elif name in ("table", "tr", "td", "th"):
            self._close_table(frame)
        elif name == "blockquote":
            author = f"{frame.author}: " if frame.author and _is_reply(frame) else ""
            self._block((author + frame.text()).replace("\n", "\n> "), "> ")
        elif name not in _SILENT:
            self._block(frame.text(), "- ", 1)  # an item outside of any list
        return frame

    def _block(self, text: str, mark: str = "", lines: int = 2) -> None:
        if text:
            self._break(lines)
            self._open[-1].write(mark + text)
            self._break(lines)

    def _close_code(self, frame: _Frame) -> None:
        code = "".join(frame.parts).replace("\r", "")
        longest = max(map(len, re.findall("`+", code)), default=0)
        if frame.name == "code" and "\n" not in code:
            ticks = "`" * (longest + 1)
            air = " " if longest else ""
            self._open[-1].write(f"{ticks}{air}{code.strip()}{air}{ticks}" if code.strip() else code[:1])
            return
        names = frame.attributes.get("class", "").split()
        language = _LANGUAGE.fullmatch(names[0]) if names else None
        ticks = "`" * max(3, longest + 1)
        if code.strip():
            code = code.strip("\n")
            self._block(f"{ticks}{language[1].lower() if language else ''}\n{code}\n{ticks}")

    def _close_inline(self, frame: _Frame) -> None:
        raw, text, parent = "".join(frame.parts), frame.text(), self._open[-1]
        kind, prop = frame.attributes.get("itemtype"), frame.attributes.get("itemprop")
        if prop == "mri" and (quote := self._innermost("blockquote")) and _is_reply(quote):
            quote.author = " ".join(text.split())
            return
        if prop == "time":
            return
        if frame.name == "at" or kind == _MENTION:
            ident = frame.attributes.get("itemid") or frame.attributes.get("id", "")
            text = self._mention(ident, " ".join(text.split()))
        elif frame.name in ("emoji", "customemoji"):
            text = frame.attributes.get("alt") or text or frame.attributes.get("title", "")
        elif frame.name == "a":
            text = _link(" ".join(text.split()), frame.attributes.get("href", ""))
        elif (mark := _MARKS.get(frame.name)) and text and "\n" not in text:
            marked = any(_MARKS.get(outer.name) == mark for outer in self._open)
            text = text if marked else f"{mark}{text}{mark}"
        parent.write((" " if raw.startswith(" ") else "") + text)
        parent.write(" " if raw.endswith(" ") else "")
        if frame.parts:
            self._break(frame.pending)

    def _close_list(self, frame: _Frame) -> None:
        start = frame.attributes.get("start", "")
        number = int(start) if frame.name == "ol" and start.isascii() and start.isdigit() and len(start) < 9 else 1
        lines: list[str] = []
        for item in filter(None, [frame.text(), *frame.items]):
            marker = "- " if frame.name == "ul" else f"{number}. "
            indented = re.sub(r"\n(?!\n)", "\n" + " " * len(marker), item.removeprefix(_NESTED_LIST))
            lines.append((" " * len(marker) if item.startswith(_NESTED_LIST) else marker) + indented)
            number += not item.startswith(_NESTED_LIST)
        if not lines:
            return
        parent = self._open[-1]
        if parent.name in ("ul", "ol"):
            parent.items.append(_NESTED_LIST + "\n".join(lines))
        else:
            self._block("\n".join(lines), lines=1 if parent.name == "li" else 2)

    def _close_table(self, frame: _Frame) -> None:
        parent, text = self._open[-1], frame.text()
        if frame.name in ("td", "th"):
            words = " ".join(text.split()).replace("|", "\\|")
            if parent.name == "tr":
                parent.cells.append(cell(words, frame.attributes))
            elif parent.name == "table":
                parent.rows.append([cell(words, frame.attributes)])
            else:
                parent.write(f" {words} ")
        elif frame.name == "tr" and parent.name == "table":
            parent.rows.append([*frame.cells, Cell(text)] if text else frame.cells)
        else:
            rows = grid([*frame.rows, frame.cells])
            lines = [f"| {' | '.join(row)} |" for row in rows]
            lines[1:1] = ["|" + " --- |" * len(rows[0])] if rows else []
            self._block("\n".join([*([text, ""] if text else []), *lines]))


def _is_reply(frame: _Frame) -> bool:
    return frame.attributes.get("itemtype") in _QUOTES


def _link(words: str, href: str) -> str:
    href = re.sub(r"\s", "%20", href.strip()).replace("(", "%28").replace(")", "%29")
    if not href.casefold().startswith(("https://", "http://", "mailto:")):
        return words
    if words in ("", href, href.removeprefix("mailto:"), href.removesuffix("/")):
        return words or href
    return f"[{words}]({href})"
