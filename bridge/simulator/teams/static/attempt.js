// What a person asks for by a click, and a word about it when the simulator refuses.

import { store } from "./state.js";
import { toast } from "./toasts.js";

/**
 * Runs `act`; a refusal becomes a toast. `mark` stands in `store.busy` meanwhile, and while it does, the same is not
 * asked a second time. Returns whether it went well.
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
