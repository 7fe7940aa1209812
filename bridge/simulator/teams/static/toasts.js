// Short notices in the corner. They leave by themselves, so nothing that matters may be said only here.

import { h } from "./dom.js";
import { icon } from "./icons.js";

const SHOWN_MS = 8_000;

export function toast(text, level = "info") {
  const leave = () => element.remove();
  const element = h("div", { class: `toast toast-${level === "warn" ? "warn" : "info"}`, dataset: { testid: "toast" } },
    h("span", {}, text),
    h("button", { type: "button", class: "icon-button", "aria-label": "Dismiss", on: { click: leave } }, icon("close")));
  document.getElementById("toasts").append(element);
  setTimeout(leave, SHOWN_MS);
}
