// The candle chart: history through the API, then live bars.

import { CandlestickSeries, createChart } from "../vendor/lightweight-charts/lightweight-charts.standalone.production.mjs";
import { get } from "./api.js";

const BARS = 300;
const box = document.getElementById("chart");
const note = document.getElementById("chart-note");
const dark = matchMedia("(prefers-color-scheme: dark)");

export class Chart {
  constructor() {
    this.chart = createChart(box, {
      autoSize: true,
      // The library's own mark comes with an inline style; the page's footer names its maker instead.
      layout: { attributionLogo: false },
      timeScale: { timeVisible: true, secondsVisible: false, rightOffset: 4 },
    });
    this.series = this.chart.addSeries(CandlestickSeries);
    this.request = 0;
    this.#colour();
    dark.addEventListener("change", () => this.#colour());
  }

  /** Show a symbol in a timeframe. Called again for the same ones it fills what was missed. */
  async load(accountId, symbol, timeframe) {
    const request = ++this.request;
    const what = `${accountId} ${symbol} ${timeframe}`;
    if (what !== this.what) this.#empty(what);
    this.waiting = [];
    note.textContent = "loading";
    try {
      const path = `accounts/${accountId}/candles/${encodeURIComponent(symbol)}/${timeframe}?count=${BARS}`;
      const rows = await get(path);
      if (request !== this.request) return;
      this.#show(rows.map(bar));
      note.textContent = rows.length ? "" : "no bars yet";
    } catch (error) {
      if (request === this.request) note.textContent = `No chart: ${error.message}`;
    }
  }

  /** A live bar of the timeframe shown; one that comes before the history waits for it. */
  update(candle) {
    const live = bar(candle);
    if (this.waiting) {
      this.waiting.push(live);
    } else if (this.last === undefined || live.time >= this.last) {
      this.series.update(live);
      this.last = live.time;
      box.dataset.live = String(Number(box.dataset.live ?? 0) + 1);
    } else {
      this.series.update(live, true);
    }
  }

  setPrecision({ digits, tick_size: tickSize }) {
    this.series.applyOptions({ priceFormat: { type: "price", precision: digits, minMove: tickSize } });
  }

  #empty(what) {
    this.what = what;
    this.series.setData([]);
    this.last = undefined;
    box.dataset.bars = "0";
    box.dataset.live = "0";
  }

  #show(bars) {
    const byTime = new Map(bars.map((one) => [one.time, one]));
    const sorted = [...byTime.values()].sort((a, b) => a.time - b.time);
    const first = this.last === undefined;
    this.series.setData(sorted);
    this.last = sorted.at(-1)?.time;
    box.dataset.bars = String(sorted.length);
    if (first) this.chart.timeScale().scrollToRealTime();
    const { waiting } = this;
    this.waiting = null;
    for (const live of waiting) this.update({ ...live });
  }

  #colour() {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const [up, down, line] = [colour("--up"), colour("--down"), colour("--line")];
    this.chart.applyOptions({
      layout: {
        background: { type: "solid", color: colour("--card") },
        textColor: colour("--dim"),
      },
      grid: { vertLines: { color: line }, horzLines: { color: line } },
      rightPriceScale: { borderColor: line },
      timeScale: { borderColor: line },
    });
    this.series.applyOptions({
      upColor: up,
      downColor: down,
      wickUpColor: up,
      wickDownColor: down,
      borderVisible: false,
    });
  }
}

function bar({ time, timestamp, open, high, low, close }) {
  return { time: typeof time === "number" ? time : Math.floor(Date.parse(timestamp) / 1000), open, high, low, close };
}
