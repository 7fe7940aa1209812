// The message box: Enter sends, Shift+Enter starts a new line. In groups and channels a bot gets only messages with a
// mention, so a chip adds the mention, on by default. A draft (text, quoted message, files) is kept for each chat.

import { sendMessage } from "./api.js";
import { addFiles, attachButton, attachedFiles, sentFiles } from "./attachments.js";
import { composes, fitHeight, h, hidden, replaceKeepingFocus } from "./dom.js";
import { oneLine } from "./format.js";
import { icon } from "./icons.js";
import { store } from "./state.js";

const drafts = new Map(); // person + chat + thread -> {text, quote, files, show}
const keyOf = (chat, thread) => `${store.person}|${chat}|${thread ?? ""}`;

function draftOf(chat, thread = null) {
  const key = keyOf(chat, thread);
  if (!drafts.has(key)) drafts.set(key, { text: "", quote: null, files: [], show: () => {} });
  return drafts.get(key);
}

/** Puts a message above the message box of the chat, to be quoted by the next message. */
export function startQuote(message) {
  const draft = draftOf(message.chat);
  draft.quote = message;
  draft.show();
  document.getElementById("composer")?.focus();
}

/** Adds files to the draft in the chat, or in a thread of the chat. */
export async function attach(chat, chosen, thread = null) {
  const draft = draftOf(chat, thread);
  const trouble = await addFiles(draft.files, chosen);
  draft.show(trouble);
}

/** Sends a message; `onError` gets a sentence about a failure. Returns whether the simulator accepted the message. */
export async function say(chat, text, { thread = null, mention = true, quote = null, files = [], onError }) {
  const more = { ...(quote ? { quote: quote.id } : {}), ...(files.length ? { files: sentFiles(files) } : {}) };
  const mentions = chat.kind === "personal" ? false : mention;
  try {
    await sendMessage(chat.id, { as: store.person, text, mention: mentions, thread, ...more });
    return true;
  } catch (error) {
    onError(error.message);
    return false;
  }
}

/**
 * A message box for `chat`, or for a thread of the chat. `onCancel` adds a button to close the box; `onUp` runs for the Up
 * key in an empty box.
 */
export function composer({ chat, thread = null, onCancel = null, onUp = null }) {
  const bot = store.state.bot.name;
  const draft = draftOf(chat.id, thread);
  const placeholder = thread ? "Reply in this thread" : chat.kind === "channel" ? "Start a post" : `Write to ${chat.title}`;
  const prefix = thread ? "reply-" : "";
  const error = h("p", { class: "composer-error", role: "alert", hidden: true });
  const extras = h("div", { class: "composer-extras", hidden: true });
  const box = h("textarea", {
    rows: "1", placeholder, "aria-label": placeholder, enterkeyhint: "send", dataset: { testid: `${prefix}composer` },
    id: thread ? null : "composer", on: { input: grow, keydown: keys, paste },
  });
  const mention = chat.kind === "personal" ? null : mentionChip(bot, prefix);
  const clip = `Attach files${chat.kind === "personal" ? "" : `. Outside personal chats ${bot} sees pictures only, as in Teams`}`;
  const take = (chosen) => attach(chat.id, chosen, thread);
  box.value = draft.text;
  draft.show = show;

  function grow() {
    draft.text = box.value;
    fitHeight(box);
  }

  function complain(sentence) {
    error.textContent = sentence ?? "";
    error.hidden = !sentence;
  }

  function show(trouble) {
    complain(trouble);
    extras.hidden = !draft.quote && !draft.files.length;
    const remove = (file) => {
      draft.files.splice(draft.files.indexOf(file), 1);
      show();
      box.focus();
    };
    replaceKeepingFocus(extras, draft.quote && quoteBar(draft.quote, dropQuote),
      draft.files.length > 0 && h("div", { class: "tray" }, attachedFiles(draft.files, remove)));
  }

  function dropQuote() {
    draft.quote = null;
    show();
    box.focus();
  }

  function paste(event) {
    const files = [...event.clipboardData?.files ?? []];
    // a table from a spreadsheet comes as text and as a picture: the text is meant
    if (!files.length || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    take(files);
  }

  function keys(event) {
    if (composes(event)) return;
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === "Escape" && draft.quote) dropQuote();
    else if (event.key === "Escape" && onCancel) onCancel();
    else if (event.key === "ArrowUp" && !box.value && onUp?.()) event.preventDefault();
  }

  async function submit() {
    const { quote, files } = draft;
    const text = box.value.trim();
    box.focus();
    if (!text && !files.length) return;
    // The box is emptied before the answer, so the next message can be typed; a refused message comes back.
    const put = (content) => {
      box.value = content.text;
      Object.assign(draft, content);
      show();
      grow();
    };
    put({ text: "", quote: null, files: [] });
    const mentioned = mention?.getAttribute("aria-pressed") === "true";
    let trouble = null;
    const onError = (sentence) => (trouble = sentence);
    const sent = await say(chat, text, { thread, mention: mentioned, quote, files, onError });
    if (sent) return;
    if (!box.value && !draft.files.length && !draft.quote) put({ text, quote, files });
    complain(trouble);
  }

  show();
  if (box.value) queueMicrotask(grow); // once the box is part of the page and has a height
  return h("form", { class: "composer", on: { submit: (event) => { event.preventDefault(); submit(); } } },
    error,
    h("div", { class: "composer-box" }, extras,
      h("div", { class: "composer-row" },
        attachButton(clip, take),
        mention,
        box,
        onCancel && h("button", { type: "button", class: "quiet-button", on: { click: onCancel } }, "Cancel"),
        h("button", { type: "submit", class: "send", dataset: { testid: `${prefix}send` } }, icon("send"), hidden("Send")))),
    h("p", { class: "composer-hint" }, "Enter sends · Shift+Enter starts a new line"));
}

function quoteBar(message, drop) {
  return h("div", { class: "quote-bar", dataset: { testid: "quote-bar" } },
    h("div", { class: "quote-bar-words" },
      h("span", { class: "quoted-name" }, icon("reply"), message.from.id === store.person ? "You" : message.from.name),
      h("span", { class: "quoted-text" }, oneLine(message.text, 160) || "A message without words")),
    h("button", {
      type: "button", class: "icon-button", "aria-label": "Do not quote", dataset: { testid: "drop-quote" },
      on: { click: drop },
    }, icon("close")));
}

function mentionChip(bot, prefix) {
  const chip = h("button", {
    type: "button", class: "mention-chip", "aria-pressed": "true", dataset: { testid: `${prefix}mention` },
    title: `On: ${bot} is mentioned and answers. Off: ${bot} does not get to see the message.`,
    on: { click: () => chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true")) },
  }, hidden("Mention "), `@${bot}`);
  return chip;
}
