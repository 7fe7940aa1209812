// One message: who, when, what, and what became of it.

import { clickAction } from "./api.js";
import { avatarOf } from "./avatar.js";
import { cardElement } from "./cards.js";
import { differs, h, replaceKeepingFocus } from "./dom.js";
import { exactTime, timeOf } from "./format.js";
import { icon } from "./icons.js";
import { setRichText } from "./richtext.js";
import { store } from "./state.js";

// What Teams knows of the bot's HTTP answer, in words that say what it means for the sender.
const DELIVERY = {
  sending: ["clock", "Sending…"],
  delivered: ["check", "Delivered"],
  retrying: ["retry", "No answer from the bridge. Teams tries again…"],
  refused: ["warning", "Refused by the bridge"],
  lost: ["warning", "Not delivered: the bridge could not be reached"],
};

export function messageShell(message) {
  return h("article", {
    class: `message ${message.from.bot ? "from-bot" : "from-person"}`,
    dataset: {
      testid: "message", messageId: message.id, from: message.from.id, bot: String(message.from.bot),
      thread: message.thread ?? "",
    },
  });
}

/**
 * Brings the element up to date. `continued`: the same sender spoke just before, so the name is not repeated to the
 * eye. `latest`: the sender's own last message, whose delivery is shown even when all is well. `inThread`: own messages
 * stand on the left with name and picture like everybody's. `redraw` redraws the page.
 */
export function updateMessage(element, { message, continued, latest, inThread, redraw }) {
  const mine = message.from.id === store.person;
  const click = store.clicks.get(message.id);
  if (!differs(element, [message, continued, latest, mine, click])) return;
  const isUpdate = element.childElementCount > 0;
  const aside = mine && !inThread;
  element.classList.toggle("mine", aside);
  element.classList.toggle("continued", continued);
  element.dataset.delivery = message.delivery ?? "";
  element.dataset.edited = String(message.edited);
  element.dataset.deleted = String(message.deleted);
  replaceKeepingFocus(element, [
    aside ? null : h("div", { class: "message-avatar" }, continued ? null : avatarOf(message.from)),
    h("div", { class: "message-main" },
      head(message, aside), bubble(message, redraw, click), mine && delivery(message, latest)),
  ]);
  if (isUpdate) announceLater(element);
}

function head(message, aside) {
  const name = h("span", { class: aside ? "name visually-hidden" : "name" }, aside ? "You" : message.from.name);
  const time = h("time", { datetime: message.at, title: exactTime(message.at) }, timeOf(message.at));
  const marks = message.deleted ? [] : [
    message.ai && h("span", { class: "label ai-label", dataset: { testid: "ai-label" } }, "AI generated"),
    message.edited && h("span", { class: "edited", dataset: { testid: "edited" } }, "Edited"),
  ];
  return h("header", { class: "message-head" }, name, time, marks);
}

function bubble(message, redraw, click) {
  if (message.deleted) return h("div", { class: "bubble deleted" }, "This message has been deleted.");
  const parts = [];
  if (message.html) {
    const text = h("div", { class: "rich", dataset: { testid: "message-text" } });
    setRichText(text, message.html);
    parts.push(text);
  }
  const onAction = (index) => act(message, index, redraw);
  if (message.card) parts.push(cardElement(message.card, { busy: click?.busy, onAction }));
  const note = click?.note ?? (message.answered_action ? `Answered with “${message.answered_action}”.` : null);
  const look = click?.failed ? "click-note failed" : "click-note";
  if (note) parts.push(h("p", { class: look, role: "status", dataset: { testid: "action-note" } }, note));
  return h("div", { class: "bubble" }, parts);
}

async function act(message, index, redraw) {
  store.clicks.set(message.id, { busy: true, note: "Sending your choice…" });
  redraw();
  try {
    const answer = await clickAction(message.chat, message.id, store.person, index);
    if (answer.message) store.clicks.set(message.id, { note: answer.message });
    else store.clicks.delete(message.id);
  } catch (error) {
    store.clicks.set(message.id, { note: error.message, failed: true });
  }
  redraw();
}

function delivery(message, latest) {
  const [picture, words] = DELIVERY[message.delivery] ?? [];
  if (!words) return null;
  const quiet = message.delivery === "delivered" && !latest;
  const look = `delivery delivery-${message.delivery}${quiet ? " visually-hidden" : ""}`;
  return h("p", { class: look, dataset: { testid: "delivery" } }, icon(picture), words);
}

const settling = new WeakMap();
const SETTLED_MS = 1_500; // longer than the pause between two edits of a streamed answer (Teams allows one a second)

/** An answer that grows by edits is not read out each time, only once it has come to rest. */
function announceLater(element) {
  element.setAttribute("aria-live", "off");
  clearTimeout(settling.get(element));
  settling.set(element, setTimeout(() => {
    element.removeAttribute("aria-live");
    const body = element.querySelector(".bubble");
    if (body && !body.contains(document.activeElement)) body.replaceWith(body); // announced as an addition
  }, SETTLED_MS));
}

export function typingElement(name) {
  return h("div", { class: "typing", dataset: { testid: "typing" } },
    h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), `${name} is typing…`);
}
