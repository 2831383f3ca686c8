// What the page knows: a snapshot of the daemon, kept up to date by changes and events. No DOM in here.

const MOST_EVENTS = 1000;
const MOST_LIVES = 4000;
const KEPT_SECONDS = 3600;

export const TROUBLED = new Set(["degraded", "failed"]);
const TROUBLE_EVENTS = new Set(["runner_failed", "runner_lost", "actor_restarted"]);

export const keyOf = (set) => JSON.stringify([set.url, set.runner_group, set.name]);
const keyOfEvent = (event) => JSON.stringify([event.url, event.runner_group, event.scale_set]);

export class Model {
  constructor() {
    this.overall = null; // status, version, pid, uptime, reason, restarts
    this.sets = new Map();
    this.events = []; // oldest first
    this.rows = [];
    this.columns = [];
    this.host = null;
    this.lives = new Map(); // of runners, by scale set and runner
    this.run = "";
    this.skew = 0; // seconds that this machine's clock is ahead of the daemon's
    this.revision = 0;
  }

  get loaded() {
    return this.overall !== null;
  }

  // The daemon's time, in seconds.
  now() {
    return Date.now() / 1000 - this.skew;
  }

  load(body) {
    const { scale_sets, history, host, run, now, ...overall } = body;
    this.skew = Date.now() / 1000 - now;
    this.startedAt = now - seconds(overall.uptime);
    this.overall = overall;
    this.host = host;
    this.run = run;
    this.rows = history.rows;
    this.columns = history.columns;
    this.sets = new Map();
    for (const one of scale_sets) this.#put(one, one.slots, []);
    this.#label();
    this.#endUnseen();
    this.revision++;
  }

  apply({ scale_sets, ...overall }) {
    if (!this.loaded) return;
    this.overall = overall;
    for (const one of scale_sets) this.#put(one, one.slots, one.emptied);
    this.#label();
    this.revision++;
  }

  step({ row, host }) {
    this.host = host;
    if (this.rows.at(-1)?.[0] !== row[0]) this.rows.push(row);
    if (this.rows.length > 360) this.rows.shift();
    this.revision++;
  }

  // Events of a stream that does not go on from the last one replace what was there.
  forgetEvents() {
    this.events = [];
    this.lives.clear();
    for (const set of this.sets.values()) for (const slot of set.slots.values()) this.#seen(set, slot);
  }

  hear(event) {
    this.events.push(event);
    if (this.events.length > MOST_EVENTS) this.events.splice(0, this.events.length - MOST_EVENTS);
    this.#lived(event);
    this.revision++;
  }

  column(name) {
    const at = this.columns.indexOf(name);
    return this.rows.map((row) => row[at]);
  }

  total(field) {
    let sum = 0;
    for (const set of this.sets.values()) sum += field(set);
    return sum;
  }

  // What people are shown: the name, with its place where several have that name.
  #label() {
    const named = new Map();
    for (const set of this.sets.values()) named.set(set.name, [...(named.get(set.name) ?? []), set]);
    for (const twins of named.values()) {
      const alone = (set) => twins.filter((one) => placeOf(one) === placeOf(set)).length === 1;
      for (const set of twins) set.label = twins.length === 1 ? set.name : `${set.name} (${placeOf(set)}${alone(set) ? "" : `, ${set.runner_group}`})`;
    }
  }

  // The same for an event, whose scale set may be gone.
  labelOf(event) {
    return this.sets.get(keyOfEvent(event))?.label ?? event.scale_set;
  }

  #put(one, changed, emptied) {
    const key = keyOf(one);
    const before = this.sets.get(key);
    const slots = before?.slots ?? new Map();
    const now = this.now();
    const inUse = one.total > 0 || waiting(one) > 0;
    const times = { since: moment(now, one.state_seconds, before?.since), waitingSince: moment(now, one.waiting_seconds, before?.waitingSince) };
    const set = { ...one, ...times, key, slots, at: now, active: inUse ? now : (before?.active ?? 0) };
    this.sets.set(key, set);
    for (const number of emptied) {
      this.#ended(set, slots.get(number));
      slots.delete(number);
    }
    for (const slot of changed) {
      slot.since = now - slot.seconds;
      if (slots.get(slot.slot)?.runner !== slot.runner) this.#ended(set, slots.get(slot.slot));
      slots.set(slot.slot, slot);
      this.#seen(set, slot);
    }
  }

  // -- lives of runners: one runner, one job ----------------------------------------------------------

  // `set` is a key: two scale sets may have one name.
  #life(set, runner, slot) {
    const key = `${set} ${runner}`;
    let life = this.lives.get(key);
    if (!life) {
      life = { set, runner, slot, begin: null, up: null, job: "", repository: "", busy: null, end: null, result: "", gone: null, phases: {} };
      this.lives.set(key, life);
      if (this.lives.size > MOST_LIVES) this.lives.delete(this.lives.keys().next().value);
    }
    return life;
  }

  #seen(set, slot) {
    if (!slot.runner) return;
    const life = this.#life(set.key, slot.runner, slot.slot);
    life.begin ??= slot.since;
    life.gone = null;
    life.phases = slot.start_seconds ?? life.phases;
    if (slot.state === "idle") life.up ??= slot.since;
    if (slot.state === "busy") {
      life.busy ??= slot.since;
      life.job = slot.job || life.job;
      life.repository = slot.repository || life.repository;
    }
    if (slot.state === "finishing") life.end ??= slot.since;
  }

  // How long each phase of a runner's start took, by name; empty where the daemon does not tell.
  phasesOf(event) {
    return this.lives.get(`${keyOfEvent(event)} ${event.runner}`)?.phases ?? {};
  }

  #ended(set, slot) {
    const life = slot && this.lives.get(`${set.key} ${slot.runner}`);
    if (life) life.gone ??= this.now();
  }

  // What happened while nobody watched is not known better than that.
  #endUnseen() {
    const seen = new Set();
    for (const set of this.sets.values()) for (const slot of set.slots.values()) seen.add(`${set.key} ${slot.runner}`);
    for (const [key, life] of this.lives) if (!seen.has(key)) life.gone ??= this.now();
  }

  #lived(event) {
    if (!event.runner) return;
    const life = this.#life(keyOfEvent(event), event.runner, event.slot);
    const before = life.begin ?? event.at;
    switch (event.event) {
      case "runner_started":
        life.up = event.at;
        life.begin = Math.min(before, event.at - event.seconds);
        break;
      case "runner_adopted":
        life.begin = before;
        life.up ??= event.at;
        break;
      case "job_started":
        Object.assign(life, { busy: event.at, job: event.job, repository: event.repository, begin: before });
        break;
      case "job_completed":
        Object.assign(life, { end: event.at, job: event.job, repository: event.repository, result: event.result });
        life.busy ??= event.at - (event.seconds_run ?? 0);
        life.begin = Math.min(before, life.busy);
        break;
      case "runner_lost":
      case "runner_failed":
        Object.assign(life, { begin: before, gone: event.at, result: event.event === "runner_lost" ? "lost" : "failed start" });
        break;
      case "runner_removed":
        life.begin = before;
        life.gone = event.at;
        break;
    }
  }

  // From when on runners are known.
  get earliest() {
    const begins = [...this.lives.values()].map((life) => life.begin).filter((begin) => begin !== null);
    return begins.length ? Math.max(this.startedAt, Math.min(...begins)) : this.startedAt;
  }

  // Those that were there within the last `span` seconds.
  recentLives(span) {
    const now = this.now();
    const found = [];
    for (const [key, life] of this.lives) {
      const end = life.gone ?? now;
      if (end < now - KEPT_SECONDS) this.lives.delete(key);
      else if (life.begin !== null && end > now - span) found.push(life);
    }
    return found;
  }
}

// Whether wanted runners do not start for a reason other than its own limit.
export const held = (set) => set.unmet.some((one) => one.reason !== "max_runners");

export const waiting = (set) => Math.max(0, set.metrics.assigned_jobs - set.metrics.running_jobs);

// When something began; the same as before if only the clocks' small differences make it another.
function moment(now, seconds, before) {
  if (seconds === null) return null;
  return Math.abs(now - seconds - (before ?? -Infinity)) < 2 ? before : now - seconds;
}

const placeOf = (set) => set.url.replace(/^https?:\/\/[^/]*\/?/, "") || set.url;

export const isTrouble = (event) =>
  TROUBLE_EVENTS.has(event.event) ||
  (event.event === "scale_set_changed" && TROUBLED.has(event.state)) ||
  (event.event === "job_completed" && event.result === "failed");

// "1h2m3s", "3d4h" in seconds.
function seconds(uptime) {
  const units = { d: 86400, h: 3600, m: 60, s: 1 };
  return [...uptime.matchAll(/([\d.]+)([dhms])/g)].reduce((sum, [, n, unit]) => sum + Number(n) * units[unit], 0);
}
