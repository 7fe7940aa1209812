"""Carries out the decisions of `core.decide` about verified activities (docs/architecture.md, "One message's way")."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from bridge import metrics
from bridge.core.decide import Accept, ApplyEdit, AskAgain, Policy, ShowStatus, Stop, WithdrawAll, decide
from bridge.core.edits import EditVerdict, offer
from bridge.core.feedback import Rating
from bridge.core.inbound.activities import CardAction, Edited, Event, Ignored, UserMessage
from bridge.core.outbound import cards
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.clock import Clock
from bridge.core.texts import say
from bridge.core.turn import Kind, NewTurn, Payload, StopVerdict, Turn
from bridge.engine.dispatcher import Dispatcher

# Each try fails only if a replica claims or releases the question in the same moment.
_WITHDRAW_TRIES = 5


@dataclass(frozen=True, slots=True)
class ClickResponse:
    """The response to a click on a card: `words` to show; `replaces`: the words take the card's place."""

    words: str
    replaces: bool


class Handler:
    """Handles the events of verified activities. `policy` decides who may ask, and which session a question is for.

    `gateway_health` and `gateway_memory` give the text keys of the gateway's state for `/status`.
    """

    def __init__(
        self,
        *,
        dispatcher: Dispatcher,
        policy: Policy,
        clock: Clock,
        gateway_health: Callable[[], str],
        gateway_memory: Callable[[], str],
    ) -> None:
        self._dispatcher = dispatcher
        self._edits = dispatcher.edits
        self._policy = policy
        self._clock = clock
        self._gateway_health = gateway_health
        self._gateway_memory = gateway_memory

    async def receive(self, event: Event) -> ClickResponse | None:
        """Carry out the event; on return every accepted turn and edit is on disk. Raises: StoreUnavailable.

        Gives the response to a click on a card, None for other events.
        """
        try:
            return await self._carry_out(event)
        finally:  # afterwards: a question that is on disk makes the note of an earlier stop needless
            if isinstance(event, UserMessage | CardAction):
                self._dispatcher.person_wrote(event.reference.conversation)
            elif isinstance(event, Edited):
                self._dispatcher.person_wrote(event.message.reference.conversation)

    async def _carry_out(self, event: Event) -> ClickResponse | None:
        decision = decide(event, self._policy, self._clock.now())
        match decision:
            case Ignored():
                metrics.INBOUND.labels(decision.reason).inc()
                return None
            case Accept():
                return await self._accept(decision.turn, decision.beside)
            case Stop():
                return await self._stop(decision)
            case ShowStatus():
                await self._status(decision)
            case AskAgain():
                return await self._ask_again(decision)
            case ApplyEdit():
                await self._apply_edit(decision)
            case WithdrawAll():
                metrics.INBOUND.labels("removed").inc()
                await self._edits.withdraw_all(decision.id_prefix)
            case Rating():
                await self._rate(decision)
            case _:
                assert_never(decision)
        return None

    async def _accept(self, new: NewTurn, beside: NewTurn | None = None) -> ClickResponse | None:
        accepted = await self._dispatcher.accept(new)
        if accepted.full:
            metrics.INBOUND.labels("overloaded").inc()
            if new.kind in (Kind.ASK, Kind.NEW):  # a note for each refused note would double the traffic
                overloaded = self._note_instead(new, say("overloaded", new.locale))
                await self._dispatcher.accept(overloaded, bounded=False)
            return None
        metrics.INBOUND.labels("duplicate" if accepted.duplicate else "accepted").inc()
        if beside is not None:
            await self._dispatcher.accept(beside)
        # the response is shown for a click on a card only, not for the typed command /new
        return ClickResponse(say("new_asked", new.locale), replaces=True) if new.kind is Kind.NEW else None

    async def _stop(self, decision: Stop) -> ClickResponse | None:
        if decision.n:
            return await self._stop_by_button(decision)
        verdict = await self._dispatcher.stop(decision.lane, decision.turn, decision.by)
        metrics.INBOUND.labels(f"stop_{verdict}").inc()
        if verdict is StopVerdict.NOTHING:
            await self._dispatcher.accept(self._note_instead(decision.turn, say("stop_nothing", decision.turn.locale)))
        return None

    async def _stop_by_button(self, decision: Stop) -> ClickResponse:
        """The button below a turn's progress stops this turn only."""
        locale = decision.turn.locale
        verdict = await self._dispatcher.stop(decision.lane, decision.turn, decision.by, only=decision.n)
        if verdict is StopVerdict.NOTHING:
            return ClickResponse(say("stop_nothing", locale), replaces=False)
        metrics.INBOUND.labels(f"stop_{verdict}").inc()
        return ClickResponse(say("stop_asked", locale), replaces=False)

    async def _status(self, decision: ShowStatus) -> None:
        locale = decision.turn.locale
        status = await self._dispatcher.status(decision.lane)
        now = say("status_idle", locale)
        if status.running:
            seconds = max(0, round(self._clock.now() - status.since))
            now = say("status_running", locale, turn=status.running, seconds=seconds)
        if status.waiting:
            turns = ", ".join(status.queued) + (", …" if status.waiting > len(status.queued) else "")
            now += say("status_waiting", locale, count=status.waiting, turns=turns)
        words = say(
            "status",
            locale,
            agent=decision.turn.payload.agent,
            session=say(decision.session, locale),
            memory=say(self._gateway_memory(), locale),
            now=now,
            gateway=say(self._gateway_health(), locale),
            last=status.last or say("none", locale),
        )
        await self._accept(self._note_instead(decision.turn, words))

    async def _ask_again(self, decision: AskAgain) -> ClickResponse:
        locale = decision.turn.locale
        restated = await self._edits.current_question(decision.n)
        click = decision.turn.payload
        if restated is None or not (restated[1] or restated[0].payload.files):
            return ClickResponse(say("again_gone", locale), replaces=False)
        asked, text = restated
        original = asked.payload
        # compared by ids of the verified activity: only the asker may ask again, and only in the same conversation
        if (original.person.aad_id, original.reference.conversation, original.reference.tenant) != (
            click.person.aad_id,
            click.reference.conversation,
            click.reference.tenant,
        ):
            return ClickResponse(say("again_not_yours", locale), replaces=False)
        reference = replace(original.reference, service_url=click.reference.service_url)
        payload = replace(original, reference=reference, text=text)
        accepted = await self._dispatcher.accept(
            replace(decision.turn, lane=asked.lane, payload=payload, again_of=asked.n)
        )
        if accepted.full:
            return ClickResponse(say("overloaded", locale), replaces=False)
        if decision.instead:  # the new question is on disk, so a crash here cannot lose both questions
            await self._withdraw_replaced(asked, text)
        metrics.INBOUND.labels("duplicate" if accepted.duplicate else "asked_again").inc()
        words = say("edit_used" if decision.instead else "asked_again", locale)
        return ClickResponse(f"{words} {asked.name}", replaces=True)

    async def _withdraw_replaced(self, asked: Turn, text: str) -> None:
        """Withdraw the old turn of a question asked anew; if meanwhile claimed, only if it asks the same text."""
        for _ in range(_WITHDRAW_TRIES):
            if (await self._edits.withdraw(asked)).verdict is not EditVerdict.NOTHING:
                return
            now = await self._edits.current_question(asked.n)
            if now is None or now[0].n != asked.n or now[1] != text or now[0].fence == asked.fence:
                return  # closed, or claimed together with messages that must not be withdrawn
            asked = now[0]

    async def _apply_edit(self, decision: ApplyEdit) -> None:
        result = await self._edits.edit(decision.edit)
        metrics.INBOUND.labels(f"change_{result.verdict}").inc()
        if result.verdict is EditVerdict.UNASKED and decision.anew is not None:
            await self._accept(replace(decision.anew, again_of=result.n))
        elif result.verdict is EditVerdict.LATE and decision.about is not None:
            await self._offer(result.n, decision.about)

    async def _offer(self, n: int, about: Payload) -> None:
        """Show the asker of a question edited too late the button to ask the new text; each kind of offer once."""
        turn = await self._dispatcher.find(n)
        if turn is None:
            return
        now = self._clock.now()
        offered = offer(turn, await self._dispatcher.status(turn.lane), now)
        if offered is None:
            return
        card = cards.edited(offered, n, turn.name, about.reference.locale)
        await self._accept(note_turn(f"edited|{n}|{offered}", about, card, now))

    async def _rate(self, rating: Rating) -> None:
        changed = await self._edits.rate(rating)
        metrics.INBOUND.labels("rated" if changed else "rated_nothing").inc()
        if changed:
            metrics.FEEDBACK.labels("taken_back" if rating.taken_back else rating.reaction.value).inc()

    def _note_instead(self, new: NewTurn, words: str) -> NewTurn:
        return note_turn(new.id, new.payload, note(words), new.accepted)
