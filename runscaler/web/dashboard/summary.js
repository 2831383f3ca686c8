// The head of the page: how the daemon is, what stands in the way, and the figures at a glance.

import { byId, el, icon, setChip, setText } from "./elements.js";
import { bytes, count, many, moment, span, together } from "./format.js";
import { held, TROUBLED, waiting } from "./model.js";
import { UNMET } from "./reasons.js";

const LONG_SECONDS = 60; // for how long jobs wait before it is worth a word
const OVERALL = { ok: ["good", "ok"], degraded: ["warn", "degraded"], failed: ["bad", "failed"] };
const LINK = { live: "live", polling: "every 5 s", gone: "no answer", connecting: "connecting" };

export function showLink(state, heard) {
  const link = byId("link");
  link.dataset.link = state;
  setText(link, LINK[state]);
  link.title = state === "polling" ? "All 16 live streams are taken by other viewers" : "";
  document.body.classList.toggle("stale", state === "gone");
  const gone = byId("gone");
  if (state !== "gone") return gone.replaceChildren();
  const text = `The daemon has not answered since ${moment(heard, Date.now() / 1000)}. What is shown is from then; the page catches up by itself when the daemon is back. On its host: `;
  document.title = "▲ no answer · runscaler";
  if (gone.dataset.shown === text && gone.children.length) return;
  gone.dataset.shown = text;
  gone.replaceChildren(el("p", { class: "banner", "data-tone": "bad" }, icon("bad"), el("span", {}, text, el("code", {}, "runner service status"))));
}

// `reveal` is called with the key of a scale set that somebody wants to see.
export function showSummary(model, reveal) {
  const { overall } = model;
  const sets = [...model.sets.values()];
  const [tone, word] = overall.status === "ok" ? common(sets) : (OVERALL[overall.status] ?? ["quiet", overall.status]);
  setChip(byId("overall"), tone, word);
  setText(byId("daemon"), `version ${overall.version} · pid ${overall.pid} · up ${span(model.now() - model.startedAt)}`);
  banners(model, sets, reveal);
  tiles(model, sets);
  host(model.host);
  const queued = model.total(waiting);
  const bad = sets.filter((set) => TROUBLED.has(set.state)).length;
  if (!document.body.classList.contains("stale")) document.title = `${bad ? `▲ ${bad} in trouble · ` : ""}${count(model.total((set) => set.busy))} busy, ${count(queued)} waiting · runscaler`;
}

// What all of them do together, where none is in trouble.
function common(sets) {
  const all = (...states) => sets.length > 0 && sets.every((set) => states.includes(set.state));
  if (all("draining", "stopped")) return ["down", "draining"];
  return all("standby") ? ["wait", "standby"] : OVERALL.ok;
}

// One line for each kind of trouble, however many scale sets have it. Nothing in them ticks, as they are read out
// when they change.
function banners(model, sets, reveal) {
  const { overall } = model;
  const of = (state) => sets.filter((set) => set.state === state);
  const lines = [];
  if (overall.reason) lines.push(["bad", [], `Given up: ${overall.reason}`]);
  for (const [state, tone, what] of [
    ["failed", "bad", "failed"],
    ["degraded", "warn", "degraded"],
    ["standby", "wait", "on standby"],
    ["draining", "down", "draining"],
  ]) {
    const found = of(state);
    if (found.length) lines.push([tone, found, sentence(found, what, state, model.now())]);
  }
  lines.push(...heldBack(sets));
  const node = byId("banners");
  const wanted = JSON.stringify(lines.map(([tone, found, text]) => [tone, found.map((set) => set.key), text]));
  if (node.dataset.shown === wanted) return;
  node.dataset.shown = wanted;
  node.replaceChildren(...lines.map(([tone, found, text]) => el("p", { class: "banner", "data-tone": tone }, icon(tone), el("span", {}, ...names(found, reveal), text))));
}

const FEW = 3;

// The names of a few scale sets, each a button that leads to it.
function names(found, reveal) {
  if (!found.length) return [];
  if (found.length > FEW) return [`${count(found.length)} scale sets `];
  return found.flatMap((set, at) => [at ? ", " : "", el("button", { type: "button", class: "link-to", onclick: () => reveal(set.key) }, set.label), at === found.length - 1 ? " " : ""]);
}

// Why wanted runners do not start in scale sets that are well otherwise; those at max-runners stand in the list alone.
function heldBack(sets) {
  const of = new Map();
  for (const set of sets.filter((one) => one.state === "ok" && held(one))) {
    for (const { reason, count: n, detail } of set.unmet.filter((one) => one.reason !== "max_runners")) {
      const why = `${UNMET[reason] ?? reason}${detail ? `: ${detail}` : ""}`;
      const line = of.get(why) ?? { sets: [], runners: 0 };
      if (!line.sets.includes(set)) line.sets.push(set);
      of.set(why, { ...line, runners: line.runners + n });
    }
  }
  return [...of].map(([why, line]) => ["warn", line.sets, `${line.sets.length === 1 ? "waits" : "wait"} for ${many(line.runners, "more runner")}: ${why}`]);
}

function sentence(found, what, state, now) {
  const busy = found.reduce((sum, set) => sum + set.busy, 0);
  const first = Math.min(...found.map((set) => set.since ?? Infinity));
  const since = Number.isFinite(first) ? ` since ${moment(first, now)}` : "";
  const verb = found.length === 1 ? "is" : "are";
  if (state === "draining") return `${verb} draining${since}: no new jobs; ${busy ? `${many(busy, "busy runner")} may finish` : "no runner is busy"}.`;
  const reasons = [...new Set(found.map((set) => set.reason).filter(Boolean))];
  const more = reasons.length > 1 ? ` (and ${many(reasons.length - 1, "other reason")}, below)` : "";
  const are = state === "failed" ? (found.length === 1 ? "has" : "have") : verb;
  return `${are} ${what}${since}${reasons.length ? `: ${reasons[0]}${more}` : "."}`;
}

function tiles(model, sets) {
  const sum = (field) => model.total((set) => set[field]);
  const [busy, idle, starting, total, max] = ["busy", "idle", "starting", "total", "max"].map(sum);
  const ending = total - busy - idle - starting;
  tile("runners", total, listed(`of ${count(max)} · ${count(busy)} busy`, `${count(idle)} idle`, `${count(starting)} starting`, ending > 0 && `${count(ending)} ending`));
  const unmet = model.total((set) => set.unmet.reduce((n, one) => n + one.count, 0));
  const queued = sets.map((set) => set.waitingSince).filter((at) => at !== null && model.now() - at >= LONG_SECONDS);
  const since = queued.length > 0 && `waiting since ${moment(Math.min(...queued), model.now())}`;
  tile("queue", model.total(waiting), listed(`${count(model.total((set) => set.metrics.running_jobs))} running`, unmet > 0 && `${many(unmet, "runner")} held back`, since));
  const added = (name) => model.column(name).reduce((a, b) => a + b, 0);
  const [good, failed, other] = ["succeeded", "failed", "other"].map(added);
  tile("done", good + failed + other, listed(`${count(good)} succeeded`, `${count(failed)} failed`, other > 0 && `${count(other)} otherwise`));
  const states = {};
  for (const set of sets) states[set.state] = (states[set.state] ?? 0) + 1;
  tile("sets", sets.length, listed(...Object.entries(states).map(([state, n]) => `${count(n)} ${state}`)) || "none");
  const shared = Object.values(model.overall.restarts).reduce((a, b) => a + b, 0);
  const own = sum("restarts");
  tile("restarts", shared + own, shared + own ? listed(`${count(own)} of scale sets`, `${count(shared)} shared`) : "no actor has crashed");
}

// Parts with commas between them, each on one line.
const listed = (...parts) => parts.filter(Boolean).map(together).join(", ");

function tile(name, value, more) {
  setText(byId(`tile-${name}`), count(value));
  setText(byId(`tile-${name}-more`), more);
}

function host(facts) {
  const node = byId("host");
  if (!node.children.length) node.append(...["load", "memory", "disk"].map(() => el("div", { class: "gauge" }, el("span"), el("span", { class: "track" }, el("i"), el("b", { hidden: true })), el("span"))));
  const { max_load: load, min_free_memory_bytes: memory, min_free_disk_bytes: disk } = facts.limits ?? {};
  const rows = [
    { name: "Load", used: facts.load, all: Math.max(facts.cpus, load ?? 0), limit: load, text: `${facts.load?.toFixed(1) ?? "–"} on ${many(facts.cpus, "CPU")}`, at: load && `max ${load}` },
    free("Memory", facts.memory_bytes, facts.memory_available_bytes, memory),
    free("Disk", facts.disk_bytes, facts.disk_free_bytes, disk),
  ];
  rows.forEach((row, at) => gauge(node.children[at].children, row));
}

const free = (name, all, left, least) => ({ name, used: all - left, all, limit: least && all - least, text: `${bytes(left)} free`, at: least && `min ${bytes(least).replace(".0 ", " ")}` });

// `limit` is the use above which no runner starts; falsy where there is none.
function gauge([label, track, words], { name, used, all, limit, text, at }) {
  const part = (value) => (all ? Math.max(0, Math.min(1, value / all)) : 0);
  const [bar, tick] = track.children;
  const short = Boolean(at) && used > limit;
  setText(label, name);
  bar.style.width = `${Math.round(part(used) * 100)}%`;
  bar.dataset.level = short || part(used) >= 0.9 ? "full" : part(used) < 0.75 ? "low" : "high";
  tick.hidden = !at;
  if (at) tick.style.left = `${Math.round(part(limit) * 100)}%`;
  setText(words, at ? `${text}, ${at}` : text);
  words.classList.toggle("short", short);
}
