// The editor inside a person's own message: Enter saves, Shift+Enter starts a new line, Escape discards the changes.

import { editMessage } from "./api.js";
import { attempt } from "./attempt.js";
import { composes, fitHeight, h } from "./dom.js";
import { store } from "./state.js";

export function startEditing(message, redraw) {
  store.editing = message.id;
  redraw();
}

/** The form; takes the focus as soon as the form is part of the page. */
export function editor(message, redraw) {
  const box = h("textarea", {
    rows: "1", "aria-label": "Edit your message", enterkeyhint: "done", dataset: { testid: "editor" },
    on: { input: () => fitHeight(box), keydown: keys },
  });
  box.value = message.text;

  function keys(event) {
    if (composes(event)) return;
    if (event.key === "Escape") {
      event.stopPropagation();
      leave();
    } else if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      save();
    }
  }

  function leave() {
    store.editing = null;
    redraw();
    queueMicrotask(() => document.getElementById("composer")?.focus({ preventScroll: true }));
  }

  async function save() {
    const text = box.value.trim();
    if (!text || text === message.text) return text ? leave() : undefined;
    if (await attempt(redraw, () => editMessage(message, store.person, text), `edit/${message.id}`)) leave();
  }

  queueMicrotask(() => {
    fitHeight(box);
    box.focus();
    box.setSelectionRange(box.value.length, box.value.length);
  });
  return h("form", { class: "editor", on: { submit: (event) => { event.preventDefault(); save(); } } },
    box,
    h("div", { class: "form-buttons" },
      h("button", { type: "button", class: "quiet-button", dataset: { testid: "editor-cancel" }, on: { click: leave } },
        "Cancel"),
      h("button", { type: "submit", class: "primary-button", dataset: { testid: "editor-save" } }, "Save")));
}
