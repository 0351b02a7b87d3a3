// The last minutes as lines, with the same marks under each.

import uPlot from "./vendor/uPlot.esm.js";
import { h, outline, setAttribute, setText, shape } from "./dom.js";
import { clock, milliseconds, number, rate } from "./format.js";
import { store } from "./store.js";
import { MARKS, markOf } from "./words.js";

const HEIGHT = 204;
const ROWS = 2; // of marks
const STRIP = 38; // pixels under the axis for the marks
const RANGES = [["60", "1 min"], ["120", "2 min"], ["300", "5 min"], ["900", "15 min"]];

const count = (n) => number(Math.round(n));

const CHARTS = [
  { title: "Calls per second", unit: rate, lines: [["calls", "calls/s", "a", sum]] },
  { title: "In flight", unit: count, lines: [["in_flight", "in flight", "a", sum]] },
  { title: "Durations", unit: milliseconds, lines: [["p50", "p50", "a", most], ["p95", "p95", "b", most], ["p99", "p99", "c", most]] },
  { title: "Errors per second", unit: rate, lines: [["errors", "errors/s", "d", sum], ["throttled", "throttled/s", "b", sum]] },
  { title: "Instances", unit: count, lines: [["instances", "instances", "a", sum], ["frozen", "frozen", "c", sum]], stepped: true },
];
const GAUGES = ["in_flight", "instances", "frozen"];
const DASHES = { a: [], b: [6, 3], c: [2, 3], d: [] };

function sum(values) {
  return values.reduce((total, n) => total + (n ?? 0), 0);
}

function most(values) {
  const known = values.filter((n) => n !== null && n !== undefined);
  return known.length ? Math.max(...known) : null;
}

export function mount(root) {
  return new ChartsView(root);
}

class ChartsView {
  constructor(root) {
    this.func = h("select", { id: "charts-function" });
    this.range = h("select", { id: "charts-range" }, RANGES.map(([value, text]) => h("option", { value }, text)));
    this.range.value = sessionStorage.getItem("charts-range") ?? "120";
    const filters = h("form", { class: "filters" },
      h("label", null, h("span", null, "Function"), this.func), h("label", null, h("span", null, "Range"), this.range));
    filters.addEventListener("input", () => (sessionStorage.setItem("charts-range", this.range.value), this.draw()));
    filters.addEventListener("submit", (event) => event.preventDefault());
    this.grid = h("div", { class: "charts" });
    root.append(filters, marksLegend(), this.grid);
    this.charts = CHARTS.map((chart) => new Chart(chart, this));
    this.grid.append(...this.charts.map((chart) => chart.node));
    this.resized = new ResizeObserver(() => this.charts.forEach((chart) => chart.fit()));
    this.resized.observe(this.grid);
    this.themed = () => this.charts.forEach((chart) => chart.make());
    document.addEventListener("theme", this.themed);
    this.draw();
    this.ticking = setInterval(() => document.hidden || this.draw(), 1000);
  }

  draw() {
    this.#functions();
    const { times, rows } = this.#rows();
    this.marks = store.marks.filter((m) => m.t >= times[0] && (!this.func.value || m.function === this.func.value));
    for (const chart of this.charts) chart.show(times, rows);
  }

  #functions() {
    const names = [...store.functions.keys()];
    if (this.names === names.join("\n")) return;
    this.names = names.join("\n");
    this.func.replaceChildren(h("option", { value: "" }, "all"), ...names.map((name) => h("option", { value: name }, name)));
  }

  // Return the seconds of the range, and for each what the functions said of it.
  #rows() {
    const end = Math.floor(store.time()) - 1;
    const length = Number(this.range.value);
    const own = [...store.figures].filter(([name]) => !this.func.value || name === this.func.value).map(([, each]) => each);
    const times = Array.from({ length }, (_, i) => end - length + 1 + i);
    const rows = times.map(() => []);
    for (const each of own) held(each, times).forEach((figures, index) => rows[index].push(figures));
    return { times, rows };
  }

  point(index) {
    for (const chart of this.charts) chart.point(index);
  }

  update(changed) {
    if (changed.has("snapshot")) this.draw();
  }

  unmount() {
    clearInterval(this.ticking);
    this.resized.disconnect();
    document.removeEventListener("theme", this.themed);
    for (const chart of this.charts) chart.plot?.destroy();
  }
}

// Return what one function's figures say of each second: one in which nothing happened has none of
// its own, and what is in flight and what runs are as before.
function held(own, times) {
  let last = {};
  for (const [t, figures] of own) if (t < times[0]) last = figures;
  return times.map((t) => {
    const figures = own.get(t);
    if (figures) return (last = figures);
    return { calls: 0, errors: 0, throttled: 0, ...Object.fromEntries(GAUGES.map((name) => [name, last[name]])) };
  });
}

// Return which values of a line stand alone, without one before or behind: no line shows those.
function alone(plot, line) {
  const isNone = (value) => value === null || value === undefined;
  const values = plot.data[line];
  return values.flatMap((value, at) => (!isNone(value) && isNone(values[at - 1]) && isNone(values[at + 1]) ? [at] : []));
}

function marksLegend() {
  return h("ul", { class: "legend marks-legend", "aria-label": "Marks under each chart" },
    Object.entries(MARKS).map(([kind, { text, shape: form }]) => h("li", null, shape(form, kind), text)));
}

class Chart {
  constructor(chart, view) {
    Object.assign(this, { chart, view });
    this.values = chart.lines.map(([, label, tone]) => ({ node: h("b", null, "–"), label, tone }));
    const legend = this.values.map(({ node, label, tone }) => h("li", null, h("span", { class: `stroke stroke-${tone}`, "aria-hidden": "true" }), `${label} `, node));
    this.at = h("span", { class: "quiet at" });
    this.place = h("div", { class: "plot", role: "slider", tabindex: "0", "aria-label": `${chart.title}: the second that is told`, "aria-valuemin": "0" });
    this.place.addEventListener("keydown", (event) => this.#move(event));
    this.place.addEventListener("blur", () => view.point(null));
    this.node = h("section", { class: "card chart", "aria-label": chart.title },
      h("div", { class: "chart-head" }, h("h2", null, chart.title), h("ul", { class: "legend" }, legend), this.at), this.place);
  }

  show(times, rows) {
    this.data = [times, ...this.chart.lines.map(([name, , , join]) => rows.map((row) => join(row.map((each) => each[name]))))];
    if (this.plot) this.plot.setData(this.data);
    else this.make();
    this.tell(this.plot?.cursor.left >= 0 ? this.plot.cursor.idx : null);
  }

  make() {
    this.plot?.destroy();
    this.plot = null;
    if (!this.data || !this.place.clientWidth) return;
    this.colours = coloursOf(this.node);
    this.plot = new uPlot(this.#options(), this.data, this.place);
  }

  fit() {
    if (!this.plot) this.make();
    else if (this.plot.width !== this.place.clientWidth) this.plot.setSize({ width: this.place.clientWidth, height: HEIGHT });
  }

  // Say the values under the cursor, or the newest.
  tell(index) {
    const at = index ?? this.data[0].length - 1;
    this.values.forEach(({ node }, line) => {
      const value = this.data[line + 1][at];
      setText(node, value === null || value === undefined ? "–" : this.chart.unit(value));
    });
    setAttribute(this.place, "aria-valuemax", this.data[0].length - 1);
    setAttribute(this.place, "aria-valuenow", at);
    const told = this.values.map(({ node, label }) => `${label} ${node.textContent}`).join(", ");
    setAttribute(this.place, "aria-valuetext", `${clock(this.data[0][at])}: ${told}`);
    setText(this.at, index === null || index === undefined ? "" : clock(this.data[0][at]));
  }

  // Arrows move the second whose values are told, in all charts.
  #move(event) {
    const last = this.data[0].length - 1;
    const at = this.plot?.cursor.idx ?? last;
    const steps = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageUp: 10, PageDown: -10, Home: -at, End: last - at };
    const step = steps[event.key];
    if (step === undefined || !this.plot) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(last, at + step));
    this.view.point(next);
  }

  // Put the cursor on a second, or with null nowhere.
  point(index) {
    if (!this.plot) return;
    this.plot.setCursor(index === null ? { left: -10, top: -10 } : { left: this.plot.valToPos(this.data[0][index], "x"), top: 10 });
  }

  #options() {
    const { text, grid } = this.colours;
    const axis = { stroke: text, grid: { stroke: grid, width: 1 }, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    return {
      width: this.place.clientWidth, height: HEIGHT, legend: { show: false }, padding: [8, 28, 0, 0],
      cursor: { sync: { key: "console" }, y: false, drag: { x: false, y: false }, points: { size: 6 } },
      scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(high ?? 0, 1) * 1.08] } },
      axes: [
        { ...axis, size: STRIP + 22, gap: STRIP - 2, space: 58, values: (_, splits) => splits.map((t) => clock(t)) },
        { ...axis, size: 62, space: 36, values: (_, splits) => splits.map((n) => this.#tick(n)) },
      ],
      series: [{}, ...this.chart.lines.map(([, label, tone]) => this.#series(label, tone))],
      hooks: { drawAxes: [(plot) => this.#eachMark(plot, (x) => this.#drawLine(plot, x))], draw: [(plot) => this.#eachMark(plot, (x, kind, row) => this.#drawShape(plot, x, kind, row))], setCursor: [(plot) => this.tell(plot.cursor.left < 0 ? null : plot.cursor.idx)] },
    };
  }

  #tick(n) {
    if (this.chart.unit === milliseconds) return n ? milliseconds(n) : "0";
    if (Number.isInteger(n)) return number(n);
    return this.chart.unit === count ? "" : this.chart.unit(n);
  }

  #series(label, tone) {
    const stroke = this.colours[tone];
    const series = { label, stroke, width: 1.6, dash: DASHES[tone], points: { show: true, size: 4, stroke, fill: stroke, filter: alone } };
    if (this.chart.stepped) series.paths = uPlot.paths.stepped({ align: 1 });
    return series;
  }

  // Draw what is in sight. Marks of a kind that would cover one another are drawn once, those of
  // different kinds one below the other.
  #eachMark(plot, draw) {
    const { ctx, bbox } = plot;
    const taken = new Map();
    const rows = Array(ROWS).fill(-1e9);
    ctx.save();
    for (const { t, kind } of this.view.marks ?? []) {
      const x = Math.round(plot.valToPos(t, "x", true));
      if (x < bbox.left || x > bbox.left + bbox.width) continue;
      const isFree = (last) => Math.abs(last - x) >= 12 * devicePixelRatio;
      const row = rows.findIndex(isFree);
      if (row < 0 || !isFree(taken.get(kind) ?? -1e9)) continue;
      taken.set(kind, x);
      rows[row] = x;
      draw(x, kind, row);
    }
    ctx.restore();
  }

  #drawLine({ ctx, bbox }, x) {
    ctx.globalAlpha = 0.5;
    ctx.fillStyle = this.colours.mark;
    ctx.fillRect(x, bbox.top, 1, bbox.height);
    ctx.globalAlpha = 1;
  }

  #drawShape({ ctx, bbox }, x, kind, row) {
    const ratio = devicePixelRatio;
    ctx.fillStyle = this.colours[kind] ?? this.colours.text;
    ctx.setTransform(ratio, 0, 0, ratio, x - 6 * ratio, bbox.top + bbox.height + (5 + row * 13) * ratio);
    ctx.fill(outline(markOf(kind).shape), "evenodd");
    ctx.setTransform(1, 0, 0, 1, 0, 0);
  }
}

const TONES = { text: "--quiet", grid: "--line", mark: "--strong-line", a: "--tone-a", b: "--tone-b", c: "--tone-c", d: "--tone-d", kill: "--bad", fault: "--warn", freeze: "--cold", thaw: "--warn", cold: "--tone-a", "scale-out": "--good" };

// Return the theme's colours as a canvas takes them: computed, for a variable may hold two themes'.
function coloursOf(node) {
  const probe = h("span", { hidden: true });
  node.append(probe);
  const colours = {};
  for (const [name, variable] of Object.entries(TONES)) {
    probe.style.color = `var(${variable})`;
    colours[name] = getComputedStyle(probe).color;
  }
  probe.remove();
  return colours;
}
