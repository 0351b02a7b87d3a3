// A field for JSON with numbered lines, in which what is wrong stands in place.

import { h, setAttribute, setText } from "./dom.js";

const NUMBERED = 5000; // lines; a longer text has no numbers

export class Editor {
  constructor({ id, label, changed }) {
    this.marked = new Map();
    this.changed = changed;
    this.lines = h("div", { class: "editor-lines", "aria-hidden": "true" });
    this.area = h("textarea", { id, spellcheck: "false", autocomplete: "off", wrap: "off", rows: 16, "aria-describedby": `${id}-errors` });
    this.state = h("p", { class: "quiet" });
    this.errors = h("ul", { class: "editor-errors", id: `${id}-errors`, "aria-live": "polite" });
    this.node = h("div", { class: "editor" }, h("label", { for: id }, label),
      h("div", { class: "editor-box" }, this.lines, this.area), this.state, this.errors);
    this.area.addEventListener("input", () => (this.#number(), changed()));
    this.area.addEventListener("scroll", () => { this.lines.scrollTop = this.area.scrollTop; });
    this.area.addEventListener("keydown", (event) => this.#key(event));
  }

  text() {
    return this.area.value;
  }

  set(text) {
    this.area.value = text;
    this.area.scrollTop = 0;
    this.mark([], null);
  }

  // Show these errors: their lines are marked, each leads to its place.
  mark(errors, type) {
    this.marked = new Map(errors.filter((e) => e.line).map((e) => [e.line, e.message]));
    setAttribute(this.area, "aria-invalid", errors.length ? "true" : null);
    this.errors.replaceChildren(...errors.slice(0, 20).map((each) => this.#entry(each)));
    const rest = errors.length ? "No JSON: it is sent as it is." : "";
    setText(this.state, type ? (errors.length ? "" : `Fits the type ${type}.`) : rest);
    this.#number();
  }

  #entry({ line, column, path, message }) {
    const place = line ? `Line ${line}${column ? `, column ${column}` : ""}` : path || "The event";
    const text = `${place}: ${message}`;
    if (!line) return h("li", null, text);
    return h("li", null, h("button", { type: "button", class: "link", onclick: () => this.#goTo(line, column ?? 1) }, place), `${path ? ` (${path})` : ""}: ${message}`);
  }

  #goTo(line, column) {
    const lines = this.area.value.split("\n");
    const at = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0) + column - 1;
    this.area.focus();
    this.area.setSelectionRange(at, at);
    this.area.scrollTop = Math.max(0, (line - 4) * parseFloat(getComputedStyle(this.area).lineHeight));
  }

  #number() {
    const count = this.area.value.split("\n").length;
    if (count > NUMBERED) return this.lines.replaceChildren();
    while (this.lines.childElementCount > count) this.lines.lastChild.remove();
    while (this.lines.childElementCount < count) this.lines.append(h("span", null, this.lines.childElementCount + 1));
    [...this.lines.children].forEach((each, index) => {
      const message = this.marked.get(index + 1);
      each.classList.toggle("wrong", Boolean(message));
      setAttribute(each, "title", message);
    });
    this.lines.scrollTop = this.area.scrollTop;
  }

  // Enter keeps the indent. Tab leaves the field, as everywhere.
  #key(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.isComposing) return;
    const before = this.area.value.slice(0, this.area.selectionStart);
    const indent = /(?:^|\n)([ \t]*)[^\n]*$/.exec(before)?.[1] ?? "";
    if (!indent) return;
    event.preventDefault();
    this.area.setRangeText(`\n${indent}`, this.area.selectionStart, this.area.selectionEnd, "end");
    this.#number();
    this.changed();
  }
}
