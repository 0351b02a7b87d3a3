// What the list of calls and one call in full both show.

import { h } from "./dom.js";
import { PARTS } from "./words.js";

export function notesOf(c) {
  const notes = [];
  if (c.type !== "sync") notes.push(c.type);
  if (c.cold) notes.push("cold");
  if (c.retry) notes.push(`try ${c.retry + 1}`);
  notes.push(...(c.warnings ?? []));
  return notes;
}

// Return a bar of a duration's parts, whole in width: how a call's time is divided.
export function splitBar() {
  const parts = PARTS.map(([name]) => h("span", { class: `part part-${name}` }));
  const node = h("span", { class: "split", "aria-hidden": "true" }, parts);
  node.draw = (ms) => {
    const total = PARTS.reduce((sum, [name]) => sum + (ms?.[name] ?? 0), 0);
    PARTS.forEach(([name], index) => {
      parts[index].style.flexGrow = String(total ? (ms[name] ?? 0) / total : 0);
    });
    node.classList.toggle("none", !total);
  };
  return node;
}
