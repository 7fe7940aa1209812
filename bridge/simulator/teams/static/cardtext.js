// The Markdown of card texts: bold, italic, links and lists, far less than in messages, as in Teams.
// https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format

import { h } from "./dom.js";

const INLINE = new RegExp([
  /\*\*(?<bold>[^*]+)\*\*/,
  /__(?<strong>[^_]+)__/,
  /(?<![\w*])[*_](?<italic>[^*_\s][^*_]*)[*_](?!\w)/,
  /\[(?<words>[^\]]+)\]\((?<link>[^)\s]+)\)/,
].map(({ source }) => source).join("|"), "g");
const ITEM = /^\s*(?:(?<bullet>[-*])|(?<number>\d+)[.)])\s+(?<text>.*)$/;

/** Whether a card may open the address: only https, so no script, no file, no plain http. */
export function isSafeLink(address) {
  return typeof address === "string" && /^https:\/\//i.test(address);
}

/** Nodes for a card's text; lines that begin like list items become lists. */
export function cardText(text) {
  const blocks = [];
  let items = null;
  for (const line of String(text ?? "").split(/\r?\n/)) {
    const match = ITEM.exec(line);
    const kind = match ? (match.groups.bullet ? "ul" : "ol") : null;
    if (!match) {
      items = null;
      if (line.trim()) blocks.push(h("p", {}, inline(line)));
      continue;
    }
    if (items?.tagName.toLowerCase() !== kind) {
      items = h(kind, kind === "ol" ? { start: match.groups.number } : {});
      blocks.push(items);
    }
    items.append(h("li", {}, inline(match.groups.text)));
  }
  return blocks;
}

function inline(line) {
  const nodes = [];
  let from = 0;
  for (const match of line.matchAll(INLINE)) {
    nodes.push(line.slice(from, match.index), styled(match));
    from = match.index + match[0].length;
  }
  nodes.push(line.slice(from));
  return nodes.filter((node) => node !== "");
}

function styled({ 0: raw, groups: { bold, strong, italic, words, link } }) {
  if (bold ?? strong) return h("strong", {}, bold ?? strong);
  if (italic) return h("em", {}, italic);
  return isSafeLink(link) ? h("a", { href: link, target: "_blank", rel: "noopener noreferrer" }, words) : raw;
}
