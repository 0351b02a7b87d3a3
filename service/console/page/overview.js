// Functions, their instances as tiles, and what happens to them.

import { post } from "./api.js";
import { h, keyed, setAttribute, setText, shape, sparkline } from "./dom.js";
import { age, clock, number, plural, rate } from "./format.js";
import { store } from "./store.js";
import { markOf, stateOf } from "./words.js";

const DENSE = 24; // instances of one function, from which on tiles are small
const MARKS_SHOWN = 60;

export function mount(root) {
  const functions = h("div", { class: "functions" });
  const marks = h("ol", { class: "marks", "aria-label": "What happened, newest first", tabindex: "0" });
  const none = h("p", { class: "empty" }, "Nothing yet.");
  const about = h("div", { class: "about" });
  root.append(about, functions,
    h("section", { class: "happened", "aria-labelledby": "happened" },
      h("h2", { id: "happened" }, "As it happens"), none, marks));
  const sections = new Map();
  const entries = new Map();
  const draw = (changed) => {
    if (has(changed, "functions", "instances", "figures", "snapshot")) {
      const own = grouped();
      keyed(functions, sections, [...store.functions.values()], (f) => f.name, section);
      for (const [name, each] of sections) each.draw(own.get(name) ?? []);
    }
    if (has(changed, "snapshot")) drawAbout(about);
    if (has(changed, "marks", "snapshot")) {
      const newest = store.marks.slice(-MARKS_SHOWN).reverse();
      none.hidden = newest.length > 0;
      marks.hidden = !newest.length;
      keyed(marks, entries, newest, markKey, markEntry);
    }
  };
  const ticking = setInterval(() => document.hidden || tickAll(sections), 1000);
  draw(null);
  return { update: draw, unmount: () => clearInterval(ticking) };
}

function drawAbout(place) {
  const facts = [store.spec, store.url && `API at ${store.url}`].filter(Boolean).join(" · ");
  const told = store.warnings;
  place.replaceChildren(...[facts && h("p", null, facts),
    told.length && h("details", null, h("summary", null, plural(told.length, "warning")), h("ul", null, told.map((text) => h("li", null, text))))].filter(Boolean));
}

const has = (changed, ...names) => !changed || names.some((name) => changed.has(name));

function grouped() {
  const own = new Map();
  for (const each of store.instances.values()) {
    if (!own.has(each.function)) own.set(each.function, []);
    own.get(each.function).push(each);
  }
  return own;
}

const markKey = (mark) => mark.n;

function markEntry(mark) {
  const { text, shape: form } = markOf(mark.kind);
  return h("li", { class: `mark mark-${mark.kind}` }, shape(form, mark.kind),
    h("span", { class: "mark-text" }, mark.text || `${mark.function}: ${text}`),
    h("time", { class: "quiet", datetime: new Date(mark.t * 1000).toISOString() }, clock(mark.t)));
}

function section(func) {
  const id = `f-${func.name}`;
  const facts = h("p", { class: "quiet facts" });
  const grid = h("ul", { class: "tiles", "aria-label": `Instances of ${func.name}` });
  const states = h("p", { class: "states" });
  const numbers = h("dl", { class: "numbers" });
  const line = sparkline(120, 28);
  const speed = h("span", { class: "quiet" });
  const timers = h("p", { class: "timers" });
  const idle = h("p", { class: "empty" }, "No instance runs: the next call starts one.");
  const node = h("section", { class: "function", "aria-labelledby": id },
    h("div", { class: "function-head" },
      h("div", { class: "function-name" }, h("h2", { id }, func.name), facts), h("div", { class: "function-rate" }, line, speed)), numbers, states, grid, idle, timers);
  const cells = NUMBERS.map(([title]) => numberCell(numbers, title));
  const tiles = new Map();
  const shownStates = new Map();
  node.update = (f) => {
    setText(facts, factsOf(f));
    NUMBERS.forEach(([, value, bad], index) => cells[index](value(f), bad?.(f)));
    drawTimers(timers, f);
  };
  node.draw = (instances) => {
    const recent = recentCalls(func.name);
    line.draw(recent);
    setText(speed, `${rate(recent.slice(-10).reduce((total, n) => total + n, 0) / 10)} calls/s`);
    setAttribute(grid, "data-dense", instances.length > DENSE ? "" : null);
    keyed(grid, tiles, instances, (i) => i.id, tile);
    rove(grid);
    keyed(states, shownStates, countStates(instances), ([state]) => state, stateCount);
    grid.hidden = !instances.length;
    idle.hidden = instances.length > 0 || !store.offers.has("instances");
  };
  node.tick = () => tiles.forEach((each) => each.tick());
  grid.addEventListener("keydown", (event) => move(grid, event));
  return node;
}

// Ages grow, and what is "of the last seconds" passes, though nothing was told.
function tickAll(sections) {
  const own = grouped();
  for (const [name, each] of sections) {
    each.draw(own.get(name) ?? []);
    each.tick();
  }
}

const NUMBERS = [
  ["in flight", (f) => number(f.in_flight)],
  ["queued", (f) => number(f.queued)],
  ["calls", (f) => number(f.calls)],
  ["errors", (f) => number(f.errors), (f) => f.errors > 0],
  ["throttled", (f) => number(f.throttled), (f) => f.throttled > 0],
  ["cold starts", (f) => number(f.cold)],
];

function numberCell(list, title) {
  const value = h("dd", null, "0");
  list.append(h("div", null, h("dt", null, title), value));
  return (text, bad) => {
    setText(value, text);
    setAttribute(value, "class", bad ? "bad" : null);
  };
}

function factsOf(f) {
  const parts = [`${number(f.concurrency)} at once`];
  if (f.memory) parts.push(`${number(f.memory)} MB`);
  if (f.cpu) parts.push(`${f.cpu} vCPU`);
  if (f.timeout) parts.push(`${f.timeout} s limit`);
  if (f.asynchronous?.task) parts.push("async tasks");
  if (f.provisioned) parts.push(`${number(f.provisioned)} provisioned`);
  for (const each of f.triggers ?? []) {
    parts.push(`${each.type} ${each.name}${each.enabled === false ? " (off)" : ""}`);
  }
  return parts.join(" · ");
}

function drawTimers(place, f) {
  const timers = store.offers.has("timers") ? (f.triggers ?? []).filter((t) => t.type === "timer") : [];
  const wanted = timers.map((t) => t.name).join("\n");
  if (place.dataset.timers === wanted) return;
  place.dataset.timers = wanted;
  const said = h("span", { role: "status" });
  place.replaceChildren(...timers.map((t) => h("button", {
    type: "button",
    onclick: () => fire(f.name, t.name, said),
  }, `Fire ${t.name} now`)), said);
  place.hidden = !timers.length;
}

async function fire(name, trigger, said) {
  try {
    const { ids } = await post("api/timers", { function: name, trigger });
    said.replaceChildren("Fired: ", h("a", { href: `#/calls/${encodeURIComponent(ids?.[0] ?? "")}` }, "see the call"));
  } catch (refusal) {
    setText(said, refusal.message);
  }
}

function recentCalls(name) {
  const own = store.figures.get(name);
  const now = Math.floor(store.time());
  return Array.from({ length: 60 }, (_, i) => own?.get(now - 60 + i)?.calls ?? 0);
}

function countStates(instances) {
  const counts = new Map();
  for (const { state } of instances) counts.set(state, (counts.get(state) ?? 0) + 1);
  return [...counts];
}

function stateCount([state]) {
  const { text, shape: form } = stateOf(state);
  const label = document.createTextNode("");
  const node = h("span", { class: "state-count" }, shape(form, state), label);
  node.update = ([, count]) => { label.data = `${number(count)} ${text}`; };
  return node;
}

function tile(first) {
  const form = shape("dots", first.state);
  const state = h("span", { class: "tile-state" });
  const flight = h("span", { class: "tile-flight" });
  const fill = h("span", { class: "bar-fill" });
  const memoryFill = h("span", { class: "bar-fill" });
  const memory = h("span", { class: "bar bar-memory" }, memoryFill);
  const rest = h("span", { class: "tile-rest" });
  const button = h("button", { type: "button", class: "tile", tabindex: "-1" },
    h("span", { class: "tile-head" }, h("span", { class: "tile-name" }, first.name), h("span", { class: "tile-badge" }, form, state)),
    h("span", { class: "bar" }, fill), flight, memory, rest);
  const node = h("li", null, button);
  let shown = first;
  node.tick = () => setText(rest, restOf(shown));
  node.update = (instance) => {
    shown = instance;
    const { text, shape: name } = stateOf(instance.state);
    form.draw(name, instance.state);
    setText(state, text);
    setText(flight, `${number(instance.in_flight)} of ${number(instance.concurrency)} in flight`);
    fill.style.width = share(instance.in_flight, instance.concurrency);
    memoryFill.style.width = share(instance.memory_mb, memoryOf(instance));
    memory.hidden = !instance.memory_mb;
    setAttribute(button, "data-state", instance.state);
    node.tick();
  };
  button.addEventListener("click", () => openInstance(shown.id));
  return node;
}

const memoryOf = (instance) => store.functions.get(instance.function)?.memory ?? 0;
const share = (part, whole) => `${whole ? Math.min(100, (100 * (part ?? 0)) / whole) : 0}%`;

function restOf(i) {
  const memory = i.memory_mb ? `${number(Math.round(i.memory_mb))} MB · ` : "";
  return `${memory}${age(store.time() - i.created)} · ${plural(i.served ?? 0, "call")}`;
}

// One tile of a function is reached by Tab, the others by arrows.
function rove(grid) {
  const buttons = grid.querySelectorAll("button");
  if (buttons.length && !grid.querySelector('button[tabindex="0"]')) buttons[0].tabIndex = 0;
}

function move(grid, event) {
  const buttons = [...grid.querySelectorAll("button")];
  const at = buttons.indexOf(document.activeElement);
  const columns = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: buttons.length - 1 - at }[event.key];
  if (step === undefined || at < 0) return;
  event.preventDefault();
  const next = buttons[Math.max(0, Math.min(buttons.length - 1, at + step))];
  buttons[at].tabIndex = -1;
  next.tabIndex = 0;
  next.focus();
}

const ACTIONS = { freeze: "Freeze", thaw: "Thaw", kill: "Kill" };

// Show one instance with what can be done to it.
function openInstance(id) {
  const facts = h("dl", { class: "pairs" });
  const state = h("p", { class: "dialog-state" });
  const said = h("p", { role: "status", class: "said" });
  const actions = h("p", { class: "actions" });
  const name = store.instances.get(id)?.name ?? id;
  const dialog = h("dialog", { "aria-labelledby": "instance-title", class: "instance" },
    h("h2", { id: "instance-title" }, `Instance ${name}`), state, facts, actions, said,
    h("form", { method: "dialog" }, h("button", null, "Close")));
  const draw = () => {
    const instance = store.instances.get(id);
    const { text, shape: form } = stateOf(instance?.state ?? "stopped");
    state.replaceChildren(shape(form, instance?.state ?? "stopped"), text);
    if (instance) facts.replaceChildren(...instanceFacts(instance));
    for (const each of actions.querySelectorAll("button")) each.disabled = !instance;
  };
  actions.append(...actionsOf(id, said));
  const quiet = store.listen((changed) => has(changed, "instances", "snapshot") && draw());
  dialog.addEventListener("close", () => (quiet(), dialog.remove()));
  draw();
  document.body.append(dialog);
  dialog.showModal();
}

function actionsOf(id, said) {
  const instance = store.instances.get(id);
  const offered = store.offers.has("faults") ? Object.keys(ACTIONS) : [];
  const buttons = offered.map((kind) => h("button", { type: "button", onclick: () => act(kind, instance, said) }, ACTIONS[kind]));
  const link = h("a", { href: "#/calls", onclick: (event) => {
    event.currentTarget.closest("dialog").close();
    sessionStorage.setItem("calls-text", instance?.name ?? id);
  } }, "Its calls");
  return [...buttons, link];
}

async function act(kind, instance, said) {
  setText(said, "…");
  try {
    const answer = await post("api/faults", { kind, instance: instance.id });
    store.setFaults(answer.faults);
    setText(said, `Done: ${ACTIONS[kind].toLowerCase()}.`);
  } catch (refusal) {
    setText(said, refusal.message);
  }
}

function instanceFacts(i) {
  const pairs = [
    ["function", i.function],
    ["id", i.id],
    ["in flight", `${number(i.in_flight)} of ${number(i.concurrency)}`],
    ["memory", i.memory_mb ? `${number(Math.round(i.memory_mb))} MB, at most ${number(Math.round(i.peak_mb ?? i.memory_mb))} MB of ${number(memoryOf(i))} MB` : "–"],
    ["age", age(store.time() - i.created)],
    ["calls served", number(i.served)],
    ["provisioned", i.provisioned ? "yes" : "no"],
  ];
  return pairs.map(([title, text]) => h("div", null, h("dt", null, title), h("dd", null, text)));
}
