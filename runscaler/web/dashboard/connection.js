// The way to the daemon: a snapshot, then a stream of what changes. It never gives up.

const SILENT_SECONDS = 25; // the daemon says something every 10 s
const POLL_SECONDS = 5;
const RETRY_SECONDS = [1, 1, 2, 3, 5];

// `changed(state, heard)` is called with "live", "polling" or "gone", and when the daemon was last heard of.
export class Connection {
  #source = null;
  #heard = Date.now();
  #opened = Date.now();
  #tries = 0;
  #lastId = "";
  #timer = 0;

  constructor(model, changed) {
    this.model = model;
    this.changed = changed;
    setInterval(() => this.#watch(), 1000);
  }

  open() {
    this.#close();
    this.#opened = Date.now();
    const place = this.#lastId ? `?last_event_id=${encodeURIComponent(this.#lastId)}` : "";
    const source = new EventSource(`/api/v1/events${place}`);
    this.#source = source;
    const on = (name, act) =>
      source.addEventListener(name, (message) => {
        if (source !== this.#source) return;
        this.#heard = Date.now();
        if (message.lastEventId) this.#lastId = message.lastEventId;
        act(JSON.parse(message.data));
      });
    on("hello", (hello) => this.#greeted(source, hello));
    on("message", (event) => this.model.hear(event));
    on("changes", (changes) => this.model.apply(changes));
    on("scale_sets", () => this.#load(source));
    on("step", (step) => this.model.step(step));
    source.onerror = () => source === this.#source && this.#failed();
  }

  // What changes from here on comes by the stream, so that a snapshot of now leaves no gap.
  async #greeted(source, hello) {
    if (!hello.resumed) this.model.forgetEvents();
    if (await this.#load(source)) {
      this.#tries = 0;
      this.#say("live");
    }
  }

  async #load(source) {
    try {
      const answer = await fetch("/api/v1/status", { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (!answer.ok) throw new Error(String(answer.status));
      const body = await answer.json();
      if (source === this.#source) this.model.load(body);
      return source === this.#source;
    } catch {
      if (source === this.#source) this.#lost();
      return false;
    }
  }

  // The stream broke or was refused. If all places are taken the daemon still answers: then ask it.
  async #failed() {
    this.#close();
    if (await this.#load(null)) {
      if (this.#tries > 0) this.#say("polling"); // one broken stream is no news yet
      this.#later(this.#tries === 0 ? 1 : POLL_SECONDS);
      this.#tries++;
    }
  }

  // The first failure alone is no news: a browser on the daemon's own host breaks off all that it asks for when a
  // container starts and the host's networks change.
  #lost() {
    this.#close();
    if (this.#tries > 0) this.#say("gone");
    this.#later(RETRY_SECONDS[Math.min(this.#tries++, RETRY_SECONDS.length - 1)]);
  }

  #later(seconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), seconds * 1000);
  }

  #watch() {
    if (!this.#source || Date.now() - Math.max(this.#heard, this.#opened) <= SILENT_SECONDS * 1000) return;
    this.#tries = Math.max(1, this.#tries);
    this.#lost();
  }

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #say(state) {
    if (state !== "gone") this.#heard = Date.now();
    this.changed(state, this.#heard / 1000);
  }
}
