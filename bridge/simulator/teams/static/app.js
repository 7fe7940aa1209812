// Puts the page together: person and chat come from the address, changes from the event stream; after each change the views
// draw the differences.

import { messageActions } from "./actions.js";
import { followEvents, loadMessages, loadState, openChat } from "./api.js";
import { drawAppNotice } from "./appmenu.js";
import { watchDrops } from "./attachments.js";
import { attach, composer, say } from "./composer.js";
import { drawHead, drawLog, newLog } from "./conversation.js";
import { startEditing } from "./editor.js";
import { notifyOf } from "./notify.js";
import { drawChips, drawPhrases } from "./phrases.js";
import { drawSidebar, startSidebar } from "./sidebar.js";
import {
  addressOf, applyChat, applyMessage, applyTyping, chatsOf, fillChat, markSeen, me, messageNamed, messagesOf, openedChat,
  readAddress, store, unreadIn,
} from "./state.js";
import { bridgeChanged, connectionChanged, drawStatus, drawUnreachable, startStatus } from "./status.js";
import { dropToasts, toast } from "./toasts.js";
import { applyTraffic, drawTraffic, forgetTraffic, unseenRefusals } from "./traffic.js";

const byId = (id) => document.getElementById(id);
const wide = matchMedia("(min-width: 760px)");
const NEAR_END_PX = 120;
let log = null; // the element of the open chat's messages
let atEnd = true; // whether the reader is at the newest message, so the log scrolls to new messages
let refreshActions = () => {}; // brings the log's action bar up to date
let panel = null; // the panel beside the conversation: "phrases", "traffic" or null
let planned = false;

/** Draws once for all changes of a turn of the event loop. Not by animation frames, which stop in hidden tabs. */
function redraw() {
  if (planned) return;
  planned = true;
  queueMicrotask(() => {
    planned = false;
    draw();
  });
}

function draw() {
  if (!store.state) return drawUnreachable();
  drawStatus();
  const chat = openedChat();
  if (chat && isReading()) {
    markSeen(chat.id);
    dropToasts(chat.id);
  }
  drawSidebar();
  document.body.dataset.pane = store.pane;
  drawPhrases(byId("phrases"), panel === "phrases", { sendText, close: togglePhrases });
  drawTraffic(byId("traffic"), panel === "traffic", { redraw, close: toggleTraffic });
  drawTrafficButton();
  if (chat) drawConversation(chat);
  const unread = chatsOf(store.person).reduce((sum, { id }) => sum + unreadIn(id), 0);
  document.title = `${unread ? `(${unread}) ` : ""}${me().name} · GoClaw Teams Bridge`;
}

/** Whether the open chat is visible on the screen. */
const isReading = () => document.visibilityState === "visible" && (wide.matches || store.pane === "chat");

function drawConversation(chat) {
  if (log?.dataset.chat !== chat.id || log.dataset.person !== store.person) startConversation(chat);
  drawHead(byId("conversation-head"), chat, { phrasesOpen: panel === "phrases", togglePhrases, redraw });
  drawAppNotice(byId("app-notice"), chat, redraw);
  drawChips(byId("chips"), sendText);
  const height = log.scrollHeight;
  drawLog(log, redraw);
  refreshActions();
  if (atEnd) log.scrollTop = log.scrollHeight;
  else if (log.scrollHeight > height) byId("to-latest").hidden = false;
}

function startConversation(chat) {
  log = newLog(chat);
  log.dataset.person = store.person;
  log.addEventListener("scroll", () => {
    atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < NEAR_END_PX;
    if (atEnd) byId("to-latest").hidden = true;
  });
  log.addEventListener("load", () => atEnd && (log.scrollTop = log.scrollHeight), true); // a loaded picture changes the height
  atEnd = true;
  store.editing = null;
  byId("to-latest").hidden = true;
  byId("log-slot").replaceChildren(log);
  refreshActions = messageActions(log, redraw);
  byId("composer-slot").replaceChildren(composer({ chat, onUp: editLatest }));
  if (wide.matches) byId("composer").focus({ preventScroll: true }); // on a phone the keyboard would cover the messages
}

/** Up in the empty message box edits the person's own latest message, as in Teams. */
function editLatest() {
  const own = ({ from, deleted, text, thread }) => from.id === store.person && !deleted && text && !thread;
  const latest = messagesOf(store.chat).findLast(own);
  if (latest) startEditing(latest, redraw);
  return Boolean(latest);
}

function sendText(text) {
  const chat = openedChat();
  if (!wide.matches) panel = null;
  atEnd = true;
  say(chat, text, { onError: (sentence) => toast(sentence, "warn") });
  redraw();
}

function togglePhrases() {
  panel = panel === "phrases" ? null : "phrases";
  redraw();
  if (!panel) document.querySelector("[data-testid=things-to-try]")?.focus();
}

function toggleTraffic() {
  panel = panel === "traffic" ? null : "traffic";
  redraw();
  if (panel) queueMicrotask(() => document.querySelector("[data-testid=traffic-list]")?.focus({ preventScroll: true }));
  else byId("traffic-button").focus();
}

function drawTrafficButton() {
  const refusals = panel === "traffic" ? 0 : unseenRefusals();
  byId("traffic-button").setAttribute("aria-expanded", String(panel === "traffic"));
  byId("traffic-news").hidden = refusals === 0;
  byId("traffic-news").textContent = refusals > 99 ? "99+" : String(refusals);
}

/** Shows the address's person and chat, or the list on a phone. `afresh` also loads chats already loaded. */
async function follow({ afresh = false } = {}) {
  readAddress(location.hash, wide.matches);
  const address = addressOf(store.person, store.pane === "chat" ? store.chat : null);
  if (location.hash !== address) history.replaceState(null, "", address);
  redraw();
  const wanted = chatsOf(store.person).filter(({ id }) => afresh || !store.messages.has(id));
  await Promise.all(wanted.map(({ id }) => fillChat(id, () => loadMessages(id))));
  redraw();
  const chat = openedChat();
  // Opening a personal chat installs the app there, as in Teams; the simulator installs only once.
  if (chat?.kind === "personal" && store.pane === "chat") await openChat(chat.id, store.person);
}

/** Loads all data again, at every (re)connection of the event stream: missed events are unknown. */
async function reload() {
  const before = store.state?.bridge;
  forgetTraffic();
  store.state = await loadState();
  bridgeChanged(before, store.state.bridge);
  const own = new Set(chatsOf(store.person).map(({ id }) => id));
  for (const id of store.messages.keys()) if (!own.has(id)) store.messages.delete(id); // stale; loaded again when opened
  await follow({ afresh: true });
}

const EVENTS = {
  message: ({ message }) => {
    const own = message.from.id === store.person && message.chat === store.chat && !message.thread;
    const before = messageNamed(message.chat, message.id);
    if (own && !before) atEnd = true; // the writer wants to see the message
    applyMessage(message);
    notifyOf(message, before, isReading());
  },
  traffic: ({ entry }) => applyTraffic(entry),
  chat: ({ chat }) => applyChat(chat),
  typing: (event) => applyTyping(event, redraw),
  bridge: ({ bridge }) => {
    bridgeChanged(store.state.bridge, bridge);
    store.state.bridge = bridge;
  },
  notice: ({ text, level }) => toast(text, level),
};

const complain = (error) => toast(error.message, "warn");

startSidebar();
startStatus({ redraw, saySlow: () => sendText("take 20 seconds") });
followEvents({
  onOpen: () => {
    connectionChanged(true, redraw);
    reload().catch(complain);
  },
  onLost: () => {
    connectionChanged(false, redraw);
    redraw();
  },
  onEvent: (event) => {
    if (!store.state || !Object.hasOwn(EVENTS, event.type)) return; // the page is not loaded yet, or the event is of a later version
    EVENTS[event.type](event);
    redraw();
  },
});

byId("traffic-button").addEventListener("click", toggleTraffic);
byId("traffic").addEventListener("keydown", (event) => event.key === "Escape" && toggleTraffic());
watchDrops(byId("conversation"), () => (store.state && openedChat() ? (files) => attach(store.chat, files) : null));
addEventListener("hashchange", () => store.state && follow().catch(complain));
wide.addEventListener("change", () => store.state && follow().catch(complain));
document.addEventListener("visibilitychange", redraw);
// A phone's keyboard or a growing text box shortens the log: the newest message stays visible.
new ResizeObserver(() => {
  if (log && atEnd) log.scrollTop = log.scrollHeight;
}).observe(byId("log-slot"));
byId("to-latest").addEventListener("click", () => log.scrollTo({ top: log.scrollHeight }));
for (const link of document.querySelectorAll("[data-skip]")) {
  link.addEventListener("click", (event) => {
    event.preventDefault(); // the address holds person and chat, so no #anchor may replace it
    byId(link.dataset.skip)?.focus();
  });
}
