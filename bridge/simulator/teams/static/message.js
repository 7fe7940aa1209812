// One message: who, when, what, and what became of it. Each part is a slot of its own that is drawn again only when it
// changes, so that a reaction does not disturb a half-typed edit and a growing answer does not flicker.

import { stopStream } from "./api.js";
import { attempt } from "./attempt.js";
import { avatarOf } from "./avatar.js";
import { updateBubble } from "./bubble.js";
import { differs, h, replaceKeepingFocus } from "./dom.js";
import { drawFeedback } from "./feedback.js";
import { exactTime, timeOf } from "./format.js";
import { icon } from "./icons.js";
import { drawReactions } from "./reactions.js";
import { chatNamed, store } from "./state.js";

// What Teams knows of the bot's HTTP answer, in words that say what it means for the sender.
const DELIVERY = {
  sending: ["clock", "Sending…"],
  delivered: ["check", "Delivered"],
  retrying: ["retry", "No answer from the bridge. Teams tries again…"],
  refused: ["warning", "Refused by the bridge"],
  lost: ["warning", "Not delivered: the bridge could not be reached"],
};

const slots = new WeakMap(); // article -> its slots by name

export function messageShell(message) {
  const [headId, bodyId] = [`head-${message.id}`, `body-${message.id}`];
  const parts = {
    avatar: h("div", { class: "message-avatar" }),
    head: h("header", { class: "message-head", id: headId }),
    bubble: h("div", { class: "bubble", id: bodyId }),
    stop: h("div", { class: "stop-slot" }),
    reactions: h("div", { class: "reactions", hidden: true }),
    feedback: h("div", { class: "feedback", "aria-live": "off", hidden: true }),
    delivery: h("div", { class: "delivery-slot" }),
  };
  const { avatar, ...main } = parts;
  const element = h("article", {
    class: `message ${message.from.bot ? "from-bot" : "from-person"}`, tabindex: "-1",
    "aria-labelledby": `${headId} ${bodyId}`,
    dataset: {
      testid: "message", messageId: message.id, from: message.from.id, bot: String(message.from.bot),
      thread: message.thread ?? "",
    },
  }, avatar, h("div", { class: "message-main" }, Object.values(main)));
  slots.set(element, parts);
  return element;
}

/**
 * Brings the element up to date. `continued`: the same sender spoke just before, so the name is not repeated to the
 * eye. `latest`: the sender's own last message, whose delivery is shown even when all is well. `inThread`: own messages
 * stand on the left with name and picture like everybody's. `redraw` redraws the page.
 */
export function updateMessage(element, { message, continued, latest, inThread, redraw }) {
  const mine = message.from.id === store.person;
  const aside = mine && !inThread;
  const { avatar, head, bubble, stop, reactions, feedback, delivery } = slots.get(element);
  if (!isNews(element, message, [continued, latest, inThread])) return;
  element.classList.toggle("mine", aside);
  element.classList.toggle("continued", continued);
  Object.assign(element.dataset, {
    delivery: message.delivery ?? "", edited: String(message.edited), deleted: String(message.deleted),
    stream: message.stream ?? "",
  });
  avatar.hidden = aside;
  if (differs(avatar, [continued, message.from])) avatar.replaceChildren(...(continued ? [] : [avatarOf(message.from)]));
  if (differs(head, [message, aside])) head.replaceChildren(...headWords(message, aside));
  quietWhileOpen(element, message);
  if (updateBubble(bubble, message, redraw) && !message.stream) announceLater(element, bubble);
  drawStop(stop, message, redraw);
  drawReactions(reactions, message, redraw);
  drawFeedback(feedback, message, redraw);
  if (differs(delivery, [mine, message.delivery, latest])) {
    delivery.replaceChildren(...(mine ? deliveryWords(message, latest) : []));
  }
}

const drawn = new WeakMap(); // article -> the message and the signature of everything else that it showed last

/** Spares most messages of a long chat all comparing. A changed message is always a new object. */
function isNews(element, message, view) {
  const { person, editing, clicks, opinions, busy } = store;
  const mine = [editing === message.id, clicks.get(message.id), opinions.get(message.id)];
  const asked = [...busy].filter((mark) => mark.includes(message.id));
  const signature = JSON.stringify([person, view, mine, asked]);
  const last = drawn.get(element);
  if (last?.message === message && last.signature === signature) return false;
  drawn.set(element, { message, signature });
  return true;
}

function headWords(message, aside) {
  const name = h("span", { class: aside ? "name visually-hidden" : "name" }, aside ? "You" : message.from.name);
  const time = h("time", { datetime: message.at, title: exactTime(message.at) }, timeOf(message.at));
  if (message.deleted) return [name, time];
  return [name, time,
    message.ai && h("span", { class: "label ai-label", dataset: { testid: "ai-label" } }, "AI generated"),
    message.edited && h("span", { class: "edited", dataset: { testid: "edited" } }, "Edited"),
  ].filter(Boolean);
}

function deliveryWords(message, latest) {
  const [picture, words] = DELIVERY[message.delivery] ?? [];
  if (!words || message.deleted) return [];
  const quiet = message.delivery === "delivered" && !latest;
  const look = `delivery delivery-${message.delivery}${quiet ? " visually-hidden" : ""}`;
  return [h("p", { class: look, dataset: { testid: "delivery" } }, icon(picture), words)];
}

/** Teams offers Stop below an answer that still grows, to the person whose question it answers. */
function drawStop(slot, message, redraw) {
  const stopping = `stop/${message.id}`;
  if (!message.stream) store.busy.delete(stopping);
  const offered = Boolean(message.stream) && chatNamed(message.chat)?.kind === "personal";
  const busy = store.busy.has(stopping);
  if (!differs(slot, [offered, message.stopped, busy])) return;
  const focused = slot.contains(document.activeElement);
  replaceKeepingFocus(slot, offered && stopButton(message, stopping, busy, redraw), message.stopped && h(
    "p", { class: "stopped", dataset: { testid: "stopped" } }, icon("stop"), "You stopped this answer."));
  if (focused && !offered) slot.closest(".message").focus({ preventScroll: true }); // to read what it has become
}

function stopButton(message, stopping, busy, redraw) {
  const click = async () => {
    if (!await attempt(redraw, () => stopStream(message, store.person), stopping)) return;
    store.busy.add(stopping); // asked once is enough, until the stream has ended
    redraw();
  };
  return h("button", {
    type: "button", class: "stop", "aria-disabled": busy ? "true" : null, dataset: { key: "stop", testid: "stop-stream" },
    on: { click },
  }, icon("stop"), busy ? "Stopping…" : "Stop");
}

const growing = new WeakSet(); // articles whose stream is open
const settling = new WeakMap();
const SETTLED_MS = 1_500; // longer than the pause between two edits of an answer (Teams allows one a second)

/** Growing text is not read out word by word: the article is no live region until its stream has ended. */
function quietWhileOpen(element, message) {
  if (message.stream) {
    growing.add(element);
    element.setAttribute("aria-live", "off");
    element.setAttribute("aria-busy", "true");
  } else if (growing.delete(element)) {
    element.removeAttribute("aria-busy");
  }
}

/** An answer that grew, by a stream or by edits, is read out once, when it has come to rest. */
function announceLater(element, bubble) {
  element.setAttribute("aria-live", "off");
  clearTimeout(settling.get(element));
  settling.set(element, setTimeout(() => {
    element.removeAttribute("aria-live");
    const selection = document.getSelection();
    const used = !selection.isCollapsed && selection.containsNode(bubble, true);
    if (used || bubble.contains(document.activeElement)) return;
    const places = [...bubble.querySelectorAll(".scroller")].map((box) => [box, box.scrollLeft, box.scrollTop]);
    bubble.replaceWith(bubble); // announced as an addition
    for (const [box, left, top] of places) box.scrollTo({ left, top });
  }, SETTLED_MS));
}

export function typingElement(name) {
  return h("div", { class: "typing", dataset: { testid: "typing" } },
    h("span", { class: "dots", "aria-hidden": "true" }, h("i"), h("i"), h("i")), `${name} is typing…`);
}
