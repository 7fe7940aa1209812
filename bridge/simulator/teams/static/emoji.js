// The reactions. The page's four reactions are drawn here, so look alike on every machine, even without an emoji font; all
// remaining reactions use the system's font. Newer types have the form "<code point>_<name>". Types: "message reactions" of
// https://learn.microsoft.com/microsoftteams/platform/bots/how-to/conversations/conversation-messages

import { h } from "./dom.js";
import { drawing } from "./icons.js";

const SKIN = "#ffc83d";
const INK = "#5f3a0b";
const face = ["circle", { cx: "12", cy: "12", r: "10", fill: SKIN }];

const DRAWN = {
  like: [
    ["path", { fill: SKIN, d: "M8 10.5L11.6 3.2c.2-.5.7-.7 1.2-.6 1.6.4 2.3 1.9 2 3.4L14 9.5h5c1.6 0 2.7 1.5 2.2 3l-2 6.6A2.8 2.8 0 0 1 16.5 21H8z" }],
    ["rect", { fill: "#2f7fd1", x: "2.5", y: "10", width: "5.2", height: "11.2", rx: "1.3" }],
  ],
  heart: [
    ["path", { fill: "#e8384f", d: "M12 20.800C5.5 16 2.3 12.7 2.3 8.900a5.1 5.1 0 0 1 9.7-2.3 5.1 5.1 0 0 1 9.7 2.300c0 3.8-3.2 7.1-9.7 11.900z" }],
  ],
  laugh: [
    face,
    ["path", { fill: INK, d: "M6.2 12.600h11.600a5.8 5.8 0 0 1-11.6 0z" }],
    ["path", { fill: "#ffffff", d: "M7 12.600h10l-.4 1.800H7.400z" }],
    ["path", { fill: "none", stroke: INK, "stroke-width": "1.6", "stroke-linecap": "round", d: "M6.8 9.300l1.5-1.6 1.5 1.600M14.2 9.300l1.5-1.6 1.5 1.6" }],
  ],
  "1f440_eyes": [
    ["ellipse", { cx: "7", cy: "12", rx: "4.6", ry: "6.5", fill: "#ffffff", stroke: "#55636b", "stroke-width": "1.4" }],
    ["ellipse", { cx: "17", cy: "12", rx: "4.6", ry: "6.5", fill: "#ffffff", stroke: "#55636b", "stroke-width": "1.4" }],
    ["ellipse", { cx: "8.6", cy: "13", rx: "2.1", ry: "2.9", fill: "#27333a" }],
    ["ellipse", { cx: "18.6", cy: "13", rx: "2.1", ry: "2.9", fill: "#27333a" }],
  ],
};

/** The reactions offered by the page, in this order. */
export const OFFERED = ["like", "heart", "laugh", "1f440_eyes"];

const NAMES = {
  like: "Like", heart: "Heart", laugh: "Laugh", surprised: "Surprised", sad: "Sad", angry: "Angry",
  "1f440_eyes": "Eyes", "2705_whiteheavycheckmark": "Check mark", "1f4cc_pushpin": "Pushpin",
  "1f44b_wavinghand": "Waving hand", launch: "Rocket",
};
const SIGNS = { surprised: "😮", sad: "😢", angry: "😠", launch: "🚀" };

export const reactionName = (type) => NAMES[type] ?? String(type).replace(/^[0-9a-f]{4,6}_/, "");

/** Decoration: the name stands beside the picture in words. */
export function emoji(type) {
  if (Object.hasOwn(DRAWN, type)) return drawing("emoji", DRAWN[type]);
  return h("span", { class: "emoji-sign", "aria-hidden": "true" }, sign(type));
}

function sign(type) {
  if (Object.hasOwn(SIGNS, type)) return SIGNS[type];
  const code = Number.parseInt(/^([0-9a-f]{4,6})_/.exec(type)?.[1] ?? "", 16);
  return code >= 0x2000 && code <= 0x1fbff ? String.fromCodePoint(code) : reactionName(type);
}
