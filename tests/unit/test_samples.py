"""Each recorded activity of Teams leads to the expected decision.

The samples are written from the documented fields (docs/reference/teams.md, "Fields of an activity"), in full; names,
ids and times are made up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from bridge.core.access import AccessPolicy
from bridge.core.decide import Accept, ApplyEdit, AskAgain, Policy, ShowStatus, Stop, WithdrawAll, decide
from bridge.core.feedback import Rating
from bridge.core.inbound.activities import Ignored, parse_activity
from bridge.core.no_text import SENTENCES
from bridge.core.texts import say
from bridge.core.turn import Kind, NewTurn

SAMPLES = {
    path.stem: orjson.loads(path.read_bytes()) for path in (Path(__file__).parent.parent / "samples").glob("*.json")
}
POLICY = Policy(AccessPolicy(frozenset({"3f2b8c1e-6a4d-4c7e-9b55-0d1e2f3a4b5c"})), "helper")

TABLE = """\
| Name | Age |
| --- | --- |
| Ann | 41 |

```python
if x < 2:
  print(1)
```"""


TEN_NOTES = "".join(f" (download notes-{n}.txt)" for n in range(1, 11))


def left_out(things: str) -> str:
    """The end of a question whose content does not reach the agent."""
    return "\n\n" + say("no_text_dropped", things=things)


MEANING = {
    "personal": "ask: What is due this week?",
    "personal_plain": "ask: What is due this week?",
    "personal_without_type": "ask: What is due this week?",
    "personal_upper_case_tenant": "ask: Hello",
    "group_mention": "ask: [From: Ann Lee] what is due?",
    "group_without_mention": "nothing: not_mentioned",
    "group_without_type": "nothing: malformed",
    "group_name_with_brackets": "ask: [From: Bob (Ops)] hi",
    "channel_root": "ask: [From: Ann Lee] summarise this channel",
    "channel_reply": "ask: [From: Bob (Ops)] and the dates?",
    "mention_only": "note: help_group",
    "quote_reply": "ask: > GoClaw: The report is due on Friday.\n\nWhich Friday?",
    "quote_stop": "stop",
    "quote_stop_group": "stop",
    "mention_new": "card: new_ask",
    "table_and_code": f"ask: Check **this**:\n\n{TABLE}",
    "several_mentions": "ask: [From: Ann Lee] ask @Bob (Ops) and @Ann Lee",
    "two_bots": "ask: [From: Ann Lee] @Poll Bot and : who is in?",
    "only_other_bot": "nothing: not_mentioned",
    "namesake": "nothing: not_mentioned",
    "namesake_and_bot": "ask: [From: Ann Lee] tell @GoClaw hello",
    "typed_name": "nothing: not_mentioned",
    "file": "ask: Please read this (download plan.pdf)",
    "file_with_command": "ask: /new (download plan.pdf)",
    "group_file": "ask: [From: Ann Lee] what is due? (withheld file)",
    "file_consent_accept": "file",
    "file_consent_decline": "file",
    "picture": "ask:  (picture picture)",
    "meeting": "note: denied_meeting",
    "other_bot": "nothing: from_bot",
    "no_aad_id": "note: denied_no_aad_id",
    "foreign_tenant": "note: denied_tenant",
    "quote_entity": "ask: > GoClaw: The report is due on Friday.\n\nWhich Friday?",
    "quote_entity_stop": "stop",
    "quote_both_forms": "ask: > GoClaw: The report is due on Friday.\n\nWhich Friday?",
    "quote_two_entities": "ask: > Ann (Lee): First\n> of two\n\nagree\n\nnot this",
    "locale_vi": "ask: [From: Nguyễn Thị Hoa] tuần này có gì đến hạn?",
    "guest": "ask: [From: Gus (Guest)] what is due?",  # only the roster tells guests; the pipeline asks the connector
    "edit": "reword: What is due next week?",
    "edit_group": "reword: [From: Ann Lee] what is due?",
    "edit_group_without_mention": "reword, not kept: [From: Ann Lee] what is due tomorrow?",
    "edit_emptied": "reword: ",
    "edit_command": "reword: ",
    "undelete": "reword, or anew: What is due this week?",
    "update_unknown": "nothing: change_unknown",
    "delete": "gone",
    "delete_channel": "gone",
    "reaction": "like",
    "reaction_removed": "like taken back",
    "reaction_changed": "dislike",
    "reaction_neutral": "nothing: reaction_neutral",
    "reaction_new_emoji": "dislike",
    "reaction_group": "like",
    "feedback_like": "like: Just what I needed.",
    "feedback_dislike": "dislike",
    "feedback_malformed": "nothing: invoke_malformed",
    "feedback_fetch_task": "nothing: invoke_unknown",  # sent only for `custom` buttons, which the bridge does not use
    "picture_with_text": "ask: What is on it? (picture picture)",
    # emoji, stickers and GIFs are words
    "emoji": "ask: Great work 👍",
    "emoji_alone": "ask: 🎉",
    "emoji_ten_and_file": f"ask: read these {'🎉' * 10} (download notes-1.txt)",
    "emoji_tenant": "ask: ship it :shipit:",
    "emoji_and_picture": "ask: what is this? 👍 (picture picture)",
    "emoji_in_quote_stop": "stop",
    "picture_in_quote_status": "status",
    "emoji_edit": "reword: What is due next week? 👍",
    "edit_with_sticker": "reword: What is due next week?\n\n[sticker: Well done]",
    "sticker": "ask: [sticker: Well done]",
    "gif": "ask: look at me\n\n[GIF: Happy Dance]",
    "files_eleven": f"ask: compare them{TEN_NOTES} (surplus notes-11.txt)",
    # content that is no text: read as far as possible, or told
    "gif_unnamed": "note: files_only, GIF",
    "voice_note": "note: files_only, VOICE",
    "voice_note_in_reply": "note: files_only, VOICE",
    "voice_note_with_words": f"ask: please note this down{left_out('voice message')} (note: files_missed, VOICE)",
    "audio": "note: files_only, AUDIO",
    "video": "note: files_only, VIDEO",
    "video_group": f"ask: [From: Ann Lee] what is wrong here?{left_out('video')} (note: files_missed, VIDEO)",
    "loop_component": "note: files_only, LOOP",
    "card_alone": "ask: [Card]\n> Incident 4711: database down\n> Since: 09:12\n> Owner: Bob\n> - Open",
    "card_says_command": "ask: [Card]\n> /stop",
    "card_without_words": "note: files_only, CARD",
    "card_hidden": "note: files_only, CARD",
    "link_preview": "ask: what is in https://github.com/goclaw/goclaw",
    "poll": "ask: [Card]\n> Lunch on Friday?\n> - Yes\n> - No\n> - Vote",
    "location": "ask: [location: Town Hall, Marienplatz 8, Munich, 48.1374, 11.5755]",
    "location_unreadable": "note: files_only, LOCATION",
    "forward_preview": "ask: > Bob (Ops): Can we move the launch to Friday?",
    "forward_original": "ask: > Cara Vo: Costs are **up** 4 %\n> \n> Details follow\n\nis this right?",
    "forward_command": "ask: > Bob: /new",
    "forward_without_preview": "note: files_only, FORWARD",
    "unknown_attachment": "note: files_only, OTHER",
    # bodies without HTML
    "plain_mention_reference": "ask: [From: Ann Lee] what is due?",
    "plain_mention_nbsp_command": "status",
    "plain_mention_twice": "ask: [From: Ann Lee] are you there ?",
    "plain_mention_decomposed": "ask: [From: Ann Lee] <b> là gì? &amp;",
    "plain_mention_others": "ask: [From: Ann Lee] ask @Ann & Co and @Guest",
    "plain_echo_reference": "ask: R&D & more?",
    "consent_accept": "file",
    "consent_decline": "file",
    "install_add": "note: welcome",
    "install_upgrade": "nothing: installation_update",
    "install_remove": "removed",
    "install_remove_without_service_url": "removed",
    "install_remove_upgrade": "nothing: installation_update",
    "bot_removed": "removed",
    "member_removed": "nothing: conversation_update",
    "bot_added": "note: welcome",
    "bot_added_to_team": "nothing: installed",
    "member_added": "nothing: conversation_update",
    "card_ask_again": "again: 42",
    "card_use_new_text": "again, instead: 42",
    "card_new_session": "new",
    "invoke_unknown": "nothing: invoke_unknown",
    "typing": "nothing: type_typing",
    "read_receipt": "nothing: type_event",
    "end_of_conversation": "nothing: type_endOfConversation",
    "unknown_type": "nothing: type_unknown",
}


def meaning(activity: dict[str, Any]) -> str:
    """Return the bridge's decision about an activity as a line of text."""
    match decide(parse_activity(activity), POLICY, 1.0):
        case Ignored(reason):
            return f"nothing: {reason}"
        case AskAgain(n, instead=instead):
            return f"again{', instead' if instead else ''}: {n}"
        case ApplyEdit(change, about, anew):
            kept = "" if change.keep else ", not kept"
            return f"reword{kept}{', or anew' if anew else ''}: {change.edit.text}" if about else "gone"
        case Rating() as rating:
            back = " taken back" if rating.taken_back else ""
            return f"{rating.reaction}{back}{f': {rating.words}' if rating.words else ''}"
        case Accept(turn, beside):
            return _turn(turn) + (f" ({_turn(beside)})" if beside else "")
        case Stop() | WithdrawAll() | ShowStatus() as decision:
            return {Stop: "stop", WithdrawAll: "removed", ShowStatus: "status"}[type(decision)]
    raise AssertionError("no decision")


def _turn(turn: NewTurn) -> str:
    if turn.kind is Kind.ASK:
        files = "".join(f" ({file.kind} {file.name})" for file in turn.payload.files)
        return f"ask: {turn.payload.text}{files}"
    if not turn.payload.activities:
        return str(turn.kind)
    (activity,) = turn.payload.activities
    return f"card: {_key(activity['summary'])}" if "summary" in activity else f"note: {_key(activity['text'])}"


def _key(words: str) -> str:
    """Return the text key of the sentence with which `words` begin."""
    keys = ("help", "help_group", "welcome", "new_ask")
    fields = {"agent": "helper", "commands": "", "session": say("session_shared")}
    denials = ("denied_meeting", "denied_no_aad_id", "denied_tenant")
    told = [kind.name for kind, key in SENTENCES.items() if say(key) in words]
    if told:
        beginning = next(key for key in ("files_only", "files_missed") if words.startswith(say(key, files="")))
        return ", ".join([beginning, *told])
    return next(key for key in (*keys, *denials) if words.startswith(say(key, **fields)))


@pytest.mark.parametrize("name", sorted({*SAMPLES, *MEANING}))
def test_each_recorded_activity_leads_to_the_expected_decision(name: str) -> None:
    assert meaning(SAMPLES[name]) == MEANING[name]
