"""Sorts the attachments of a Teams message: files, which `bridge.teams` fetches, and content that is no text.

Forms: docs/reference/teams.md, "Files and pictures that people send" and "Content that is no text".
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from bridge.core.files.content_type import clean_name
from bridge.core.files.shared import MOST_FILES, FileKind, SharedFile
from bridge.core.inbound.card_words import card_words, content_of
from bridge.core.inbound.html_contents import HtmlContents, html_contents
from bridge.core.inbound.html_to_markdown import html_to_markdown
from bridge.core.inbound.json_values import mapping, objects, text
from bridge.core.inbound.quotes import quotation
from bridge.core.no_text import NoText

DOWNLOAD_TYPE: Final = "application/vnd.microsoft.teams.file.download.info"
_MOST_SURPLUS = 10
_ASSETS: Final = "https://statics.teams.cdn.office.net/evergreen-assets/"
_NAMELESS: Final = "picture"
_LONGEST_URL = 8000
_GUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_FORWARD, _REFERENCE, _REPLY = "forwardedmessagereference", "reference", "messagereference"
# Words in a content type, in the order of checking; None: nothing to say where no words can be read.
_KINDS: Final = (
    ("announcement", None),
    ("fluid", NoText.LOOP),
    ("loop", NoText.LOOP),
    ("codesnippet", NoText.CODE),
    ("poll", NoText.POLL),
    ("location", NoText.LOCATION),
    ("card.audio", NoText.AUDIO),
    ("card.video", NoText.VIDEO),
    ("card.animation", NoText.GIF),
    ("card", NoText.CARD),
)


@dataclass(slots=True)
class Attached:
    """What the attachments hold: files; quotes, forwarded messages and cards as Markdown; content that is no text."""

    files: tuple[SharedFile, ...] = ()
    replies: list[str] = field(default_factory=list)
    forwards: list[str] = field(default_factory=list)
    cards: list[str] = field(default_factory=list)
    no_text: list[NoText] = field(default_factory=list)


def attached(attachments: Any, html: HtmlContents) -> Attached:
    """Sort the attachments, JSON of any shape; `html` has the message's rich text, sorted."""
    parts = [part for part in objects(attachments) if text(part.get("contentType")) not in ("", "text/html")]
    found = Attached(_files(parts, html))
    for part in parts:
        _sort(part, text(part.get("contentType")).casefold(), found)
    return found


def shared_files(attachments: Any, html: str) -> tuple[SharedFile, ...]:
    """Return the files of a message, withheld ones included; files beyond `MOST_FILES` are `FileKind.SURPLUS`."""
    return attached(attachments, html_contents(html)).files


def _sort(part: dict[str, Any], declared: str, found: Attached) -> None:
    if declared == _REPLY:
        found.replies.append(_message(content_of(part)))
    elif declared == _FORWARD:
        forward = _message(content_of(part))
        found.forwards += [forward] if forward else []
        found.no_text += [] if forward else [NoText.FORWARD]
    elif declared.startswith("audio/"):
        found.no_text.append(NoText.AUDIO)
    elif declared.startswith("video/"):
        found.no_text.append(NoText.VIDEO)
    elif _file(part) is None:
        kind = next((kind for word, kind in _KINDS if word in declared), NoText.OTHER)
        # a Loop component and a code snippet name an address only
        words = "" if kind in (NoText.LOOP, NoText.CODE, NoText.OTHER) else card_words(content_of(part))
        if words:
            found.cards.append("[Card]\n" + "\n".join(f"> {line}" for line in words.splitlines()))
        elif kind:
            found.no_text.append(kind)


def _message(content: dict[str, Any]) -> str:
    """The quoted or forwarded message as a quote with its author, "" where Teams gives no words of the message."""
    original = content.get("originalMessageContent")
    words = html_to_markdown(original) if isinstance(original, str) else ""
    sender = mapping(content.get("originalMessageSender") or content.get("messageSender"))
    author = next((name for key in ("user", "application") if (name := _name(sender.get(key)))), "")
    return quotation(author, words or text(content.get("messagePreview")))


def _name(identity: Any) -> str:
    return text(mapping(identity).get("displayName"))


def _files(parts: list[dict[str, Any]], html: HtmlContents) -> tuple[SharedFile, ...]:
    files = [file for part in parts if (file := _file(part)) is not None]
    files = _without_expressions(files, html)
    pictures = sum(file.kind is FileKind.PICTURE for file in files)
    files += [SharedFile(_NAMELESS, "", FileKind.PICTURE)] * (html.pasted - pictures)
    # In groups and channels Teams sends `<attachment id="GUID">` in the text and no file. The tags of quoted messages
    # have no GUID; the tags of cards and forwarded messages have the id of an attachment.
    ids = {text(part.get("id")).lower() for part in parts}
    named = {ident.lower() for ident in html.attachments if _GUID.fullmatch(ident)} - ids
    sent = sum(file.kind in (FileKind.DOWNLOAD, FileKind.WITHHELD) for file in files)
    files += [SharedFile("file", "", FileKind.WITHHELD)] * (len(named) - sent)
    return _limited(files)


def _limited(files: list[SharedFile]) -> tuple[SharedFile, ...]:
    """The first `MOST_FILES` files, and the names of a few more; a last entry counts the rest."""
    surplus = [SharedFile(file.name, "", FileKind.SURPLUS) for file in files[MOST_FILES:]]
    if (more := len(surplus) - _MOST_SURPLUS) > 0:
        surplus[_MOST_SURPLUS:] = [SharedFile(f"… +{more}", "", FileKind.SURPLUS)]
    return (*files[:MOST_FILES], *surplus)


def _without_expressions(files: list[SharedFile], html: HtmlContents) -> list[SharedFile]:
    """The files without emoji, stickers, GIFs and pictures of a quoted message.

    The address tells where HTML and attachment have the same address. Of further pictures without a name as many are
    left out as the HTML has expressions at other addresses, but never a picture that the HTML counts as the person's.
    """
    foreign = set(html.expressions) - {"", *html.pictures}
    own = [file for file in files if file.kind is not FileKind.PICTURE or not (file.url in foreign or _is_asset(file))]
    pictures = sum(file.kind is FileKind.PICTURE for file in own)
    elsewhere = Counter(html.expressions) - Counter(file.url for file in files)
    surplus = min(elsewhere.total(), pictures - len(html.pictures))
    kept = []
    for file in own:
        if surplus > 0 and file.kind is FileKind.PICTURE and file.name == _NAMELESS:
            surplus -= 1
        else:
            kept.append(file)
    return kept


def _is_asset(file: SharedFile) -> bool:
    """Whether a picture is Teams' own; no person's picture lies there, and the HTML may be missing."""
    return file.url.startswith(_ASSETS)


def _file(part: dict[str, Any]) -> SharedFile | None:
    declared, name = text(part.get("contentType")), text(part.get("name"))
    if declared == DOWNLOAD_TYPE:
        content = mapping(part.get("content"))
        url = _url(content.get("downloadUrl"))
        # Without a link the file could be had from Microsoft Graph only; the bridge's app has no rights for Graph.
        kind = FileKind.DOWNLOAD if url else FileKind.WITHHELD
        return SharedFile(clean_name(name), url, kind, text(content.get("fileType")))
    if declared.startswith("image/"):
        return SharedFile(clean_name(name or _NAMELESS), _url(part.get("contentUrl")), FileKind.PICTURE, declared)
    if declared == _REFERENCE or (name and part.get("contentUrl") and not declared.startswith(("audio/", "video/"))):
        return SharedFile(clean_name(name), "", FileKind.WITHHELD)
    return None


def _url(value: Any) -> str:
    url = text(value)
    return url if len(url) <= _LONGEST_URL else ""
