// The list of scale sets: trouble first, then those at work, then the quiet ones, folded.

import { byId, choice, el, setAttribute, setChip, setText } from "./elements.js";
import { count, elapsed, many, runUrl, workflowName } from "./format.js";
import { held, TROUBLED, waiting } from "./model.js";
import { reasons, scheduleWords } from "./reasons.js";

const TONES = { ok: "good", degraded: "warn", failed: "bad", standby: "wait", draining: "down", starting: "start", stopped: "quiet" };
const ACTIVE_SECONDS = 60;
const FEW = 12; // no folding below
const MOST_SLOTS = 200;
const AT_WORK = 3; // ranks below are trouble
const QUIET = 4;
const PARTS = ["busy", "idle", "starting", "ending"];

export class Sets {
  #rows = new Map();
  #show = "all";
  #unfolded = false;
  #order = "";

  constructor(model, picked) {
    this.model = model;
    this.picked = picked; // called when what is shown has changed
    this.list = byId("set-list");
    this.filter = byId("filter");
    this.filter.addEventListener("input", () => this.#again());
    choice(byId("sets-show"), [["all", "All"], ["trouble", "Trouble"], ["work", "At work"]], "all", (value) => {
      this.#show = value;
      this.#again();
    });
    byId("quiet").addEventListener("click", () => {
      this.#unfolded = !this.#unfolded;
      this.#again();
    });
  }

  #again() {
    this.show(true);
    this.picked();
  }

  get isFiltered() {
    return this.filter.value.trim() !== "" || this.#show !== "all";
  }

  // The scale sets that match the filter, in the order of the list.
  chosen() {
    const words = this.filter.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    return [...this.model.sets.values()].filter((set) => this.#matches(set, words));
  }

  #matches(set, words) {
    const rank = this.#rank(set);
    if (this.#show === "trouble" && rank >= AT_WORK) return false;
    if (this.#show === "work" && set.total === 0 && waiting(set) === 0) return false;
    if (!words.length) return true;
    const text = [set.name, set.url, set.backend, set.runner_group, set.state, set.reason, ...[...set.slots.values()].flatMap((slot) => [slot.job, slot.repository, slot.runner])].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  }

  #rank(set) {
    const trouble = ["failed", "degraded"].indexOf(set.state);
    if (trouble >= 0 || held(set)) return trouble >= 0 ? trouble : 2;
    if (set.state !== "ok" || this.model.now() - set.active < ACTIVE_SECONDS) return AT_WORK;
    return QUIET;
  }

  // Rows move only when nobody points at the list or reads it with the keyboard, or when asked to.
  show(asked = false) {
    const { model } = this;
    const chosen = this.chosen().map((set) => [this.#rank(set), set]);
    const folding = !this.isFiltered && model.sets.size > FEW;
    const quiet = folding ? chosen.filter(([rank]) => rank === QUIET) : [];
    const shown = chosen.filter(([rank]) => !folding || this.#unfolded || rank !== QUIET);
    shown.sort(([a], [b]) => a - b);
    const busyHere = this.list.matches(":hover") || this.list.contains(document.activeElement);
    for (const [, set] of shown) this.#row(set).update(set, model);
    const keys = shown.map(([, set]) => set.key);
    const order = keys.join("\n");
    if (order !== this.#order && (asked || !busyHere || this.#hasGone())) {
      this.#order = order;
      this.list.replaceChildren(...keys.map((key) => this.#rows.get(key).node));
    }
    for (const key of this.#rows.keys()) if (!model.sets.has(key)) this.#rows.delete(key);
    this.#words(shown.length, quiet.length);
  }

  // Open it, and bring it into view.
  reveal(key) {
    this.filter.value = "";
    this.#show = "all";
    byId("sets-show").querySelector('[value="all"]').checked = true;
    this.#unfolded ||= this.#rank(this.model.sets.get(key)) === QUIET;
    this.#again();
    this.#rows.get(key)?.open();
  }

  #hasGone() {
    return [...this.#rows.keys()].some((key) => !this.model.sets.has(key));
  }

  #row(set) {
    let row = this.#rows.get(set.key);
    if (!row) this.#rows.set(set.key, (row = new Row(this.model)));
    return row;
  }

  #words(shown, quiet) {
    const button = byId("quiet");
    button.hidden = quiet === 0;
    setText(button, this.#unfolded ? `Fold ${many(quiet, "quiet scale set")}` : `Show ${many(quiet, "quiet scale set")}`);
    setAttribute(button, "aria-expanded", String(this.#unfolded));
    setText(byId("sets-text"), this.isFiltered ? `${count(shown)} of ${count(this.model.sets.size)}` : "trouble first");
    const none = byId("sets-none");
    none.hidden = shown > 0 || quiet > 0;
    setText(none, this.isFiltered ? "No scale set matches." : "No scale set is configured.");
  }
}

class Row {
  #slots = new Map();
  #shown = "";

  constructor(model) {
    this.model = model;
    this.name = el("b");
    this.place = el("small");
    this.chip = el("span", { class: "chip" });
    this.parts = Object.fromEntries([...PARTS, "free"].map((part) => [part, el("i", { class: part })]));
    this.meter = el("span", { class: "meter", role: "img" }, ...Object.values(this.parts));
    this.numbers = ["Busy", "Idle", "Starting", "Max", "Waiting", "Done"].map((label) => el("span", { class: "n", "data-label": label }));
    this.why = el("span", { class: "why" });
    this.schedule = el("span", { class: "schedule" });
    this.facts = el("p", { class: "facts" });
    this.table = el("ul", { class: "slots" });
    this.body = el("div", { class: "body" }, this.facts, this.table);
    this.details = el(
      "details",
      { ontoggle: () => this.set && this.#open() },
      el("summary", {}, el("span", { class: "who" }, this.name, this.place), el("span", {}, this.chip), this.meter, ...this.numbers, this.why, this.schedule),
      this.body,
    );
    this.node = el("li", {}, this.details);
  }

  update(set) {
    this.set = set;
    setText(this.name, set.name);
    const group = set.runner_group === "default" ? "" : ` · group ${set.runner_group}`;
    setText(this.place, `${set.url.replace(/^https?:\/\//, "")}${group} · ${set.backend}`);
    setChip(this.chip, TONES[set.state] ?? "quiet", set.state);
    this.#fill(set);
    const why = reasons(set, this.model.now());
    setText(this.why, why);
    this.why.hidden = !why;
    const windows = scheduleWords(set.schedule);
    setText(this.schedule, windows);
    this.schedule.hidden = !windows;
    setAttribute(this.node, "data-tone", TROUBLED.has(set.state) ? TONES[set.state] : null);
    if (this.details.open) this.#open();
  }

  open() {
    this.details.open = true;
    this.details.querySelector("summary").focus({ preventScroll: true });
    this.node.scrollIntoView({ block: "nearest" });
  }

  #fill(set) {
    const values = { busy: set.busy, idle: set.idle, starting: set.starting, ending: Math.max(0, set.total - set.busy - set.idle - set.starting) };
    const shown = JSON.stringify([values, set.max, set.metrics, waiting(set)]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    for (const part of PARTS) this.parts[part].style.flexGrow = values[part];
    this.parts.free.style.flexGrow = Math.max(0, set.max - set.total);
    this.meter.setAttribute("aria-label", `${set.total} of ${set.max} slots in use`);
    const numbers = [set.busy, set.idle, set.starting, set.max, waiting(set), set.metrics.jobs_completed];
    numbers.forEach((value, at) => {
      setText(this.numbers[at], count(value));
      this.numbers[at].classList.toggle("zero", value === 0);
    });
  }

  #open() {
    const { set, model } = this;
    const polled = set.last_poll_seconds === null ? "never" : `${elapsed(set.last_poll_seconds + model.now() - set.at)} ago`;
    setText(
      this.facts,
      [
        `group ${set.runner_group}`,
        `min ${count(set.min)}`,
        `wanted ${count(set.metrics.desired_runners)}`,
        `GitHub counts ${count(set.metrics.assigned_jobs)} assigned, ${count(set.metrics.running_jobs)} running, ${count(set.metrics.available_jobs)} offered`,
        `${many(set.runners_failed, "failed start")}, ${count(set.runners_lost)} lost`,
        many(set.restarts, "restart"),
        `last poll ${polled}`,
      ].join(" · "),
    );
    const slots = [...set.slots.values()].sort((a, b) => a.slot - b.slot).slice(0, MOST_SLOTS);
    const wanted = new Set(slots.map((slot) => slot.slot));
    for (const [number, row] of this.#slots) {
      if (!wanted.has(number)) {
        row.node.remove();
        this.#slots.delete(number);
      }
    }
    slots.forEach((slot, at) => {
      let row = this.#slots.get(slot.slot);
      if (!row) this.#slots.set(slot.slot, (row = new SlotRow()));
      row.update(slot, set, model.now());
      if (this.table.children[at] !== row.node) this.table.insertBefore(row.node, this.table.children[at] ?? null);
    });
    this.#rest(set.slots.size - slots.length, slots.length);
  }

  #rest(more, shown) {
    this.rest ??= this.body.appendChild(el("p", { class: "note" }));
    const none = `No runner now. One starts when a job says runs-on: ${this.set.name}`;
    setText(this.rest, more > 0 ? `and ${many(more, "more slot")}: filter by job or runner, or ask runner status --json` : shown ? "" : none);
  }
}

class SlotRow {
  constructor() {
    this.number = el("span", { class: "n" });
    this.state = el("span", { class: "state" });
    this.since = el("span", { class: "n since" });
    this.job = el("span", { class: "job" });
    this.runner = el("code");
    this.node = el("li", {}, this.number, this.state, this.since, this.job, this.runner);
  }

  update(slot, set, now) {
    setText(this.number, `#${slot.slot}`);
    setText(this.state, slot.state);
    this.state.dataset.state = slot.state;
    setText(this.since, elapsed(now - slot.since));
    setText(this.runner, slot.runner);
    const shown = JSON.stringify([slot.job, slot.repository, slot.workflow, slot.workflow_run_id]);
    if (this.shown === shown) return;
    this.shown = shown;
    this.job.replaceChildren(...jobParts(slot, set));
  }
}

function jobParts(slot, set) {
  if (!slot.job && !slot.repository) return [];
  const url = runUrl(set.url, slot.repository, slot.workflow_run_id);
  const run = slot.workflow_run_id ? `run ${slot.workflow_run_id}` : "";
  const more = [slot.repository, slot.workflow && workflowName(slot.workflow)].filter(Boolean).join(" · ");
  return [el("b", {}, slot.job || "a job"), more ? ` ${more} ` : " ", url ? el("a", { href: url, rel: "noreferrer", target: "_blank" }, run) : run];
}
