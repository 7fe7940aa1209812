// Where a Teams client would notify: a message that asks for it, in a chat that is not being read just now.

import { firstName, oneLine } from "./format.js";
import { addressOf, chatNamed, chatsOf, store } from "./state.js";
import { messageToast } from "./toasts.js";

/** Called with each message of the event stream and the form of it that was known before, if any. `reading`: in sight. */
export function notifyOf(message, before, reading) {
  const mine = message.from.id === store.person;
  const own = chatsOf(store.person).some(({ id }) => id === message.chat);
  if (!message.notify || before?.notify || mine || !own || message.deleted) return;
  if (reading && message.chat === store.chat) return;
  const chat = chatNamed(message.chat);
  messageToast({
    chat: chat.id, from: message.from, href: addressOf(store.person, chat.id),
    title: chat.kind === "personal" ? message.from.name : `${firstName(message.from.name)} in ${chat.title}`,
    words: message.stream ? "is answering…" : oneLine(message.text) || (message.files?.length ? "Sent a file" : "Sent a card"),
  });
}
