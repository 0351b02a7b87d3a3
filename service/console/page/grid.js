// A list of any length of which only the rows in sight are elements. One row is marked; the keys
// move the mark, and `open(item)` is what Enter and a click do.

import { h, setAttribute } from "./dom.js";

const BEYOND = 6; // rows above and below what is in sight

export class Grid {
  constructor({ label, columns, row, open, end }) {
    Object.assign(this, { row, open, end, items: [], marked: null, made: new Map(), top: 0 });
    this.body = h("div", { class: "grid-body", role: "rowgroup" });
    this.head = h("div", { class: "grid-head", role: "rowgroup" },
      h("div", { class: "grid-row", role: "row", "aria-rowindex": "1" },
        columns.map(([title, name]) => h("span", { role: "columnheader", class: `cell-${name}` }, title))));
    this.node = h("div", { class: "grid", role: "grid", tabindex: "0", "aria-label": label }, this.head, this.body);
    this.node.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.node.addEventListener("keydown", (event) => this.key(event));
    this.body.addEventListener("click", (event) => this.#clicked(event));
    this.resized = new ResizeObserver(() => this.draw());
    this.resized.observe(this.node);
  }

  close() {
    this.resized.disconnect();
  }

  // Show these items; those in sight stay in sight unless the list stands at its top.
  show(items) {
    const atTop = this.node.scrollTop < 4;
    const first = this.first(); // it may be scrolled, and not be drawn there yet
    const anchor = atTop ? null : this.items[first];
    this.items = items;
    this.places = null;
    if (anchor) {
      const at = items.findIndex((item) => item.id === anchor.id);
      const offset = this.node.scrollTop % this.height();
      if (at >= 0 && at !== first) this.node.scrollTop = at * this.height() + offset;
    }
    this.draw();
    return atTop;
  }

  height() {
    if (!this.rowHeight || this.measured !== this.node.clientWidth) {
      this.measured = this.node.clientWidth;
      this.rowHeight = parseFloat(getComputedStyle(this.node).getPropertyValue("--row-px")) || this.#measure();
    }
    return this.rowHeight;
  }

  #measure() {
    const probe = h("div", { class: "grid-row grid-item" });
    this.body.append(probe);
    const height = probe.getBoundingClientRect().height || 36;
    probe.remove();
    return height;
  }

  first() {
    return Math.max(0, Math.floor(this.node.scrollTop / this.height()));
  }

  draw() {
    const height = this.height();
    const first = this.first();
    const from = Math.max(0, first - BEYOND);
    const to = Math.min(this.items.length, first + Math.ceil(this.node.clientHeight / height) + BEYOND);
    this.body.style.height = `${this.items.length * height}px`;
    setAttribute(this.node, "aria-rowcount", this.items.length + 1);
    const kept = new Set();
    for (let at = from; at < to; at++) kept.add(this.#place(at, height));
    for (const [id, node] of this.made) {
      if (kept.has(id)) continue;
      node.remove();
      this.made.delete(id);
    }
    const mark = this.made.get(this.marked);
    setAttribute(this.node, "aria-activedescendant", mark ? mark.id : null);
  }

  #place(at, height) {
    const item = this.items[at];
    let node = this.made.get(item.id);
    if (!node) {
      node = this.row(item);
      node.id = `row-${item.id}`;
      node.dataset.id = item.id;
      this.made.set(item.id, node);
      this.body.append(node);
    }
    if (node.item !== item) node.update(item);
    node.item = item;
    if (node.at !== at || node.height !== height) {
      node.style.transform = `translateY(${at * height}px)`;
      setAttribute(node, "aria-rowindex", at + 2);
      Object.assign(node, { at, height });
    }
    setAttribute(node, "aria-selected", String(item.id === this.marked));
    return item.id;
  }

  #scrolled() {
    if (this.drawing) return;
    this.drawing = true;
    requestAnimationFrame(() => {
      this.drawing = false;
      this.draw();
      if (this.node.scrollTop + this.node.clientHeight > this.node.scrollHeight - 200) this.end?.();
    });
  }

  #clicked(event) {
    const node = event.target.closest("[data-id]");
    if (!node) return;
    this.mark(node.dataset.id);
    this.open(node.item);
  }

  mark(id) {
    this.marked = id;
    this.draw();
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.node.clientHeight / this.height()) - 1);
    const steps = { ArrowDown: 1, j: 1, ArrowUp: -1, k: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const at = this.items.findIndex((item) => item.id === this.marked);
    if (event.key === "Enter" && at >= 0) return this.open(this.items[at]);
    const step = steps[event.key];
    if (step === undefined || !this.items.length) return;
    event.preventDefault();
    const next = Math.max(0, Math.min(this.items.length - 1, at + step));
    this.mark(this.items[next].id);
    this.#reveal(next);
  }

  #reveal(at) {
    const height = this.height();
    const room = this.node.clientHeight - this.head.offsetHeight;
    if (at * height < this.node.scrollTop) this.node.scrollTop = at * height;
    else if ((at + 1) * height > this.node.scrollTop + room) this.node.scrollTop = (at + 1) * height - room;
  }
}
