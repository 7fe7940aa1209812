// The thumbs below an answer for which the bot asks feedback. As in Teams, a thumb opens a small form for words, and only
// Submit sends thumb and words.

import { giveFeedback } from "./api.js";
import { attempt } from "./attempt.js";
import { composes, differs, fitHeight, h, hidden, replaceKeepingFocus } from "./dom.js";
import { icon } from "./icons.js";
import { store } from "./state.js";

const THUMBS = {
  like: { words: "Good answer", ask: "What did you like?" },
  dislike: { words: "Bad answer", ask: "What went wrong?" },
};

export function drawFeedback(slot, message, redraw) {
  const offered = message.feedback && !message.deleted && !message.stream;
  const given = message.feedback_given[store.person] ?? null;
  const opened = offered ? store.feedbackForms.get(message.id) ?? null : null;
  const busy = store.busy.has(`feedback/${message.id}`);
  slot.hidden = !offered;
  if (!differs(slot, [offered, given, opened, busy, store.person])) return;
  if (!offered) return slot.replaceChildren();
  const words = slot.querySelector("textarea")?.value ?? ""; // typed words survive the change of the thumb
  replaceKeepingFocus(slot, row(message, given, opened, redraw),
    opened && form(message, opened, { slot, words, busy, redraw }));
}

function row(message, given, opened, redraw) {
  const choose = (reaction) => {
    if (store.feedbackForms.get(message.id) === reaction) store.feedbackForms.delete(message.id);
    else store.feedbackForms.set(message.id, reaction);
    redraw();
    queueMicrotask(() => document.getElementById(`opinion-${message.id}`)?.focus());
  };
  const thumbs = Object.entries(THUMBS).map(([reaction, { words }]) => h("button", {
    type: "button", class: "thumb", title: words, "aria-pressed": String(given === reaction),
    "aria-expanded": String(opened === reaction),
    dataset: { key: reaction, testid: `feedback-${reaction}` }, on: { click: () => choose(reaction) },
  }, icon(reaction), hidden(words)));
  return h("div", { class: "feedback-row", role: "group", "aria-label": "Feedback on this answer" }, thumbs,
    given && !opened && h("span", { class: "feedback-thanks", role: "status", dataset: { testid: "feedback-given" } },
      given === "like" ? "You found this helpful. Thank you." : "You were not content. Thank you for saying so."));
}

function form(message, reaction, { slot, words, busy, redraw }) {
  const close = () => {
    store.feedbackForms.delete(message.id);
    redraw();
    queueMicrotask(() => slot.querySelector(`[data-key="${reaction}"]`)?.focus({ preventScroll: true }));
  };
  const send = async () => {
    const act = () => giveFeedback(message, store.person, reaction, box.value.trim());
    if (await attempt(redraw, act, `feedback/${message.id}`)) close();
  };
  const keys = (event) => {
    if (composes(event)) return;
    if (event.key === "Escape") close();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) send();
  };
  const box = h("textarea", {
    rows: "2", id: `opinion-${message.id}`, "aria-label": THUMBS[reaction].ask, maxlength: "2000",
    dataset: { key: "words", testid: "feedback-text" }, on: { input: () => fitHeight(box), keydown: keys },
  });
  box.value = words;
  return h("form", {
    class: "feedback-form", dataset: { testid: "feedback-form" },
    on: { submit: (event) => { event.preventDefault(); send(); } },
  },
    h("p", { class: "feedback-ask" }, THUMBS[reaction].ask, h("span", {}, " (words are optional)")),
    box,
    h("div", { class: "form-buttons" },
      h("button", { type: "button", class: "quiet-button", on: { click: close } }, "Cancel"),
      h("button", { type: "submit", class: "primary-button", "aria-disabled": busy ? "true" : null, dataset: { testid: "feedback-send" } },
        busy ? "Sending…" : "Submit")));
}
