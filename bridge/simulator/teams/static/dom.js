// Makes and updates elements. All text goes in as text nodes, so no foreign text is parsed as HTML; the only exception is
// richtext.js.

/**
 * A new element. `attributes`: `class`, `dataset` (object), `on` (object of listeners), all further names as HTML
 * attributes (true: present without a value; false, null and undefined: absent).
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "on") for (const [type, listener] of Object.entries(value)) element.addEventListener(type, listener);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child != null && child !== false));
  return element;
}

/** Text for screen readers only. */
export function hidden(text) {
  return h("span", { class: "visually-hidden" }, text);
}

/** Replaces the children; the focus moves to the new element with the same `data-key`. */
export function replaceKeepingFocus(parent, ...children) {
  const active = document.activeElement;
  const key = active && parent.contains(active) ? active.dataset.key : undefined;
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child != null && child !== false));
  if (key === undefined) return;
  for (const candidate of parent.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === key) return candidate.focus({ preventScroll: true });
  }
}

const shown = new WeakMap();

/** Whether `value` differs from the value of the last call with `element`; lets a view skip needless work. */
export function differs(element, value) {
  const signature = JSON.stringify(value);
  if (shown.get(element) === signature) return false;
  shown.set(element, signature);
  return true;
}

/**
 * Makes `items`, each `{key, make(), update(element)}`, the children of `parent` in order. Elements are kept by key, so
 * scrolling, focus, selection and a half-typed reply survive every update.
 */
export function reconcile(parent, items) {
  const wanted = new Set(items.map(({ key }) => key));
  const known = new Map([...parent.children].map((child) => [child.dataset.item, child]));
  // first, so the remaining elements are in place already and are not moved
  for (const [key, child] of known) if (!wanted.has(key)) child.remove();
  let next = parent.firstElementChild;
  for (const { key, make, update } of items) {
    let element = known.get(key);
    if (!element) {
      element = make();
      element.dataset.item = key;
    }
    update?.(element);
    if (element === next) next = next.nextElementSibling;
    else parent.insertBefore(element, next);
  }
}

/** Up, Down, Home and End move between the links of a list; Tab still visits each link. */
export function arrowKeys(list, forward = "ArrowDown", back = "ArrowUp") {
  list.addEventListener("keydown", (event) => {
    const links = [...list.querySelectorAll("a, button")];
    const at = links.indexOf(document.activeElement);
    const target = { [forward]: at + 1, [back]: at - 1, Home: 0, End: links.length - 1 }[event.key];
    if (at < 0 || target === undefined || !links[target]) return;
    event.preventDefault();
    links[target].focus();
  });
}

/** Whether an input method (Chinese, Vietnamese …) is composing and uses the keys; older Safari reports key code 229. */
export const composes = (event) => event.isComposing || event.keyCode === 229;

/** Makes a text box as high as the text; the style sheet sets the limit. */
export function fitHeight(box) {
  box.style.height = "auto";
  box.style.height = `${box.scrollHeight}px`;
}
