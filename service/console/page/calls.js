// The calls, newest first, filtered; one of them in full beside them.

import { getJson } from "./api.js";
import { showCall } from "./call.js";
import { h, setAttribute, setText, shape } from "./dom.js";
import { bytes, clock, milliseconds, number, plural } from "./format.js";
import { Grid } from "./grid.js";
import { notesOf, splitBar } from "./parts.js";
import { store } from "./store.js";
import { statusOf } from "./words.js";

const QUIET = 300; // milliseconds without a key, after which the server is asked
const KEPT_OLDER = 4000; // calls that the list holds beside the live ones

const COLUMNS = [
  ["Time", "time"], ["Status", "status"], ["Function", "function"], ["Instance", "instance"],
  ["Duration", "duration"], ["Size", "size"], ["Notes", "notes"], ["Request", "id"],
];

export function mount(root, rest) {
  const view = new CallsView(root);
  view.go(rest);
  return view;
}

class CallsView {
  constructor(root) {
    this.older = new Map(); // what the server found beyond the live ones
    this.held = null; // the list, while it is held
    this.opened = null;
    this.grid = new Grid({ label: "Calls, newest first", columns: COLUMNS, row, open: (call) => this.#visit(call.id), end: () => this.#more() });
    this.#makeFilters();
    this.told = h("p", { class: "quiet list-told", role: "status" });
    this.empty = h("p", { class: "empty" });
    this.list = h("div", { class: "calls-list" }, this.filters, this.told, this.empty, this.grid.node);
    this.panel = h("section", { class: "calls-panel", "aria-label": "Call", hidden: true });
    root.append(h("div", { class: "calls" }, this.list, this.panel));
    this.#draw();
    this.#search();
  }

  #makeFilters() {
    const kept = (name) => sessionStorage.getItem(`calls-${name}`) ?? "";
    this.func = h("select", { id: "filter-function" });
    this.status = h("select", { id: "filter-status" }, h("option", { value: "" }, "all"),
      ["running", "ok", "error", "refused"].map((each) => h("option", { value: each }, each)));
    this.text = h("input", { id: "filter-text", type: "search", placeholder: "id, error, event, result, log", autocomplete: "off", spellcheck: "false", value: kept("text") });
    this.hold = h("button", { type: "button", "aria-pressed": "false", onclick: () => this.#toggleHold() }, "Hold");
    this.filters = h("form", { class: "filters", role: "search" },
      h("label", null, h("span", null, "Function"), this.func),
      h("label", null, h("span", null, "Status"), this.status),
      h("label", { class: "wide" }, h("span", null, "Text"), this.text), this.hold);
    this.filters.addEventListener("submit", (event) => event.preventDefault());
    this.filters.addEventListener("input", () => this.#filtered());
    this.#functions(kept("function"));
    this.status.value = kept("status");
  }

  #functions(chosen) {
    const names = [...store.functions.keys()];
    if (this.names === names.join("\n")) return;
    this.names = names.join("\n");
    this.func.replaceChildren(h("option", { value: "" }, "all"), ...names.map((name) => h("option", { value: name }, name)));
    this.func.value = names.includes(chosen) ? chosen : "";
  }

  #filtered() {
    for (const [name, field] of [["function", this.func], ["status", this.status], ["text", this.text]]) sessionStorage.setItem(`calls-${name}`, field.value);
    this.asked?.abort(); // its answer is to the filters of before
    this.older.clear();
    this.found = null;
    this.grid.node.scrollTop = 0;
    this.held = null;
    setAttribute(this.hold, "aria-pressed", "false");
    this.#draw();
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#search(), QUIET);
  }

  // Ask the server for what the live calls do not tell: the texts of events, results and lines.
  async #search(before = "") {
    this.asked?.abort();
    this.asked = new AbortController();
    const query = new URLSearchParams({ limit: "200" });
    for (const [name, value] of Object.entries({ function: this.func.value, status: this.status.value, text: this.text.value.trim(), before })) if (value) query.set(name, value);
    try {
      const answer = await getJson(`api/calls?${query}`, this.asked.signal);
      this.found ??= new Set();
      for (const call of answer.calls) {
        this.found.add(call.id);
        if (!store.calls.has(call.id)) this.older.set(call.id, call);
      }
      this.isMore = Boolean(answer.more) && this.older.size < KEPT_OLDER;
      this.last = answer.calls.at(-1)?.id;
      this.fault = "";
    } catch (refusal) {
      if (refusal.name === "AbortError") return;
      this.fault = refusal.message;
    }
    this.asked = null;
    this.#draw();
  }

  #more() {
    if (this.isMore && !this.asked && this.last) this.#search(this.last);
  }

  #matches(call) {
    const text = this.text.value.trim().toLowerCase();
    if (this.func.value && call.function !== this.func.value) return false;
    if (this.status.value && call.status !== this.status.value) return false;
    if (!text || this.found?.has(call.id)) return true;
    return [call.id, call.error, call.code, call.instance, store.instances.get(call.instance)?.name]
      .some((each) => each && String(each).toLowerCase().includes(text));
  }

  #draw() {
    if (this.held) return this.#tell(this.held);
    const shown = [];
    for (const call of store.calls.values()) if (this.#matches(call)) shown.push(call);
    shown.reverse();
    const older = [...this.older.values()].filter((call) => !store.calls.has(call.id));
    const all = older.length ? shown.concat(older).sort((a, b) => b.arrived - a.arrived) : shown;
    this.grid.show(all);
    this.#tell(all);
  }

  #tell(list) {
    const isFiltered = this.func.value || this.status.value || this.text.value.trim();
    const count = `${plural(list.length, "call")}${this.isMore ? ", more below" : ""}`;
    const skipped = store.skipped ? ` ${number(store.skipped)} came too fast to be listed live.` : "";
    setText(this.told, this.fault || `${this.held ? "Held: " : ""}${count}${isFiltered ? " that match" : ""}.${skipped}`);
    this.empty.hidden = list.length > 0;
    setText(this.empty, isFiltered ? "No call matches. Esc in the text clears it." : "No calls yet: send one with Send, or call the address of the API.");
    this.grid.node.hidden = !list.length;
  }

  #toggleHold() {
    this.held = this.held ? null : this.grid.items;
    setAttribute(this.hold, "aria-pressed", String(Boolean(this.held)));
    this.#draw();
  }

  // The address tells of a visit a moment later; keys typed meanwhile belong to what is visited.
  #visit(id) {
    location.hash = `#/calls/${encodeURIComponent(id)}`;
    this.go([id]);
  }

  go([id]) {
    if (this.opened?.id === id) return;
    this.opened?.close();
    this.opened = null;
    this.panel.hidden = !id;
    this.list.classList.toggle("beside", Boolean(id));
    if (!id) return;
    this.grid.mark(id);
    this.opened = showCall(this.panel, id, () => this.#leave());
  }

  #leave() {
    location.hash = "#/calls";
    this.go([]);
    this.grid.node.focus();
  }

  escape(event) {
    if (event.target === this.text && this.text.value) {
      this.text.value = "";
      this.#filtered();
    } else if (this.opened) this.#leave();
    else event.target.blur?.();
  }

  key(event) {
    if (["j", "k"].includes(event.key)) {
      this.grid.key(event);
      if (this.opened) this.#visit(this.grid.marked);
      else this.grid.node.focus();
    }
  }

  update(changed) {
    if (changed.has("functions")) this.#functions(sessionStorage.getItem("calls-function") ?? "");
    if (changed.has("snapshot")) {
      this.older.clear();
      this.#search();
    }
    if (changed.has("calls") || changed.has("snapshot")) this.#draw();
    this.opened?.update(changed);
  }

  unmount() {
    this.opened?.close();
    this.asked?.abort();
    clearTimeout(this.waiting);
    this.grid.close();
  }
}

function row(call) {
  const cells = Object.fromEntries(COLUMNS.map(([, name]) => [name, h("span", { role: "gridcell", class: `cell-${name}` })]));
  const form = shape("dots", call.status);
  const status = h("span", null);
  const total = h("span", { class: "ms" });
  const split = splitBar();
  cells.status.append(form, status);
  cells.duration.append(total, split);
  const node = h("div", { role: "row", class: "grid-row grid-item" }, Object.values(cells));
  node.update = (c) => {
    const { text, shape: name } = statusOf(c.status);
    form.draw(name, c.status);
    setText(status, c.error && c.status !== "ok" ? c.error : text);
    setAttribute(node, "data-status", c.status);
    setText(cells.time, clock(c.arrived, 3));
    setText(cells.function, c.function);
    setText(cells.instance, store.instances.get(c.instance)?.name ?? c.instance ?? "–");
    setText(total, c.status === "running" ? "…" : milliseconds(c.ms?.total));
    split.draw(c.ms);
    setText(cells.size, bytes(c.bytes_in));
    setText(cells.notes, notesOf(c).join(", "));
    setText(cells.id, c.id);
  };
  return node;
}
