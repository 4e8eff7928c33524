// Numbers and times as text. Unknown is a dash, never a zero.

export const DASH = "–";

const moneyFormat = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const lotsFormat = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 8, useGrouping: false });

const known = (value) => typeof value === "number" && Number.isFinite(value);

export const price = (value, digits) => (known(value) ? value.toFixed(digits ?? guessDigits(value)) : DASH);
export const money = (value) => (known(value) ? moneyFormat.format(value) : DASH);
export const lots = (value) => (known(value) ? lotsFormat.format(value) : DASH);
export const percent = (value) => (known(value) ? `${moneyFormat.format(value)} %` : DASH);

/** The decimals that a price shows of itself, for symbols whose digits are not known here. */
function guessDigits(value) {
  const text = String(value);
  return text.includes(".") && !text.includes("e") ? Math.min(text.length - text.indexOf(".") - 1, 8) : 2;
}

/** "3 s", "2 min", "2 d": how long something has been. */
export function age(ms) {
  if (ms < 1000) return "now";
  if (ms < 60_000) return `${Math.floor(ms / 1000)} s`;
  if (ms < 3_600_000) return `${Math.floor(ms / 60_000)} min`;
  return ms < 172_800_000 ? `${Math.floor(ms / 3_600_000)} h` : `${Math.floor(ms / 86_400_000)} d`;
}

export function clock(iso) {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? DASH : time.toLocaleTimeString([], { hour12: false });
}

/** A time (Date) of today as its clock, an earlier one with its date. */
export function moment(time) {
  const today = time.toDateString() === new Date().toDateString();
  return today ? clock(time) : `${time.toLocaleDateString()} ${clock(time)}`;
}

/** Mark an amount as a gain or a loss. */
export function tone(element, value) {
  element.classList.toggle("up", known(value) && value > 0);
  element.classList.toggle("down", known(value) && value < 0);
}

/** A number typed by a person, as text for the API: a comma counts as the point. */
export const typed = (text) => text.trim().replace(",", ".");
