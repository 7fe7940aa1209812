// A message: sender, time, content, reactions, delivery. Each part is a slot, drawn again only when the part changes, so a
// reaction does not disturb a half-typed edit and a growing answer does not flicker.

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

// the delivery states in words for the sender
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
 * Brings the element up to date. `continued`: the previous message has the same sender, so the name is not repeated.
 * `latest`: the person's own last message, with the delivery state shown even when delivered. `inThread`: the person's own
 * messages stand on the left with name and picture, as all messages do. `redraw` redraws the page.
 */
export function updateMessage(element, { message, continued, latest, inThread, redraw }) {
  const mine = message.from.id === store.person;
  const aside = mine && !inThread;
  const { avatar, head, bubble, stop, reactions, feedback, delivery } = slots.get(element);
  if (!needsDrawing(element, message, [continued, latest, inThread])) return;
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

const drawn = new WeakMap(); // article -> the message last drawn and the signature of all further state

/** Whether the message needs drawing; a quick check for long chats. A changed message is always a new object. */
function needsDrawing(element, message, view) {
  const { person, editing, clicks, feedbackForms, busy } = store;
  const mine = [editing === message.id, clicks.get(message.id), feedbackForms.get(message.id)];
  const marks = [...busy].filter((mark) => mark.includes(message.id));
  const signature = JSON.stringify([person, view, mine, marks]);
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

/** Stop, offered by Teams below a growing answer in a personal chat. */
function drawStop(slot, message, redraw) {
  const stopping = `stop/${message.id}`;
  if (!message.stream) store.busy.delete(stopping);
  const offered = Boolean(message.stream) && chatNamed(message.chat)?.kind === "personal";
  const busy = store.busy.has(stopping);
  if (!differs(slot, [offered, message.stopped, busy])) return;
  const focused = slot.contains(document.activeElement);
  replaceKeepingFocus(slot, offered && stopButton(message, stopping, busy, redraw), message.stopped && h(
    "p", { class: "stopped", dataset: { testid: "stopped" } }, icon("stop"), "You stopped this answer."));
  if (focused && !offered) slot.closest(".message").focus({ preventScroll: true }); // so a screen reader reads the finished answer
}

function stopButton(message, stopping, busy, redraw) {
  const click = async () => {
    if (!await attempt(redraw, () => stopStream(message, store.person), stopping)) return;
    store.busy.add(stopping); // a single request until the stream has ended
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

/** Keeps screen readers from a growing text: the article is no live region until the stream has ended. */
function quietWhileOpen(element, message) {
  if (message.stream) {
    growing.add(element);
    element.setAttribute("aria-live", "off");
    element.setAttribute("aria-busy", "true");
  } else if (growing.delete(element)) {
    element.removeAttribute("aria-busy");
  }
}

/** Has screen readers read an answer that grew, by a stream or by edits, once 1.5 s without a change have passed. */
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
