// Requests made by a click, with a notice when the simulator refuses.

import { store } from "./state.js";
import { toast } from "./toasts.js";

/**
 * Runs `act`; a refusal becomes a toast. Meanwhile `mark` is in `store.busy`, and a second call with the same mark does
 * not run. Returns whether `act` succeeded.
 */
export async function attempt(redraw, act, mark) {
  if (store.busy.has(mark)) return false;
  store.busy.add(mark);
  redraw();
  try {
    await act();
    return true;
  } catch (error) {
    toast(error.message, "warn");
    return false;
  } finally {
    store.busy.delete(mark);
    redraw();
  }
}
