// Numbers, times and words for people.

const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short" });
const weekday = new Intl.DateTimeFormat("en-GB", { weekday: "short", day: "numeric", month: "short", timeZone: "UTC" });

export const count = (value) => number.format(value);

// Words that stay on one line.
export const together = (text) => text.replaceAll(" ", "\u00a0");

export const many = (value, one, more = `${one}s`) => `${count(value)} ${value === 1 ? one : more}`;

// "4.2 s", "3 min 05 s", "2 h 10 min", "3 d 4 h": two units at most.
export function span(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
  if (seconds > 0 && seconds < 0.1) return `${Math.ceil(seconds * 1000)} ms`;
  if (seconds < 10) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const whole = Math.floor(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const elapsed = (seconds) => (seconds < 10 ? `${Math.floor(Math.max(0, seconds))} s` : span(seconds));

export const timeOfDay = (seconds) => clock.format(new Date(seconds * 1000));

export const hourAndMinute = (seconds) => minute.format(new Date(seconds * 1000));

// "21:03:12" of today, "Sat 28 Nov, 21:03" of another day; `now` in seconds, too.
export function moment(seconds, now) {
  const [at, today] = [new Date(seconds * 1000), new Date(now * 1000)];
  return at.toDateString() === today.toDateString() ? timeOfDay(seconds) : `${day.format(at)}, ${hourAndMinute(seconds)}`;
}

export function bytes(value) {
  if (value === null || value === undefined) return "–";
  const gib = value / 2 ** 30;
  if (value > 0 && gib < 1) return `${Math.ceil(value / 2 ** 20)} MiB`;
  return gib >= 1024 ? `${(gib / 1024).toFixed(1)} TiB` : `${gib >= 100 ? Math.round(gib) : gib.toFixed(1)} GiB`;
}

// "Mon 30 Nov, 18:00" of an ISO 8601 time, in the time zone it is written in.
export function dayAndTime(iso) {
  const day = new Date(`${iso.slice(0, 10)}T12:00:00Z`);
  return `${weekday.format(day)}, ${iso.slice(11, 16)}`;
}

// The value below which `part` of the values are; null for none.
export function quantile(values, part) {
  if (!values.length) return null;
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

// "owner/name/.github/workflows/ci.yml@refs/heads/main" as "ci.yml on main".
export function workflowName(workflow) {
  const [path, ref = ""] = workflow.split("@", 2);
  const file = path.split("/").pop();
  const branch = ref.replace(/^refs\/(heads|tags)\//, "").replace(/^refs\/pull\/(\d+)\/.*/, "pull request $1");
  return branch ? `${file} on ${branch}` : file;
}

// The page of a run at GitHub, if all that it is made of is as it should be; else null.
export function runUrl(setUrl, repository, runId) {
  if (!runId || !/^[A-Za-z0-9_.-]+\/[A-Za-z0-9_.-]+$/.test(repository)) return null;
  try {
    const host = new URL(setUrl);
    if (host.protocol !== "https:") return null;
    return `${host.origin}/${repository}/actions/runs/${Number(runId)}`;
  } catch {
    return null;
  }
}
