// Formats times, sizes and names for people. Hours follow the browser's settings; the words of the page are English.

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "long", day: "numeric", month: "long" });
const shortDay = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const precise = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const whole = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

const midnight = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
const daysAgo = (date) => Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);

export const timeOf = (at) => clock.format(new Date(at));
export const secondOf = (at) => precise.format(new Date(at));
export const exactTime = (at) => whole.format(new Date(at));
export const dayKey = (at) => String(midnight(new Date(at)));

export function dayName(at) {
  const date = new Date(at);
  return ["Today", "Yesterday"][daysAgo(date)] ?? weekday.format(date);
}

/** For the list of chats: the time for messages of today, the day for older messages. */
export function shortWhen(at) {
  const date = new Date(at);
  return daysAgo(date) === 0 ? clock.format(date) : shortDay.format(date);
}

export const firstName = (name) => name.split(" ")[0];

/** "17 bytes", "3 KB", "1.2 MB"; "" for an unknown size. */
export function sizeOf(bytes) {
  if (!Number.isFinite(bytes) || bytes < 0) return "";
  if (bytes < 1024) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  const [amount, unit] = bytes < 1024 * 1024 ? [bytes / 1024, "KB"] : [bytes / (1024 * 1024), "MB"];
  return `${amount < 10 ? Number(amount.toFixed(1)) : Math.round(amount)} ${unit}`;
}

/** A message's text on a single line, without the marks of Markdown and Teams' HTML. */
export const oneLine = (text, longest = 120) =>
  (text ?? "").replace(/<[^>]*>/g, " ").replace(/[*_`#|>]+/g, "").replace(/\s+/g, " ").trim().slice(0, longest);

/** "Alice", "Alice and Bob", "Alice, Bob and Chen". */
export function listed(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}
