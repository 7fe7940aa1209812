// The top of the page: the agent's name, the bridge's state, the kill button, the theme, and a banner while the bridge or
// the simulator is down.

import { killBridge } from "./api.js";
import { differs, h } from "./dom.js";
import { icon } from "./icons.js";
import { remember, store } from "./state.js";
import { toast } from "./toasts.js";

const byId = (id) => document.getElementById(id);
const STATES = { running: "Bridge running", down: "Bridge down", starting: "Bridge starting…" };
const LOST_MS = 1_500; // a shorter break of the event stream is not mentioned

export function startStatus({ redraw, saySlow }) {
  byId("kill-button").addEventListener("click", () => kill(redraw));
  byId("kill-say").addEventListener("click", () => {
    byId("kill-story").hidePopover();
    saySlow();
  });
  byId("theme").addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    remember("theme", theme);
    drawTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawTheme);
  drawTheme();
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function drawTheme() {
  const button = byId("theme");
  const words = isDark() ? "Switch to the light theme" : "Switch to the dark theme";
  button.setAttribute("aria-label", words);
  button.title = words;
  button.replaceChildren(icon(isDark() ? "sun" : "moon"));
}

async function kill(redraw) {
  store.killed = true;
  redraw();
  try {
    await killBridge();
  } catch (error) {
    store.killed = false;
    toast(error.message, "warn");
    redraw();
  }
}

/** Called with the bridge's new state: a toast tells when the bridge is back. */
export function bridgeChanged(before, now) {
  store.killed = false; // from now on the simulator's own state counts
  const restarted = before && (before.state !== "running" || before.restarts !== now.restarts);
  if (now.state !== "running" || !restarted) return;
  toast("The bridge is back. It picks up what it had accepted.", "info");
}

export function drawStatus() {
  const { agent, bridge, tenant } = store.state;
  const state = store.killed && bridge.state === "running" ? "down" : bridge.state;
  const pill = byId("bridge-state");
  if (differs(pill, [state, bridge.restarts])) {
    const restarts = bridge.restarts === 1 ? "· restarted once" : `· restarted ${bridge.restarts} times`;
    const counted = bridge.restarts ? h("span", { class: "restarts" }, restarts) : "";
    pill.replaceChildren(h("span", {}, STATES[state] ?? state), counted);
    pill.dataset.state = state;
    pill.dataset.restarts = String(bridge.restarts);
  }
  const who = byId("agent");
  who.hidden = false;
  who.textContent = `Agent: ${agent.label}`;
  who.title = `${agent.label}, in the simulated tenant ${tenant.name}`;
  byId("kill-say").hidden = agent.kind !== "stand-in"; // only the stand-in knows the phrase
  byId("kill-slow").hidden = agent.kind === "stand-in";
  byId("kill").hidden = !bridge.controllable;
  byId("kill-button").disabled = state !== "running";
  drawBanner(state);
}

const BANNERS = {
  killed: "The bridge was ended. Nothing that it had accepted is lost: it starts again in a few seconds. "
    + "What you send now, Teams sends again.",
  down: "The bridge is down. What you send now, Teams sends again.",
  starting: "The bridge is starting and reads what it had accepted…",
  lost: "No connection to the simulator. Is it still running in your terminal? This page tries again by itself.",
};

function drawBanner(state) {
  const killed = state === "down" && store.state.bridge.controllable;
  const kind = isLost() ? "lost" : killed ? "killed" : state;
  const banner = byId("banner");
  if (!differs(banner, kind)) return;
  banner.hidden = !BANNERS[kind];
  banner.dataset.level = kind;
  banner.textContent = BANNERS[kind] ?? "";
}

let lostAt = null;

/** Shows a broken or mended event stream, except for a short break. */
export function connectionChanged(connected, redraw) {
  store.connected = connected;
  if (connected) lostAt = null;
  else if (lostAt === null) {
    lostAt = Date.now();
    setTimeout(redraw, LOST_MS + 50);
  }
}

const isLost = () => lostAt !== null && Date.now() - lostAt > LOST_MS;

/** Draws the banner alone, while no data could be loaded yet. */
export function drawUnreachable() {
  if (isLost()) drawBanner("running");
}
