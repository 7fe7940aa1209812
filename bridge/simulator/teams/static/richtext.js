// The only place where foreign HTML enters the page: `message.html`, sanitised by the simulator (nh3).

import { h } from "./dom.js";
import { icon } from "./icons.js";

/**
 * Puts sanitised HTML into `target`. The HTML is parsed in a template, whose document is inert: no file loads and no code
 * runs before the changes below are made.
 */
export function setRichText(target, html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  for (const link of template.content.querySelectorAll("a[href]")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer";
  }
  // The page loads no file of a foreign host (Content-Security-Policy), so a remote picture becomes a link.
  for (const image of template.content.querySelectorAll("img")) {
    const source = image.getAttribute("src") ?? "";
    if (!isOwnImage(source)) image.replaceWith(remoteImage(source, image.alt));
  }
  // the first letters give the direction of each paragraph, list and quote: Arabic and Hebrew from the right
  for (const block of template.content.children) block.dir = "auto";
  for (const table of template.content.querySelectorAll("table")) scrollable(table, "Table");
  for (const code of template.content.querySelectorAll("pre")) {
    code.dir = "ltr";
    const box = scrollable(code, "Code");
    box.classList.add("code-box");
    const language = /language-([\w+#-]+)/.exec(code.firstElementChild?.className ?? "")?.[1] ?? "";
    box.prepend(codeHead(language, () => code.textContent));
  }
  patch(target, [...template.content.childNodes]);
}

/**
 * Makes the children of `target` equal to `nodes`, but keeps equal children: while a text grows, no part flickers, no code
 * block scrolls back and no selection is lost.
 */
function patch(target, nodes) {
  const before = [...target.childNodes];
  nodes.forEach((node, at) => {
    const old = before[at];
    if (!old) target.append(node);
    else if (old.isEqualNode(node)) return;
    else if (old.cloneNode(false).isEqualNode(node.cloneNode(false))) patch(old, [...node.childNodes]);
    else if (old instanceof Text && node instanceof Text) old.data = node.data;
    else old.replaceWith(node);
  });
  for (const leftover of before.slice(nodes.length)) leftover.remove();
}

/** Whether a picture comes from the page's own host or is a data: address. */
export function isOwnImage(source) {
  if (/^data:image\//i.test(source)) return true;
  const address = URL.parse ? URL.parse(source, location.href) : null;
  return address !== null && address.origin === location.origin;
}

function remoteImage(source, words) {
  const label = `Picture: ${words || "untitled"}`;
  if (!/^https:\/\//i.test(source)) return h("span", {}, label);
  return h("a", { href: source, target: "_blank", rel: "noopener noreferrer" }, label);
}

/** Wraps wide content in a box that scrolls, also by keyboard (hence the tabindex). */
function scrollable(element, label) {
  const scroller = h("div", { class: "scroller", tabindex: "0", role: "group", "aria-label": label });
  const box = h("div", { class: "scroll-box" }, scroller);
  element.replaceWith(box);
  scroller.append(element);
  return box;
}

/** The bar above a code block: the language, if known, and a button to copy the code. */
export function codeHead(language, text) {
  return h("div", { class: "code-head" }, h("span", {}, language), copyButton(text));
}

function copyButton(text) {
  const word = h("span", { "aria-live": "polite" }, "Copy");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      word.textContent = "Copied";
    } catch {
      word.textContent = "Select and copy by hand";
    }
    setTimeout(() => (word.textContent = "Copy"), 2_000);
  };
  return h("button", { type: "button", class: "copy", on: { click: copy } }, icon("copy"), word);
}
