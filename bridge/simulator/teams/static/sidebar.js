// The left side: the choice of the tab's person, and the person's chats. All are links (#person/chat), so a middle click
// opens a second person in a second tab.

import { chatAvatar, personAvatar } from "./avatar.js";
import { arrowKeys, differs, h, hidden, replaceKeepingFocus } from "./dom.js";
import { firstName, oneLine, shortWhen } from "./format.js";
import { addressOf, chatsOf, messagesOf, store, typingIn, unreadIn } from "./state.js";

const byId = (id) => document.getElementById(id);

export function startSidebar() {
  arrowKeys(byId("people"), "ArrowRight", "ArrowLeft");
  arrowKeys(byId("chats"));
  arrowKeys(byId("channels"));
}

export function drawSidebar() {
  drawPeople(byId("people"));
  const chats = chatsOf(store.person);
  drawChats(byId("chats"), chats.filter(({ kind }) => kind !== "channel"));
  const channels = chats.filter(({ kind }) => kind === "channel");
  drawChats(byId("channels"), channels);
  byId("channels-section").hidden = channels.length === 0;
}

function drawPeople(list) {
  if (!differs(list, [store.person, store.state.people])) return;
  replaceKeepingFocus(list, store.state.people.map((person) => {
    const current = person.id === store.person;
    return h("li", {}, h("a", {
      class: "person", href: addressOf(person.id), "aria-current": current ? "true" : null,
      title: `${person.name} (${person.locale})`,
      dataset: { key: person.id, testid: `person-${person.id}` },
    },
    personAvatar(person.id, person.name, "avatar-person"),
    h("span", { class: "person-name" }, firstName(person.name), hidden(person.name.slice(firstName(person.name).length))),
    person.guest && h("span", { class: "label" }, "Guest")));
  }));
}

function drawChats(list, chats) {
  const rows = chats.map((chat) => ({
    chat, current: chat.id === store.chat && store.pane === "chat", unread: unreadIn(chat.id), ...preview(chat),
  }));
  if (differs(list, [store.person, rows])) replaceKeepingFocus(list, rows.map(chatRow));
}

function preview(chat) {
  const typing = typingIn(chat.id)[0];
  const last = messagesOf(chat.id).at(-1);
  const when = last ? shortWhen(last.at) : "";
  if (typing) return { words: `${typing.name} is typing…`, when, active: true };
  if (!last) return { words: "Nothing said yet", when };
  if (last.stream) return { words: `${last.from.name} is answering…`, when, active: true };
  const other = chat.kind === "personal" ? "" : `${firstName(last.from.name)}: `;
  const speaker = last.from.id === store.person ? "You: " : other;
  return { words: speaker + (last.deleted ? "Message deleted" : plain(last)), when };
}

function plain({ text, card, files }) {
  return oneLine(text) || (files?.length ? `Sent ${files[0].name}` : card ? "Sent a card" : "");
}

function chatRow({ chat, current, unread, words, when, active }) {
  const title = chat.kind === "channel" ? `${chat.team} › ${chat.title}` : chat.title;
  return h("li", {}, h("a", {
    class: `chat ${unread ? "unread" : ""}`, href: addressOf(store.person, chat.id),
    "aria-current": current ? "page" : null,
    dataset: { key: chat.id, testid: `chat-${chat.kind}`, chat: chat.id, unread: String(unread) },
  },
  chatAvatar(chat),
  h("span", { class: "chat-words" },
    h("span", { class: "chat-title" }, title),
    h("span", { class: `chat-preview ${active ? "active" : ""}` }, words)),
  h("span", { class: "chat-marks" },
    h("span", { class: "chat-when" }, when),
    unread > 0 && h("span", { class: "badge" }, unread > 99 ? "99+" : String(unread), hidden(" unread")))));
}
