// What was asked for, and what became of it.

import { get } from "./api.js";
import { clock } from "./format.js";
import { notice } from "./notices.js";
import { LiveTable } from "./table.js";

const SHOWN = 30;
const POLL_MS = 3000;
const FINAL = new Set(["succeeded", "refused", "expired", "failed"]);
const LABELS = { in_doubt: "in doubt" };
const DOUBT = "Not known yet: do not repeat. It is being settled by evidence.";
const note = document.getElementById("operations-note");

export class Operations {
  /** `onFinal(operation)` is called once for each operation pressed here that has become final. */
  constructor(onFinal) {
    this.onFinal = onFinal;
    this.table = new LiveTable(document.getElementById("operations"), {
      id: (row) => row.id,
      actions: [],
      columns: [
        { label: "", text: (row) => clock(row.created_at) },
        { label: "", text: describe },
        { label: "", text: (row) => LABELS[row.state] ?? row.state, decorate: state, class: "" },
        { label: "", text: outcome, class: "long" },
      ],
    });
    this.clear(null);
    setInterval(() => this.#poll(), POLL_MS);
  }

  clear(accountId) {
    this.accountId = accountId;
    this.known = new Map();
    this.watched = new Map();
    note.textContent = "loading";
    this.table.show([]);
  }

  async refresh() {
    const { accountId } = this;
    try {
      const rows = await get(`accounts/${accountId}/operations?limit=${SHOWN}`);
      if (accountId !== this.accountId) return;
      for (const row of rows) this.#take(row);
      for (const { id } of rows) this.#tell(id);
      this.#show();
    } catch (error) {
      if (accountId === this.accountId) note.textContent = `Not refreshed: ${error.message}`;
    }
  }

  /** An operation that this page has just pressed: tell its outcome, which the socket may have brought already. */
  watch(operation) {
    this.watched.set(operation.id, null);
    this.update(operation);
  }

  update(operation) {
    this.#take(operation);
    this.#tell(operation.id);
    this.#show();
  }

  #take(operation) {
    if (operation.account_id !== this.accountId) return; // the account was changed meanwhile
    const before = this.known.get(operation.id);
    // A final state has no way out: whatever else arrives later was only late.
    if (before && FINAL.has(before.state) && !FINAL.has(operation.state)) return;
    this.known.set(operation.id, operation);
  }

  #tell(id) {
    const operation = this.known.get(id);
    if (!operation || !this.watched.has(id) || this.watched.get(id) === operation.state) return;
    this.watched.set(id, operation.state);
    announce(operation);
    if (FINAL.has(operation.state)) {
      this.watched.delete(id);
      this.onFinal(operation);
    }
  }

  #show() {
    const rows = [...this.known.values()].sort((a, b) => Date.parse(b.created_at) - Date.parse(a.created_at));
    for (const old of rows.splice(SHOWN)) this.known.delete(old.id);
    this.table.show(rows);
    note.textContent = rows.length ? "" : "Nothing yet.";
  }

  /** The socket brings the states; this is for when it is down. */
  async #poll() {
    for (const { id, state: now } of this.known.values()) {
      if (FINAL.has(now)) continue;
      try {
        this.update(await get(`operations/${id}`));
      } catch {
        return; // the next round asks again
      }
    }
  }
}

function announce(operation) {
  const tones = { succeeded: "good", in_doubt: "doubt", refused: "bad", failed: "bad", expired: "bad" };
  notice(
    `${describe(operation)}: ${LABELS[operation.state] ?? operation.state}`,
    outcome(operation),
    tones[operation.state] ?? "",
    [],
    operation.id,
  );
}

/** What was asked for, as far as the platform says: only the kind is always known. */
function describe({ kind, parameters }) {
  const { symbol, direction, volume, order_type: type, price, position_id: position, order_id: order } = parameters;
  if (kind === "place" && symbol) {
    return `${direction} ${volume} ${symbol} ${type === "MARKET" ? "at market" : `${type} ${price}`}`;
  }
  if (kind === "close" && position) return `Close ${volume ?? "all"} of #${position}${symbol ? ` ${symbol}` : ""}`;
  if (kind === "modify" && position) {
    return `Protect #${position}${level(" SL ", parameters.stop_loss)}${level(" TP ", parameters.take_profit)}`;
  }
  return kind === "cancel" && order ? `Cancel order #${order}` : kind;
}

function level(name, value) {
  if (value === null || value === undefined) return "";
  return Number(value) === 0 ? `${name}none` : name + value;
}

function outcome({ state: now, result, error }) {
  if (now === "in_doubt") return DOUBT;
  if (error) return `${error.code}: ${error.message}`;
  if (!result) return "";
  const at = result.price ?? result.close_price;
  return [result.message, typeof at === "number" ? `at ${at}` : ""].filter(Boolean).join(" ");
}

function state(cell, row) {
  cell.classList.add("state");
  cell.dataset.state = row.state;
}
