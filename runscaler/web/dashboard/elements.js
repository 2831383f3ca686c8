// Elements of the page. Text from outside only ever becomes text: nothing here parses HTML.

const SVG = "http://www.w3.org/2000/svg";

// el("p", { class: "note", onclick: f }, "text", otherElement): attributes, handlers, children.
export function el(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value === true) node.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

export const byId = (id) => document.getElementById(id);

// Touch the page only where it changes, so that selections stay and nothing is laid out anew.
export function setText(node, text) {
  const wanted = String(text);
  if (node.textContent !== wanted) node.textContent = wanted;
}

export function setAttribute(node, name, value) {
  if (value === null || value === false) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

// Each state has a shape of its own, so that colour is never the only sign.
const SHAPES = {
  good: ["path", { d: "M3 8.5l3 3 7-7", fill: "none", stroke: "currentColor", "stroke-width": 2.2 }],
  bad: ["path", { d: "M4 4l8 8M12 4l-8 8", fill: "none", stroke: "currentColor", "stroke-width": 2.2 }],
  warn: ["path", { d: "M8 2l6.5 12h-13zM8 6.5v3.2M8 11v1.4", fill: "none", stroke: "currentColor", "stroke-width": 1.6, "stroke-linejoin": "round" }],
  wait: ["path", { d: "M5.5 3.5v9M10.5 3.5v9", fill: "none", stroke: "currentColor", "stroke-width": 2.4 }],
  down: ["path", { d: "M8 2.5v10M3.5 8.5L8 13l4.5-4.5", fill: "none", stroke: "currentColor", "stroke-width": 2 }],
  quiet: ["circle", { cx: 8, cy: 8, r: 4, fill: "none", stroke: "currentColor", "stroke-width": 2 }],
  start: ["path", { d: "M5 3l8 5-8 5z", fill: "currentColor" }],
};

export function icon(tone) {
  const [name, attributes] = SHAPES[tone] ?? SHAPES.quiet;
  return svg("svg", { viewBox: "0 0 16 16", class: "icon", "aria-hidden": "true" }, svg(name, attributes));
}

export function setChip(node, tone, text) {
  if (node.dataset.tone === tone && node.dataset.text === text) return;
  node.dataset.tone = tone;
  node.dataset.text = text;
  node.replaceChildren(icon(tone), text);
}

// A group of radio buttons that looks like one control; `chosen` is called with the value.
export function choice(fieldset, options, first, chosen) {
  for (const [value, text] of options) {
    const input = el("input", { type: "radio", name: fieldset.id, value, onchange: () => chosen(value) });
    input.checked = value === first;
    fieldset.append(el("label", {}, input, el("span", {}, text)));
  }
}
