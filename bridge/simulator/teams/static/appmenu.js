// A small menu that removes the app from a chat or adds the app again, as Teams' own menu of a chat does, and a notice in
// chats from which the app was removed.

import { changeApp } from "./api.js";
import { attempt } from "./attempt.js";
import { differs, h, replaceKeepingFocus } from "./dom.js";
import { icon } from "./icons.js";
import { store } from "./state.js";

const change = (chat, action, redraw) =>
  attempt(redraw, () => changeApp(chat.id, store.person, action), `app/${chat.id}`);

const OFFERS = {
  added: { upgrade: (bot) => `Update ${bot} to a new version`, remove: (bot) => `Remove ${bot} from this chat` },
  removed: { add: (bot) => `Add ${bot} to this chat` },
};

/** The button with the menu; null if the simulator does not give the app's state. */
export function appMenu(chat, redraw) {
  if (!Object.hasOwn(OFFERS, chat.app ?? "")) return null;
  const run = (action) => {
    menu.hidePopover();
    change(chat, action, redraw);
  };
  const items = Object.entries(OFFERS[chat.app]).map(([action, words]) => h("button", {
    type: "button", class: "menu-item", dataset: { testid: `app-${action}` }, on: { click: () => run(action) },
  }, words(store.state.bot.name)));
  const menu = h("div", { class: "menu", id: "app-menu", popover: "auto" }, items,
    h("p", { class: "menu-note" }, "The bridge is told of it, as by Teams."));
  const button = h("button", {
    type: "button", class: "icon-button", title: "More", "aria-label": "More for this chat", popovertarget: "app-menu",
    dataset: { key: "app", testid: "app-menu" },
  }, icon("more"));
  menu.addEventListener("beforetoggle", () => {
    const { bottom, right } = button.getBoundingClientRect();
    menu.style.top = `${bottom + 4}px`;
    menu.style.right = `${document.documentElement.clientWidth - right}px`;
  });
  return [button, menu];
}

export function drawAppNotice(slot, chat, redraw) {
  const removed = chat.app === "removed";
  slot.hidden = !removed;
  if (!differs(slot, [chat.id, removed])) return;
  const bot = store.state.bot.name;
  const add = h("button", {
    type: "button", class: "primary-button", dataset: { key: "add", testid: "app-add-again" },
    on: { click: () => change(chat, "add", redraw) },
  }, `Add ${bot}`);
  const words = h("p", {}, `${bot} was removed from this chat: it can neither read nor write here.`);
  replaceKeepingFocus(slot, removed && [words, add]);
}
