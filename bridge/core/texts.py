"""Every sentence the bridge itself says, by locale and key.

A sentence tells what happened and what to do, in words for people who know nothing of gateways. Errors have their
sentence under their metric label. `{name}` holes are filled by `say`.
"""

from __future__ import annotations

from typing import Final

ENGLISH: Final[dict[str, str]] = {
    # errors of a turn
    "gateway_down": "I can't reach the agent right now. Your question was **not** asked. Please try again in a few minutes; if it stays like this, tell your IT team.",
    "gateway_busy": "The agent is busy with other people's questions and had no free place in time. Your question was **not** asked. Please send it again in a minute.",
    "gateway_token_rejected": "The agent doesn't let me in: my access was refused. Your question was **not** asked. Please tell your IT team.",
    "gateway_forbidden": "My access to the agent doesn't allow conversations. Your question was **not** asked. Please tell your IT team.",
    "gateway_merges_users": "I can't ask the agent safely: it would mix your conversation with other people's. Nothing was asked. Please tell your IT team.",
    "agent_unknown": "The agent I should ask doesn't exist there. Your question was **not** asked. Please tell your IT team.",
    "question_too_long": "Your message is too long for the agent (it can read about 32,000 bytes, some 5,000 words). Nothing was asked. Please shorten it or send it in parts.",
    "question_rejected": "The agent's gateway didn't accept this message. Nothing was asked. Please try again; if it happens again, tell your IT team.",
    "provider_failed": "The agent's language model failed. The agent doesn't remember this question. Please ask again in a few minutes.",
    "gateway_unavailable": "Something on the way to the agent failed. I don't know whether your question reached it. Please ask again in a few minutes.",
    "run_timed_out": "The agent needed too long, so I stopped waiting. It may have done part of the work. Please ask again, perhaps for less at once.",
    "run_lost": "The connection to the agent broke while it was working. It may have done part of the work. Please ask again.",
    "answer_unreadable": "The agent answered in a way I can't read. Please ask again; if it happens more than once, tell your IT team.",
    "answer_empty": "The agent finished without saying anything. Please ask again in other words.",
    "session_not_deleted": "I couldn't start a new conversation: the agent's gateway didn't confirm that the old one is gone. The agent may still remember it. Please try **/new** again later.",
    "membership_unknown": "Teams didn't tell me whether you are a member of this organisation, so I asked nothing. Please try again in a minute.",
    "interrupted": "I was restarted while the agent was working on your question, so I don't know whether it finished. Nothing was asked twice. You can ask again.",
    "internal_error": "Something went wrong inside the bridge. I don't know whether your question reached the agent. Please ask again; if it happens more than once, tell your IT team.",
    # who may talk
    "denied_no_aad_id": "I can only talk with people who are signed in with a work or school account. Teams didn't tell me your account's id, so I can't keep your conversation apart from others'.",
    "denied_guest": "I only answer members of this organisation, and you are a guest here. Please ask the person who invited you.",
    "denied_meeting": "I don't answer in meeting chats here. Please write to me in a personal chat.",
    "denied_tenant": "I don't answer people of your organisation here.",
    "denied_person": "You don't have access to me yet. Please ask your IT team; they need your id: `{aad_id}`",
    # commands and notes
    "help": "I pass your messages to the agent and bring back what it says. Just write to me.\n\n{commands}",
    "help_group": "Mention me with a question and I pass it to the agent. The conversation with it is {session}.\n\n{commands}",
    "welcome": "Hello! I connect you with the agent **{agent}**. Write to me as you would to a colleague: what you tell me here is remembered in our conversation.\n\nAnswers are written by an AI and can be wrong. The agent acts with its own rights, not with yours.\n\n{commands}",
    "new_done": "New conversation: the agent no longer remembers what was said here. Its long-term notes and files stay.",
    "new_ask": "Start a new conversation for **everybody here**? The agent forgets what was said; its long-term notes and files stay.",
    "new_yes": "Start a new conversation",
    "new_asked": "Starting a new conversation.",
    "stopped": "Stopped. The agent may already have done part of the work.",
    "stopped_by": "Stopped by {name}. The agent may already have done part of the work.",
    "stopped_early": "Stopped before the agent was asked.",
    "stop_nothing": "Nothing is running right now, so there is nothing to stop.",
    "answer_cut": "*The answer was longer than what a chat can show; its rest is left out.*",
    "silent": "*The agent chose not to reply.*",
    # files in: what the agent reads, and what people are told
    "files_alone": "[The user sent the following without a word.]",
    "files_dropped": "[The user also attached {count} file(s), which this chat cannot pass on to you: {names}. Tell them so if it matters.]",
    "file_goes_on": "[The file goes on: {left} of its {size} bytes are left out here.]",
    "files_missed": "Not everything that you sent reached the agent:\n\n{files}",
    "files_only": "I couldn't pass on what you sent, so nothing was asked:\n\n{files}",
    "file_line": "- `{name}`: {reason}",
    "file_expired": "Teams no longer gives it out. Please send it again.",
    "file_too_large": "it is larger than the {megabytes} MB that I take.",
    "file_refused": "it lies in a place that I don't fetch from. Please send it as a file of your own.",
    "file_unreachable": "I couldn't fetch it. Please send it again.",
    "file_withheld": "Teams gives bots files in personal chats only. Please paste the text that matters, or send me the file there.",
    "file_withheld_here": "Teams didn't give it to me. Please paste the text that matters.",
    "file_no_text": "I can pass on text only, and this is something else. Please paste what matters of it.",
    "file_no_room": "beside your words there was no room left for it; the agent reads about 32,000 bytes at once. Please send it alone.",
    "file_cut": "the agent got its first {kept} of {size} bytes; more doesn't fit.",
    # files out: beside a file's name in an answer, on its card, and after a click
    "file_gone": "(file no longer available)",
    "file_too_large_out": "(the file is too large for me to pass on)",
    "file_too_many": "(not passed on: {most} files in one answer are the most)",
    "file_no_way": "(I can't pass on files here; ask me for it in a personal chat)",
    "file_no_way_at_all": "(I can't pass on files here)",
    "file_offer": "From the agent",
    "file_saved": "`{name}` is in your OneDrive now.",
    "file_declined": "You didn't want `{name}`, so I didn't save it.",
    "file_not_saved": "I couldn't save `{name}` in your OneDrive. Please ask the agent for it again.",
    "file_offer_gone": "I no longer have that file. Please ask the agent for it again.",
    "waiting_paused": "Your IT team has paused me for a moment. Your question is kept, and I ask it as soon as they let me go on.",
    "waiting_place": "Many people are asking right now: your question is kept and number {place} in line. **/stop** takes it back.",
    "waiting_time": "Many people are asking right now: your question is kept and number {place} in line, about {time} to go. **/stop** takes it back.",
    "overloaded": "Too many messages are waiting here already. Please wait for an answer before you send the next one; this message was **not** kept.",
    "ask_again": "Ask again",
    "asked_again": "Asked again.",
    "again_gone": "The text of that question is no longer kept. Please write it again.",
    "again_not_yours": "Only the person who asked can do that.",
    # progress
    "doing_think": "Thinking",
    "doing_work": "Working on it",
    "doing_memory": "Looking into its notes",
    "doing_search": "Searching",
    "doing_read": "Reading",
    "doing_write": "Writing",
    "doing_run": "Running a program",
    "doing_picture": "Making a picture",
    "doing_clock": "Looking at the clock",
    "doing_delegate": "Asking another agent",
    "doing_tool": "Using {tool}",
    "seconds": "{count} s",
    "minutes": "{count} min",
    "stop": "Stop",
    "stop_asked": "Stopping.",
    "go_on_group": "Mention me to go on: I remember what is said to me in this chat.",
    "go_on_thread": "Mention me to go on: I remember what is said to me in this thread.",
    # status
    "status": "- **Agent:** {agent}\n- **Conversation:** {session}\n- **Now:** {now}\n- **Agent's gateway:** {gateway}\n- **Last turn:** {last}",
    "status_idle": "nothing is running",
    "status_running": "{turn} was asked {seconds} s ago and is not finished",
    "status_waiting": ", {count} waiting",
    "session_personal": "yours alone",
    "session_shared": "shared by everybody in this chat",
    "session_thread": "shared by everybody in this thread",
    "session_channel": "shared by everybody in this channel",
    "session_sender": "yours alone, also in this chat",
    "gateway_well": "reachable",
    "gateway_ill": "has a problem",
    "gateway_unchecked": "not checked yet",
    "none": "none yet",
    # an operator's word
    "dropped": "An administrator removed your question, so nothing more will come for it. Please write it again if you still need one; your IT team can tell you why.",
    "dropped_new": "An administrator removed your **/new**, so the agent may still remember what was said here. Please try **/new** again; your IT team can tell you why.",
    "dropped_message": "An administrator removed a message from me to you before it was shown.",
}

_LOCALES: Final[dict[str, dict[str, str]]] = {"en": ENGLISH}


def say(key: str, locale: str = "", **holes: str | int) -> str:
    """The sentence under `key` in the language of `locale` (`vi-VN`), English where there is none.

    Raises KeyError for an unknown key or a hole that is not filled.
    """
    language = locale.partition("-")[0].lower()
    sentence = _LOCALES.get(language, ENGLISH).get(key) or ENGLISH[key]
    return sentence.format(**holes)
