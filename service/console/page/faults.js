// Faults that the emulator can make: freeze, kill, drop, delay, skew, fill.

import { post } from "./api.js";
import { h, setAttribute, setText, shape } from "./dom.js";
import { number } from "./format.js";
import { store } from "./store.js";

// `takes` is the amount's name in the request: its label, first value, step, least and most.
const KINDS = [
  { kind: "freeze", title: "Freeze", text: "Its processes stand still, as an idle instance's on the platform: no timer runs, no answer comes." },
  { kind: "thaw", title: "Thaw", text: "Its processes run on; the clock has moved meanwhile." },
  { kind: "kill", title: "Kill", text: "Its processes end at once, as if memory had run out: its calls fail, the next start anew." },
  { kind: "drop", title: "Drop connections", text: "The connections to it are cut, with whatever is under way on them." },
  { kind: "fill_memory", title: "Fill memory", text: "So much of its memory is taken; 0 gives it back.", takes: ["mb", "MB", 100, 1, 0, 65536], button: "Fill" },
  { kind: "initializer_delay", title: "Delay the initializer", text: "Each instance that starts needs so much longer; 0 ends it.", takes: ["seconds", "Seconds", 5, "any", 0, 600], all: true, button: "Delay" },
  { kind: "clock_skew", title: "Skew the clock", text: "Instances that start have a clock so far ahead (or, with -, behind); 0 ends it.", takes: ["seconds", "Seconds", 3600, "any", -315360000, 315360000], all: true, button: "Skew" },
];

export function mount(root) {
  const active = h("ul", { class: "active-faults", "aria-label": "Faults that last" });
  const none = h("p", { class: "empty" }, "No fault is on.");
  const said = h("p", { class: "said", role: "status" });
  const pickers = [];
  root.append(h("section", { class: "card", "aria-labelledby": "faults-on" }, h("h2", { id: "faults-on" }, "On now"), none, active, said),
    h("div", { class: "fault-forms" }, KINDS.map((kind) => formOf(kind, said, pickers))));
  const draw = (changed) => {
    const has = (...names) => !changed || names.some((name) => changed.has(name));
    if (has("instances", "functions", "snapshot")) for (const pick of pickers) pick();
    if (!has("faults", "snapshot")) return;
    const faults = lasting();
    none.hidden = faults.length > 0;
    active.replaceChildren(...faults.map((fault) => activeOf(fault, said)));
  };
  draw(null);
  return { update: draw };
}

// Return what is on, each with its words and the request that ends it.
function lasting() {
  const { initializer_delay: delay, clock_skew: skew, filled } = store.faults;
  const found = [];
  if (delay) found.push([`Initializers take ${delay} s longer`, { kind: "initializer_delay", seconds: 0 }]);
  if (skew) found.push([`Clocks of instances that start are ${number(skew)} s ahead`, { kind: "clock_skew", seconds: 0 }]);
  for (const [instance, mb] of Object.entries(filled ?? {})) {
    const name = store.instances.get(instance)?.name ?? instance;
    found.push([`${name} has ${number(mb)} MB taken`, { kind: "fill_memory", instance, mb: 0 }]);
  }
  return found;
}

function activeOf([text, end], said) {
  const off = () => change(end, said, "Switched off.");
  return h("li", null, shape("triangle", "warning"), h("span", null, text),
    h("button", { type: "button", "aria-label": `Switch off: ${text}`, onclick: off }, "Switch off"));
}

function formOf({ kind, title, text, takes, all, button }, said, pickers) {
  const id = `fault-${kind}`;
  const target = all ? null : h("select", { id: `${id}-of` });
  if (target) {
    target.addEventListener("change", () => { target.picked = true; });
    pickers.push(() => fillTargets(target));
    fillTargets(target);
  }
  const [field, label, value, step, min, max] = takes ?? [];
  const amount = takes && h("input", { id: `${id}-amount`, type: "number", value, step, min, max, required: true });
  const form = h("form", { class: "card fault", "aria-labelledby": id },
    h("h2", { id }, title), h("p", { class: "quiet" }, text),
    h("div", { class: "fields" }, target && h("label", null, h("span", null, "Instance"), target),
      amount && h("label", { class: "short" }, h("span", null, label), amount),
      h("button", null, button ?? title)));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = { kind, ...(target ? JSON.parse(target.value || "{}") : {}) };
    if (amount) body[field] = Number(amount.value);
    change(body, said, `${title}: done.`);
  });
  return form;
}

function fillTargets(select) {
  const targets = [...store.instances.values()].filter((i) => i.state !== "stopped")
    .map((i) => [{ instance: i.id }, `${i.name} of ${i.function}, ${i.state}`]);
  const names = new Set([...store.instances.values()].map((i) => i.function));
  for (const name of names) targets.push([{ function: name }, `all of ${name}`]);
  // What the user picked stays picked when it goes: a fault meant for it shall not hit another.
  if (select.picked && !targets.some(([value]) => JSON.stringify(value) === select.value)) {
    targets.push([JSON.parse(select.value), `${select.selectedOptions[0].text.split(",")[0]}, gone`]);
  }
  const wanted = JSON.stringify(targets);
  if (select.targets === wanted) return;
  select.targets = wanted;
  const chosen = select.value;
  const options = targets.map(([value, text]) => h("option", { value: JSON.stringify(value) }, text));
  select.replaceChildren(...(options.length ? options : [h("option", { value: "" }, "no instance runs")]));
  if (targets.some(([value]) => JSON.stringify(value) === chosen)) select.value = chosen;
  else select.picked = false;
  setAttribute(select, "disabled", options.length ? null : "");
}

async function change(body, said, done) {
  try {
    store.setFaults((await post("api/faults", body)).faults);
    setText(said, done);
  } catch (refusal) {
    setText(said, refusal.message);
  }
}
