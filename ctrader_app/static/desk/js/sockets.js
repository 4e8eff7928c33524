// A WebSocket that comes back by itself, and notices when its connection is dead without saying so.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
/** A connection that lived this long was a good one: the next attempt need not wait longer. */
const GOOD_AFTER_MS = 5000;
const PING_MS = 10_000;
const UNAUTHENTICATED = 4001;
const NOT_YOURS = 4003;

export class LiveSocket {
  /**
   * `path` from the site's root. `onOpen` is called at each new connection: refetch what may have been missed.
   * `onState` is told connecting, live or closed; `onDenied` whether it was for want of a session.
   */
  constructor(path, { onMessage, onOpen = () => {}, onState = () => {}, onDenied = () => {} }) {
    this.handlers = { onMessage, onOpen, onState, onDenied };
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
    this.pause = FIRST_PAUSE_MS;
    this.online = () => this.#connectIfWaiting();
    addEventListener("online", this.online);
    this.ping = setInterval(() => this.#ping(), PING_MS);
    this.#connect();
  }

  send(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** End the connection and do not come back. */
  close() {
    const { socket } = this;
    this.#stop();
    socket?.close();
  }

  #stop() {
    this.socket = null;
    clearTimeout(this.timer);
    clearInterval(this.ping);
    removeEventListener("online", this.online);
  }

  #connect() {
    this.timer = null;
    this.unanswered = false;
    this.handlers.onState("connecting");
    const socket = (this.socket = new WebSocket(this.url));
    const current = (handler) => (event) => {
      if (socket === this.socket) handler(event);
    };
    socket.addEventListener("open", current(() => {
      this.openedAt = performance.now();
      this.handlers.onState("live");
      this.handlers.onOpen();
    }));
    socket.addEventListener("message", current(({ data }) => {
      this.unanswered = false;
      this.handlers.onMessage(JSON.parse(data));
    }));
    socket.addEventListener("close", current(({ code }) => this.#closed(code)));
  }

  #closed(code) {
    if (code === UNAUTHENTICATED || code === NOT_YOURS) {
      this.#stop();
      this.handlers.onState("closed");
      this.handlers.onDenied(code === UNAUTHENTICATED);
      return;
    }
    this.handlers.onState("connecting");
    if (this.openedAt && performance.now() - this.openedAt > GOOD_AFTER_MS) this.pause = FIRST_PAUSE_MS;
    this.openedAt = null;
    // Spread out, so that all desks do not come back in the same instant after a restart.
    this.timer = setTimeout(() => this.#connect(), this.pause * (0.5 + Math.random()));
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  #ping() {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (this.unanswered) {
      // Closing a dead connection can take minutes: it is left to itself.
      const dead = this.socket;
      this.#closed();
      this.socket = null;
      dead.close();
      return;
    }
    this.unanswered = true;
    this.send({ type: "ping" });
  }

  #connectIfWaiting() {
    if (!this.timer) return;
    clearTimeout(this.timer);
    this.#connect();
  }
}
