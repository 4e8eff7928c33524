// The desk: one account and one symbol at a time, and what connects the parts.

import { get, signIn } from "./api.js";
import { Figures } from "./account.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { cancelOrder, closeDialog, OrderTicket, protectionDialog, ticketHint } from "./forms.js";
import { Operations } from "./operations.js";
import { Quote } from "./quote.js";
import { LiveSocket } from "./sockets.js";

/** Figures that nobody pushes are asked for this often, while the page is looked at. */
const REFRESH_MS = 5000;

const element = (id) => document.getElementById(id);
const remembered = (name) => localStorage.getItem(`desk.${name}`);
const remember = (name, value) => localStorage.setItem(`desk.${name}`, value);

const state = { account: null, symbol: remembered("symbol") || document.body.dataset.symbol, timeframe: "M1" };
const symbolInfo = new Map();
const learning = new Map();
const sockets = { account: null, price: null };

const quote = new Quote(showTicket);
const chart = new Chart();
const figures = new Figures();
const operations = new Operations(() => refresh());
const recorded = (operation) => operations.watch(operation);
const ticket = new OrderTicket(() => ({ accountId: state.account.id, symbol: state.symbol }), recorded);
const book = new Book((symbol) => symbolInfo.get(symbol)?.digits, {
  close: (row) => closeDialog(state.account.id, row, recorded),
  protect: (row) => protectionDialog(state.account.id, row, recorded),
  cancel: (row, button) => cancelOrder(state.account.id, row, button, recorded),
});

// -- account -----------------------------------------------------------------------------------------------------

function openAccount(account) {
  state.account = account;
  remember("account", account.id);
  element("fatal").hidden = true;
  symbolInfo.clear();
  learning.clear();
  figures.clear();
  book.clear();
  operations.clear(account.id);
  const environment = element("environment");
  environment.hidden = false;
  environment.textContent = account.environment;
  environment.classList.toggle("live", account.environment === "live");
  element("halted").hidden = account.trading_enabled;

  sockets.account?.close();
  sockets.account = new LiveSocket(`/ws/accounts/${account.id}/`, {
    onOpen: refreshAll,
    onMessage: accountMessage,
    onState: showLink,
    onDenied: denied,
  });
  openSymbol(state.symbol);
}

function accountMessage({ type, data }) {
  if (type === "operation_update") {
    operations.update(data);
  } else if (type === "account_update") {
    if (data.account_info) figures.show(data.account_info);
    if (data.open_positions) book.setPositions(data.open_positions);
    if (data.pending_orders) book.setOrders(data.pending_orders);
    bookChanged();
  }
}

async function refresh() {
  const { id } = state.account;
  await Promise.all([figures.refresh(id), book.refresh(id)]);
  bookChanged();
}

function refreshAll() {
  operations.refresh();
  refresh();
}

function bookChanged() {
  figures.showOpenProfit(book.openProfit);
  for (const { symbol } of [...book.positions.rows, ...book.orders.rows]) learn(symbol);
}

function showLink(link) {
  element("link").dataset.state = link;
  element("link").textContent = link;
}

function denied(unauthenticated) {
  if (unauthenticated) signIn();
  else fatal("This account is not yours, or is gone.");
}

// -- symbol ------------------------------------------------------------------------------------------------------

function openSymbol(symbol) {
  const { account } = state;
  state.symbol = symbol;
  element("symbol").value = symbol;
  quote.clear(symbolInfo.get(symbol)?.digits); // which also closes the ticket until this symbol's price is live
  ticketHint(null);
  learn(symbol).then((info) => {
    if (!info || state.symbol !== symbol || state.account !== account) return;
    remember("symbol", symbol);
    quote.setDigits(info.digits);
    chart.setPrecision(info);
    ticketHint(info);
  });
  loadChart();
  askPrice(account, symbol);

  sockets.price?.close();
  const socket = new LiveSocket(`/ws/prices/${account.id}/${encodeURIComponent(symbol)}/`, {
    onOpen: () => {
      subscribe(socket);
      loadChart();
    },
    onMessage: priceMessage,
    onState: (link) => quote.setConnected(link === "live"),
    onDenied: denied,
  });
  sockets.price = socket;
}

/** What the ticket would buy is the symbol whose price is shown: else it stays closed, and says why. */
function showTicket() {
  const typed = element("symbol").value.trim();
  let blocked = "";
  if (typed !== state.symbol) blocked = `The symbol box holds something else than ${state.symbol}: press Enter there.`;
  else if (!quote.isLive) blocked = `Waiting for a live price of ${state.symbol}.`;
  ticket.show(state.symbol, blocked);
}

/** How a symbol trades, asked for once; null when that cannot be told. */
function learn(symbol) {
  if (!learning.has(symbol)) learning.set(symbol, ask(state.account, symbol));
  return learning.get(symbol);
}

async function ask(account, symbol) {
  const info = await get(`accounts/${account.id}/symbols/${encodeURIComponent(symbol)}`).catch(() => null);
  if (state.account !== account) return null;
  if (info) {
    symbolInfo.set(symbol, info);
    book.redraw();
  } else {
    learning.delete(symbol);
  }
  return info;
}

async function askPrice(account, symbol) {
  const asked = await get(`accounts/${account.id}/price/${encodeURIComponent(symbol)}`).catch((error) => error);
  if (state.symbol !== symbol || state.account !== account) return;
  if (asked instanceof Error) element("chart-note").textContent = `No price: ${asked.message}`;
  else quote.tick(asked, false);
}

function priceMessage({ type, data, message }) {
  if (type === "error") {
    element("chart-note").textContent = message;
  } else if (type === "live_price" && data.symbol.toUpperCase() === state.symbol.toUpperCase()) {
    if (data.bid !== null) {
      quote.tick(data);
      book.tick(data.symbol, data);
    }
    quote.setSilent(data.stale ? data.age_s : null);
  } else if (type === "new_candle" && data.timeframe === state.timeframe) {
    chart.update(data);
  }
}

function subscribe(socket) {
  socket.send({ type: "subscribe", timeframe: state.timeframe });
}

function loadChart() {
  chart.load(state.account.id, state.symbol, state.timeframe);
}

function chooseTimeframe(timeframe) {
  sockets.price?.send({ type: "unsubscribe", timeframe: state.timeframe });
  state.timeframe = timeframe;
  for (const button of element("timeframes").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(button.dataset.timeframe === timeframe));
  }
  if (sockets.price) subscribe(sockets.price);
  loadChart();
}

// -- start -------------------------------------------------------------------------------------------------------

function fatal(text) {
  element("fatal").textContent = text;
  element("fatal").hidden = false;
}

function listen(accounts) {
  element("account").addEventListener("change", ({ target }) => {
    openAccount(accounts.find((account) => account.id === target.value));
  });
  element("symbol-form").addEventListener("submit", (event) => event.preventDefault());
  element("symbol").addEventListener("change", ({ target }) => {
    const symbol = target.value.trim();
    if (symbol && symbol !== state.symbol) openSymbol(symbol);
    else target.value = state.symbol;
    showTicket();
  });
  element("symbol").addEventListener("input", showTicket);
  element("timeframes").addEventListener("click", ({ target }) => {
    if (target.dataset.timeframe && target.dataset.timeframe !== state.timeframe) {
      chooseTimeframe(target.dataset.timeframe);
    }
  });
  setInterval(() => {
    if (!document.hidden) refresh();
  }, REFRESH_MS);
  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) refresh();
  });
}

async function start() {
  let accounts;
  try {
    accounts = await get("accounts");
  } catch (error) {
    fatal(`The desk cannot start: ${error.message}`);
    return;
  }
  if (!accounts.length) {
    fatal("You have no trading account yet. It is added in the admin.");
    return;
  }
  const choice = element("account");
  for (const account of accounts) choice.add(new Option(account.name, account.id));
  const chosen = accounts.find((account) => account.id === remembered("account")) ?? accounts[0];
  choice.value = chosen.id;
  choice.disabled = accounts.length < 2;
  element("desk").hidden = false;
  listen(accounts);
  openAccount(chosen);
}

start();
