"""What is kept of one message of a chat, and how the page sees it. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from bridge.simulator.teams.world import BOT_NAME

Delivery = Literal["sending", "delivered", "refused", "retrying", "lost"]
StreamState = Literal["informative", "streaming"]
FileState = Literal["sent", "offered", "accepted", "declined"]

BOT_SENDER = "bot"


@dataclass(frozen=True, slots=True)
class Reaction:
    """`by` holds people's ids and BOT_SENDER, first come first."""

    type: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """The message that another one answers: its id, its author's name and how it begins."""

    id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class File:
    """A file in a message; `size` in bytes, 0 when unknown. `url` is for the page, None where there is nothing yet."""

    name: str
    size: int
    type: str
    url: str | None
    state: FileState


@dataclass(frozen=True, slots=True)
class Message:
    """One message as the page shows it. `at` is ISO 8601 in UTC; `html` is already sanitised.

    `sender` is a person's id or BOT_SENDER. `thread` is the root's id, on replies in channels. `stream` tells what
    an open stream shows; `stopped`, that a person ended it. A person's deleted message keeps its text, for
    Teams' "undo"; the page does not see it. `feedback_given` maps people to `like` or `dislike`. `consent` is what
    the bot wants to hear when a person answers its offer of a file.
    """

    id: str
    chat: str
    thread: str | None
    at: str
    sender: str
    name: str
    text: str
    html: str
    edited: bool = False
    deleted: bool = False
    ai: bool = False
    card: dict[str, Any] | None = None
    delivery: Delivery | None = None
    answered_action: str | None = None
    stream: StreamState | None = None
    stopped: bool = False
    quoted: Quote | None = None
    reactions: tuple[Reaction, ...] = ()
    feedback: bool = False
    feedback_given: dict[str, str] = field(default_factory=dict)
    files: tuple[File, ...] = ()
    consent: dict[str, Any] | None = None

    @property
    def from_bot(self) -> bool:
        return self.sender == BOT_SENDER


_FIELDS = frozenset(field.name for field in fields(Message))


def recalled(record: dict[str, Any]) -> Message:
    """The message of a journal's record, as it is after a restart: nothing is on its way, no stream is open.

    Raises KeyError, TypeError or ValueError for a record of another form.
    """
    known = {name: value for name, value in record.items() if name in _FIELDS}
    # what Teams was still trying to deliver died with it
    lost = known.get("delivery") in ("sending", "retrying")
    quoted = known.get("quoted")
    int(known["id"])
    return Message(
        **{
            **known,
            "delivery": "lost" if lost else known.get("delivery"),
            "stream": None,
            "quoted": Quote(**quoted) if quoted else None,
            "reactions": tuple(Reaction(one["type"], tuple(one["by"])) for one in known.get("reactions", ())),
            "files": tuple(File(**one) for one in known.get("files", ())),
        }
    )


def page_form(message: Message, *, notify: bool = False) -> dict[str, Any]:
    """The message as the page API gives it: its fields, without `sender`, `name` and `consent`, and with

    - `from`: `{"id": person or "bot", "name", "bot": bool}`
    - `notify`: a client would tell its person about it now; never true but in the first event about the bot's message
    """
    form = asdict(message)
    sender = form.pop("sender")
    name = BOT_NAME if message.from_bot else form["name"]
    del form["name"], form["consent"]
    if message.deleted:
        form |= {"text": "", "html": "", "card": None, "files": [], "quoted": None, "reactions": []}
    return {**form, "from": {"id": sender, "name": name, "bot": message.from_bot}, "notify": notify}


def reacted(reactions: tuple[Reaction, ...], who: str, kind: str, *, on: bool) -> tuple[Reaction, ...]:
    """The reactions after `who` has put on or taken off one of type `kind`; the same ones where nothing changes."""
    by = next((one.by for one in reactions if one.type == kind), ())
    if (who in by) == on:
        return reactions
    now = (*by, who) if on else tuple(other for other in by if other != who)
    changed = [Reaction(one.type, now) if one.type == kind else one for one in reactions]
    if not by:
        changed.append(Reaction(kind, now))
    return tuple(one for one in changed if one.by)
