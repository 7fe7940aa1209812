// The actions of a message on a touch screen: a long press opens them as a sheet at the lower edge, as Teams does.

import { h } from "./dom.js";
import { oneLine } from "./format.js";

const HELD_MS = 450;
const MOVED_PX = 10; // a finger that moves further scrolls

/** Calls `open(target)` after a long press; `open` returns whether a sheet was opened. */
export function watchLongPress(log, open) {
  let timer;
  let start = null;
  const cancel = () => clearTimeout(timer);
  log.addEventListener("pointerdown", (event) => {
    cancel();
    if (event.pointerType !== "touch" || event.target.closest("button, a, input, textarea")) return;
    start = event;
    timer = setTimeout(() => open(event.target), HELD_MS);
  });
  log.addEventListener("pointermove", (event) => {
    if (start && Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > MOVED_PX) cancel();
  });
  for (const type of ["pointerup", "pointercancel", "scroll"]) log.addEventListener(type, cancel);
  // Android opens the system's menu after a long press: prevented; a mouse's menu stays
  log.addEventListener("contextmenu", (event) => event.pointerType === "touch" && event.preventDefault());
}

export function openSheet(message, actions) {
  const run = (action) => {
    sheet.close();
    action.run();
  };
  const button = (action) => h("button", {
    type: "button", class: action.reaction ? "sheet-reaction" : "sheet-action",
    "aria-label": action.reaction ? action.words : null, "aria-pressed": action.reaction ? String(action.pressed) : null,
    dataset: { testid: `do-${action.key}` }, on: { click: () => run(action) },
  }, action.picture(), action.reaction ? null : action.words);
  const sheet = h("dialog", { class: "sheet", "aria-label": "Actions for this message", dataset: { testid: "sheet" } },
    h("p", { class: "sheet-message" }, oneLine(message.text, 90) || message.from.name),
    h("div", { class: "sheet-reactions" }, actions.filter(({ reaction }) => reaction).map(button)),
    h("div", { class: "sheet-actions" }, actions.filter(({ reaction }) => !reaction).map(button)));
  sheet.addEventListener("close", () => sheet.remove());
  // a press beside the sheet closes the sheet; the end of the long press itself does not count
  let pressed = false;
  sheet.addEventListener("pointerdown", (event) => (pressed = event.target === sheet));
  sheet.addEventListener("click", (event) => pressed && event.target === sheet && sheet.close());
  document.body.append(sheet);
  sheet.showModal();
}
