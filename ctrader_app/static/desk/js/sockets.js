// A WebSocket that comes back by itself.

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 15_000;
const UNAUTHENTICATED = 4001;
const NOT_YOURS = 4003;

export class LiveSocket {
  /**
   * `path` from the site's root. `onOpen` is called at each new connection: refetch what may have been missed.
   * `onState` is told connecting, live or closed.
   */
  constructor(path, { onMessage, onOpen = () => {}, onState = () => {}, onDenied = () => {} }) {
    this.handlers = { onMessage, onOpen, onState, onDenied };
    this.url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`;
    this.pause = FIRST_PAUSE_MS;
    this.over = false;
    this.online = () => this.#hurry();
    addEventListener("online", this.online);
    this.#connect();
  }

  get live() {
    return this.socket.readyState === WebSocket.OPEN;
  }

  send(message) {
    if (this.live) this.socket.send(JSON.stringify(message));
  }

  /** End the connection and do not come back. */
  close() {
    this.over = true;
    removeEventListener("online", this.online);
    clearTimeout(this.timer);
    this.socket.close();
  }

  /** Drop a connection that is suspected dead; a new one follows. */
  reconnect() {
    this.socket.close();
  }

  #connect() {
    this.handlers.onState("connecting");
    const socket = (this.socket = new WebSocket(this.url));
    socket.addEventListener("open", () => {
      if (this.over) return;
      this.pause = FIRST_PAUSE_MS;
      this.handlers.onState("live");
      this.handlers.onOpen();
    });
    socket.addEventListener("message", ({ data }) => {
      if (!this.over) this.handlers.onMessage(JSON.parse(data));
    });
    socket.addEventListener("close", ({ code }) => this.#closed(code));
  }

  #closed(code) {
    if (this.over) return;
    if (code === UNAUTHENTICATED || code === NOT_YOURS) {
      this.over = true;
      this.handlers.onState("closed");
      this.handlers.onDenied(code === UNAUTHENTICATED);
      return;
    }
    this.handlers.onState("connecting");
    // Spread out, so that all desks do not come back in the same instant after a restart.
    this.timer = setTimeout(() => this.#connect(), this.pause * (0.5 + Math.random()));
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE_MS);
  }

  #hurry() {
    if (this.over || this.socket.readyState !== WebSocket.CLOSED) return;
    clearTimeout(this.timer);
    this.#connect();
  }
}
