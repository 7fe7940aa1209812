"""A message of a chat as the tenant stores the message, and the message's form for the page. Pure."""

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
    """The people (and BOT_SENDER) who reacted with an emoji, oldest first: `by` holds page ids."""

    type: str
    by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quote:
    """The message quoted by a reply: id, author's name and the beginning of the text."""

    id: str
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class File:
    """A file in a message; `size` in bytes, 0 when unknown. `url` is for the page, None before the upload."""

    name: str
    size: int
    type: str
    url: str | None
    state: FileState


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a chat. `at` is ISO 8601 in UTC; `html` is already sanitised.

    `sender` is a person's id or BOT_SENDER. `thread` is the id of the thread's first message, for replies in channels.
    `stream` is the state of an open stream; `stopped`: a person ended the stream. A person's deleted message keeps
    the text, for Teams' "undo", hidden from the page. `feedback_given` maps people to `like` or `dislike`. `consent`
    holds name and contexts of the bot's offer of a file, to be returned with a person's answer.
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
        """Whether the bot sent the message."""
        return self.sender == BOT_SENDER


_FIELDS = frozenset(field.name for field in fields(Message))


def message_from_record(record: dict[str, Any]) -> Message:
    """The message of a journal's record, as after a restart: no delivery is under way, no stream is open.

    A record of an unknown form is an error. Raises: KeyError, TypeError, ValueError.
    """
    known = {name: value for name, value in record.items() if name in _FIELDS}
    # deliveries under way ended with the process
    lost = known.get("delivery") in ("sending", "retrying")
    quoted = known.get("quoted")
    int(known["id"])
    return Message(
        **{
            **known,
            "delivery": "lost" if lost else known.get("delivery"),
            "stream": None,
            "quoted": Quote(**quoted) if quoted else None,
            "reactions": tuple(Reaction(stored["type"], tuple(stored["by"])) for stored in known.get("reactions", ())),
            "files": tuple(File(**stored) for stored in known.get("files", ())),
        }
    )


def page_form(message: Message, *, notify: bool = False) -> dict[str, Any]:
    """The message in the page API's form: the fields without `sender`, `name` and `consent`, and with

    - `from`: `{"id": person or "bot", "name", "bot": bool}`
    - `notify`: a client would now notify the reader; true only in the first event about a message of the bot
    """
    form = asdict(message)
    sender = form.pop("sender")
    name = BOT_NAME if message.from_bot else form["name"]
    del form["name"], form["consent"]
    if message.deleted:
        form |= {"text": "", "html": "", "card": None, "files": [], "quoted": None, "reactions": []}
    return {**form, "from": {"id": sender, "name": name, "bot": message.from_bot}, "notify": notify}


def with_reaction(reactions: tuple[Reaction, ...], who: str, kind: str, *, on: bool) -> tuple[Reaction, ...]:
    """The reactions after `who` added (`on`) or removed a reaction of type `kind`; the same tuple if unchanged."""
    by = next((reaction.by for reaction in reactions if reaction.type == kind), ())
    if (who in by) == on:
        return reactions
    now = (*by, who) if on else tuple(person for person in by if person != who)
    changed = [Reaction(kind, now) if reaction.type == kind else reaction for reaction in reactions]
    if not by:
        changed.append(Reaction(kind, now))
    return tuple(reaction for reaction in changed if reaction.by)
