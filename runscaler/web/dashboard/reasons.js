// Why a scale set does not serve, what its jobs wait for and since when, in words.

import { count, dayAndTime, elapsed, many, moment, together } from "./format.js";
import { waiting } from "./model.js";

const LONG_SECONDS = 300; // a queue that is worth a word where nothing is in its way

export const UNMET = {
  max_runners: "max-runners is reached",
  host_guard: "the host guard holds them back",
  host_cap: "the host's cap is reached",
  backoff: "starts failed before",
  rate_limit: "GitHub's rate limit",
  backend_down: "the backend is down",
  vm_limit: "no VM slot is free",
  paused: "paused",
};

export function reasons(set, now) {
  const parts = [];
  if (set.reason) parts.push(set.reason);
  if (set.reason && set.state !== "ok" && set.since !== null) parts.push(`since ${moment(set.since, now)}`);
  if (set.retry_seconds !== null) {
    const left = set.retry_seconds - (now - set.at);
    parts.push(left > 0 ? `next try in ${elapsed(Math.ceil(left))}` : "trying now");
  }
  for (const one of set.unmet) {
    const detail = one.detail && !set.reason.includes(one.detail) ? `: ${one.detail}` : "";
    parts.push(`${many(one.count, "wanted runner")} not started, ${UNMET[one.reason] ?? one.reason}${detail}`);
    if (one.look_seconds !== null) {
      const left = one.look_seconds - (now - set.at);
      parts.push(left > 0 ? `next look in ${elapsed(Math.ceil(left))}` : "looking now");
    }
  }
  const late = set.waitingSince !== null && (set.unmet.length > 0 || now - set.waitingSince >= LONG_SECONDS);
  if (late) parts.push(`${together(many(waiting(set), "job"))} waiting, some since ${moment(set.waitingSince, now)}`);
  return parts.join("; ");
}

// The window whose limits are in force, and the next one; their time zone once if it is the same.
export function scheduleWords({ window, next }) {
  const words = (one, word, time, zone) => `min ${count(one.min)}, max ${count(one.max)} ${word} ${dayAndTime(time)} ${zone}`.trim();
  const parts = [];
  if (window) parts.push(words(window, "until", window.closes, window.timezone === next?.timezone ? "" : window.timezone));
  if (next) parts.push(words(next, "from", next.opens, next.timezone));
  return parts.length ? `Schedule: ${parts.join("; ")}` : "";
}
