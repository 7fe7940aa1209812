"""Activities built from people's actions."""

import re
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.core.inbound.activities import UserMessage, parse_activity
from bridge.simulator.teams import activities
from bridge.simulator.teams.activities import Envelope
from bridge.simulator.teams.clicks import card_actions
from bridge.simulator.teams.typed_text import Mention, page_html, sent_form
from bridge.simulator.teams.world import PEOPLE, TENANT_ID, Conversation, demo_chats, roster_entry

APP = "11111111-2222-3333-4444-555555555555"
CHATS = demo_chats(APP)
BOT = Mention(f"28:{APP}", "GoClaw")


def envelope(chat: str = "personal-alice", who: str = "alice", thread: str | None = None) -> Envelope:
    at = datetime(2026, 11, 22, 21, 40, 11, tzinfo=UTC)
    conversation = Conversation(CHATS[chat], thread)
    return Envelope(APP, TENANT_ID, "http://127.0.0.1:1/emea/t/", PEOPLE[who], conversation, at)


def test_a_personal_message_has_the_fields_of_a_teams_message() -> None:
    activity = activities.message(envelope(), "1700000000001", "Hello")
    assert activity["type"] == "message"
    assert activity["id"] == "1700000000001"
    assert activity["channelId"] == "msteams"
    assert activity["serviceUrl"] == "http://127.0.0.1:1/emea/t/"
    assert activity["timestamp"] == "2026-11-22T21:40:11.000Z"
    assert activity["localTimestamp"] == "2026-11-22T16:40:11.000-05:00"
    assert activity["text"] == "Hello"
    assert activity["textFormat"] == "plain"
    assert activity["attachments"] == [{"contentType": "text/html", "content": "<p>Hello</p>"}]
    assert activity["recipient"] == {"id": f"28:{APP}", "name": "GoClaw"}
    assert activity["from"]["id"].startswith("29:1")
    assert str(uuid.UUID(activity["from"]["aadObjectId"])) == activity["from"]["aadObjectId"]
    assert activity["conversation"]["conversationType"] == "personal"
    assert activity["conversation"]["tenantId"] == TENANT_ID
    assert activity["channelData"] == {"tenant": {"id": TENANT_ID}}
    assert activity["entities"] == [
        {
            "type": "clientInfo",
            "locale": "en-US",
            "country": "US",
            "platform": "Web",
            "timezone": "America/New_York",
        }
    ]


def test_conversation_ids_have_the_shapes_of_teams() -> None:
    assert re.fullmatch(r"a:1[\w-]{70}", envelope().conversation.id)
    assert re.fullmatch(r"19:[0-9a-f]{32}@thread\.v2", envelope("launch-team").conversation.id)
    thread = envelope("general", thread="1700000000001").conversation.id
    assert re.fullmatch(r"19:[\w-]+@thread\.tacv2;messageid=1700000000001", thread)


def test_a_channel_message_names_its_team_channel_and_thread() -> None:
    activity = activities.message(envelope("general", thread="17"), "18", "@GoClaw hi", [BOT])
    assert activity["conversation"]["id"].endswith(";messageid=17")
    assert activity["conversation"]["isGroup"] is True
    data = activity["channelData"]
    assert data["channel"]["id"] == CHATS["general"].conversation_id
    assert data["team"]["id"] == data["teamsTeamId"]
    assert data["tenant"]["id"] == TENANT_ID


def test_the_people_have_different_stable_ids() -> None:
    again = demo_chats(APP)
    assert [chat.conversation_id for chat in again.values()] == [chat.conversation_id for chat in CHATS.values()]
    assert len({person.aad_id for person in PEOPLE.values()}) == 4
    guest = roster_entry(PEOPLE["gina"], APP, TENANT_ID)
    assert guest["userRole"] == "guest"
    assert "#EXT#" in guest["userPrincipalName"]


def test_a_mention_is_a_tag_in_the_text_a_span_in_the_html_and_an_entity() -> None:
    sent = sent_form("@GoClaw what is 1 < 2?", [BOT])
    assert sent.text == "<at>GoClaw</at> what is 1 < 2?"
    assert sent.html == (
        '<p><span itemscope="" itemtype="http://schema.skype.com/Mention" itemid="0">GoClaw</span>'
        " what is 1 &lt; 2?</p>"
    )
    assert sent.entities == (
        {
            "type": "mention",
            "text": "<at>GoClaw</at>",
            "mentioned": {"id": f"28:{APP}", "name": "GoClaw"},
        },
    )


def test_each_mention_has_its_own_entity_and_the_longer_name_wins() -> None:
    sent = sent_form("@Bob Tran and @Bob", [Mention("29:1", "Bob"), Mention("29:2", "Bob Tran")])
    assert sent.text == "<at>Bob Tran</at> and <at>Bob</at>"
    assert [entity["mentioned"]["id"] for entity in sent.entities] == ["29:2", "29:1"]


@pytest.mark.parametrize("text", ["**not bold** _x_ # no title", "- a", "a <b>c</b> & d", "<at>GoClaw</at>"])
def test_typed_characters_stay_text(text: str) -> None:
    sent = sent_form(text, [])
    assert sent.text == text
    assert "<b>" not in sent.html
    assert "<at>" not in sent.html


def test_line_breaks_become_html_in_the_attachment_alone() -> None:
    sent = sent_form("one\ntwo\n\nthree", [])
    assert sent.text == "one\ntwo\n\nthree"
    assert sent.html == "<p>one<br>two</p>\n<p>three</p>"


def test_an_emoji_is_a_picture_in_the_html_and_an_attachment_and_the_bot_reads_the_emoji() -> None:
    activity = activities.message(envelope(), "1700000000001", "Thanks 👍🏽 from 👩‍💻 and 🇻🇳")

    event = parse_activity(activity)

    assert activity["text"] == "Thanks  from  and "
    assert [part["contentType"] for part in activity["attachments"]] == ["image/*"] * 3 + ["text/html"]
    assert isinstance(event, UserMessage)
    assert (event.text, event.files) == ("Thanks 👍🏽 from 👩‍💻 and 🇻🇳", ())


def test_a_code_fence_becomes_a_code_block_without_its_fences() -> None:
    sent = sent_form("look:\n```py\nif a < b:\n    pass\n```\nthat", [BOT])
    assert sent.text == "look:\nif a < b:\n    pass\nthat"
    assert '<codeblock class="py"><code>if a &lt; b:<br>    pass</code></codeblock>' in sent.html
    shown = page_html("```py\nif a < b:\n```\nthat", [])
    assert shown == '<pre><code class="language-py">if a &lt; b:</code></pre><p>that</p>'


def test_edits_deletions_and_reactions_name_the_message_they_are_about() -> None:
    edited = activities.edit(envelope(), "17", "new")
    assert (edited["type"], edited["id"]) == ("messageUpdate", "17")
    assert edited["channelData"]["eventType"] == "editMessage"
    deleted = activities.delete(envelope(), "17")
    assert (deleted["type"], deleted["channelData"]["eventType"]) == ("messageDelete", "softDeleteMessage")
    reaction = activities.reaction(envelope(), "f:1", "17", "like")
    assert (reaction["replyToId"], reaction["reactionsAdded"]) == ("17", [{"type": "like"}])
    assert activities.reaction(envelope(), "f:1", "17", "like", added=False)["reactionsRemoved"]


def test_an_installation_in_a_team_names_the_channel_that_was_chosen() -> None:
    installed = activities.installation(envelope("general"), "f:1", "add")
    assert installed["channelData"]["settings"] == {"selectedChannel": {"id": CHATS["general"].conversation_id}}
    assert "settings" not in activities.installation(envelope(), "f:1", "add-upgrade")["channelData"]


def test_an_execute_click_is_an_invoke_with_verb_and_data() -> None:
    action = {"type": "Action.Execute", "title": "Again", "verb": "again", "data": {"n": 1}}
    invoke = activities.card_execute(envelope(), "f:1", "17", action)
    assert invoke["name"] == "adaptiveCard/action"
    assert invoke["replyToId"] == "17"
    assert invoke["value"] == {
        "action": {"type": "Action.Execute", "verb": "again", "data": {"n": 1}},
        "trigger": "manual",
    }


@pytest.mark.parametrize(
    ("data", "content"),
    [
        ({"n": 1}, {"value": {"n": 1}}),
        ({"msteams": {"type": "imBack", "value": "yes"}}, {"text": "yes"}),
        ({"msteams": {"type": "messageBack", "text": "t", "value": 3}}, {"text": "t", "value": 3}),
    ],
)
def test_a_submit_click_is_a_message_with_the_actions_value(data: dict[str, Any], content: dict[str, Any]) -> None:
    message = activities.card_submit(envelope(), "18", "17", {"type": "Action.Submit", "data": data})
    assert (message["type"], message["replyToId"]) == ("message", "17")
    assert {name: message[name] for name in ("text", "value") if name in message} == content


def test_a_cards_actions_are_numbered_from_the_body_on() -> None:
    card = {
        "body": [
            {"type": "Container", "items": [{"type": "ActionSet", "actions": [{"title": "a"}]}]},
            {"type": "ActionSet", "actions": [{"title": "b"}, "damage"]},
        ],
        "actions": [{"title": "c"}],
    }
    assert [action["title"] for action in card_actions(card)] == ["a", "b", "c"]


def test_card_actions_nested_too_deeply_are_ignored() -> None:
    card: dict[str, Any] = {"actions": [{"title": "deep"}]}
    for _ in range(900):
        card = {"items": [card]}
    assert card_actions(card) == []
