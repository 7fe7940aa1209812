// Suggested first messages: a row of chips above the message box, and the full table beside the conversation.

import { differs, h, replaceKeepingFocus } from "./dom.js";
import { icon } from "./icons.js";
import { store } from "./state.js";

const CHIPS = 6;

/** Draws the chips; a click sends the phrase by `sendText(text)`. */
export function drawChips(slot, sendText) {
  slot.hidden = store.state.phrases.length === 0; // a real agent has no script of phrases
  if (!differs(slot, [store.state.phrases, store.chat])) return;
  replaceKeepingFocus(slot, store.state.phrases.slice(0, CHIPS).map(({ say, shows }) =>
    sayButton(say, sendText, { class: "chip", title: shows, dataset: { testid: "chip", key: say } })));
}

export function drawPhrases(panel, open, { sendText, close }) {
  panel.hidden = !open;
  if (!open || !differs(panel, store.state.phrases)) return;
  const rows = store.state.phrases.map(({ say, shows }) => h("tr", {},
    h("td", {}, sayButton(say, sendText, { class: "phrase", dataset: { testid: "phrase", say } })),
    h("td", {}, shows)));
  panel.replaceChildren(
    h("div", { class: "panel-head" }, h("h2", {}, "Things to try"),
      h("button", {
        type: "button", class: "icon-button", "aria-label": "Close things to try", on: { click: close },
      }, icon("close"))),
    h("div", { class: "phrases-body", tabindex: "0", role: "group", "aria-label": "Phrases and what they show" },
      h("p", {}, "Press a phrase to send it to the open conversation."),
      h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Say"), h("th", { scope: "col" }, "What it shows"))),
        h("tbody", {}, rows))));
}

function sayButton(say, sendText, attributes) {
  return h("button", { type: "button", ...attributes, on: { click: () => sendText(say) } }, say);
}
