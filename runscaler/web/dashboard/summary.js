// The head of the page: how the daemon is, what stands in the way, and the figures at a glance.

import { byId, el, icon, setChip, setText } from "./elements.js";
import { bytes, count, many, span, timeOfDay } from "./format.js";
import { TROUBLED, waiting } from "./model.js";

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
  const text = `The daemon does not answer since ${timeOfDay(heard)}. What is shown is from then; the page catches up by itself when the daemon is back.`;
  if (gone.textContent !== text) gone.replaceChildren(el("p", { class: "banner", "data-tone": "bad" }, icon("bad"), el("span", {}, text)));
}

export function showSummary(model) {
  const { overall } = model;
  const sets = [...model.sets.values()];
  const draining = sets.length > 0 && sets.every((set) => set.state === "draining" || set.state === "stopped");
  const [tone, word] = draining && overall.status === "ok" ? ["down", "draining"] : (OVERALL[overall.status] ?? ["quiet", overall.status]);
  setChip(byId("overall"), tone, word);
  setText(byId("daemon"), `version ${overall.version} · pid ${overall.pid} · up ${span(model.now() - model.startedAt)}`);
  banners(overall, sets);
  tiles(model, sets);
  host(model.host);
  const queued = model.total(waiting);
  const bad = sets.filter((set) => TROUBLED.has(set.state)).length;
  document.title = `${bad ? `▲ ${bad} in trouble · ` : ""}${count(model.total((set) => set.busy))} busy, ${count(queued)} waiting · runscaler`;
}

// One line for each kind of trouble, however many scale sets have it.
function banners(overall, sets) {
  const of = (state) => sets.filter((set) => set.state === state);
  const lines = [];
  if (overall.reason) lines.push(["bad", `Given up: ${overall.reason}`]);
  for (const [state, tone, what] of [
    ["failed", "bad", "failed"],
    ["degraded", "warn", "degraded"],
    ["standby", "wait", "on standby"],
    ["draining", "down", "draining"],
  ]) {
    const found = of(state);
    if (found.length) lines.push([tone, sentence(found, what, state)]);
  }
  const node = byId("banners");
  const wanted = JSON.stringify(lines);
  if (node.dataset.shown === wanted) return;
  node.dataset.shown = wanted;
  node.replaceChildren(...lines.map(([tone, text]) => el("p", { class: "banner", "data-tone": tone }, icon(tone), el("span", {}, text))));
}

function sentence(found, what, state) {
  const busy = found.reduce((sum, set) => sum + set.busy, 0);
  const names = found.length <= 3 ? found.map((set) => set.name).join(", ") : `${count(found.length)} scale sets`;
  const verb = found.length === 1 ? "is" : "are";
  if (state === "draining") return `${names} ${verb} draining: no new jobs; ${busy ? `${many(busy, "busy runner")} may finish` : "no runner is busy"}.`;
  const reasons = [...new Set(found.map((set) => set.reason).filter(Boolean))];
  const more = reasons.length > 1 ? ` (and ${many(reasons.length - 1, "other reason")}, below)` : "";
  return `${names} ${state === "failed" ? (found.length === 1 ? "has" : "have") : verb} ${what}${reasons.length ? `: ${reasons[0]}${more}` : "."}`;
}

function tiles(model, sets) {
  const sum = (field) => model.total((set) => set[field]);
  const [busy, idle, starting, total, max] = ["busy", "idle", "starting", "total", "max"].map(sum);
  const ending = total - busy - idle - starting;
  tile("runners", total, `of ${count(max)} · ${count(busy)} busy, ${count(idle)} idle, ${count(starting)} starting${ending > 0 ? `, ${count(ending)} ending` : ""}`);
  const unmet = model.total((set) => set.unmet.reduce((n, one) => n + one.count, 0));
  tile("queue", model.total(waiting), `${count(model.total((set) => set.metrics.running_jobs))} running${unmet ? ` · ${many(unmet, "runner")} held back` : ""}`);
  const added = (name) => model.column(name).reduce((a, b) => a + b, 0);
  const [good, failed, other] = ["succeeded", "failed", "other"].map(added);
  tile("done", good + failed + other, `${count(good)} succeeded, ${count(failed)} failed${other ? `, ${count(other)} otherwise` : ""}`);
  const states = {};
  for (const set of sets) states[set.state] = (states[set.state] ?? 0) + 1;
  tile("sets", sets.length, Object.entries(states).map(([state, n]) => `${count(n)} ${state}`).join(", ") || "none");
  const shared = Object.values(model.overall.restarts).reduce((a, b) => a + b, 0);
  const own = sum("restarts");
  tile("restarts", shared + own, shared + own ? `${count(own)} of scale sets, ${count(shared)} shared` : "no actor has crashed");
}

function tile(name, value, more) {
  setText(byId(`tile-${name}`), count(value));
  setText(byId(`tile-${name}-more`), more);
}

function host(facts) {
  const node = byId("host");
  if (!node.children.length) node.append(...["load", "memory", "disk"].map(() => el("div", { class: "gauge" }, el("span"), el("span", { class: "track" }, el("i"), el("b", { hidden: true })), el("span"))));
  const { max_load: load, min_free_memory_bytes: memory, min_free_disk_bytes: disk } = facts.limits ?? {};
  const rows = [
    { name: "Load", used: facts.load, all: Math.max(facts.cpus, load ?? 0), limit: load, text: `${facts.load.toFixed(1)} on ${many(facts.cpus, "CPU")}`, at: load && `max ${load}` },
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
