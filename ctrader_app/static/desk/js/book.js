// Open positions and working orders, live.

import { get } from "./api.js";
import { DASH, lots, money, price, tone } from "./format.js";
import { LiveTable } from "./table.js";

const element = (id) => document.getElementById(id);

/** A position from the API or from the socket, which name their fields differently. */
function position(row) {
  return {
    id: String(row.position_id ?? row.ticket),
    symbol: row.symbol,
    direction: row.direction ?? (row.type === 0 ? "BUY" : "SELL"),
    volume: row.volume,
    open: row.open_price ?? row.price_open,
    now: row.current_price ?? row.price_current ?? null,
    stopLoss: (row.stop_loss ?? row.sl) || null,
    takeProfit: (row.take_profit ?? row.tp) || null,
    profit: row.profit,
    net: (row.profit ?? 0) + (row.swap ?? 0) + (row.commission ?? 0),
  };
}

function order(row) {
  return {
    id: String(row.order_id ?? row.ticket),
    symbol: row.symbol,
    direction: row.direction,
    type: row.order_type ?? "",
    volume: row.volume,
    price: row.price ?? row.price_open,
    stopLoss: (row.stop_loss ?? row.sl) || null,
    takeProfit: (row.take_profit ?? row.tp) || null,
  };
}

export class Book {
  /** `digitsOf(symbol)` gives decimals or undefined; `actions` are {close, protect, cancel}. */
  constructor(digitsOf, actions) {
    const level = (value, symbol) => (value === null ? DASH : price(value, digitsOf(symbol)));
    const stops = [
      { label: "Stop loss", class: "n", text: (row) => level(row.stopLoss, row.symbol) },
      { label: "Take profit", class: "n", text: (row) => level(row.takeProfit, row.symbol) },
    ];
    this.positions = new Section("positions", "No open positions.", {
      id: (row) => row.id,
      columns: [
        { label: "", text: (row) => row.symbol },
        { label: "", text: (row) => row.direction, decorate: side },
        { label: "Lots", class: "n", text: (row) => lots(row.volume) },
        { label: "Open", class: "n", text: (row) => price(row.open, digitsOf(row.symbol)) },
        { label: "Now", class: "n", text: (row) => price(row.now, digitsOf(row.symbol)) },
        ...stops,
        { label: "Profit", class: "n", text: (row) => money(row.profit), decorate: (cell, row) => tone(cell, row.profit) },
      ],
      actions: [
        { label: "Protect", run: actions.protect },
        { label: "Close", run: actions.close },
      ],
    });
    this.orders = new Section("orders", "No pending orders.", {
      id: (row) => row.id,
      columns: [
        { label: "", text: (row) => row.symbol },
        { label: "", text: (row) => `${row.direction} ${row.type}`.trim(), decorate: side },
        { label: "Lots", class: "n", text: (row) => lots(row.volume) },
        { label: "Price", class: "n", text: (row) => price(row.price, digitsOf(row.symbol)) },
        ...stops,
      ],
      actions: [{ label: "Cancel", run: actions.cancel }],
    });
  }

  clear() {
    this.positions.clear();
    this.orders.clear();
  }

  /** Ask the venue. What the socket brings meanwhile is newer and stays. */
  async refresh(accountId) {
    await Promise.all([
      this.positions.refresh(`accounts/${accountId}/positions`, position),
      this.orders.refresh(`accounts/${accountId}/orders`, order),
    ]);
  }

  setPositions(rows) {
    // MT5 lists hold pending orders too.
    this.positions.set(rows.filter((row) => row.type !== "pending_order").map(position));
  }

  setOrders(rows) {
    this.orders.set(rows.map(order));
  }

  /** A tick of one symbol: the price at which its positions would close. */
  tick(symbol, { bid, ask }) {
    if (!this.positions.rows.some((row) => row.symbol === symbol)) return;
    this.positions.show(
      this.positions.rows.map((row) =>
        row.symbol === symbol ? { ...row, now: row.direction === "BUY" ? bid : ask } : row,
      ),
    );
  }

  redraw() {
    this.positions.show(this.positions.rows);
    this.orders.show(this.orders.rows);
  }

  get openProfit() {
    return this.positions.known ? this.positions.rows.reduce((sum, row) => sum + row.net, 0) : null;
  }
}

/** One table with its note and its count. Until it is known, it does not claim to be empty. */
class Section {
  constructor(name, whenEmpty, options) {
    this.note = element(`${name}-note`);
    this.count = element(`${name}-count`);
    this.whenEmpty = whenEmpty;
    this.table = new LiveTable(element(name), options);
    this.clear();
  }

  clear() {
    this.version = (this.version ?? 0) + 1;
    this.rows = [];
    this.known = false;
    this.note.textContent = "loading";
    this.count.textContent = "";
    this.table.show([]);
  }

  set(rows) {
    this.version += 1;
    this.known = true;
    this.show(rows);
    this.note.textContent = rows.length ? "" : this.whenEmpty;
    this.count.textContent = rows.length ? String(rows.length) : "";
  }

  show(rows) {
    this.rows = rows;
    this.table.show(rows);
  }

  async refresh(path, shape) {
    const { version } = this;
    try {
      const rows = await get(path);
      if (version === this.version) this.set(rows.map(shape));
    } catch (error) {
      if (version !== this.version) return;
      // What was shown stays, with the reason why it may be old: an empty table would be a lie.
      this.note.textContent = this.known ? `Not refreshed: ${error.message}` : `Not known: ${error.message}`;
    }
  }
}

function side(cell, row) {
  cell.classList.toggle("up", row.direction === "BUY");
  cell.classList.toggle("down", row.direction === "SELL");
}
