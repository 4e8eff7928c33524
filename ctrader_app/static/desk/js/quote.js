// The live bid and ask of the chosen symbol.

import { DASH, age, moment, price } from "./format.js";

const STALE_AFTER_MS = 5000;

const element = (id) => document.getElementById(id);

export class Quote {
  /** `onChange` is called when `isLive` may have changed. */
  constructor(onChange) {
    this.onChange = () => {};
    this.clear(null);
    this.onChange = onChange;
    setInterval(() => this.#showAge(), 500);
  }

  /** Whether the socket has brought a price of this symbol. It may have grown old since: that is shown beside it. */
  get isLive() {
    return this.at !== null;
  }

  /** Another symbol: forget what was shown. */
  clear(digits) {
    this.digits = digits;
    this.last = null;
    this.at = null;
    this.silentSince = null;
    this.connected = false;
    for (const id of ["bid", "ask", "spread", "age"]) {
      element(id).textContent = DASH;
      delete element(id).dataset.move;
    }
    element("sell-price").textContent = "";
    element("buy-price").textContent = "";
    this.#showAge();
    this.onChange();
  }

  setDigits(digits) {
    this.digits = digits;
    if (this.last) this.#show(this.last);
  }

  /** Whether the socket that brings the ticks is up. */
  setConnected(connected) {
    this.connected = connected;
    this.#showAge();
  }

  /** A tick from the socket; `live` is false for a price that was merely asked for. */
  tick(quote, live = true) {
    if (!live && this.at !== null) return;
    const isFirst = live && this.at === null;
    // The server says how old the price was when it left: the first one of a closed market can be days old.
    if (live) this.at = performance.now() - 1000 * (quote.age_s ?? 0);
    this.#move("bid", quote.bid);
    this.#move("ask", quote.ask);
    this.last = quote;
    this.#show(quote);
    this.#showAge();
    if (isFirst) this.onChange();
  }

  /** The server says that nothing new has come for so many seconds; null: that it has. */
  setSilent(ageS) {
    this.silentSince = ageS === null ? null : new Date(Date.now() - 1000 * ageS);
    this.#showAge();
  }

  #move(id, value) {
    if (this.last && value !== this.last[id]) element(id).dataset.move = value > this.last[id] ? "up" : "down";
  }

  #show({ bid, ask }) {
    element("bid").textContent = element("sell-price").textContent = price(bid, this.digits);
    element("ask").textContent = element("buy-price").textContent = price(ask, this.digits);
    element("spread").textContent = price(ask - bid, this.digits);
  }

  #showAge() {
    const silent = this.at === null ? null : performance.now() - this.at;
    element("age").textContent = silent === null ? DASH : age(silent);
    const stale = !this.connected || silent === null || silent > STALE_AFTER_MS || this.silentSince !== null;
    element("quote").dataset.stale = String(stale);
    element("stale").hidden = !(stale && (this.last || this.silentSince));
    element("stale").textContent = this.connected ? this.#silence() : "not connected";
  }

  #silence() {
    return this.silentSince === null ? "stale price" : `stale: nothing since ${moment(this.silentSince)}`;
  }
}
