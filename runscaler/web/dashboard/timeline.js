// Runners and their jobs over time: a lane for each slot, first for those with the most work.

import { byId, choice, el, setText, svg } from "./elements.js";
import { count, hourAndMinute, many, span, timeOfDay } from "./format.js";

const LANE = 18;
const BAR = 12;
const LABEL = 150;
const NARROW_LABEL = 92;
const TOP = 18;
const MOST_LANES = 16;
const SPANS = [["60", "1 min"], ["300", "5 min"], ["900", "15 min"], ["3600", "1 h"]];
const KEYS = [["start", "starting"], ["idle", "idle"], ["busy", "job runs"], ["succeeded", "succeeded"], ["failed", "failed or lost"], ["other", "canceled"]];

export class Timeline {
  #span = 0;
  #chosen = false;
  #lanes = [];

  constructor(model, sets) {
    this.model = model;
    this.sets = sets;
    this.node = byId("timeline");
    choice(byId("timeline-span"), SPANS, "", (value) => {
      this.#chosen = true;
      this.#span = Number(value);
      this.show();
    });
    byId("timeline-keys").append(...KEYS.map(([kind, text]) => el("li", {}, svg("svg", { viewBox: "0 0 14 10", class: "swatch", "aria-hidden": "true" }, svg("rect", { class: `life ${kind}`, width: 14, height: 10, rx: 2 })), text)));
    new ResizeObserver(() => model.loaded && this.show()).observe(this.node);
  }

  // Until somebody chooses: as much as there can be something to see of.
  #suit() {
    const known = this.model.now() - this.model.earliest;
    const suiting = known < 90 ? 60 : known < 600 ? 300 : 900;
    if (suiting <= this.#span) return;
    this.#span = suiting;
    byId("timeline-span").querySelector(`[value="${this.#span}"]`).checked = true;
  }

  show() {
    const { model } = this;
    if (!this.#chosen) this.#suit();
    const order = new Map();
    for (const set of this.sets.chosen()) order.set(set.key, order.size);
    const lanes = new Map();
    for (const life of model.recentLives(this.#span)) {
      if (!order.has(life.set)) continue;
      const key = `${life.set} #${life.slot}`;
      const lane = lanes.get(key) ?? { key, set: life.set, label: model.sets.get(life.set).label, slot: life.slot, lives: [], last: 0 };
      lane.lives.push(life);
      lane.last = Math.max(lane.last, life.busy ?? life.begin);
      lanes.set(key, lane);
    }
    const shown = this.#choose(lanes).sort((a, b) => order.get(a.set) - order.get(b.set) || a.slot - b.slot);
    this.#draw(shown, model.now());
    setText(byId("timeline-text"), this.#words(shown, lanes.size));
  }

  // Slots that have a lane keep it, so that the picture does not jump.
  #choose(lanes) {
    const kept = this.#lanes.filter((key) => lanes.has(key));
    const rest = [...lanes.values()].filter((lane) => !kept.includes(lane.key)).sort((a, b) => b.lives.length - a.lives.length || b.last - a.last);
    this.#lanes = [...kept, ...rest.map((lane) => lane.key)].slice(0, MOST_LANES);
    return this.#lanes.map((key) => lanes.get(key));
  }

  #words(shown, all) {
    if (!all) return "";
    return all > shown.length ? `${shown.length} of ${many(all, "slot")} in use; filter the scale sets to choose` : many(all, "slot");
  }

  #draw(lanes, now) {
    if (!lanes.length) {
      return this.node.replaceChildren(this.#nothing());
    }
    const width = Math.max(240, this.node.clientWidth);
    const label = width < 560 ? NARROW_LABEL : LABEL;
    const height = TOP + lanes.length * LANE + 4;
    const x = (at) => label + Math.max(0, (width - label) * (1 - (now - at) / this.#span));
    const parts = [this.#axis(x, now, width, height)];
    lanes.forEach((lane, n) => {
      const y = TOP + n * LANE;
      const name = `${short(lane.label, label === LABEL ? 19 : 10)} #${lane.slot}`;
      const whole = `${lane.label} #${lane.slot}`;
      parts.push(svg("text", { class: "lane", x: 0, y: y + BAR - 2 }, name, svg("title", {}, whole)));
      for (const life of lane.lives) parts.push(lifeBar(life, whole, x, y, now));
    });
    const running = lanes.flatMap((lane) => lane.lives).filter((life) => life.busy !== null && life.end === null && life.gone === null);
    const words = `${many(lanes.length, "slot")}, ${count(running.length)} with a job now; each job stands in the list of events`;
    this.node.replaceChildren(svg("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words }, ...parts));
  }

  #nothing() {
    if (this.sets.isFiltered) return el("p", { class: "empty" }, "No runner of these scale sets in this time.");
    const first = this.model.sets.values().next().value;
    const standsBy = [...this.model.sets.values()].every((set) => set.state === "standby");
    if (standsBy && first) return el("p", { class: "empty" }, "No runner here while this daemon stands by: another one runs the jobs.");
    if (this.model.lives.size || !first) return el("p", { class: "empty" }, "No runner in this time.");
    const job = el("code", {}, `runs-on: ${first.name}`);
    return el("p", { class: "empty" }, "Nothing has run yet. Give a job of a workflow ", job, ", and its runner shows here as soon as GitHub assigns it.");
  }

  #axis(x, now, width, height) {
    const group = svg("g", { class: "axis" });
    const step = this.#span / (width < 560 ? 3 : 5);
    for (let n = 1; n * step < this.#span; n++) {
      const at = now - n * step;
      group.append(svg("line", { x1: x(at), x2: x(at), y1: TOP - 4, y2: height }), svg("text", { x: x(at), y: 10, "text-anchor": "middle" }, this.#span > 60 ? hourAndMinute(at) : timeOfDay(at)));
    }
    group.append(svg("text", { x: width, y: 10, "text-anchor": "end" }, "now"));
    return group;
  }
}

// Start-up, idle time and job of one runner, side by side.
function lifeBar(life, lane, x, y, now) {
  const end = life.gone ?? now;
  const up = life.up ?? life.busy ?? end;
  const busy = life.busy ?? end;
  const over = life.end ?? end;
  const group = svg("g", {}, svg("title", {}, described(life, lane, now)));
  const part = (kind, from, to) => {
    const width = x(to) - x(from);
    if (width > 0.3) group.append(svg("rect", { class: `life ${kind}`, x: x(from), width: Math.max(1.5, width), y, height: BAR, rx: 2 }));
  };
  if (life.result === "failed start") group.append(failure(x(end), y));
  else part("start", life.begin, Math.min(up, end));
  part("idle", up, Math.min(busy, end));
  if (life.busy !== null) {
    part(kindOf(life), busy, over);
    const width = x(over) - x(busy);
    const room = Math.floor((width - 8) / 6.2);
    if (room >= 4) group.append(svg("text", { class: "life-name", x: x(busy) + 4, y: y + BAR - 3 }, `${sign(life)}${short(life.job || life.runner, room)}`));
    else if (kindOf(life) === "failed" && width > 8) group.append(svg("text", { class: "life-name", x: x(busy) + width / 2 - 3, y: y + BAR - 3 }, "×"));
  }
  return group;
}

// A start that failed: how long it took is not told, so it is a mark of one size.
function failure(x, y) {
  const at = x - BAR;
  return svg("g", {}, svg("rect", { class: "life failed", x: at, width: BAR, y, height: BAR, rx: 2 }), svg("text", { class: "life-name", x: at + 3, y: y + BAR - 3 }, "×"));
}

const sign = (life) => (kindOf(life) === "failed" ? "× " : "");

function kindOf(life) {
  if (life.result === "failed" || life.result === "lost") return "failed";
  if (life.result === "succeeded" || !life.result) return life.result || "busy";
  return "other";
}

function described(life, lane, now) {
  const lines = [`${lane} · ${life.runner}`];
  if (life.job) lines.push([life.job, life.repository].filter(Boolean).join(" of "));
  if (life.result === "failed start") lines.push("failed before it had a job");
  else if (life.up && life.begin) lines.push(`up after ${span(life.up - life.begin)}`);
  if (life.busy) lines.push(`${life.result || "running"}, ${span((life.end ?? life.gone ?? now) - life.busy)}`);
  return lines.join("\n");
}

const short = (text, most) => (text.length > most ? `${text.slice(0, Math.max(1, most - 1))}…` : text);
