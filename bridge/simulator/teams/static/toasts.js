// Short notices in the corner. They leave by themselves, so nothing that matters may be said only here. In a hidden tab
// they wait: what came meanwhile is to be seen on return.

import { avatarOf } from "./avatar.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 8_000;
const MOST = 4;

export function toast(text, level = "info") {
  show("toast", { class: `toast toast-${level === "warn" ? "warn" : "info"}` }, h("span", {}, text));
}

/** What a client would notify of: who wrote where, the first words, and a press opens the chat. */
export function messageToast({ chat, from, title, words, href }) {
  dropToasts(chat);
  const link = h("a", { class: "toast-link", href }, avatarOf(from),
    h("span", { class: "toast-words" }, h("strong", {}, title), h("span", {}, words)));
  const element = show("message-toast", { class: "toast toast-message" }, link);
  element.dataset.chat = chat;
  link.addEventListener("click", () => element.remove());
}

/** Takes away the notices about a chat that is being read now. */
export function dropToasts(chat) {
  for (const element of byId().children) if (element.dataset.chat === chat) element.remove();
}

const byId = () => document.getElementById("toasts");

function show(testid, attributes, content) {
  const leave = () => element.remove();
  const element = h("div", { ...attributes, dataset: { testid } }, content,
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", on: { click: leave } }, icon("close")));
  byId().append(element);
  while (byId().childElementCount > MOST) byId().firstElementChild.remove();
  leaveLater(element);
  return element;
}

function leaveLater(element) {
  if (document.visibilityState === "visible") setTimeout(() => element.remove(), SHOWN_MS);
  else document.addEventListener("visibilitychange", () => leaveLater(element), { once: true });
}
