// The message box: Enter sends, Shift+Enter starts a new line. In groups and channels a bot hears only what mentions it, so
// a chip does that, on by default.

import { sendMessage } from "./api.js";
import { h, hidden } from "./dom.js";
import { icon } from "./icons.js";
import { store } from "./state.js";

const drafts = new Map(); // person + chat + thread -> text not sent yet

/** Sends `text` and puts a failure into words. Returns whether the simulator took it. */
export async function say(chat, text, { thread = null, mention = true, onError }) {
  try {
    await sendMessage(chat.id, { as: store.person, text, mention: chat.kind === "personal" ? false : mention, thread });
    return true;
  } catch (error) {
    onError(error.message);
    return false;
  }
}

/** One message box for `chat`, or for one thread of it. `onCancel` adds a button that closes it. */
export function composer({ chat, thread = null, onCancel = null }) {
  const bot = store.state.bot.name;
  const draft = `${store.person}|${chat.id}|${thread ?? ""}`;
  const placeholder = thread ? "Reply in this thread" : chat.kind === "channel" ? "Start a post" : `Write to ${chat.title}`;
  const prefix = thread ? "reply-" : "";
  const error = h("p", { class: "composer-error", role: "alert", hidden: true });
  const box = h("textarea", {
    rows: "1", placeholder, "aria-label": placeholder, enterkeyhint: "send", dataset: { testid: `${prefix}composer` },
    id: thread ? null : "composer", on: { input: grow, keydown: keys },
  });
  const mention = chat.kind === "personal" ? null : mentionChip(bot, prefix);
  box.value = drafts.get(draft) ?? "";

  function grow() {
    drafts.set(draft, box.value);
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight}px`;
  }

  function keys(event) {
    // While an input method composes (Chinese, Vietnamese …), Enter belongs to it; 229 is how older Safari says so.
    if (event.isComposing || event.keyCode === 229) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && onCancel) onCancel();
  }

  async function submit() {
    const text = box.value.trim();
    box.focus();
    if (!text) return;
    // Emptied before the answer is there: the next line may be typed at once. A refused text comes back.
    box.value = "";
    error.hidden = true;
    grow();
    const show = (sentence) => {
      error.textContent = sentence;
      error.hidden = false;
    };
    const mentioned = mention?.getAttribute("aria-pressed") === "true";
    const sent = await say(chat, text, { thread, mention: mentioned, onError: show });
    if (!sent && !box.value) {
      box.value = text;
      grow();
    }
  }

  if (box.value) queueMicrotask(grow); // once it is part of the page and has a height
  return h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); submit(); } } },
    error,
    h("div", { class: "composer-box" },
      mention,
      box,
      onCancel && h("button", { type: "button", class: "quiet-button", on: { click: onCancel } }, "Cancel"),
      h("button", { type: "submit", class: "send", dataset: { testid: `${prefix}send` } }, icon("send"), hidden("Send"))),
    h("p", { class: "composer-hint" }, "Enter sends · Shift+Enter starts a new line"));
}

function mentionChip(bot, prefix) {
  const chip = h("button", {
    type: "button", class: "mention-chip", "aria-pressed": "true", dataset: { testid: `${prefix}mention` },
    title: `On: ${bot} is mentioned and answers. Off: ${bot} does not get to see the message.`,
    on: { click: () => chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true")) },
  }, hidden("Mention "), `@${bot}`);
  return chip;
}
