"""From an event to what is done about it: the decision is `core.intake`'s, the deeds are here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from bridge import metrics
from bridge.core.decide import Accept, ApplyEdit, AskAgain, Policy, ShowStatus, Stop, WithdrawAll, decide
from bridge.core.edits import EditVerdict, offer
from bridge.core.feedback import Rating
from bridge.core.inbound.activities import Event, Ignored
from bridge.core.outbound import cards
from bridge.core.outbound.answers_and_notes import note, note_turn
from bridge.core.ports.clock import Clock
from bridge.core.texts import say
from bridge.core.turn import Kind, NewTurn, Payload, StopVerdict, Turn
from bridge.engine.dispatcher import Dispatcher

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Click:
    """The answer to a click on a card: the words to show, and whether they replace the card."""

    words: str
    replaces: bool


class Handler:
    """Everything a verified activity can set off. Raises StoreUnavailable where the turn could not be kept.

    `gateway_health` and `gateway_memory` give the text keys of what `/status` says about the gateway.
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
        self._afterthoughts = dispatcher.edits
        self._policy = policy
        self._clock = clock
        self._gateway_health = gateway_health
        self._gateway_memory = gateway_memory

    async def receive(self, event: Event) -> Click | None:
        """Do what the event asks for; when it returns, what must be kept is on disk."""
        decision = decide(event, self._policy, self._clock.now())
        match decision:
            case Ignored():
                metrics.INBOUND.labels(decision.reason).inc()
                return None
            case Accept():
                return await self._accept(decision.turn)
            case Stop():
                return await self._stop(decision)
            case ShowStatus():
                await self._status(decision)
            case AskAgain():
                return await self._ask_again(decision)
            case ApplyEdit():
                await self._reword(decision)
            case WithdrawAll():
                metrics.INBOUND.labels("removed").inc()
                await self._afterthoughts.withdraw_all(decision.id_prefix)
            case Rating():
                await self._rate(decision)
            case _:
                assert_never(decision)
        return None

    async def _accept(self, new: NewTurn) -> Click | None:
        accepted = await self._dispatcher.accept(new)
        if accepted.full:
            metrics.INBOUND.labels("overloaded").inc()
            if new.kind in (Kind.ASK, Kind.NEW):  # of notes that wait, people have had enough already
                overloaded = self._note_instead(new, say("overloaded", new.locale))
                await self._dispatcher.accept(overloaded, bounded=False)
            return None
        metrics.INBOUND.labels("duplicate" if accepted.duplicate else "accepted").inc()
        # only a click on a card reads this
        return Click(say("new_asked", new.locale), replaces=True) if new.kind is Kind.NEW else None

    async def _stop(self, decision: Stop) -> Click | None:
        if decision.n:
            return await self._stop_by_button(decision)
        verdict = await self._dispatcher.stop(decision.lane, decision.turn, decision.by)
        metrics.INBOUND.labels(f"stop_{verdict}").inc()
        if verdict is StopVerdict.NOTHING:
            await self._dispatcher.accept(self._note_instead(decision.turn, say("stop_nothing", decision.turn.locale)))
        return None

    async def _stop_by_button(self, decision: Stop) -> Click:
        """The button stands under one turn's progress, and stops no other."""
        locale = decision.turn.locale
        verdict = await self._dispatcher.stop(decision.lane, decision.turn, decision.by, only=decision.n)
        if verdict is StopVerdict.NOTHING:
            return Click(say("stop_nothing", locale), replaces=False)
        metrics.INBOUND.labels(f"stop_{verdict}").inc()
        return Click(say("stop_asked", locale), replaces=False)

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

    async def _ask_again(self, decision: AskAgain) -> Click:
        locale = decision.turn.locale
        restated = await self._afterthoughts.current_question(decision.n)
        mine = decision.turn.payload
        if restated is None or not (restated[1] or restated[0].payload.files):
            return Click(say("again_gone", locale), replaces=False)
        asked, text = restated
        original = asked.payload
        # by ids of the verified activity: nobody may run another's question, nor from another conversation
        if (original.person.aad_id, original.reference.conversation, original.reference.tenant) != (
            mine.person.aad_id,
            mine.reference.conversation,
            mine.reference.tenant,
        ):
            return Click(say("again_not_yours", locale), replaces=False)
        reference = replace(original.reference, service_url=mine.reference.service_url)
        payload = replace(original, reference=reference, text=text)
        accepted = await self._dispatcher.accept(
            replace(decision.turn, lane=asked.lane, payload=payload, again_of=asked.n)
        )
        if accepted.full:
            return Click(say("overloaded", locale), replaces=False)
        if decision.instead:  # the new question is kept by now: no crash can leave the asker with neither
            await self._take_back(asked, text)
        metrics.INBOUND.labels("duplicate" if accepted.duplicate else "asked_again").inc()
        words = say("edit_used" if decision.instead else "asked_again", locale)
        return Click(f"{words} {asked.name}", replaces=True)

    async def _take_back(self, asked: Turn, text: str) -> None:
        """Withdraw what is asked anew; where it has been claimed meanwhile, only if it still asks the same."""
        for _ in range(_TRIES):
            if (await self._afterthoughts.withdraw(asked)).verdict is not EditVerdict.NOTHING:
                return
            now = await self._afterthoughts.current_question(asked.n)
            if now is None or now[0].n != asked.n or now[1] != text or now[0].fence == asked.fence:
                return  # it is over, or asks for others as well: they must not go with it
            asked = now[0]

    async def _reword(self, decision: ApplyEdit) -> None:
        changed = await self._afterthoughts.edit(decision.edit)
        metrics.INBOUND.labels(f"change_{changed.verdict}").inc()
        if changed.verdict is EditVerdict.UNASKED and decision.anew is not None:
            await self._accept(replace(decision.anew, again_of=changed.n))
        elif changed.verdict is EditVerdict.LATE and decision.about is not None:
            await self._offer(changed.n, decision.about)

    async def _offer(self, n: int, about: Payload) -> None:
        """Tell the asker what may be done about a question that was edited too late; once for each of its states."""
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
        changed = await self._afterthoughts.rate(rating)
        metrics.INBOUND.labels("rated" if changed else "rated_nothing").inc()
        if changed:
            metrics.FEEDBACK.labels("taken_back" if rating.taken_back else rating.reaction.value).inc()

    def _note_instead(self, new: NewTurn, words: str) -> NewTurn:
        return note_turn(new.id, new.payload, note(words), new.accepted)
