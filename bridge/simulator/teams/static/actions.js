// The actions of a message: a bar on hover and on keyboard focus, a sheet after a long press on a touch screen. A single
// bar serves the whole log. By keyboard: Tab stops once in the log; Up and Down move between messages, Right or Enter goes
// into the bar, Left and Right move within the bar, Escape leaves the bar.

import { deleteMessage } from "./api.js";
import { attempt } from "./attempt.js";
import { startQuote } from "./composer.js";
import { differs, h, hidden, replaceKeepingFocus } from "./dom.js";
import { startEditing } from "./editor.js";
import { emoji, OFFERED, reactionName } from "./emoji.js";
import { icon } from "./icons.js";
import { isOwn, toggleReaction } from "./reactions.js";
import { chatNamed, messageNamed, store } from "./state.js";
import { openSheet, watchLongPress } from "./sheet.js";
import { toast } from "./toasts.js";

/** The person's actions on a message, each `{key, words, picture, pressed, run}`. */
function actionsOf(message, redraw) {
  if (message.deleted || message.stream) return [];
  const own = message.from.id === store.person;
  const mark = `delete/${message.id}`;
  return [
    ...OFFERED.map((type) => ({
      key: `react-${type}`, words: reactionName(type), picture: () => emoji(type), reaction: true,
      pressed: isOwn(message, type), run: () => toggleReaction(message, type, redraw),
    })),
    // in a channel people reply in the thread's own message box
    chatNamed(message.chat)?.kind !== "channel"
      && { key: "quote", words: "Reply with quote", picture: () => icon("reply"), run: () => startQuote(message) },
    message.text && { key: "copy", words: "Copy text", picture: () => icon("copy"), run: () => copyText(message.text) },
    own && { key: "edit", words: "Edit", picture: () => icon("edit"), run: () => startEditing(message, redraw) },
    own && {
      key: "delete", words: "Delete", picture: () => icon("trash"),
      run: () => attempt(redraw, () => deleteMessage(message, store.person), mark),
    },
  ].filter(Boolean);
}

async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("This browser does not let the page copy. Select the text and copy it by hand.", "warn");
  }
}

/** Adds the bar, keyboard control and long press to a log. Returns a function to call after each drawing. */
export function messageActions(log, redraw) {
  const bar = h("div", {
    class: "actions", role: "toolbar", "aria-label": "Actions for this message", "aria-live": "off",
    dataset: { testid: "actions" },
  });
  const articleAt = (target) => (target instanceof Element ? target.closest(".message") : null);
  const messageOf = (article) => messageNamed(log.dataset.chat, article.dataset.messageId);

  function updateBar() {
    const article = articleAt(bar);
    const message = article && messageOf(article);
    const actions = message && !article.querySelector(".editor") ? actionsOf(message, redraw) : [];
    if (!actions.length) return removeBar(article);
    const shown = actions.map(({ key, pressed }) => [key, pressed]);
    if (differs(bar, [message.id, message.text, shown])) replaceKeepingFocus(bar, actions.map(button));
  }

  function removeBar(article) {
    const focused = bar.contains(document.activeElement);
    bar.remove();
    if (focused) article.focus({ preventScroll: true }); // the deleted message offers Undo
  }

  function show(article) {
    if (!article || articleAt(bar) === article) return;
    if (bar.contains(document.activeElement)) return; // the keyboard is in the bar
    article.querySelector(".message-main").append(bar);
    updateBar();
  }

  log.addEventListener("pointerover", (event) => event.pointerType === "mouse" && show(articleAt(event.target)));
  log.addEventListener("pointerleave", () => articleAt(document.activeElement) !== articleAt(bar) && bar.remove());
  log.addEventListener("focusin", (event) => {
    const article = articleAt(event.target);
    if (article && event.target.matches(":focus-visible")) show(article);
  });
  // checked after the focus has moved: during the move no element has the focus, and the bar may get it
  log.addEventListener("focusout", () => setTimeout(() => {
    if (!log.contains(document.activeElement) && !log.matches(":hover")) bar.remove();
  }));
  log.addEventListener("keydown", (event) => keys(event, log, bar));
  watchLongPress(log, (target) => {
    const message = articleAt(target) && messageOf(articleAt(target));
    const actions = message ? actionsOf(message, redraw) : [];
    if (actions.length) openSheet(message, actions);
    return actions.length > 0;
  });
  return () => {
    updateBar();
    setTabStop(log);
  };
}

function button({ key, words, picture, pressed, run }, at) {
  return h("button", {
    type: "button", class: "icon-button", title: words, tabindex: at === 0 ? "0" : "-1",
    "aria-pressed": pressed === undefined ? null : String(pressed), dataset: { key, testid: `do-${key}` },
    on: { click: run },
  }, picture(), hidden(words));
}

/** Lets Tab reach a single message: the message last used by keyboard, else the newest. */
function setTabStop(log) {
  const articles = [...log.querySelectorAll(".message")];
  const current = articles.find((article) => article.contains(document.activeElement)) ?? articles.at(-1);
  for (const article of log.querySelectorAll(".message[tabindex='0']")) if (article !== current) article.tabIndex = -1;
  if (current) current.tabIndex = 0;
}

const ACROSS = { ArrowLeft: -1, ArrowRight: 1 };
const ALONG = { ArrowUp: -1, ArrowDown: 1 };

function keys(event, log, bar) {
  const inBar = bar.contains(event.target);
  const onMessage = event.target instanceof Element && event.target.matches(".message");
  if (!inBar && !onMessage) return;
  const article = event.target.closest(".message");
  const target = inBar ? withinBar(event.key, article, bar) : intoBar(event.key, bar);
  const next = target ?? neighbour(event.key, article, log);
  if (!next) return;
  event.preventDefault();
  const stop = bar.contains(next) ? next : bar.firstElementChild; // on return the bar starts at the first button
  for (const action of bar.children) action.tabIndex = action === stop ? 0 : -1;
  next.focus();
  if (next.matches(".message")) setTabStop(log);
}

const intoBar = (key, bar) => (key === "Enter" || key === "ArrowRight" ? bar.firstElementChild : null);

function withinBar(key, article, bar) {
  if (key === "Escape") return article;
  const buttons = [...bar.children];
  const at = buttons.indexOf(document.activeElement);
  if (key === "Home") return buttons[0];
  if (key === "End") return buttons.at(-1);
  return ACROSS[key] ? buttons[(at + ACROSS[key] + buttons.length) % buttons.length] : null;
}

function neighbour(key, article, log) {
  const articles = [...log.querySelectorAll(".message")];
  if (key === "Home") return articles[0];
  if (key === "End") return articles.at(-1);
  return ALONG[key] ? articles[articles.indexOf(article) + ALONG[key]] ?? article : null;
}
