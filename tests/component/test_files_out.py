"""The files of an answer, from the gateway to people, and people's responses to offers."""

from __future__ import annotations

import base64
import re
import struct
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, cast

from support.engine_world import EPOCH, World, new_turn, until, virtual_time

from bridge.core.errors import DeliveryRejected, FileExpired, FileFailure, FileTooLarge
from bridge.core.files.answer_links import AgentFile
from bridge.core.files.kept import Consent, FileLinks, FileState
from bridge.core.files.shared import SharedFile
from bridge.core.outbound.file_cards import CONSENT_TYPE, INFO_TYPE
from bridge.core.ports.agent import Answer
from bridge.core.texts import say
from bridge.core.turn import Activity, Kind, Outcome, Scope, State
from bridge.engine.files_out import KEPT_SECONDS, MOST_FILES, FilesOut

BASE = "http://gateway:18790"
FT = "?ft=" + "A" * 43 + ".1800000000"
PDF = f"/v1/files/workspace/report.pdf{FT}"
PNG = f"/v1/media/chart.png{FT}"
LINKS = FileLinks("https://bridge.example", b"key")
PDF_BYTES = b"%PDF-1.7 report"
PNG_BYTES = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR" + struct.pack(">II", 640, 480)
PLACE = "https://contoso-my.sharepoint.com/up"


@dataclass
class Made:
    """The gateway's files."""

    contents: dict[str, bytes | FileFailure]
    fetched: list[str] = field(default_factory=list)

    async def fetch(self, path: str) -> bytes:
        self.fetched.append(path)
        content = self.contents.get(path, FileExpired())
        if isinstance(content, FileFailure):
            raise content
        return content


@dataclass
class OneDrive:
    """Saves files, or raises `failure`."""

    failure: FileFailure | None = None
    saved: list[tuple[str, bytes]] = field(default_factory=list)

    async def fetch(self, file: SharedFile) -> bytes:
        raise NotImplementedError

    async def save(self, upload_url: str, content: bytes) -> None:
        if self.failure is not None:
            raise self.failure
        self.saved.append((upload_url, content))


class Stage:
    """A world whose agent makes files. `links` and `offers` as in FilesOut."""

    def __init__(self, *, links: FileLinks | None = LINKS, offers: bool = True) -> None:
        self.made = Made({PDF: PDF_BYTES, PNG: PNG_BYTES})
        self.drive = OneDrive()
        ids = count(1)

        def files_out(world: World) -> FilesOut:
            self.files = FilesOut(
                store=world.store.files,
                made=self.made,
                shared=self.drive,
                clock=world.clock,
                new_id=lambda: f"f{next(ids)}",
                base=BASE,
                links=links,
                offers=offers,
            )
            return self.files

        self.world = World(files_out=files_out)

    async def answered(
        self, text: str, *files: AgentFile, scope: Scope = Scope.PERSONAL, id_: str = "q"
    ) -> list[Activity]:
        """Let the agent answer; gives the activities sent for the answer."""
        channel, before = self.world.channel, len(self.world.channel.sent)
        self.world.agent.answers[id_] = Answer(text, files=files)
        await self.world.ask(id_, scope=scope)
        await self.world.closed(id_)
        return [request.activity for request in channel.sent[before:]]

    async def responds(self, consent: Consent, id_: str = "consent", **changes: Any) -> list[Activity]:
        """Let a person respond to an offer; gives the new messages, without the replaced card."""
        channel, before = self.world.channel, len(self.world.channel.sent)
        await self.accept(consent, id_, **changes)
        await self.world.closed(id_)
        return [request.activity for request in channel.sent[before:] if "id" not in request.activity]

    @property
    def replaced(self) -> list[tuple[str, str]]:
        """Ids of replaced messages with the new texts."""
        return [(live.id, str(activity["text"])) for live, activity in self.world.channel.replaced]

    async def accept(self, consent: Consent, id_: str = "consent", **changes: Any) -> None:
        new = new_turn(id_, kind=Kind.FILE, lane="chat", accepted=self.world.clock.now())
        payload = replace(new.payload, consent=consent, text="", **changes)
        await self.world.dispatcher.accept(replace(new, payload=payload), bounded=False)

    def expire(self, id_: str) -> None:
        kept = self.world.memory.files.kept
        kept[id_] = replace(kept[id_], expires=EPOCH)

    def state(self, id_: str = "f1") -> FileState:
        return self.world.memory.files.kept[id_].state


def yes(file: str = "f1") -> Consent:
    return Consent(
        file,
        accepted=True,
        card="card-1",
        upload_url=PLACE,
        content_url="https://contoso-my.sharepoint.com/report.pdf",
        unique_id="u1",
        file_type="pdf",
    )


def no(file: str = "f1") -> Consent:
    return Consent(file, accepted=False, card="card-1")


def attachment(activity: Activity) -> dict[str, Any]:
    (only,) = activity["attachments"]
    assert isinstance(only, dict)
    return only


def words_of(activity: Activity) -> str:
    """The agent's words, without the quote and the hint that the bridge adds in groups."""
    return re.sub(r"^<quoted [^>]*>|\n\n\*Mention me[^\n]*$", "", activity["text"])


# -- answers --


@virtual_time
async def test_a_picture_is_shown_in_the_chat() -> None:
    here = Stage()
    async with here.world:
        for scope in Scope:
            words, picture = await here.answered(f"Look: ![chart]({PNG})", scope=scope, id_=scope)
            assert words_of(words) == "Look: chart"
            image = attachment(picture)
            assert (image["contentType"], image["name"]) == ("image/png", "chart.png")
            assert image["contentUrl"] == "data:image/png;base64," + base64.b64encode(PNG_BYTES).decode()
        assert here.world.memory.files.kept == {}


@virtual_time
async def test_a_file_is_offered_in_a_personal_chat_after_the_words() -> None:
    here = Stage()
    async with here.world as world:
        words, card = await here.answered(f"Here is [the report]({PDF}).")

        assert words_of(words) == "Here is the report."
        offer = attachment(card)
        assert (offer["contentType"], offer["name"]) == (CONSENT_TYPE, "report.pdf")
        assert offer["content"]["sizeInBytes"] == len(PDF_BYTES)
        assert offer["content"]["acceptContext"] == offer["content"]["declineContext"] == {"file": "f1"}
        kept = world.memory.files.kept["f1"]
        assert (kept.content, kept.type, kept.state) == (PDF_BYTES, "application/pdf", FileState.OFFERED)
        assert (kept.conversation, kept.person, kept.turn) == ("chat", "aad-ann", world.row("q").n)
        assert kept.expires == kept.created + KEPT_SECONDS


@virtual_time
async def test_in_a_channel_a_file_is_behind_a_signed_link_that_expires() -> None:
    here = Stage()
    async with here.world as world:
        (words,) = await here.answered(f"Here is [the report]({PDF}).", scope=Scope.CHANNEL)

        kept = world.memory.files.kept["f1"]
        assert words_of(words) == f"Here is [the report]({LINKS.url('f1', kept.expires)})."
        query = dict(pair.split("=") for pair in words_of(words).partition("?")[2].rstrip(").").split("&"))
        assert await here.files.open("f1", query["exp"], query["sig"]) == kept
        assert await here.files.open("f1", query["exp"], "x") is None
        assert await here.files.open("f2", query["exp"], query["sig"]) is None
        here.expire("f1")
        assert await here.files.open("f1", query["exp"], query["sig"]) is None


@virtual_time
async def test_an_offered_file_has_no_link() -> None:
    here = Stage()
    async with here.world:
        await here.answered(f"[the report]({PDF})")
        exp, sig = (part.partition("=")[2] for part in LINKS.url("f1", EPOCH + 9e6).partition("?")[2].split("&"))
        assert await here.files.open("f1", exp, sig) is None


@virtual_time
async def test_a_sentence_replaces_a_file_that_cannot_be_passed_on() -> None:
    here = Stage(links=None)
    async with here.world:
        (words,) = await here.answered(f"[the report]({PDF})", scope=Scope.GROUP)
        assert words_of(words) == f"the report {say('file_no_way')}"
    here = Stage(links=None, offers=False)
    async with here.world:
        (words,) = await here.answered(f"[the report]({PDF})")
        assert words_of(words) == f"the report {say('file_no_way_at_all')}"
        assert here.world.memory.files.kept == {}


@virtual_time
async def test_a_cloud_without_file_cards_gets_links_in_personal_chats_too() -> None:
    here = Stage(offers=False)
    async with here.world:
        (words,) = await here.answered(f"[the report]({PDF})")
        assert words_of(words).startswith("[the report](https://bridge.example/files/f1?exp=")


@virtual_time
async def test_a_file_missing_at_the_gateway_leaves_its_label_and_a_sentence() -> None:
    here = Stage()
    async with here.world:
        here.made.contents[PDF] = FileExpired()
        here.made.contents[PNG] = b""
        (words,) = await here.answered(f"[the report]({PDF}) and [chart]({PNG})")
        assert words_of(words) == f"the report {say('file_gone')} and chart {say('file_gone')}"


@virtual_time
async def test_a_too_large_file_leaves_its_label_and_a_sentence() -> None:
    here = Stage()
    async with here.world:
        here.made.contents[PDF] = FileTooLarge()
        (words,) = await here.answered(f"[the report]({PDF})")
        assert words_of(words) == f"the report {say('file_too_large_out')}"


@virtual_time
async def test_a_file_that_the_store_cannot_keep_does_not_delay_the_answer() -> None:
    here = Stage()
    async with here.world as world:
        world.memory.files.outages = 1
        (words,) = await here.answered(f"[the report]({PDF})")
        assert words_of(words) == f"the report {say('file_gone')}"


@virtual_time
async def test_a_fault_of_the_bridge_about_a_file_does_not_cost_the_answer() -> None:
    here = Stage()
    async with here.world:
        here.made.contents[PDF] = cast("bytes", 7)
        (words,) = await here.answered(f"[the report]({PDF})")
        assert words_of(words) == "the report"


@virtual_time
async def test_an_answer_passes_on_files_up_to_the_limit() -> None:
    here = Stage()
    async with here.world:
        paths = [f"/v1/files/{n}.pdf{FT}" for n in range(MOST_FILES + 1)]
        here.made.contents |= dict.fromkeys(paths, PDF_BYTES)
        activities = await here.answered(" ".join(f"[{n}]({path})" for n, path in enumerate(paths)))
        assert len(activities) == 1 + MOST_FILES
        assert words_of(activities[0]).endswith(f"{MOST_FILES} {say('file_too_many', most=MOST_FILES)}")
        assert len(here.made.fetched) == MOST_FILES


@virtual_time
async def test_files_beside_the_answer_are_passed_on_once() -> None:
    here = Stage()
    async with here.world:
        beside = (AgentFile(PDF, "report.pdf"), AgentFile(PNG, "chart.png", "image/png"))
        words, card, picture = await here.answered(f"See [report]({PDF})", *beside)
        assert words_of(words) == "See report"
        assert attachment(card)["contentType"] == CONSENT_TYPE
        assert attachment(picture)["contentType"] == "image/png"

        (words, picture) = await here.answered("Done.", *beside, scope=Scope.GROUP, id_="group")
        assert words_of(words).startswith("Done.\n\n- [report.pdf](https://bridge.example/files/f2?exp=")
        assert attachment(picture)["contentType"] == "image/png"


@virtual_time
async def test_a_file_linked_in_two_spellings_is_passed_on_once() -> None:
    here = Stage()
    async with here.world:
        plain, escaped = f"/v1/files/plan–✓.pdf{FT}", f"/v1/files/plan%E2%80%93%E2%9C%93.pdf{FT}"
        here.made.contents |= {plain: PDF_BYTES, escaped: PDF_BYTES}
        long = "word " * 2000
        words, card = await here.answered(f"{long}[plan]({plain})", AgentFile(escaped, "plan.pdf"))
        assert words_of(words).endswith("plan")
        assert attachment(card)["name"] == "plan–✓.pdf"


@virtual_time
async def test_a_silent_answer_with_a_file_is_delivered() -> None:
    here = Stage()
    async with here.world as world:
        world.agent.answers["q"] = Answer("", silent=True, files=(AgentFile(PDF, "report.pdf"),))
        await world.ask("q")
        row = await world.closed("q")
        assert row.outcome is Outcome.DELIVERED
        assert attachment(world.channel.sent[-1].activity)["contentType"] == CONSENT_TYPE


@virtual_time
async def test_an_answer_of_files_without_words_is_delivered() -> None:
    here = Stage()
    async with here.world:
        (card,) = await here.answered(" ", AgentFile(PDF, "report.pdf"))
        assert attachment(card)["contentType"] == CONSENT_TYPE


@virtual_time
async def test_links_beside_the_gateways_files_are_never_fetched() -> None:
    here = Stage()
    async with here.world:
        text = f"[a](https://evil.example{PDF}) [b](sandbox:/mnt/x.csv) `[c]({PDF})`"
        await here.answered(text)
        assert here.made.fetched == []


# -- offers --


@virtual_time
async def test_an_accepted_file_is_saved_shown_and_its_card_is_replaced() -> None:
    here = Stage()
    async with here.world as world:
        await here.answered(f"[the report]({PDF})")
        (info,) = await here.responds(yes())

        assert here.drive.saved == [(PLACE, PDF_BYTES)]
        card = attachment(info)
        assert (card["contentType"], card["name"]) == (INFO_TYPE, "report.pdf")
        assert card["contentUrl"] == "https://contoso-my.sharepoint.com/report.pdf"
        assert card["content"] == {"uniqueId": "u1", "fileType": "pdf"}
        assert here.replaced == [("card-1", say("file_saved", name="report.pdf"))]
        assert (here.state(), world.memory.files.kept["f1"].content) == (FileState.SAVED, b"")
        assert world.row("consent").outcome is Outcome.DELIVERED


@virtual_time
async def test_a_declined_file_is_deleted_and_its_card_is_replaced() -> None:
    here = Stage()
    async with here.world as world:
        await here.answered(f"[the report]({PDF})")
        assert await here.responds(no()) == []

        assert here.replaced == [("card-1", say("file_declined", name="report.pdf"))]
        assert (here.state(), world.memory.files.kept["f1"].content) == (FileState.DECLINED, b"")
        assert here.drive.saved == []


@virtual_time
async def test_an_offer_survives_a_restart() -> None:
    here = Stage()
    async with here.world as world:
        await here.answered(f"[the report]({PDF})")
        await world.restart()
        await here.responds(yes())
        assert here.drive.saved == [(PLACE, PDF_BYTES)]


@virtual_time
async def test_the_card_of_an_expired_offer_is_replaced_by_a_sentence() -> None:
    here = Stage()
    async with here.world:
        await here.answered(f"[the report]({PDF})")
        here.expire("f1")
        assert await here.responds(yes()) == []
        assert here.replaced == [("card-1", say("file_offer_gone"))]
        assert here.drive.saved == []


@virtual_time
async def test_a_file_is_handed_over_to_its_person_in_its_conversation_only() -> None:
    here = Stage()
    async with here.world as world:
        await here.answered(f"[the report]({PDF})")
        await here.answered(f"[the report]({PDF})", scope=Scope.GROUP, id_="group")
        payload = new_turn("x").payload
        bob = replace(payload.person, aad_id="aad-bob")
        elsewhere = replace(payload.reference, conversation="other")
        await here.responds(yes(), "bob", person=bob)
        await here.responds(no(), "bob-too", person=bob)
        await here.responds(yes(), "elsewhere", reference=elsewhere)
        await here.responds(yes("f2"), "linked")

        assert here.drive.saved == []
        assert set(here.replaced) == {("card-1", say("file_offer_gone"))}
        assert (here.state(), here.state("f2")) == (FileState.OFFERED, FileState.LINKED)
        assert world.row("bob").outcome is Outcome.DELIVERED


@virtual_time
async def test_a_file_that_was_declined_is_not_saved_later() -> None:
    here = Stage()
    async with here.world:
        await here.answered(f"[the report]({PDF})")
        await here.responds(no())
        await here.responds(yes(), "later")
        assert here.drive.saved == []
        assert here.replaced[1:] == [("card-1", say("file_offer_gone"))]


@virtual_time
async def test_the_card_of_a_file_that_could_not_be_saved_is_replaced_by_a_sentence() -> None:
    here = Stage()
    async with here.world:
        await here.answered(f"[the report]({PDF})")
        here.drive.failure = FileExpired("HTTP 404")
        assert await here.responds(yes()) == []
        assert here.replaced == [("card-1", say("file_not_saved", name="report.pdf"))]


@virtual_time
async def test_where_the_card_cannot_be_replaced_the_sentence_is_a_message() -> None:
    here = Stage()
    async with here.world:
        await here.answered(f"[the report]({PDF})")
        await here.answered(f"[the report]({PDF})", id_="q2")
        here.world.channel.replace_failures.append(DeliveryRejected())
        (words,) = await here.responds(no())
        assert words["text"] == say("file_declined", name="report.pdf")
        (words,) = await here.responds(replace(no("f2"), card=""), "without-card")
        assert words["text"] == say("file_declined", name="report.pdf")


@virtual_time
async def test_a_crash_after_the_upload_does_not_upload_again() -> None:
    here = Stage()
    async with here.world as world:
        await here.answered(f"[the report]({PDF})")
        world.memory.outages["record_answer"] = 1_000_000
        await here.accept(yes())
        await until(lambda: here.state() is FileState.SAVED)
        assert world.row("consent").state is State.RUNNING
        world.memory.outages.clear()
        await world.restart()
        await world.closed("consent")

        assert len(here.drive.saved) == 1
        assert attachment(world.channel.sent[-1].activity)["contentType"] == INFO_TYPE
