"""Names of lanes in the three scopes, with the conversation in Teams and the session in the gateway of each.

`lane-7` is a personal chat, `group-7` a group chat, `thread-7` the thread of a channel below the message with the id 7.
Written without `bridge.core.identity`, so that the bridge's mistakes are not repeated here.
"""

from __future__ import annotations

import re

SENDERS = 3
"""People who write in each group chat and thread."""
_CHATS = {"lane": "personal-alice", "group": "launch-team", "thread": "general"}
_CONVERSATIONS = {
    "lane": "a:lane-{}",
    "group": "19:group-{}@thread.v2",
    "thread": "19:general@thread.tacv2;messageid={}",
}
_ESCAPED = re.compile(r"_([0-9a-f]+)_")


def is_personal(lane: str) -> bool:
    return lane.startswith("lane-")


def chat_of(lane: str) -> str:
    """The simulated tenant's chat of the same scope."""
    return _CHATS[_kind(lane)]


def conversation_of(lane: str) -> str:
    """The id of the lane's conversation in Teams."""
    return _CONVERSATIONS[_kind(lane)].format(_number(lane))


def lane_of_conversation(conversation: str) -> str:
    """The lane of a conversation's id; an unknown id is its own lane."""
    for kind, form in _CONVERSATIONS.items():
        before, _, after = form.partition("{}")
        number = conversation.removeprefix(before).removesuffix(after)
        if conversation == form.format(number) and number.isdecimal():
            return f"{kind}-{number}"
    return conversation


def sender_of(lane: str, message: str) -> tuple[str, str]:
    """Name and AAD object id of the person who writes the message with this id in the lane."""
    number = int(_number(lane))
    if is_personal(lane):
        return lane, user_of(number)
    who = int(message) % SENDERS
    return f"{lane} {who}", user_of(10**11 + number % 10**9 * 10 + who)


def user_of(number: int) -> str:
    """The AAD object id of a person."""
    return f"00000000-0000-4000-8000-{number:012d}"


def lane_of_user(user: str) -> str:
    """The lane of a session in the gateway, from the user id: a person's AAD object id, else a conversation's id."""
    if user.startswith("teams-"):
        return lane_of_conversation(_ESCAPED.sub(lambda found: chr(int(found[1], 16)), user.removeprefix("teams-")))
    return f"lane-{int(user.rpartition('-')[2])}"


def _kind(lane: str) -> str:
    return lane.partition("-")[0]


def _number(lane: str) -> str:
    return lane.rpartition("-")[2]
