// The list of events, newest first, each with its reason.

import { byId, choice, el, icon } from "./elements.js";
import { span, timeOfDay } from "./format.js";
import { isTrouble, TROUBLED } from "./model.js";

const MOST = 150;

export class Happenings {
  #show = "all";
  #first = null;
  #known = null;

  constructor(model) {
    this.model = model;
    this.list = byId("events");
    choice(byId("events-show"), [["all", "All"], ["jobs", "Jobs"], ["trouble", "Trouble"]], "all", (value) => {
      this.#show = value;
      this.#first = null;
      this.show();
    });
  }

  #wanted(event) {
    if (this.#show === "trouble") return isTrouble(event);
    if (this.#show === "jobs") return event.event.startsWith("job_") || event.event === "runner_lost";
    return true;
  }

  show() {
    const { events } = this.model;
    if (this.#known !== events) this.#first = null; // another run's, or all anew
    this.#known = events;
    const from = this.#first === null ? 0 : events.lastIndexOf(this.#first) + 1;
    const fresh = events.slice(from).filter((event) => this.#wanted(event)).slice(-MOST);
    if (this.#first === null) this.list.replaceChildren();
    this.#first = events.at(-1) ?? null;
    const atTop = this.list.scrollTop < 4;
    const height = this.list.scrollHeight;
    this.list.prepend(...fresh.reverse().map((event) => line(event, this.model.labelOf(event))));
    while (this.list.children.length > MOST) this.list.lastElementChild.remove();
    if (!atTop && fresh.length) this.list.scrollTop += this.list.scrollHeight - height; // who reads stays
    const none = byId("events-none");
    none.hidden = this.list.children.length > 0;
    none.textContent = this.#show === "trouble" ? "No trouble since the daemon started." : "Nothing has happened since the daemon started.";
  }
}

function line(event, label) {
  const [tone, what, more] = words(event);
  return el(
    "li",
    { "data-tone": tone },
    el("time", { datetime: new Date(event.at * 1000).toISOString() }, timeOfDay(event.at)),
    icon(tone),
    el("p", {}, label ? el("b", {}, label) : null, label ? " " : null, what, more ? el("small", {}, more) : null),
  );
}

function words(event) {
  const slot = event.runner ? `#${event.slot} ${event.runner}` : "";
  const job = [event.job, event.repository && `of ${event.repository}`].filter(Boolean).join(" ");
  switch (event.event) {
    case "job_started":
      return ["start", `${job || "a job"} started${waited(event)}`, slot];
    case "job_completed":
      return [resultTone(event.result), `${job || "a job"} ${event.result || "is over"}${ran(event)}`, slot];
    case "runner_started":
      return ["good", `runner up after ${span(event.seconds)}`, slot];
    case "runner_adopted":
      return ["good", "runner adopted", slot];
    case "runner_failed":
      return ["bad", "runner failed", `${event.reason} · ${slot}`];
    case "runner_lost":
      return ["bad", `runner lost in ${job || "its job"}`, `${event.reason} · ${slot}`];
    case "runner_removed":
      return ["quiet", "runner removed", [event.reason, slot].filter(Boolean).join(" · ")];
    case "scale_set_changed":
      return [TROUBLED.has(event.state) ? "warn" : event.state === "ok" ? "good" : "wait", `is ${event.state}`, event.reason];
    case "actor_restarted":
      return [event.gave_up ? "bad" : "warn", `${event.name} ${event.gave_up ? "has given up" : "was restarted"}`, event.reason];
    default:
      return ["quiet", event.event.replaceAll("_", " "), event.reason ?? ""];
  }
}

const resultTone = (result) => ({ succeeded: "good", failed: "bad" })[result] ?? "quiet";
const waited = (event) => (event.seconds_queued === null ? "" : ` after ${span(event.seconds_queued)} in the queue`);
const ran = (event) => (event.seconds_run === null ? "" : ` after ${span(event.seconds_run)}`);
