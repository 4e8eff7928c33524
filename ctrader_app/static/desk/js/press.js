// One press of a button is one intent: one Idempotency-Key, used again by every further attempt at the same press.

import { ApiError, NoAnswer, uuid, write } from "./api.js";
import { notice } from "./notices.js";

const RETRY_AFTER_MS = [500, 1000, 2000, 4000];
/** An attempt every two seconds for as long as an order lives. */
const ORDER_PAUSE_MS = 2000;
/** What an order is given at least: less would be over before a worker could take it up. */
const LEAST_TTL_S = 1;

/**
 * Send a write for one press and return its operation, or null when nothing was recorded or that is not known.
 *
 * `buttons` stay disabled until it is known that the server has it or refused it: also while it cannot be reached,
 * because pressing again would be a second intent. Then the person decides: try the same press again, or let it be.
 *
 * With `livesS` each attempt tells the server, as `ttl`, how much is left of so many seconds from the press. Once they
 * are used up nothing is sent any more, and the person is told where to look.
 */
export async function press({ method, path, body, buttons = [], what, livesS = null }) {
  const key = uuid();
  const life = livesS === null ? null : new Life(livesS);
  const send = careful(() =>
    life
      ? write(method, path, { ...body, ttl: life.ttlS }, key, life.ttlS * 1000)
      : write(method, path, body, key),
  );
  for (const button of buttons) button.disabled = true;
  try {
    for (;;) {
      try {
        return await attempts(send, life);
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        if (life) return await usedUp(what, error.message, livesS);
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

/** The seconds of an order, counted from now. */
class Life {
  constructor(seconds) {
    this.seconds = seconds;
    this.pressed = { clock: Date.now(), steady: performance.now() };
  }

  /** What is left. The steady clock may stand still while the computer sleeps, the other one may be set back. */
  get leftS() {
    const passedMs = Math.max(Date.now() - this.pressed.clock, performance.now() - this.pressed.steady);
    return this.seconds - passedMs / 1000;
  }

  get ttlS() {
    return Number(Math.max(this.leftS, LEAST_TTL_S).toFixed(3));
  }
}

/**
 * A refusal speaks of its own attempt. Once an attempt got no answer it may have arrived, so that a refusal of a later
 * one (too many, signed out) proves nothing about the press: it counts as no answer, too.
 */
function careful(attempt) {
  let unanswered = false;
  return async () => {
    try {
      return await attempt();
    } catch (error) {
      if (unanswered && error instanceof ApiError) throw new NoAnswer(`${error.code}: ${error.message}`);
      unanswered ||= error instanceof NoAnswer;
      throw error;
    }
  };
}

async function attempts(send, life) {
  for (let round = 0; ; round += 1) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      const pause = life ? Math.min(RETRY_AFTER_MS[round] ?? ORDER_PAUSE_MS, ORDER_PAUSE_MS) : RETRY_AFTER_MS[round];
      if (pause === undefined) throw error;
      await new Promise((resolve) => setTimeout(resolve, pause));
      if (life && life.leftS <= 0) throw error;
    }
  }
}

function tryAgain(what, why) {
  return new Promise((resolve) => {
    notice(`${what}: not known whether it arrived`, `${why} Trying again cannot do it twice.`, "doubt", [
      ["Let it be", () => resolve(false)],
      ["Try again", () => resolve(true)],
    ]);
  });
}

function usedUp(what, why, seconds) {
  const text =
    `${why} Nothing was confirmed within ${seconds} seconds, so it is not sent any more. ` +
    "It may have arrived: look at the list of operations before you press again.";
  return new Promise((resolve) => {
    notice(`${what}: not confirmed`, text, "doubt", [["Understood", () => resolve(null)]]);
  });
}
