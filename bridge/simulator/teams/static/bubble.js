// The content of a message's bubble: quoted message, text, card and files; or the editor, or a notice of deletion.

import { clickAction, undeleteMessage } from "./api.js";
import { attempt } from "./attempt.js";
import { cardElement } from "./cards.js";
import { differs, h, reconcile, replaceKeepingFocus } from "./dom.js";
import { editor } from "./editor.js";
import { fileItems } from "./files.js";
import { oneLine } from "./format.js";
import { icon } from "./icons.js";
import { setRichText } from "./richtext.js";
import { store } from "./state.js";

/** Draws the changed parts. Returns whether the content of a message drawn before has changed. */
export function updateBubble(bubble, message, redraw) {
  const { html, card, deleted, stream, files } = message;
  const first = bubble.childElementCount === 0;
  const changed = differs(bubble, [html, card, deleted, stream, files]);
  bubble.classList.toggle("deleted", deleted);
  bubble.classList.toggle("streaming", Boolean(stream));
  reconcile(bubble, deleted ? [deletedNotice(message, redraw)] : parts(message, redraw));
  bubble.hidden = bubble.childElementCount === 0;
  return changed && !first;
}

function parts(message, redraw) {
  const own = message.from.id === store.person;
  const editing = own && store.editing === message.id;
  return [
    message.quoted && quoted(message.quoted),
    editing && { key: "editor", make: () => editor(message, redraw) },
    !editing && words(message),
    message.card && card(message, redraw),
    ...fileItems(message, redraw),
    clickNote(message),
  ].filter(Boolean);
}

function quoted({ id, name, text }) {
  return {
    key: `quoted-${id}`,
    make: () => h("button", {
      type: "button", class: "quoted", dataset: { testid: "quoted", key: "quoted" }, on: { click: () => goTo(id) },
    }, h("span", { class: "quoted-name" }, icon("reply"), name ?? ""),
    h("span", { class: "quoted-text" }, oneLine(text, 240) || "A message without words")),
  };
}

function goTo(id) {
  const target = document.querySelector(`#log [data-message-id="${CSS.escape(id)}"]`);
  if (!target) return;
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
  target.classList.remove("found");
  void target.offsetWidth; // forces a layout, so the highlight runs again
  target.classList.add("found");
}

/** The message's text. Before the first text of a stream, the activity line, which the text then replaces. */
function words(message) {
  if (message.stream === "informative") {
    return {
      key: "informative",
      make: () => h("p", { class: "informative", dataset: { testid: "informative" } }),
      update: (element) => differs(element, message.text) && element.replaceChildren(message.text || "Thinking…"),
    };
  }
  if (!message.html && !message.stream) return null;
  return {
    key: "words",
    make: () => h("div", { class: "rich", dataset: { testid: "message-text" } }),
    update: (element) => {
      if (!differs(element, [message.html, message.text])) return;
      if (message.html) setRichText(element, message.html);
      else element.replaceChildren(message.text ?? "");
    },
  };
}

function card(message, redraw) {
  return {
    key: "card",
    make: () => h("div", { class: "card-slot" }),
    update: (element) => {
      const busy = store.clicks.get(message.id)?.busy;
      if (!differs(element, [message.card, busy])) return;
      replaceKeepingFocus(element, cardElement(message.card, { busy, onAction: (at) => press(message, at, redraw) }));
    },
  };
}

async function press(message, index, redraw) {
  store.clicks.set(message.id, { busy: true, note: "Sending your choice…" });
  redraw();
  try {
    const answer = await clickAction(message, store.person, index);
    if (answer.message) store.clicks.set(message.id, { note: answer.message });
    else store.clicks.delete(message.id);
  } catch (error) {
    store.clicks.set(message.id, { note: error.message, failed: true });
  }
  redraw();
}

function clickNote(message) {
  const click = store.clicks.get(message.id);
  if (!message.card) return null; // the clicked card is gone, replaced by the outcome
  const sentence = click?.note ?? (message.answered_action ? `Answered with “${message.answered_action}”.` : null);
  return sentence && {
    key: "note",
    make: () => h("p", { role: "status", dataset: { testid: "action-note" } }),
    update: (element) => {
      element.className = click?.failed ? "click-note failed" : "click-note";
      if (differs(element, sentence)) element.textContent = sentence;
    },
  };
}

function deletedNotice(message, redraw) {
  const undo = () => attempt(redraw, () => undeleteMessage(message, store.person), `undelete/${message.id}`);
  return {
    key: "gone",
    make: () => h("p", {}, "This message has been deleted.", message.from.id === store.person && h("button", {
      type: "button", class: "undo", dataset: { key: "undo", testid: "undo" }, on: { click: undo },
    }, "Undo")),
  };
}
