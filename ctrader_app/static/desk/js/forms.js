// The order ticket and the two dialogs: they turn what is typed into writes.

import { lots, typed } from "./format.js";
import { press } from "./press.js";

const element = (id) => document.getElementById(id);

/** Seconds from the press after which an order must not be sent any more: its price would be another one. */
const ORDER_LIVES_S = 10;

/** The ticket. `current()` gives {accountId, symbol}; `onOperation` gets what was recorded. */
export class OrderTicket {
  constructor(current, onOperation) {
    this.current = current;
    this.onOperation = onOperation;
    this.form = element("ticket");
    this.priceField = element("price-field");
    this.blocked = true;
    this.busy = false;
    const { order_type: type, limit_price: price } = this.form.elements;
    type.addEventListener("change", () => {
      this.priceField.hidden = type.value === "MARKET";
      price.required = !this.priceField.hidden;
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      const direction = event.submitter?.value;
      // Enter in a field must not choose a side.
      if ((direction === "BUY" || direction === "SELL") && !this.blocked && !this.busy) this.#send(direction);
    });
    // Enter submits with the first button, which is a side: only a press on a side is one.
    this.form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.tagName !== "BUTTON") event.preventDefault();
    });
  }

  /** The symbol that would be traded, and why it cannot be just now: empty when it can. */
  show(symbol, blocked) {
    for (const name of this.form.querySelectorAll("[data-symbol]")) name.textContent = symbol;
    element("ticket-blocked").textContent = blocked;
    this.blocked = blocked !== "";
    this.#enable();
  }

  #enable() {
    for (const button of this.form.querySelectorAll("button")) button.disabled = this.blocked || this.busy;
  }

  async #send(direction) {
    const { accountId, symbol } = this.current();
    const body = this.#body(direction, symbol);
    this.busy = true;
    this.#enable();
    try {
      const operation = await press({
        method: "POST",
        path: `accounts/${accountId}/trades`,
        body,
        what: `${direction} ${body.lot_size} ${symbol}`,
        livesS: ORDER_LIVES_S,
      });
      if (operation) this.onOperation(operation);
    } finally {
      this.busy = false;
      this.#enable();
    }
  }

  #body(direction, symbol) {
    const { elements } = this.form;
    const body = { symbol, direction, order_type: elements.order_type.value, lot_size: typed(elements.lot_size.value) };
    for (const name of ["limit_price", "stop_loss", "take_profit"]) {
      const value = typed(elements[name].value);
      if (value && !(name === "limit_price" && this.priceField.hidden)) body[name] = value;
    }
    return body;
  }
}

/** Sets lot bounds as a hint under the ticket. */
export function ticketHint(info) {
  element("ticket-note").textContent = info
    ? `${lots(info.min_lot)} to ${lots(info.max_lot)} lots in steps of ${lots(info.lot_step)}`
    : "";
}

/** Ask how much of a position to close, then close it. */
export function closeDialog(accountId, row, onOperation) {
  const dialog = open("close-dialog", `${row.direction} ${lots(row.volume)} ${row.symbol} #${row.id}`);
  const input = dialog.querySelector("[name=volume]");
  const whole = lots(row.volume);
  input.value = whole;
  input.select();
  onSubmit(dialog, async (buttons) => {
    const volume = typed(input.value);
    // All of it is said without a number: then nothing is left over if the position has changed meanwhile.
    const body = volume === whole ? { symbol: row.symbol } : { symbol: row.symbol, volume };
    return press({
      method: "POST",
      path: `accounts/${accountId}/positions/${encodeURIComponent(row.id)}/close`,
      body,
      buttons,
      what: `Close ${volume} of #${row.id}`,
    }).then((operation) => operation && onOperation(operation));
  });
}

/** Ask for new levels. A field that was not touched is not sent: it keeps its level, whatever it is by now. */
export function protectionDialog(accountId, row, onOperation) {
  const dialog = open("protection-dialog", `${row.direction} ${lots(row.volume)} ${row.symbol} #${row.id}`);
  const before = { stop_loss: String(row.stopLoss ?? ""), take_profit: String(row.takeProfit ?? "") };
  for (const [name, value] of Object.entries(before)) dialog.querySelector(`[name=${name}]`).value = value;
  onSubmit(dialog, async (buttons) => {
    const body = { symbol: row.symbol };
    for (const [name, value] of Object.entries(before)) {
      const now = typed(dialog.querySelector(`[name=${name}]`).value);
      if (now !== value) body[name] = now === "" ? null : now;
    }
    if (Object.keys(body).length === 1) return undefined;
    return press({
      method: "PATCH",
      path: `accounts/${accountId}/positions/${encodeURIComponent(row.id)}/protection`,
      body,
      buttons,
      what: `Protect #${row.id}`,
    }).then((operation) => operation && onOperation(operation));
  });
}

/** Cancel a working order. */
export async function cancelOrder(accountId, row, button, onOperation) {
  const operation = await press({
    method: "DELETE",
    path: `accounts/${accountId}/orders/${encodeURIComponent(row.id)}`,
    buttons: [button],
    what: `Cancel order #${row.id}`,
  });
  if (operation) onOperation(operation);
}

function open(id, about) {
  const dialog = element(id);
  dialog.querySelector("[data-about]").textContent = about;
  dialog.querySelector("[data-dismiss]").onclick = () => dialog.close();
  dialog.showModal();
  return dialog;
}

function onSubmit(dialog, send) {
  const form = dialog.querySelector("form");
  form.onsubmit = async (event) => {
    event.preventDefault();
    const buttons = form.querySelectorAll("button[type=submit]");
    if ([...buttons].some((button) => button.disabled)) return;
    dialog.close();
    await send(buttons);
  };
}
