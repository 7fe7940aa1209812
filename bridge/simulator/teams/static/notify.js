// Notifies as a Teams client does: of a message marked `notify`, in a chat that is not being read.

import { firstName, oneLine } from "./format.js";
import { addressOf, chatNamed, chatsOf, store } from "./state.js";
import { messageToast } from "./toasts.js";

/** Called with each message event and the message's form `before`, if known. `reading`: the open chat is visible. */
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
