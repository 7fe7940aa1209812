"""The decision about an event: event and policy in, decision out.

Access comes first, then commands, then acceptance as a question (docs/architecture.md, "Order of checks").
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import assert_never

from bridge.core.access import AccessPolicy, denial
from bridge.core.commands import Command, Unknown, help_lines, parse_command
from bridge.core.edits import MessageEdit
from bridge.core.feedback import Rating
from bridge.core.identity import (
    GroupSession,
    display_name,
    lane_of,
    notice_lane,
    prompt_text,
    session_user,
    welcome_lane,
)
from bridge.core.inbound.activities import (
    CardAction,
    Deleted,
    Edited,
    Event,
    FileConsent,
    Ignored,
    Installed,
    Removed,
    UserMessage,
)
from bridge.core.inbound.feedback import Rated
from bridge.core.no_text import told_to_agent, told_to_person
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.outbound.cards import ASK_AGAIN, ASK_INSTEAD, NEW_SESSION, STOP, confirm_new
from bridge.core.texts import say
from bridge.core.turn import Activity, Edit, Kind, Lane, NewTurn, Payload, Scope


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's choices: access, the agent's key, the session of groups and of channels.

    `user_prefix`: stands before every user id at the gateway. `welcome`: greet after an installation, with the example
    questions in `starters`.
    """

    access: AccessPolicy
    agent: str
    group: GroupSession = GroupSession.CONVERSATION
    channel: GroupSession = GroupSession.CONVERSATION
    user_prefix: str = ""
    welcome: bool = True
    starters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accept:
    """Store this turn, and the note `beside` about content of the message that the agent does not get."""

    turn: NewTurn
    beside: NewTurn | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """Stop all that the person asked in this conversation, else the lane's running question (`TurnStore.stop`).

    `turn`: the note without content, which names waiting questions that were closed. `by`: the person's name.

    `n`: the only turn that may be stopped, whose *Stop* button was pressed; 0 for the command `/stop`.
    """

    lane: Lane
    turn: NewTurn
    by: str
    n: int = 0


@dataclass(frozen=True, slots=True)
class ShowStatus:
    """Answer with the lane's state; `turn` is the note without content, `session` the text key of the session."""

    lane: Lane
    turn: NewTurn
    session: str


@dataclass(frozen=True, slots=True)
class AskAgain:
    """Ask the question of turn `n` again as `turn`, if the same person asked in this conversation.

    `instead`: stop the present run of turn `n` first.
    """

    n: int
    turn: NewTurn
    instead: bool = False


@dataclass(frozen=True, slots=True)
class ApplyEdit:
    """Apply the edit of a message; `about`: conversation and person for an offer, None after a deletion.

    `anew`: the turn to accept if the person undid a deletion, and the question had not been asked before.
    """

    edit: MessageEdit
    about: Payload | None = None
    anew: NewTurn | None = None


@dataclass(frozen=True, slots=True)
class WithdrawAll:
    """Withdraw all turns of a conversation from which the bot was removed (`activities.Removed`)."""

    id_prefix: str


Decision = Accept | Stop | ShowStatus | AskAgain | ApplyEdit | WithdrawAll | Rating | Ignored


def decide(event: Event, policy: Policy, now: float) -> Decision:
    """The decision about an event of a verified activity. `now` in seconds since the epoch."""
    decision: Decision
    match event:
        case Ignored():
            decision = event
        case Installed():
            decision = _installed(event, policy, now)
        case UserMessage():
            decision = _message(event, policy, now)
        case CardAction():
            decision = _action(event, policy, now)
        case FileConsent():
            decision = _file_consent(event, policy, now)
        case Edited():
            decision = _edited(event, policy, now)
        case Deleted():
            decision = ApplyEdit(MessageEdit(event.message, Edit("", event.stamp or now)))
        case Removed():
            decision = WithdrawAll(event.id_prefix)
        case Rated():
            decision = _rated(event, policy, now)
        case _:
            assert_never(event)
    return decision


def _message(event: UserMessage, policy: Policy, now: float) -> Decision:
    personal = event.reference.scope is Scope.PERSONAL
    if not personal and not event.mentioned:
        return Ignored("not_mentioned")
    refused = denial(policy.access, event.facts)
    if refused is not None:
        words = say(refused, event.reference.locale, aad_id=event.facts.person.aad_id)
        return Accept(_notice(event, note(words), now))
    # a message with files is never a command (docs/reference/teams.md, "What breaks in comparable bridges")
    command = None if event.files or event.no_text else parse_command(event.text)
    if isinstance(command, Unknown):
        locale = event.reference.locale
        words = say("unknown_command", locale, word=command.word, commands=help_lines(locale))
        return Accept(_notice(event, note(words), now))
    if command is not None:
        return _command(event, command, policy, now)
    if not event.text and not event.files:
        unread = note(told_to_person(event.no_text, event.reference.locale, asked=False))
        return Accept(_notice(event, unread if event.no_text else _help(event, policy), now))
    return Accept(_ask(event, policy, now), _beside(event, now))


def _beside(event: UserMessage, now: float) -> NewTurn | None:
    """The note about a question's content that is no text."""
    if not event.no_text:
        return None
    words = told_to_person(event.no_text, event.reference.locale, asked=True)
    about = Payload(event.reference, event.facts.person)
    return note_turn(f"{event.id}|no_text", about, note(words), now)


def _ask(event: UserMessage, policy: Policy, now: float) -> NewTurn:
    payload = _payload(event, policy)
    # files without text get their text after fetching, when the readable ones are known
    words = told_to_agent(event.text, event.no_text)
    text = prompt_text(event.reference.scope, event.facts.person.name, words) if event.text else ""
    lane = lane_of(payload.agent, payload.user)
    return NewTurn(event.id, Kind.ASK, lane, replace(payload, text=text, files=event.files), now)


def _edited(event: Edited, policy: Policy, now: float) -> Decision:
    message = event.message
    refused = denial(policy.access, message.facts)
    if refused is not None:
        return Ignored("denied_edit")
    if message.files:
        # the stored question holds file contents as well, so the bridge cannot see whether the words changed
        return Ignored("edit_with_files")
    turn = _ask(message, policy, now)
    # Text edited into a command is no question any more, and the command is not run: Teams also reports edits without
    # a changed word.
    asks = message.text and parse_command(message.text) is None
    edit = Edit(turn.payload.text if asks else "", event.stamp or now)
    # in groups, a message without a mention of the bot is not for the bot
    ours = message.reference.scope is Scope.PERSONAL or message.mentioned
    wanted = MessageEdit(message.id, edit, message.facts.person.aad_id, keep=ours)
    anew = replace(turn, id=event.id) if event.undeleted and asks and ours else None
    return ApplyEdit(wanted, replace(turn.payload, text=""), anew)


def _rated(event: Rated, policy: Policy, now: float) -> Decision:
    if denial(policy.access, event.facts) is not None:
        return Ignored("denied_feedback")
    payload = _payload(event, policy)
    lane, person = lane_of(payload.agent, payload.user), event.facts.person.aad_id.lower()
    return Rating(lane, event.message, person, event.reaction, event.words, now, event.taken_back)


def _command(event: UserMessage, command: Command, policy: Policy, now: float) -> Decision:
    payload = _payload(event, policy)
    lane = lane_of(payload.agent, payload.user)
    locale = event.reference.locale
    match command:
        case Command.HELP:
            return Accept(_notice(event, _help(event, policy), now))
        case Command.STATUS:
            return ShowStatus(lane, _notice(event, note(""), now, payload), _session(event, policy))
        case Command.STOP:
            return Stop(lane, _notice(event, note(""), now), display_name(event.facts.person.name))
        case Command.NEW:
            if _session(event, policy) not in ("session_personal", "session_sender"):
                return Accept(_notice(event, confirm_new(locale), now))
            return Accept(NewTurn(event.id, Kind.NEW, lane, payload, now))
        case _:
            assert_never(command)


def _action(event: CardAction, policy: Policy, now: float) -> Decision:
    if denial(policy.access, event.facts) is not None:
        return Ignored("denied_action")
    payload = _payload(event, policy)
    lane = lane_of(payload.agent, payload.user)
    if event.verb == NEW_SESSION:
        return Accept(NewTurn(event.id, Kind.NEW, lane, payload, now))
    n = event.data.get("turn")
    if not isinstance(n, int) or isinstance(n, bool) or not 0 < n < 2**63:
        return Ignored("invoke_malformed")
    if event.verb == STOP:
        return Stop(lane, _notice(event, note(""), now), display_name(event.facts.person.name), n)
    if event.verb in (ASK_AGAIN, ASK_INSTEAD):
        turn = NewTurn(event.id, Kind.ASK, lane, payload, now, again_of=n)
        return AskAgain(n, turn, instead=event.verb == ASK_INSTEAD)
    return Ignored("invoke_malformed")


def _file_consent(event: FileConsent, policy: Policy, now: float) -> Decision:
    if denial(policy.access, event.facts) is not None:
        return Ignored("denied_action")
    payload = Payload(event.reference, event.facts.person, consent=event.consent)
    return Accept(NewTurn(event.id, Kind.FILE, notice_lane(event.reference), payload, now))


def _installed(event: Installed, policy: Policy, now: float) -> Decision:
    # Only personal chats: a bot that greets a team of hundreds unasked gets removed.
    if event.reference.scope is not Scope.PERSONAL or not policy.welcome:
        return Ignored("installed")
    if denial(policy.access, event.facts) is not None:
        return Ignored("denied_install")
    payload = replace(_payload(event, policy), activities=(note(_greeting(policy, event.reference.locale)),))
    return Accept(NewTurn(event.id, Kind.WELCOME, welcome_lane(event.reference), payload, now))


def _greeting(policy: Policy, locale: str) -> str:
    words = say("welcome", locale, agent=policy.agent, commands=help_lines(locale))
    if not policy.starters:
        return words
    questions = "\n".join(f"- {question}" for question in policy.starters)
    return f"{words}\n\n{say('starters', locale, questions=questions)}"


def _payload(event: UserMessage | CardAction | Installed | Rated, policy: Policy) -> Payload:
    scope = event.reference.scope
    group = policy.channel if scope is Scope.CHANNEL else policy.group
    person = event.facts.person
    user = session_user(event.reference, person.aad_id, group, policy.user_prefix)
    return Payload(event.reference, person, policy.agent, user)


def _notice(event: UserMessage | CardAction, show: Activity, now: float, payload: Payload | None = None) -> NewTurn:
    return note_turn(event.id, payload or Payload(event.reference, event.facts.person), show, now)


def _help(event: UserMessage, policy: Policy) -> Activity:
    locale = event.reference.locale
    key = "help" if event.reference.scope is Scope.PERSONAL else "help_group"
    return note(say(key, locale, session=say(_session(event, policy), locale), commands=help_lines(locale)))


def _session(event: UserMessage, policy: Policy) -> str:
    """The text key of the session's description, such as `session_personal`."""
    scope = event.reference.scope
    if scope is Scope.PERSONAL:
        return "session_personal"
    group = policy.channel if scope is Scope.CHANNEL else policy.group
    if group is GroupSession.SENDER:
        return "session_sender"
    if scope is Scope.CHANNEL:
        return "session_channel" if group is GroupSession.CHANNEL else "session_thread"
    return "session_shared"
