// Puts the page together: what is known changes at any time, what is shown at most four times a second.

import { showCharts } from "./charts.js";
import { Connection } from "./connection.js";
import { byId } from "./elements.js";
import { Happenings } from "./happenings.js";
import { Model } from "./model.js";
import { Sets } from "./sets.js";
import { showLink, showSummary } from "./summary.js";
import { Timeline } from "./timeline.js";

const ROUND_MS = 250;
const CHARTS_ROUNDS = 8;

const model = new Model();
const sets = new Sets(model, () => model.loaded && timeline.show());
const timeline = new Timeline(model, sets);
const happenings = new Happenings(model);
let link = "connecting";
let shown = -1;
let round = 0;

function show() {
  if (document.hidden || !model.loaded) return;
  const changed = model.revision !== shown;
  const second = round++ % 4 === 0;
  if (link === "gone" && !changed) return; // times stand still with the facts they belong to
  if (changed || second) {
    showSummary(model, (key) => sets.reveal(key));
    sets.show();
  }
  if (changed) happenings.show();
  if (second) timeline.show();
  if (shown === -1 || round % CHARTS_ROUNDS === 0) showCharts(model);
  shown = model.revision;
  byId("main").setAttribute("aria-busy", "false");
}

const connection = new Connection(model, (state, heard) => {
  link = state;
  showLink(state, heard);
  show();
});
connection.open();
setInterval(show, ROUND_MS);
document.addEventListener("visibilitychange", show);
