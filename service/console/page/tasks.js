// Asynchronous tasks: their tries, what they wait for, where their results go.

import { h, keyed, setText, shape } from "./dom.js";
import { age, clock, number, plural } from "./format.js";
import { store } from "./store.js";
import { statusOf } from "./words.js";

const SHOWN = 200;

const SHAPES = {
  enqueued: "hollow", dequeued: "half", running: "dots", stopping: "hollow", retrying: "loop", succeeded: "check", failed: "cross",
  expired: "bar", stopped: "square", invalid: "cross",
};

export function mount(root) {
  const told = h("p", { class: "quiet" });
  const list = h("ol", { class: "tasks", "aria-label": "Tasks, newest first" });
  const made = new Map();
  root.append(told, list);
  const draw = (changed) => {
    if (changed && !changed.has("tasks") && !changed.has("snapshot")) return;
    const all = [...store.tasks.values()].reverse();
    const shown = all.slice(0, SHOWN);
    keyed(list, made, shown, (task) => task.request_id, entry);
    const rest = all.length - shown.length;
    setText(told, all.length ? `${plural(all.length, "task")}${rest ? `, the newest ${number(SHOWN)} shown` : ""}.` : "No asynchronous tasks yet. Send an event with “asynchronously”, and its tries appear here.");
  };
  const ticking = setInterval(() => document.hidden || made.forEach((node) => node.tick()), 1000);
  draw(null);
  return { update: draw, unmount: () => clearInterval(ticking) };
}

function entry(first) {
  const form = shape("hollow", "task");
  const status = h("span");
  const facts = h("p", { class: "quiet" });
  const next = h("p", { class: "task-next" });
  const events = h("ol", { class: "task-events" });
  const node = h("li", { class: "task" },
    h("div", { class: "task-head" }, h("span", { class: "status" }, form, status),
      h("a", { href: `#/calls/${encodeURIComponent(first.request_id)}` }, h("code", null, first.id))),
    facts, next, events);
  let shown = first;
  node.tick = () => {
    const due = shown.next_at ? shown.next_at - store.time() : -1;
    setText(next, due > 0 ? `Next try in ${age(due)}.` : "");
    next.hidden = due <= 0;
  };
  node.update = (task) => {
    if (node.item === task) return;
    node.item = shown = task;
    const name = String(task.status).toLowerCase();
    form.draw(SHAPES[name] ?? statusOf(name).shape, `task-${name}`);
    setText(status, task.status);
    setText(facts, [task.function, plural(task.tries ?? 0, "try", "tries"), task.destination && `then to ${task.destination}`].filter(Boolean).join(" · "));
    events.replaceChildren(...(task.events ?? []).map((each) => h("li", null, h("time", { class: "quiet" }, clock(each.t, 3)), h("span", null, each.text))));
    node.tick();
  };
  return node;
}
