// The account's figures.

import { get } from "./api.js";
import { money, percent, tone } from "./format.js";

const cells = [...document.querySelectorAll("[data-figure]")];
const openProfit = document.getElementById("open-profit");

export class Figures {
  constructor() {
    this.version = 0;
  }

  clear() {
    this.show({});
    this.showOpenProfit(null);
  }

  show(figures) {
    this.version += 1;
    for (const cell of cells) {
      const name = cell.dataset.figure;
      cell.textContent = name === "margin_level" ? percent(figures[name]) : money(figures[name]);
    }
    document.getElementById("figures").title = figures.currency ? `in ${figures.currency}` : "";
  }

  showOpenProfit(value) {
    openProfit.textContent = money(value);
    tone(openProfit, value);
  }

  /** Ask the venue. What the socket brings meanwhile is newer and stays; what was shown stays when it fails. */
  async refresh(accountId) {
    const { version } = this;
    const figures = await get(`accounts/${accountId}/account-info`).catch(() => null);
    if (figures && version === this.version) this.show(figures);
  }
}
