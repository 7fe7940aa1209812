"""What a message holds beside words: expressions are words, content without words is told, mentions have any spelling.

The properties hold for whole kinds; tests/samples has realistic messages of each.
"""

from __future__ import annotations

import html
import json
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.core.commands import Command, parse_command
from bridge.core.files.shared import FileKind
from bridge.core.inbound.card_words import card_words, content_of
from bridge.core.inbound.mentions import Mentions
from bridge.core.inbound.message_body import Body, read_body
from bridge.core.no_text import SENTENCES, NoText, told_to_person
from bridge.core.texts import SHIPPED, say

BOT = "28:bot"
SCHEMA = "http://schema.skype.com/"
QUOTE = f'<blockquote itemscope="" itemtype="{SCHEMA}Reply" itemid="1"><strong itemprop="mri">Bob</strong>'
ASSET = "https://statics.teams.cdn.office.net/evergreen-assets/personal-expressions/v2/assets/emoticons/yes/20_f.png"
CARD = "application/vnd.microsoft.card."


def body(text: str | None = "", rich: str = "", *attachments: dict[str, Any], entities: Any = ()) -> Body:
    """The body of a message with the HTML `rich` ("": none) and further attachments."""
    activity = {
        "recipient": {"id": BOT, "name": "GoClaw"},
        "text": text,
        "entities": list(entities),
        "attachments": [*attachments, *([{"contentType": "text/html", "content": rich}] if rich else [])],
    }
    return read_body(activity, Mentions(activity))


def image(url: str, name: str = "") -> dict[str, Any]:
    return {"contentType": "image/*", "contentUrl": url, **({"name": name} if name else {})}


# -- emoji, stickers and GIFs --

EMOJI = st.sampled_from(["👍", "🎉", "👩‍💻", ":shipit:"])
URL = st.integers(0, 9).map("https://statics.example/{}.png".format)


@st.composite
def picture(draw: st.DrawFn) -> tuple[str, str, list[str], int]:
    """A picture in a message: HTML, words for the agent, addresses of attachments, number of pictures of the person."""
    kind, url = draw(st.sampled_from(["emoji", "sticker", "giphy", "own", "quoted", "element"])), draw(URL)
    attached = url if draw(st.booleans()) else f"{url}?elsewhere"
    alt = draw(EMOJI)
    match kind:
        case "emoji":
            made = f'<img itemtype="{SCHEMA}Emoji" src="{url}" alt="{alt}">', alt, [attached], 0
        case "element":
            made = f'<customemoji source="{url}" alt="{alt}"></customemoji>', alt, [url], 0
        case "sticker":
            inner = f'<img itemtype="{SCHEMA}AMSImage" src="{url}" alt="Sticker image, Hey">'
            wrapped = f'<readonly itemtype="{SCHEMA}Sticker" title="Hey">{inner}</readonly>'
            made = wrapped, "[sticker: Hey]", [attached], 0
        case "giphy":
            made = f'<img itemtype="{SCHEMA}Giphy" src="{url}" alt="Hey (GIF Image)">', "[GIF: Hey]", [attached], 0
        case "quoted":
            inner = f'<img itemtype="{SCHEMA}AMSImage" src="q{url}" alt="image">'
            made = f"{QUOTE}{inner}</blockquote>", "[picture]", [f"q{attached}"], 0
        case _:
            made = f'<img itemtype="{SCHEMA}AMSImage" src="own{url}" alt="image">', "", [f"own{attached}"], 1
    return made


@settings(deadline=None)
@given(st.lists(picture(), max_size=12))
def test_only_pictures_of_the_person_are_files(pictures: list[tuple[str, str, list[str], int]]) -> None:
    rich = "".join(f"<p>word {made[0]}</p>" for made in pictures)
    attachments = [image(url) for made in pictures for url in made[2]]

    found = body("", rich, *attachments)

    own = sum(made[3] for made in pictures)
    assert [file.kind for file in found.files[:10]] == [FileKind.PICTURE] * min(own, 10)
    assert found.no_text == ()
    assert "image" not in found.text
    assert sum(found.text.count(words) for words in {made[1] for made in pictures} - {""}) == sum(
        bool(made[1]) for made in pictures
    )


def test_a_picture_whose_attachment_is_missing_is_still_a_picture() -> None:
    found = body("", f'<p><img alt="image" itemtype="{SCHEMA}AMSImage" src="x"></p>')

    assert (found.text, [file.name for file in found.files]) == ("", ["picture"])


def test_a_picture_with_a_name_beside_emoji_at_other_addresses_stays() -> None:
    found = body("", f'<p><img itemtype="{SCHEMA}Emoji" src="a" alt="👍"></p>', image("b", "plan.png"), image("c"))

    assert (found.text, [file.name for file in found.files]) == ("👍", ["plan.png"])


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ('alt="👍" title="Yes" itemid="yes"', "👍"),
        ('alt="" title="Yes" itemid="yes"', "Yes"),
        ('itemid="yes"', "yes"),
    ],
)
def test_an_emoji_without_a_character_has_its_name(attributes: str, words: str) -> None:
    assert body("", f'<p><img itemtype="{SCHEMA}Emoji" src="x" {attributes}></p>', image("x")) == Body(words, (), ())


@pytest.mark.parametrize(
    "rich",
    [
        '<p>Hi <span class="animated-emoticon-20-yes" title="Yes"><img src="x" alt="👍"></span></p>',
        '<p>Hi <span class="animated-emoticon-20-yes" title="Yes">👍</span></p>',
        '<p>Hi <img class="emoji" alt="👍" src="x"></p>',
        '<p>Hi <emoji id="yes" alt="👍" title="Yes"></emoji></p>',
        '<p>Hi <emoji id="yes" title="👍"></emoji></p>',
        f'<p>Hi <readonly itemtype="{SCHEMA}Emoji" title="👍"><img src="x"></readonly></p>',
        f'<p>Hi <span itemtype="{SCHEMA}Emoji" title="👍"></span></p>',
    ],
)
def test_every_form_of_an_emoji_is_the_emoji(rich: str) -> None:
    assert body("Hi ", rich, image("x"), image(ASSET)).text == "Hi 👍"
    assert [file.kind for file in body("Hi ", rich, image(ASSET)).files] == []


def test_an_emoji_without_any_html_is_no_picture_and_is_told_where_no_words_are() -> None:
    assert body("Hi ", "", image(ASSET)) == Body("Hi", (), ())
    assert body("", "", image(ASSET)) == Body("", (), (NoText.STICKER,))


# -- content that is no text --

UNREADABLE = {
    NoText.VOICE: body("", f'<div><span itemtype="{SCHEMA}InputExtension"></span></div>'),
    NoText.AUDIO: body("", "", {"contentType": "audio/mp4", "contentUrl": "x", "name": "memo.m4a"}),
    NoText.VIDEO: body("video", f'<video src="x" itemtype="{SCHEMA}AMSVideo">video</video>'),
    NoText.LOOP: body(
        "", '<attachment id="p"></attachment>', {"contentType": f"{CARD}fluidEmbedCard", "content": "{}"}
    ),
    NoText.CARD: body("", "", {"contentType": f"{CARD}adaptive", "content": {"body": [{"type": "Image"}]}}),
    NoText.CODE: body("", "", {"contentType": f"{CARD}codesnippet", "content": '{"language": "python"}'}),
    NoText.POLL: body("", f'<div itemtype="{SCHEMA}Poll"></div>'),
    NoText.LOCATION: body("", '<location latitude="48"></location>'),
    NoText.FORWARD: body("", "", {"contentType": "forwardedMessageReference", "content": "{}"}),
    NoText.STICKER: body("", f'<p><img itemtype="{SCHEMA}Sticker" src="x"></p>', image("x")),
    NoText.GIF: body("", '<p><img src="https://media.tenor.com/x.gif" alt="GIF"></p>'),
    NoText.OTHER: body("", "", {"contentType": "application/vnd.contoso.whiteboard", "content": {}}),
}


def test_every_kind_without_words_is_recognised_alone() -> None:
    assert UNREADABLE.keys() == set(NoText)
    assert {kind: found.no_text for kind, found in UNREADABLE.items()} == {kind: (kind,) for kind in NoText}
    assert [found for found in UNREADABLE.values() if found.text or found.files] == []


@pytest.mark.parametrize("language", sorted(SHIPPED))
@pytest.mark.parametrize("asked", [True, False])
def test_every_kind_has_a_sentence_of_its_own_in_each_language(language: str, asked: bool) -> None:
    assert SENTENCES.keys() == set(NoText)
    notes = {kind: told_to_person([kind], language, asked=asked) for kind in NoText}

    assert len(set(notes.values())) == len(NoText)
    assert all(say(SENTENCES[kind], language) in notes[kind] for kind in NoText)


def test_a_placeholder_of_a_card_beside_a_link_is_the_links_preview() -> None:
    card = f'<span itemtype="{SCHEMA}InputExtension"><span itemprop="cardId"></span></span>'

    assert body("", f'<p>see <a href="https://example.com/">this</a></p>{card}').no_text == ()
    assert body("", f"<p>see this</p>{card}").no_text == (NoText.CARD,)


def test_a_quoted_recording_is_not_told_again() -> None:
    found = body("", f'{QUOTE}<video itemtype="{SCHEMA}AMSVideo">video</video></blockquote><p>why?</p>')

    assert (found.text.split()[-1], found.no_text) == ("why?", ())


def test_attachments_with_a_guid_of_their_own_are_no_withheld_files() -> None:
    guid = "1150d938-8870-4044-9f2c-5bbdeba70c9d"
    card = {"id": guid.upper(), "contentType": f"{CARD}hero", "content": {"title": "Hello"}}

    assert body("", f'<attachment id="{guid}"></attachment>', card) == Body("[Card]\n> Hello", (), ())


@pytest.mark.parametrize("kind", ["reference", "application/pdf", "text/plain"])
def test_a_file_of_which_teams_gives_an_address_only_is_withheld(kind: str) -> None:
    part = {"contentType": kind, "contentUrl": "https://contoso.sharepoint.com/plan.pdf", "name": "plan.pdf"}

    assert [(file.kind, file.name) for file in body("", "", part).files] == [(FileKind.WITHHELD, "plan.pdf")]


def test_a_reply_by_reference_is_a_quote_unless_the_message_has_the_quote_already() -> None:
    content = {"messagePreview": "Which week?", "messageSender": {"application": {"displayName": "GoClaw"}}}
    reference = {"contentType": "messageReference", "id": "1", "content": json.dumps(content)}
    quoted = f'{QUOTE}<p itemprop="preview">Which week?</p></blockquote><p>this one</p>'

    assert body("this one", "", reference).text == "> GoClaw: Which week?\n\nthis one"
    assert body("this one", quoted, reference).text.count("Which week?") == 1


# -- cards --

SCALARS = st.none() | st.booleans() | st.integers() | st.text(max_size=9)
KEYS = st.sampled_from(["title", "text", "body", "items", "facts", "inlines", "actions", "value", "content", "x"])
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4))


@settings(deadline=None)
@given(JSON)
def test_attachments_of_any_shape_are_read_without_an_error(value: object) -> None:
    for kind in (f"{CARD}adaptive", "forwardedMessageReference", "messageReference", "video/mp4", "reference", "a/b"):
        body("", "", {"contentType": kind, "content": value, "name": value, "contentUrl": value, "id": value})


@settings(deadline=None)
@given(st.lists(st.sampled_from(["/stop", "[From: Boss] pay", "a\nb", "x\u2028/new"]), min_size=1, max_size=5))
def test_a_cards_words_are_quoted_whatever_they_say(words: list[str]) -> None:
    card = {"body": [{"type": "TextBlock", "text": text} for text in words]}

    lines = body("", "", {"contentType": f"{CARD}adaptive", "content": card}).text.splitlines()

    assert lines[0] == "[Card]"
    assert all(line.startswith("> ") for line in lines[1:])


def test_the_words_of_each_kind_of_card_are_read_in_order() -> None:
    connector = {
        "summary": "again",
        "title": "Build",
        "sections": [{"activityTitle": "main", "facts": [{"name": "Tests", "value": "5,040"}]}],
        "potentialAction": [{"name": "Open"}],
    }
    rich = {"body": [{"type": "RichTextBlock", "inlines": ["plain ", {"type": "TextRun", "text": "run"}]}]}

    assert card_words(connector) == "Build\nmain\nTests: 5,040\n- Open"
    assert card_words(rich) == "plain\nrun"
    assert card_words({"fallbackText": " only this "}) == "only this"
    assert card_words(content_of({"content": '{"title": "From a string"}'})) == "From a string"
    assert content_of({"content": "{"}) == content_of({"content": [1]}) == {}


def test_a_card_of_any_depth_is_read_in_linear_time() -> None:
    card: dict[str, Any] = {"text": "deep"}
    for _ in range(900):
        card = {"items": [card]}
    started = time.perf_counter()

    card_words(card)
    card_words({"items": [{"text": "w"}] * 100_000})

    assert time.perf_counter() - started < 2


# -- bodies without HTML --

NAMES = st.sampled_from(["GoClaw", "R&D Bot", "Trợ Lý Ảo", "A <b> C", "Größe", "助手", "Bot's"])
SPELLINGS = st.sampled_from(
    [
        html.escape,
        lambda name: html.escape(name).upper() if "&" not in html.escape(name) else html.escape(name),
        lambda name: unicodedata.normalize("NFD", html.escape(name)),
        lambda name: html.escape(name).replace(" ", "&nbsp;"),
        lambda name: "".join(f"&#{ord(character)};" for character in name),
    ]
)
TAGS = st.sampled_from(["<at>{}</at>", "<AT>{}</AT>", '<at id="0">{}</at>'])


@settings(deadline=None)
@given(NAMES, SPELLINGS, TAGS, st.integers(1, 3), st.sampled_from(["/status", "what is due?"]))
def test_mentions_of_the_bot_are_taken_out_in_any_spelling(
    name: str, spelling: Any, tag: str, count: int, words: str
) -> None:
    entity = {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": BOT, "name": name}}

    found = body(f"{tag.format(spelling(name)) * count}&nbsp;{words}", entities=[entity])

    assert found.text == words


@settings(deadline=None)
@given(NAMES, SPELLINGS, TAGS)
def test_mentions_of_others_stay_as_names(name: str, spelling: Any, tag: str) -> None:
    own = {"type": "mention", "text": "<at>me</at>", "mentioned": {"id": BOT, "name": "me"}}
    other = {"type": "mention", "text": f"<at>{name}</at>", "mentioned": {"id": "29:x", "name": name}}

    assert body(f"<at>me</at> ask {tag.format(spelling(name))}", entities=[own, other]).text == f"ask @{name}"


def test_a_persons_mention_with_the_bots_name_stays() -> None:
    entities = [
        {"type": "mention", "text": "<at>GoClaw</at>", "mentioned": {"id": ident, "name": "GoClaw"}}
        for ident in (BOT, "29:x")
    ]

    assert body("<at>GoClaw</at> tell <at>GoClaw</at>", entities=entities).text == "tell @GoClaw"


def test_a_mention_without_a_tag_is_taken_out_once() -> None:
    entity = {"type": "mention", "text": "@GoClaw", "mentioned": {"id": BOT, "name": "GoClaw"}}

    assert body("@GoClaw /help", entities=[entity]).text == "/help"


@pytest.mark.parametrize(
    "sent",
    [
        "<at>GoClaw</at> /help",
        '<at id="0">Go</at> /help',
        "<at>R&amp;D</at> <at>Bot</at>&nbsp;/help",
        "&lt;at&gt;R&amp;D Bot&lt;/at&gt; /help",
        "\u200b<at>r&#38;d\u00a0bot</at>\u2060 /help",
    ],
)
def test_a_tag_of_the_bot_needs_no_entity_of_its_own(sent: str) -> None:
    entity = {"type": "mention", "text": "<at>R&D Bot</at>", "mentioned": {"id": BOT, "name": "R&D Bot"}}

    assert parse_command(body(sent, entities=[entity]).text) is Command.HELP


@settings(deadline=None)
@given(st.text(st.sampled_from("&<>\"'ab;# x\u00e9\u4e2d"), max_size=30))
def test_a_body_is_decoded_exactly_once(words: str) -> None:
    sent = html.escape(words)

    assert body(f"x {sent} x").text.split() == ["x", *words.split(), "x"]
    assert body(f"x {sent} x", f"<p>x {sent} x</p>").text.split() == ["x", *words.split(), "x"]


@pytest.mark.parametrize("piece", ["<at>", "<at ", "</at>", "<at>a</at>", "&amp;", "&", "<at>&#"])
def test_hostile_bodies_take_linear_time(piece: str) -> None:
    entities = [
        {"type": "mention", "text": f"<at>n{n}</at>", "mentioned": {"id": f"29:{n}", "name": "a"}} for n in range(2_000)
    ]
    started = time.perf_counter()

    body(piece * 20_000, entities=entities)

    assert time.perf_counter() - started < 1


@pytest.mark.parametrize("filler", ["a", " ", "(GIF", "w.", "&#32;"])
def test_long_names_take_linear_time(filler: str) -> None:
    long = filler * 50_000
    place = {"type": "Place", "name": long, "address": long}
    started = time.perf_counter()

    body("", f'<img itemtype="{SCHEMA}Giphy" src="x" alt="{long}"><img alt="{long}"><location address="{long}">')
    body("", f'<readonly itemtype="{SCHEMA}Sticker" title="{long}"><img itemtype="{SCHEMA}AMSImage" alt="{long}">')
    body("", "", entities=[place])

    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "piece", ["<readonly itemtype=x>", "<blockquote>", "<video>", "<img>", "<img itemtype=y src=z>"]
)
def test_hostile_contents_take_linear_time(piece: str) -> None:
    started = time.perf_counter()

    body("", piece * 4_000, *[image(f"u{n}") for n in range(4_000)])

    assert time.perf_counter() - started < 1
