// The last hour as three small charts. Each has a sentence with its figures, for those who do not see it.

import { byId, setText, svg } from "./elements.js";
import { count, hourAndMinute, quantile, span } from "./format.js";

const HEIGHT = 116;
const FOOT = 18;
const LEFT = 46;
const NARROWEST = 240;
const HOUR = 3600;
const ALWAYS_SHOWN = 20; // a capacity that is drawn however little there is to do
const PHASES = ["wait", "jit", "create", "boot", "start"]; // from the demand until the runner is up

export function showCharts(model) {
  capacity(model);
  throughput(model);
  startUp(model);
}

// Drawn at the size that it is shown at, so that its words are as large as all others.
const widthOf = (id) => Math.max(NARROWEST, byId(id).clientWidth);

function capacity(model) {
  const wide = widthOf("capacity");
  const rows = model.rows.length;
  const [at, assigned, busy, runners, max] = ["at", "assigned", "busy", "runners", "max"].map((name) => model.column(name));
  const top = Math.max(4, ...assigned, ...runners);
  const limit = max.at(-1) ?? 0;
  const scale = limit && limit <= Math.max(top * 2.5, ALWAYS_SHOWN) ? Math.max(top, limit) * 1.05 : top * 1.1;
  const y = (value) => HEIGHT - FOOT - (value / scale) * (HEIGHT - FOOT - 4);
  const x = timeScale(model, wide);
  const line = (values) => values.map((value, n) => `${n ? "L" : "M"}${x(at[n])} ${y(value).toFixed(1)}`).join("");
  const parts = [axis(model, wide, scale, y)];
  if (rows) {
    parts.push(svg("path", { class: "area busy", d: `${line(busy)}L${x(at.at(-1))} ${y(0)}L${x(at[0])} ${y(0)}Z` }));
    parts.push(svg("path", { class: "line runners", d: line(runners) }), svg("path", { class: "line assigned", d: line(assigned) }));
    if (limit <= scale) parts.push(svg("path", { class: "line max", d: line(max) }));
  }
  draw("capacity", wide, parts, `Assigned jobs at most ${Math.max(0, ...assigned)}, runners at most ${Math.max(0, ...runners)}, capacity ${limit}`);
  legend("capacity-text", [
    ["line assigned", `assigned jobs ${count(assigned.at(-1) ?? 0)}`],
    ["line runners", `runners ${count(runners.at(-1) ?? 0)}`],
    ["area busy", `busy ${count(busy.at(-1) ?? 0)}`],
    ["line max", `capacity ${count(limit)}${limit > scale ? ", off the chart" : ""}`],
  ]);
}

function throughput(model) {
  const wide = widthOf("throughput");
  const at = model.column("at");
  const names = ["succeeded", "failed", "other"];
  const end = at.at(-1) ?? 0;
  const minutes = Array.from({ length: 60 }, () => [0, 0, 0]);
  names.forEach((name, kind) =>
    model.column(name).forEach((value, n) => {
      const minute = 59 - Math.floor((end - at[n]) / 60);
      if (minute >= 0) minutes[minute][kind] += value;
    }),
  );
  const scale = Math.max(4, ...minutes.map((one) => one[0] + one[1] + one[2])) * 1.1;
  const y = (value) => HEIGHT - FOOT - (value / scale) * (HEIGHT - FOOT - 4);
  const parts = [axis(model, wide, scale, y)];
  const width = (wide - LEFT) / 60;
  minutes.forEach((one, n) => {
    let sum = 0;
    one.forEach((value, kind) => {
      if (!value) return;
      const [low, high] = [y(sum), y(sum + value)];
      parts.push(svg("rect", { class: `column ${names[kind]}`, x: LEFT + n * width + 0.75, width: width - 1.5, y: high, height: low - high }));
      sum += value;
    });
  });
  const last = minutes.slice(-5).flat().reduce((a, b) => a + b, 0) / 5;
  const totals = names.map((_, kind) => minutes.reduce((sum, one) => sum + one[kind], 0));
  draw("throughput", wide, parts, `${totals[0]} jobs succeeded, ${totals[1]} failed, ${totals[2]} ended otherwise`);
  legend("throughput-text", [
    ["column succeeded", "succeeded"],
    ["column failed", "failed"],
    ["column other", "other"],
    ["", last ? `${last < 10 ? last.toFixed(1) : count(Math.round(last))} a minute in the last 5` : "none in the last 5 min"],
  ]);
}

// Each of the latest starts as a column, and their phases where the daemon tells them.
function startUp(model) {
  const wide = widthOf("startup");
  const starts = model.events.filter((event) => event.event === "runner_started").slice(-80);
  const values = starts.map((event) => event.seconds);
  const waits = model.events.filter((event) => event.event === "job_started" && event.seconds_queued !== null).slice(-80).map((event) => event.seconds_queued);
  const scale = Math.max(0.05, ...values) * 1.1;
  const y = (value) => HEIGHT - FOOT - (value / scale) * (HEIGHT - FOOT - 4);
  const width = (wide - LEFT) / 80;
  const phases = starts.map((event) => model.phasesOf(event));
  const names = PHASES.filter((name) => phases.some((one) => one[name] > 0));
  const parts = values.length ? [axis(model, wide, scale, y, (value) => span(value), false)] : [];
  const whole = names.length > 0 && phases.some((one) => names.every((name) => !one[name]));
  starts.forEach((event, n) => {
    const x = LEFT + (80 - starts.length + n) * width + 0.6;
    const known = names.some((name) => phases[n][name] > 0);
    let sum = 0;
    (known ? names.map((name) => phases[n][name] ?? 0) : [event.seconds]).forEach((value, at) => {
      const [low, high] = [y(sum), y(sum + value)];
      parts.push(svg("rect", { class: `column phase-${known || !names.length ? at : "unknown"}`, x, width: width - 1.2, y: high, height: Math.max(0.5, low - high) }));
      sum += value;
    });
  });
  const p50 = quantile(values, 0.5);
  draw("startup", wide, parts, values.length ? `Half of the latest ${values.length} runners were up within ${span(p50)}` : "No runner has started yet");
  const middle = (name) => span(quantile(phases.flatMap((one) => one[name] ?? []), 0.5));
  legend("startup-text", [
    ...(names.length ? names.map((name, at) => [`column phase-${at}`, `${name} ${middle(name)}`]) : values.length ? [["column phase-0", "runner up"]] : []),
    ...(whole ? [["column phase-unknown", "before this page was open"]] : []),
    ["", values.length ? `half within ${span(p50)}, 95 % within ${span(quantile(values, 0.95))}` : "no start yet"],
    ...(waits.length ? [["", `jobs waited ${span(quantile(waits, 0.5))} (median)`]] : []),
  ]);
}

const timeScale = (model, wide) => {
  const end = model.now();
  return (at) => Math.max(LEFT, Math.min(wide, wide - (wide - LEFT) * ((end - at) / HOUR))).toFixed(1);
};

function axis(model, wide, scale, y, words = (value) => count(value), timed = true) {
  const step = nice(scale / 2);
  const group = svg("g", { class: "axis" });
  for (let value = step; value <= scale; value += step) {
    group.append(svg("line", { x1: LEFT, x2: wide, y1: y(value), y2: y(value) }), svg("text", { x: LEFT - 5, y: y(value) + 3.5, "text-anchor": "end" }, words(value)));
  }
  group.append(svg("line", { class: "base", x1: LEFT, x2: wide, y1: y(0), y2: y(0) }));
  const ends = timed ? [hourAndMinute(model.now() - HOUR), "now"] : ["earlier", "latest"];
  group.append(svg("text", { x: LEFT, y: HEIGHT - 3 }, ends[0]), svg("text", { x: wide, y: HEIGHT - 3, "text-anchor": "end" }, ends[1]));
  return group;
}

function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].map((n) => n * power).find((n) => n <= value) ?? power;
}

function draw(id, wide, parts, words) {
  const picture = svg("svg", { viewBox: `0 0 ${wide} ${HEIGHT}`, role: "img", "aria-label": words }, ...parts);
  byId(id).replaceChildren(picture);
}

function legend(id, entries) {
  const node = byId(id);
  const shown = JSON.stringify(entries);
  if (node.dataset.shown === shown) return;
  node.dataset.shown = shown;
  node.replaceChildren(
    ...entries.map(([kind, text]) => {
      const entry = document.createElement("span");
      if (kind) entry.append(svg("svg", { viewBox: "0 0 14 10", class: "swatch", "aria-hidden": "true" }, kind.startsWith("line") ? svg("path", { class: kind, d: "M0 5H14" }) : svg("rect", { class: kind, width: 14, height: 10 })));
      entry.append(text);
      return entry;
    }),
  );
}
