// The files of a message: pictures to look at, all different files as chips, and Teams' question whether the bot may store
// a file in the person's OneDrive: https://learn.microsoft.com/microsoftteams/platform/bots/how-to/bots-filesv4

import { answerConsent } from "./api.js";
import { attempt } from "./attempt.js";
import { differs, h, hidden, replaceKeepingFocus } from "./dom.js";
import { sizeOf } from "./format.js";
import { icon } from "./icons.js";
import { isOwnImage } from "./richtext.js";
import { store } from "./state.js";

/** An item for `reconcile` for each file. */
export function fileItems(message, redraw) {
  return message.files.map((file, at) => ({
    key: `file-${at}`,
    make: () => h("div", { class: "file-slot" }),
    update: (element) => {
      const busy = store.busy.has(consentMark(message));
      if (differs(element, [file, busy])) replaceKeepingFocus(element, fileElement(message, file, busy, redraw));
    },
  }));
}

const consentMark = (message) => `consent/${message.id}`;
const isPicture = ({ type, url }) => /^image\//i.test(type ?? "") && url && isOwnImage(url);

function fileElement(message, file, busy, redraw) {
  // As in Teams, the buttons stay until the app changes or deletes the card.
  if (Object.hasOwn(ANSWERS, file.state) && !file.url) return consentCard(message, file, busy, redraw);
  return isPicture(file) ? picture(file) : fileChip(file);
}

const ANSWERS = {
  offered: "If you accept, it is stored in your OneDrive.",
  accepted: "You accepted. The app may upload the file now.",
  declined: "You declined this file.",
};

function picture({ name, url }) {
  const image = h("img", { class: "file-picture", src: url, alt: name || "Picture", dataset: { testid: "file-picture" } });
  // browsers open no data: address in a new tab
  return url.startsWith("data:") ? image
    : h("a", { class: "file-picture-link", href: url, target: "_blank", rel: "noopener noreferrer" }, image);
}

/** A file as a chip; a file with an address can be downloaded. */
export function fileChip({ name, size, state, url }) {
  const label = [
    h("span", { class: "file-icon" }, icon("file")),
    h("span", { class: "file-words" }, h("span", { class: "file-name" }, name || "A file"),
      h("span", { class: "file-note" }, size ? sizeOf(size) : "")),
  ];
  const hooks = { testid: "file", state: state ?? "sent", key: "file" };
  if (!url || !isReachable(url)) return h("div", { class: `file file-${state ?? "sent"}`, dataset: hooks }, label);
  return h("a", {
    class: "file file-link", href: url, download: name || true, rel: "noopener noreferrer", dataset: hooks,
  }, label, icon("download"), hidden("Download"));
}

/** Whether a link may lead to the address: the page's own host, or https; never a script. */
const isReachable = (url) => /^https:\/\//i.test(url) || (isOwnImage(url) && !/^data:/i.test(url));

function consentCard(message, file, busy, redraw) {
  const answer = (action) => attempt(redraw, () => answerConsent(message, store.person, action), consentMark(message));
  const button = (action, look, words) => h("button", {
    type: "button", class: `card-action ${look}`, "aria-disabled": busy ? "true" : null, dataset: { key: action, testid: `consent-${action}` },
    on: { click: () => answer(action) },
  }, words);
  const hooks = { testid: "consent", state: file.state };
  return h("div", { class: "consent", role: "group", "aria-label": "File offered", dataset: hooks },
    h("p", { class: "consent-title" }, `${message.from.name} would like to send you a file`),
    fileChip(file),
    h("p", { class: "consent-words", role: "status" }, ANSWERS[file.state]),
    h("div", { class: "card-actions" },
      button("accept", file.state === "offered" ? "style-positive" : "style-default", "Accept"), button("decline", "style-default", "Decline")));
}
