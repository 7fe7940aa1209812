// Adaptive Cards, built element by element. No part of a card is parsed as HTML, and a card can do no more than in Teams:
// https links, pictures of the page's own host or data: addresses.
// Elements: https://adaptivecards.io/explorer/ ; CodeBlock: Teams' own extension.

import { cardText, isSafeLink } from "./cardtext.js";
import { h } from "./dom.js";
import { codeHead, isOwnImage } from "./richtext.js";

const ELEMENTS = {
  ActionSet: (item, card) => actionRow(item.actions, card),
  CodeBlock: codeBlock,
  Column: (item, card) => container(item, card, "card-column"),
  ColumnSet: columnSet,
  Container: (item, card) => container(item, card, "card-container"),
  FactSet: factSet,
  Image: image,
  RichTextBlock: (item) => h("p", { class: "card-text" }, list(item.inlines).map(textRun)),
  Table: table,
  TextBlock: textBlock,
};

/**
 * The card as an element. `onAction(index)` runs for Execute and Submit buttons: the index counts all actions of the card,
 * first the actions of ActionSets in the body, in reading order, then the card's own. `busy` disables the buttons.
 */
export function cardElement(card, { onAction, busy }) {
  const building = { onAction, busy, numbers: new Map() };
  numberActions(card, building.numbers);
  const body = elements(card.body, building);
  return h("div", { class: "card", role: "group", "aria-label": "Card" }, body, actionRow(card.actions, building));
}

/** Numbers the actions in the simulator's order, before drawing, since hidden elements count too. */
function numberActions(part, numbers) {
  for (const item of Array.isArray(part) ? part : [part]) {
    if (!item || typeof item !== "object") continue;
    for (const inner of ["body", "items", "columns", "rows", "cells"]) numberActions(item[inner], numbers);
    for (const action of list(item.actions)) if (action && typeof action === "object") numbers.set(action, numbers.size);
  }
}

const list = (value) => (Array.isArray(value) ? value : []);
const oneOf = (value, allowed, otherwise) => {
  const word = String(value ?? "").toLowerCase();
  return allowed.includes(word) ? word : otherwise;
};

function elements(items, card) {
  return list(items).map((item) => element(item, card));
}

function element(item, card) {
  if (!item || typeof item !== "object" || item.isVisible === false) return null;
  const build = Object.hasOwn(ELEMENTS, item.type) ? ELEMENTS[item.type] : null;
  const built = build ? build(item, card) : fallback(item, card);
  if (built && item.separator) built.classList.add("card-separator");
  if (built && oneOf(item.spacing, ["none", "medium", "large", "extralarge"], "")) {
    built.classList.add(`space-${item.spacing.toLowerCase()}`);
  }
  return built;
}

function fallback(item, card) {
  if (item.fallback === "drop") return null;
  if (item.fallback && typeof item.fallback === "object") return element(item.fallback, card);
  return h("p", { class: "card-unknown" }, `This page cannot show the card element “${item.type}”.`);
}

function textClasses(item) {
  return [
    `size-${oneOf(item.size, ["small", "medium", "large", "extralarge"], "default")}`,
    `weight-${oneOf(item.weight, ["lighter", "bolder"], "default")}`,
    `color-${oneOf(item.color, ["accent", "good", "warning", "attention"], "default")}`,
    `align-${oneOf(item.horizontalAlignment, ["center", "right"], "left")}`,
    item.isSubtle ? "subtle" : "",
    item.fontType === "Monospace" ? "monospace" : "",
    item.wrap === false ? "nowrap" : "",
  ].join(" ");
}

function textBlock(item) {
  const heading = item.style === "heading" ? { role: "heading", "aria-level": "4" } : {};
  return h("div", { class: `card-text ${textClasses(item)}`, ...heading }, cardText(item.text));
}

function textRun(run) {
  if (typeof run === "string") return run;
  return h("span", { class: `${textClasses(run)}${run.italic ? " italic" : ""}` }, run.text ?? "");
}

function container(item, card, kind) {
  const style = oneOf(item.style, ["emphasis", "accent", "good", "warning", "attention"], "plain");
  return h("div", { class: `${kind} style-${style}` }, elements(item.items, card));
}

function columnSet(item, card) {
  const columns = list(item.columns).map((column) => {
    const built = element({ type: "Column", ...column }, card);
    if (!built) return null;
    const { width } = column;
    if (width === "auto") built.classList.add("width-auto");
    else if (/^\d{1,3}px$/.test(width)) built.style.flex = `0 0 ${width}`;
    else if (Number(width) > 0) built.style.flexGrow = String(Number(width));
    return built;
  });
  return h("div", { class: "card-columns" }, columns);
}

function factSet(item) {
  const facts = list(item.facts).map(({ title, value }) => [h("dt", {}, title ?? ""), h("dd", {}, cardText(value))]);
  return h("dl", { class: "card-facts" }, facts);
}

function image(item) {
  const words = item.altText ?? "";
  if (!isOwnImage(String(item.url ?? ""))) return h("p", { class: "card-unknown" }, `Picture${words ? `: ${words}` : ""}`);
  const size = oneOf(item.size, ["small", "medium", "large", "stretch"], "auto");
  const round = item.style?.toLowerCase() === "person" ? "round" : "";
  return h("img", { class: `card-image image-${size} ${round}`, src: item.url, alt: words });
}

function codeBlock(item) {
  const code = String(item.codeSnippet ?? "");
  const label = item.language ? `Code, ${item.language}` : "Code";
  const text = h("pre", {}, h("code", {}, code));
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "group", "aria-label": label }, text);
  return h("div", { class: "scroll-box code-box" }, codeHead(item.language ?? "", () => code), scroller);
}

function table(item, card) {
  const heading = item.firstRowAsHeaders ?? item.firstRowAsHeader ?? true;
  const rows = list(item.rows).map((row, at) =>
    h("tr", {}, list(row.cells).map((cell) => {
      const header = heading && at === 0;
      return h(header ? "th" : "td", header ? { scope: "col" } : {}, elements(cell.items, card));
    })),
  );
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "group", "aria-label": "Table" });
  scroller.append(h("table", {}, h("tbody", {}, rows)));
  return h("div", { class: "scroll-box" }, scroller);
}

function actionRow(actions, card) {
  const buttons = list(actions).map((action) => actionButton(action, card));
  return buttons.length ? h("div", { class: "card-actions" }, buttons) : null;
}

function actionButton(action, card) {
  const index = card.numbers.get(action);
  if (index === undefined) return null; // an action in a fallback, unknown to the simulator
  const title = action.title || "Open";
  const hook = { action: String(index), key: `action-${index}`, testid: "card-action" };
  const look = `card-action style-${oneOf(action.style, ["positive", "destructive"], "default")}`;
  if (action.type === "Action.OpenUrl") {
    if (!isSafeLink(action.url)) return null;
    return h("a", { class: look, href: action.url, target: "_blank", rel: "noopener noreferrer", dataset: hook }, title);
  }
  if (action.type !== "Action.Execute" && action.type !== "Action.Submit") return null;
  const click = () => card.onAction(index);
  const disabled = card.busy || action.isEnabled === false;
  return h("button", { type: "button", class: look, disabled, dataset: hook, on: { click } }, title);
}
