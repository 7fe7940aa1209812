// Reactions as chips below a message: each with a count, and the people's names on hover or by screen reader. A click adds
// or removes the person's own reaction.

import { react } from "./api.js";
import { attempt } from "./attempt.js";
import { differs, h, hidden, replaceKeepingFocus } from "./dom.js";
import { emoji, reactionName } from "./emoji.js";
import { listed } from "./format.js";
import { personNamed, store } from "./state.js";

export function toggleReaction(message, type, redraw) {
  const on = !isOwn(message, type);
  return attempt(redraw, () => react(message, store.person, type, on), `react/${message.id}/${type}`);
}

export const isOwn = (message, type) =>
  message.reactions.some((reaction) => reaction.type === type && (reaction.by ?? []).includes(store.person));

export function drawReactions(slot, message, redraw) {
  const shown = message.deleted ? [] : message.reactions.filter(({ by }) => by?.length);
  if (!differs(slot, [shown, store.person])) return;
  slot.hidden = shown.length === 0;
  replaceKeepingFocus(slot, shown.map(({ type, by }) => chip(message, type, by, redraw)));
}

function chip(message, type, by, redraw) {
  const own = by.includes(store.person);
  const who = `${listed(reactorNames(by))} reacted with ${reactionName(type)}`;
  return h("button", {
    type: "button", class: "reaction", "aria-pressed": String(own), title: who,
    dataset: { key: `reaction-${type}`, testid: "reaction", type, count: String(by.length) },
    on: { click: () => toggleReaction(message, type, redraw) },
  }, emoji(type), h("span", { "aria-hidden": "true" }, String(by.length)), hidden(who));
}

/** The names of the people who reacted, "You" first, as in Teams. */
function reactorNames(ids) {
  const named = ids.filter((id) => id !== store.person)
    .map((id) => (id === "bot" ? store.state.bot.name : personNamed(id)?.name ?? id));
  return named.length < ids.length ? ["You", ...named] : named;
}
