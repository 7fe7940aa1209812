// The page's data, and the changes by events. No DOM here: views read `store`, app.js redraws after a change.

export const store = {
  state: null, // GET /api/state
  person: null, // id of the tab's person
  chat: null, // id of the open chat
  pane: "chat", // phone only: "list" or "chat"
  connected: null, // null before the first connection
  messages: new Map(), // chat id -> messages, oldest first
  typing: new Map(), // chat + thread + name -> {chat, thread, name}
  clicks: new Map(), // message id -> {busy, note, failed}: the state of a click on a card
  editing: null, // id of the message being edited
  feedbackForms: new Map(), // message id -> "like" or "dislike": the open feedback form below an answer
  busy: new Set(), // requests without an answer yet, such as "stop/<message id>"
  killed: false, // the page ended the bridge, and the bridge is not back yet
};

export const me = () => store.state.people.find(({ id }) => id === store.person);
export const chatsOf = (person) => store.state.chats.filter(({ members }) => members.includes(person));
export const openedChat = () => store.state.chats.find(({ id }) => id === store.chat);
export const messagesOf = (chat) => store.messages.get(chat) ?? [];
export const chatNamed = (id) => store.state.chats.find((chat) => chat.id === id);
export const messageNamed = (chat, id) => messagesOf(chat).find((message) => message.id === id);
export const personNamed = (id) => store.state.people.find((person) => person.id === id);

// fields absent from the messages of older simulators
const ABSENT = {
  stream: null, quoted: null, reactions: [], feedback: false, feedback_given: {}, files: [],
  notify: false, stopped: false,
};

function withDefaults(message) {
  const form = { ...message };
  for (const [field, value] of Object.entries(ABSENT)) form[field] ??= value;
  return form;
}

const loads = new Set(); // chats being loaded, each with the messages that arrive meanwhile

/** Loads a chat; messages that the event stream brings meanwhile are applied afterwards. */
export async function fillChat(chat, load) {
  const meanwhile = { chat, messages: [] };
  loads.add(meanwhile);
  try {
    store.messages.set(chat, (await load()).map(withDefaults));
  } finally {
    loads.delete(meanwhile);
  }
  meanwhile.messages.forEach(applyMessage);
}

/** Adds a new message, or replaces a message of the same id in place. */
export function applyMessage(message) {
  for (const load of loads) if (load.chat === message.chat) load.messages.push(message);
  const known = store.messages.get(message.chat);
  if (!known) return; // a chat of different people, or not loaded yet: loading will bring the message
  const at = known.findIndex(({ id }) => id === message.id);
  if (at < 0) known.push(withDefaults(message));
  else known[at] = withDefaults(message);
  for (const [key, typing] of store.typing) {
    const here = typing.chat === message.chat && typing.name === message.from.name;
    if (here && at < 0) store.typing.delete(key);
  }
}

/** Applies a changed chat: the app was added or removed. */
export function applyChat(chat) {
  const at = store.state.chats.findIndex(({ id }) => id === chat.id);
  if (at >= 0) store.state.chats[at] = chat;
}

/** Shows the sender as typing for `event.until_ms`; `changed` runs at the end. */
export function applyTyping(event, changed) {
  const key = `${event.chat}|${event.thread ?? ""}|${event.name}`;
  clearTimeout(store.typing.get(key)?.timer);
  const timer = setTimeout(() => {
    store.typing.delete(key);
    changed();
  }, event.until_ms);
  store.typing.set(key, { chat: event.chat, thread: event.thread, name: event.name, timer });
}

export const typingIn = (chat) => [...store.typing.values()].filter((typing) => typing.chat === chat);

// --- Unread marks. The simulator stores none, so each browser remembers the last message seen by a person.

const seenKey = (chat) => `seen/${store.person}/${chat}`;

/** The number of foreign messages after the last message seen by the person; an open stream does not count. */
export function unreadIn(chat) {
  const messages = messagesOf(chat);
  const seen = messages.findIndex(({ id }) => id === remembered(seenKey(chat)));
  const counts = ({ from, deleted, stream }) => from.id !== store.person && !deleted && !stream;
  return messages.slice(seen + 1).filter(counts).length;
}

export function markSeen(chat) {
  const last = messagesOf(chat).findLast(({ stream }) => !stream); // an open stream's end is not seen yet
  if (last) remember(seenKey(chat), last.id);
}

// --- Values that outlive a reload. A browser may forbid storage; the page works without.

export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // storage is forbidden: the value is lost with the tab
  }
}

// --- The address #person/chat holds the choice of person and chat, so tabs, links and the back button work.

export const addressOf = (person, chat) =>
  `#${encodeURIComponent(person)}${chat ? `/${encodeURIComponent(chat)}` : ""}`;

/** Reads person and chat from the address; a missing or unknown name falls back to the first possible choice. */
export function readAddress(hash, wide) {
  const [person, chat] = hash.replace(/^#/, "").split("/").map(decoded);
  const known = store.state.people.map(({ id }) => id);
  const fallback = known.includes(remembered("person")) ? remembered("person") : known[0];
  store.person = known.includes(person) ? person : fallback;
  const own = chatsOf(store.person);
  store.chat = (own.find(({ id }) => id === chat) ?? own.find(({ kind }) => kind === "personal") ?? own[0])?.id ?? null;
  // On a phone "#alice" alone is the list of chats; the very first visit shows a conversation, not a menu.
  store.pane = wide || chat || !known.includes(person) ? "chat" : "list";
  remember("person", store.person);
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return ""; // a malformed address counts as empty
  }
}
