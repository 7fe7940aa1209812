// Files for the next message: picked, dropped or pasted, and read into memory.

import { fileChip } from "./files.js";
import { h } from "./dom.js";
import { sizeOf } from "./format.js";
import { icon } from "./icons.js";

// the simulator's limits for a message
const MOST_FILES = 10;
const LARGEST_BYTES = 10 * 1024 * 1024;

/** Reads the chosen files into `kept`, up to the limits. Returns a sentence about the first rejected file, or null. */
export async function addFiles(kept, chosen) {
  for (const file of chosen) {
    if (kept.length >= MOST_FILES) return `A message can have ${MOST_FILES} files at most.`;
    const total = kept.reduce((sum, { size }) => sum + size, file.size);
    if (total > LARGEST_BYTES) return `“${file.name}” is too large: ${sizeOf(LARGEST_BYTES)} at most, all files together.`;
    try {
      kept.push({ name: file.name || "pasted", type: file.type, size: file.size, base64: await base64Of(file) });
    } catch {
      return `“${file.name}” could not be read.`; // a folder, or a file deleted meanwhile
    }
  }
  return null;
}

function base64Of(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export const sentFiles = (kept) => kept.map(({ name, type, base64 }) => ({ name, type, base64 }));

/** The files above the message box, each with a button that removes the file. */
export function attachedFiles(kept, remove) {
  return kept.map((file) => h("div", { class: "tray-file", dataset: { testid: "attached" } },
    /^image\/(png|jpeg|gif|webp)$/.test(file.type)
      ? h("img", { class: "tray-picture", src: `data:${file.type};base64,${file.base64}`, alt: file.name })
      : fileChip(file),
    h("button", {
      type: "button", class: "icon-button tray-remove", "aria-label": `Remove ${file.name}`,
      on: { click: () => remove(file) },
    }, icon("close"))));
}

/** The paper clip: a button that opens an invisible file field. */
export function attachButton(words, take) {
  const field = h("input", {
    type: "file", multiple: true, class: "visually-hidden", tabindex: "-1", "aria-hidden": "true",
    dataset: { testid: "file-field" },
    on: { change: () => {
      take([...field.files]);
      field.value = ""; // so the same file can be chosen again
    } },
  });
  const button = h("button", {
    type: "button", class: "icon-button attach", title: words, "aria-label": "Attach files",
    dataset: { testid: "attach" }, on: { click: () => field.click() },
  }, icon("attach"));
  return [field, button];
}

const carriesFiles = (event) => [...event.dataTransfer?.types ?? []].includes("Files");

/** Lets files be dropped anywhere on `area`. `take()` returns the function that receives the files, or null. */
export function watchDrops(area, take) {
  const leave = () => area.classList.remove("dropping");
  area.addEventListener("dragover", (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault(); // else the browser opens the file in place of the page
    event.dataTransfer.dropEffect = take() ? "copy" : "none";
    area.classList.toggle("dropping", Boolean(take()));
  });
  area.addEventListener("dragleave", (event) => !area.contains(event.relatedTarget) && leave());
  area.addEventListener("drop", (event) => {
    leave();
    if (!carriesFiles(event)) return;
    event.preventDefault();
    take()?.([...event.dataTransfer.files]);
  });
}
