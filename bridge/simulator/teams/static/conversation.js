// The right side: head and log of the open chat. Personal and group chats are a single run of messages; a channel is a list
// of posts, each with replies and a reply box.

import { appMenu } from "./appmenu.js";
import { chatAvatar } from "./avatar.js";
import { composer } from "./composer.js";
import { differs, h, hidden, reconcile, replaceKeepingFocus } from "./dom.js";
import { dayKey, dayName, firstName, listed } from "./format.js";
import { icon } from "./icons.js";
import { messageShell, typingElement, updateMessage } from "./message.js";
import { addressOf, me, messagesOf, openedChat, personNamed, store, typingIn } from "./state.js";

const TOGETHER_MS = 5 * 60_000; // messages of a sender less than 5 minutes apart share a name and a picture

export function subtitleOf(chat) {
  const names = chat.members.map((id) => firstName(personNamed(id)?.name ?? id));
  if (chat.kind === "personal") return `Only you and ${store.state.bot.name} · ${store.state.agent.label}`;
  if (chat.kind === "channel") return `${chat.team} · each post has its own thread and its own memory`;
  return `${listed([...names, store.state.bot.name])} · one shared memory`;
}

export function drawHead(slot, chat, { phrasesOpen, togglePhrases, redraw }) {
  if (!differs(slot, [store.person, chat, phrasesOpen, store.state.agent])) return;
  const title = chat.kind === "channel" ? `${chat.team} › ${chat.title}` : chat.title;
  replaceKeepingFocus(slot,
    h("a", {
      class: "icon-button back", href: addressOf(store.person), "aria-label": "Back to people and chats",
      dataset: { key: "back", testid: "back" },
    }, icon("back")),
    chatAvatar(chat),
    h("div", { class: "conversation-title" }, h("h2", {}, title), h("p", {}, subtitleOf(chat))),
    h("button", {
      type: "button", class: "quiet-button", hidden: !store.state.phrases.length,
      "aria-expanded": String(phrasesOpen), "aria-controls": "phrases",
      dataset: { key: "try", testid: "things-to-try" }, on: { click: togglePhrases },
    }, icon("bulb"), h("span", {}, "Things to try")),
    appMenu(chat, redraw));
}

/** The log of the open chat: a new element for each chat, so screen readers do not read out the whole chat. */
export function newLog(chat) {
  return h("div", {
    class: `log log-${chat.kind}`, id: "log", tabindex: "0",
    role: "log", "aria-live": "polite", "aria-relevant": "additions", "aria-label": `Messages in ${chat.title}`,
    dataset: { chat: chat.id, testid: "log" },
  });
}

export function drawLog(log, redraw) {
  const chat = openedChat();
  const messages = messagesOf(chat.id);
  const items = chat.kind === "channel" ? posts(messages, redraw) : [...run(messages, redraw), ...typing(chat.id, null)];
  if (!store.messages.has(chat.id)) items.unshift(loading());
  else if (!messages.length) items.unshift(emptyState(chat));
  reconcile(log, items);
}

function run(messages, redraw, inThread = false) {
  const latest = messages.findLast(({ from }) => from.id === store.person)?.id;
  let before = null;
  return messages.flatMap((message) => {
    const newDay = !before || dayKey(before.at) !== dayKey(message.at);
    const near = before && new Date(message.at) - new Date(before.at) < TOGETHER_MS;
    const continued = Boolean(!newDay && near && before.from.id === message.from.id);
    before = message;
    const item = messageItem(message, { continued, latest: message.id === latest, inThread, redraw });
    return newDay && !inThread ? [day(message.at), item] : [item];
  });
}

function messageItem(message, view) {
  return {
    key: message.id,
    make: () => messageShell(message),
    update: (element) => updateMessage(element, { message, ...view }),
  };
}

function day(at) {
  return {
    key: `day-${dayKey(at)}`,
    make: () => h("div", { class: "day" }, h("span", {}, dayName(at))),
  };
}

function typing(chat, thread) {
  if (messagesOf(chat).some(({ stream }) => stream)) return []; // the growing answer already shows the bot at work
  const names = [...new Set(typingIn(chat).filter((item) => (item.thread ?? null) === thread).map(({ name }) => name))];
  return names.map((name) => ({ key: `typing-${name}`, make: () => typingElement(name) }));
}

function posts(messages, redraw) {
  const roots = messages.filter(({ thread }) => thread === null);
  const known = new Set(roots.map(({ id }) => id));
  let before = null;
  const items = roots.flatMap((root) => {
    const newDay = before !== dayKey(root.at);
    before = dayKey(root.at);
    const replies = messages.filter(({ thread }) => thread === root.id);
    return newDay ? [day(root.at), post(root, replies, redraw)] : [post(root, replies, redraw)];
  });
  // Replies stay readable although their post is older than the last 500 messages.
  const orphans = messages.filter(({ thread }) => thread !== null && !known.has(thread));
  return [...run(orphans, redraw, true), ...items, ...typing(store.chat, null)];
}

function post(root, replies, redraw) {
  return {
    key: `post-${root.id}`,
    make: () => h("section", {
      class: "post", "aria-label": `Post by ${root.from.name}`, dataset: { testid: "thread", thread: root.id },
    }, h("div", { class: "post-root" }), h("div", { class: "post-replies" }), replyArea(root)),
    update: (element) => {
      const mine = root.from.id === store.person && !replies.some(({ from }) => from.id === store.person);
      reconcile(element.children[0], [messageItem(root, { continued: false, latest: mine, inThread: true, redraw })]);
      reconcile(element.children[1], [...run(replies, redraw, true), ...typing(root.chat, root.id)]);
    },
  };
}

function replyArea(root) {
  const area = h("div", { class: "reply-area" });
  const close = () => {
    area.replaceChildren(open);
    open.focus();
  };
  const show = () => {
    const box = composer({ chat: openedChat(), thread: root.id, onCancel: close });
    area.replaceChildren(box);
    box.querySelector("textarea").focus();
  };
  const open = h("button", { type: "button", class: "quiet-button", dataset: { testid: "reply" }, on: { click: show } },
    icon("reply"), "Reply", hidden(` to ${root.from.name}'s post`));
  area.append(open);
  return area;
}

function loading() {
  return { key: "loading", make: () => h("p", { class: "empty-hint" }, "Loading the conversation…") };
}

const WELCOME = {
  personal: (bot) => [
    `Say hello to ${bot}`,
    "What you write travels as a real Teams activity to the bridge, from there to the agent, and back. "
      + "Ask anything, or try one of the things to say.",
  ],
  groupChat: (bot) => [
    "A group with one assistant",
    `Everybody here shares one conversation with ${bot}. It answers when it is mentioned; `
      + "the chip in the message box does that for you.",
  ],
  channel: (bot) => [
    "No posts yet",
    `Start one below. Each post opens a thread, and ${bot} remembers each thread by itself.`,
  ],
};

function emptyState(chat) {
  const [title, words] = WELCOME[chat.kind](store.state.bot.name);
  return {
    key: `empty-${store.person}`,
    make: () => h("div", { class: "empty", dataset: { testid: "empty" } }, chatAvatar(chat, "avatar-large"),
      h("h3", {}, title), h("p", {}, words), h("p", { class: "empty-hint" }, `You are ${me().name}.`)),
  };
}
