// "What Teams saw": every request between the bridge and Teams with Teams' verdict, live. For watching a bot at work, and
// for learning which requests Teams accepts and refuses.

import { loadTraffic } from "./api.js";
import { differs, h, hidden, reconcile } from "./dom.js";
import { exactTime, secondOf } from "./format.js";
import { icon } from "./icons.js";
import { chatNamed, remember, remembered, store } from "./state.js";

const KEPT = 500;
const NEAR_END_PX = 60;
const FILTERS = { all: "All", refused: "Refused", chat: "This chat" };

const entries = new Map(); // n -> entry, in the order of n
let requested = false; // whether the earlier entries were requested from the simulator
let waiting = false; // for the earlier entries
let failure = null; // the error's sentence, if loading failed
let filter = Object.hasOwn(FILTERS, remembered("traffic")) ? remembered("traffic") : "all";
let atEnd = true;
let seen = 0; // the highest n drawn in the open panel

/** Adds an entry of the event stream. */
export function applyTraffic(entry) {
  entries.set(entry.n, entry);
  while (entries.size > KEPT) entries.delete(entries.keys().next().value);
}

/** Clears the entries, at every (re)connection: a restarted simulator counts from 1 again. */
export function forgetTraffic() {
  entries.clear();
  requested = false;
  seen = 0;
}

async function load(redraw) {
  [requested, waiting, failure] = [true, true, null];
  try {
    const known = await loadTraffic();
    const all = [...known, ...entries.values()].sort((left, right) => left.n - right.n);
    entries.clear();
    all.forEach(applyTraffic);
  } catch (error) {
    failure = error.message;
  }
  waiting = false;
  redraw();
}

const isRefused = ({ status }) => !status || status >= 400;

/** The number of refusals since the panel was last open. */
export const unseenRefusals = () => [...entries.values()].filter((entry) => entry.n > seen && isRefused(entry)).length;

export function drawTraffic(panel, open, { redraw, close }) {
  panel.hidden = !open;
  if (!open) return;
  if (!requested) load(redraw);
  if (!panel.childElementCount) panel.append(...frame(redraw, close));
  const shown = [...entries.values()].filter(passes);
  seen = Math.max(seen, ...entries.keys());
  const refused = [...entries.values()].filter(isRefused).length;
  for (const button of panel.querySelectorAll("[data-filter]")) {
    const { filter: name } = button.dataset;
    button.setAttribute("aria-pressed", String(name === filter));
    const words = name === "refused" && refused ? `${FILTERS.refused} (${refused})` : FILTERS[name];
    if (differs(button, words)) button.textContent = words;
  }
  const list = panel.querySelector(".traffic-list");
  const height = list.scrollHeight;
  reconcile(list, [...hint(shown), ...shown.map(item)]);
  const latest = panel.querySelector(".to-latest");
  if (atEnd) list.scrollTop = list.scrollHeight;
  else if (list.scrollHeight > height) latest.hidden = false;
}

function passes(entry) {
  if (filter === "refused") return isRefused(entry);
  return filter === "all" || entry.chat === store.chat;
}

function frame(redraw, close) {
  const list = h("div", {
    class: "traffic-list", tabindex: "0", role: "group", "aria-label": "Requests, oldest first",
    dataset: { testid: "traffic-list" },
  });
  const latest = h("button", { type: "button", class: "to-latest", hidden: true }, "New requests");
  const look = () => {
    atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR_END_PX;
    if (atEnd) latest.hidden = true;
  };
  list.addEventListener("scroll", look);
  list.addEventListener("toggle", look, true); // while a person reads an opened entry, new entries do not scroll the list
  latest.addEventListener("click", () => list.scrollTo({ top: list.scrollHeight }));
  const choose = (name) => {
    filter = name;
    atEnd = true;
    remember("traffic", name);
    redraw();
  };
  return [
    h("div", { class: "panel-head" }, h("h2", {}, "What Teams saw"),
      h("button", {
        type: "button", class: "icon-button", "aria-label": "Close what Teams saw", dataset: { testid: "traffic-close" },
        on: { click: close },
      }, icon("close"))),
    h("p", { class: "traffic-about" },
      "Every request between the bridge and Teams, and what the real service says to it. Press one for its details."),
    h("div", { class: "traffic-filters", role: "group", "aria-label": "Which requests" },
      Object.keys(FILTERS).map((name) => h("button", {
        type: "button", class: "filter", dataset: { filter: name, testid: `traffic-${name}` },
        on: { click: () => choose(name) },
      }))),
    h("div", { class: "traffic-frame" }, list, latest),
  ];
}

function hint(shown) {
  const words = failure ?? {
    all: "Each request between the bridge and Teams will stand here, with what Teams made of it. Say something.",
    refused: "Teams has refused nothing so far.",
    chat: "No request belongs to this chat so far.",
  }[filter];
  return shown.length || waiting ? [] : [{
    key: `hint-${words}`,
    make: () => h("p", { class: "traffic-hint", dataset: { testid: "traffic-hint" } }, words),
  }];
}

function item(entry) {
  return {
    key: String(entry.n),
    make: () => h("details", { class: "request" }),
    update: (element) => differs(element, entry) && fill(element, entry),
  };
}

function fill(element, entry) {
  const outward = entry.to === "bot";
  element.className = `request ${isRefused(entry) ? "request-refused" : ""}`;
  const hooks = { testid: "request", n: String(entry.n), to: entry.to ?? "", refused: String(isRefused(entry)) };
  Object.assign(element.dataset, hooks);
  element.replaceChildren(
    h("summary", {},
      h("span", { class: `request-arrow to-${outward ? "bot" : "teams"}`, title: outward ? "Teams → bridge" : "Bridge → Teams" },
        icon("arrow"), hidden(outward ? "Teams to the bridge: " : "The bridge to Teams: ")),
      h("span", { class: "request-words" },
        h("span", { class: "request-line" },
          h("span", { class: "request-what" }, entry.what || `${entry.method} ${shortPath(entry.path)}`),
          h("time", { datetime: entry.at, title: exactTime(entry.at) }, secondOf(entry.at))),
        h("span", { class: "request-line" },
          h("code", { class: "request-path", title: entry.path }, `${entry.method ?? ""} ${shortPath(entry.path)}`),
          badge(entry)),
        (entry.code || entry.verdict) && h("span", { class: "request-verdict" },
          entry.code && h("code", {}, entry.code), entry.code && entry.verdict ? " " : null, entry.verdict))),
    details(entry));
}

function badge({ status }) {
  const kind = !status || status >= 500 ? "bad" : status === 429 ? "warn" : status >= 400 ? "bad" : "good";
  const words = status === 0 ? "no answer" : status ?? "not reached";
  return h("span", { class: `status-badge status-${kind}`, dataset: { testid: "status-badge" } }, String(words));
}

/** All recorded fields, including fields added by later simulators. */
function details(entry) {
  const { n, at, to, method, path, status, code, what, verdict, chat, ...more } = entry;
  const words = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
  const rows = {
    Request: `${method ?? ""} ${path ?? ""}`,
    Direction: to === "bot" ? "Teams → bridge" : "Bridge → Teams",
    Chat: chat ? chatTitle(chat) : null,
    Time: `${exactTime(at)} (request ${n})`,
    ...Object.fromEntries(Object.entries(more).map(([name, value]) => [name, words(value)])),
  };
  return h("dl", { class: "request-details" }, Object.entries(rows).filter(([, value]) => value != null)
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

function chatTitle(id) {
  const chat = chatNamed(id);
  return chat ? `${chat.title} (${id})` : id;
}

/** A short path: without the constant part before the API, and with shortened ids; details show the whole path. */
function shortPath(path) {
  const api = String(path ?? "").replace(/^https?:\/\/[^/]+/, "").replace(/^.*?\/v3\//, "/v3/");
  return api.split("/").map((part) => (part.length > 22 ? `${part.slice(0, 9)}…` : part)).join("/");
}
