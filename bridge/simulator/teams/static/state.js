// What the page knows, and how each event changes it. No DOM here: views read `store`, app.js redraws after a change.

export const store = {
  state: null, // GET /api/state
  person: null, // id of who this tab is
  chat: null, // id of the open chat
  pane: "chat", // phone only: "list" or "chat"
  connected: null, // null before the first connection
  messages: new Map(), // chat id -> messages, oldest first
  typing: new Map(), // chat + thread + name -> {chat, thread, name}
  clicks: new Map(), // message id -> {busy, note, failed}: what became of a card's button
  editing: null, // id of the own message that is being edited
  opinions: new Map(), // message id -> "like" or "dislike": the feedback form that is open under an answer
  busy: new Set(), // "stop/<message id>" and the like: asked for, and not answered yet
  killed: false, // this page ended the bridge and it is not back yet
};

export const me = () => store.state.people.find(({ id }) => id === store.person);
export const chatsOf = (person) => store.state.chats.filter(({ members }) => members.includes(person));
export const openedChat = () => store.state.chats.find(({ id }) => id === store.chat);
export const messagesOf = (chat) => store.messages.get(chat) ?? [];
export const chatNamed = (id) => store.state.chats.find((chat) => chat.id === id);
export const messageNamed = (chat, id) => messagesOf(chat).find((message) => message.id === id);
export const personNamed = (id) => store.state.people.find((person) => person.id === id);

// What an older simulator does not tell is not there.
const ABSENT = {
  stream: null, quoted: null, reactions: [], feedback: false, feedback_given: {}, files: [],
  notify: false, stopped: false,
};

function whole(message) {
  const form = { ...message };
  for (const [field, value] of Object.entries(ABSENT)) form[field] ??= value;
  return form;
}

const loads = new Set(); // chats being loaded, each with the messages that arrive meanwhile

/** Loads a chat without losing what the event stream brings while the answer is on its way. */
export async function fillChat(chat, load) {
  const meanwhile = { chat, messages: [] };
  loads.add(meanwhile);
  try {
    store.messages.set(chat, (await load()).map(whole));
  } finally {
    loads.delete(meanwhile);
  }
  meanwhile.messages.forEach(applyMessage);
}

/** Puts a new, edited or deleted message in its place: the id decides, the order of arrival stays. */
export function applyMessage(message) {
  for (const load of loads) if (load.chat === message.chat) load.messages.push(message);
  const known = store.messages.get(message.chat);
  if (!known) return; // a chat of other people, or one not loaded yet: loading brings it
  const at = known.findIndex(({ id }) => id === message.id);
  if (at < 0) known.push(whole(message));
  else known[at] = whole(message);
  for (const [key, typing] of store.typing) {
    const here = typing.chat === message.chat && typing.name === message.from.name;
    if (here && at < 0) store.typing.delete(key);
  }
}

/** A chat in its new form: the app was added to it or removed. */
export function applyChat(chat) {
  const at = store.state.chats.findIndex(({ id }) => id === chat.id);
  if (at >= 0) store.state.chats[at] = chat;
}

/** Shows somebody as typing for `event.until_ms`; `changed` runs when that is over. */
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

// --- Unread marks. The simulator keeps none per person, so each browser remembers the last message that was seen.

const seenKey = (chat) => `seen/${store.person}/${chat}`;

/** How many messages of others came after the last one that this person saw here. An open stream is none yet. */
export function unreadIn(chat) {
  const messages = messagesOf(chat);
  const seen = messages.findIndex(({ id }) => id === remembered(seenKey(chat)));
  const counts = ({ from, deleted, stream }) => from.id !== store.person && !deleted && !stream;
  return messages.slice(seen + 1).filter(counts).length;
}

export function markSeen(chat) {
  const last = messagesOf(chat).findLast(({ stream }) => !stream); // who leaves meanwhile has not seen its end
  if (last) remember(seenKey(chat), last.id);
}

// --- What outlives a reload. A browser may forbid storage; the page works without.

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
    // Nothing to do: the mark is lost with the tab.
  }
}

// --- The address: #person/chat. It is the choice itself, so that tabs, links and the back button just work.

export const addressOf = (person, chat) =>
  `#${encodeURIComponent(person)}${chat ? `/${encodeURIComponent(chat)}` : ""}`;

/** Takes who and which chat from the address; what is missing or unknown falls back to the first that fits. */
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
    return ""; // a mangled address is no address
  }
}
