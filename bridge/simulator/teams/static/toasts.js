// Short notices in the corner. Notices vanish after 8 s, so important facts must be shown elsewhere too. In a hidden tab
// notices wait for the return.

import { avatarOf } from "./avatar.js";
import { h } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 8_000;
const MOST = 4;

export function toast(text, level = "info") {
  show("toast", { class: `toast toast-${level === "warn" ? "warn" : "info"}` }, h("span", {}, text));
}

/** A notification as of a Teams client: sender, chat and first words; a click opens the chat. */
export function messageToast({ chat, from, title, words, href }) {
  dropToasts(chat);
  const link = h("a", { class: "toast-link", href }, avatarOf(from),
    h("span", { class: "toast-words" }, h("strong", {}, title), h("span", {}, words)));
  const element = show("message-toast", { class: "toast toast-message" }, link);
  element.dataset.chat = chat;
  link.addEventListener("click", () => element.remove());
}

/** Removes the notices about a chat that is now being read. */
export function dropToasts(chat) {
  for (const element of byId().children) if (element.dataset.chat === chat) element.remove();
}

const byId = () => document.getElementById("toasts");

function show(testid, attributes, content) {
  const dismiss = () => element.remove();
  const element = h("div", { ...attributes, dataset: { testid } }, content,
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", on: { click: dismiss } }, icon("close")));
  byId().append(element);
  while (byId().childElementCount > MOST) byId().firstElementChild.remove();
  removeLater(element);
  return element;
}

function removeLater(element) {
  if (document.visibilityState === "visible") setTimeout(() => element.remove(), SHOWN_MS);
  else document.addEventListener("visibilitychange", () => removeLater(element), { once: true });
}
