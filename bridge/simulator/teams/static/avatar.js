// The sender as a round picture: the product's mark for the bot, coloured initials for people.

import { h } from "./dom.js";
import { icon } from "./icons.js";
import { store } from "./state.js";

const TONES = 6; // .tone-0 … .tone-5 in style.css

/** Decoration only: the name always stands beside the picture. */
export function personAvatar(id, name, size = "") {
  const at = store.state.people.findIndex((person) => person.id === id);
  const initials = store.state.people[at]?.initials ?? name.slice(0, 1).toUpperCase();
  return h("span", { class: `avatar tone-${(at + TONES) % TONES} ${size}`, "aria-hidden": "true" }, initials);
}

export function botAvatar(size = "") {
  return h("img", { class: `avatar avatar-bot ${size}`, src: "/static/mark.svg", alt: "" });
}

export function avatarOf(from, size = "") {
  return from.bot ? botAvatar(size) : personAvatar(from.id, from.name, size);
}

export function chatAvatar(chat, size = "") {
  if (chat.kind === "personal") return botAvatar(size);
  const picture = icon(chat.kind === "channel" ? "hash" : "people");
  return h("span", { class: `avatar avatar-${chat.kind} ${size}`, "aria-hidden": "true" }, picture);
}
