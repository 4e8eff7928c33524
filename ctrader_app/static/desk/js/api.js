// Talking to the JSON API. Errors of the API become ApiError; a server that cannot be reached becomes NoAnswer.

const root = document.body.dataset.api;
const READ_TIMEOUT_MS = 15_000;

export class ApiError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

/** Nothing usable came back: the request may or may not have arrived. */
export class NoAnswer extends Error {}

/** GET, as JSON. */
export function get(path) {
  return request("GET", path, {});
}

/**
 * One attempt at a write. Returns the operation, whatever its state; throws ApiError when nothing was recorded and
 * NoAnswer when that is not known, which it is not after `timeoutMs` either.
 */
export async function write(method, path, body, key, timeoutMs = READ_TIMEOUT_MS) {
  const headers = { "Idempotency-Key": key, "X-CSRFToken": csrfToken() };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const signal = AbortSignal.timeout(Math.min(timeoutMs, READ_TIMEOUT_MS));
  return request(method, path, { headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
}

async function request(method, path, options) {
  let response;
  let value;
  try {
    response = await fetch(root + path, {
      method,
      credentials: "same-origin",
      signal: AbortSignal.timeout(READ_TIMEOUT_MS),
      ...options,
    });
    value = await response.json();
  } catch {
    throw new NoAnswer(response ? `The server answered ${response.status}.` : "The server cannot be reached.");
  }
  if (response.ok || typeof value.state === "string") return value;
  if (response.status === 401) signIn();
  const { code = `HTTP_${response.status}`, message = "The server refused." } = value.error ?? {};
  const unsettled = method !== "GET" && response.status >= 500 && response.status !== 501;
  throw unsettled ? new NoAnswer(`${code}: ${message}`) : new ApiError(response.status, code, message);
}

/** The session is over: back to the door, and from there here again. */
export function signIn() {
  location.assign(`${document.body.dataset.login}?next=${encodeURIComponent(location.pathname)}`);
}

/** The cookie's, because it changes when somebody signs in again in another tab; the page's own where it is hidden. */
function csrfToken() {
  const cookie = document.cookie.match(/(?:^|; )csrftoken=([^;]+)/);
  return cookie ? cookie[1] : document.querySelector("input[name=csrfmiddlewaretoken]").value;
}

/** A random UUID; crypto.randomUUID exists only on https and on localhost. */
export function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
