// One press of a button is one intent: one Idempotency-Key, used again by every further attempt at the same press.

import { ApiError, NoAnswer, uuid, write } from "./api.js";
import { notice } from "./notices.js";

const RETRY_AFTER_MS = [500, 1000, 2000, 4000];

/**
 * Send a write for one press and return its operation, or null when nothing was recorded.
 *
 * `buttons` stay disabled until it is known that the server has it or refused it: also while it cannot be reached,
 * because pressing again would be a second intent. Then the person decides: try the same press again, or let it be.
 */
export async function press({ method, path, body, buttons, what }) {
  const key = uuid();
  for (const button of buttons) button.disabled = true;
  try {
    for (;;) {
      try {
        return await attempts(method, path, body, key);
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        if (!(await tryAgain(what, error.message))) return null;
      }
    }
  } catch (error) {
    const text = error instanceof ApiError ? `${error.code}: ${error.message}` : String(error);
    notice(`${what}: not sent`, text, "bad");
    return null;
  } finally {
    for (const button of buttons) button.disabled = false;
  }
}

async function attempts(method, path, body, key) {
  for (const pause of RETRY_AFTER_MS) {
    try {
      return await write(method, path, body, key);
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
  return write(method, path, body, key);
}

function tryAgain(what, why) {
  return new Promise((resolve) => {
    notice(`${what}: not known whether it arrived`, `${why} Trying again cannot do it twice.`, "doubt", [
      ["Let it be", () => resolve(false)],
      ["Try again", () => resolve(true)],
    ]);
  });
}
