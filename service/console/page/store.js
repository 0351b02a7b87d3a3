// What the page knows of the server: the last snapshot and the changes since, bounded.

export const KEPT_CALLS = 2000;
export const KEPT_MARKS = 500;
export const KEPT_SECONDS = 900;

const byName = (list) => new Map(list.map((each) => [each.name, each]));
const byRequest = (list) => new Map(list.map((each) => [each.request_id, each]));
const byId = (list) => new Map(list.map((each) => [each.id, each]));

export class Store {
  constructor() {
    this.state = "connecting"; // or "live", "lost", "refused"
    this.why = "";
    this.listeners = new Set();
    this.changed = new Set();
    this.clear();
  }

  clear() {
    Object.assign(this, {
      offers: new Set(), version: "", source: "", spec: "", url: "", now: 0, offset: 0,
      functions: new Map(), instances: new Map(), calls: new Map(), tasks: new Map(),
      figures: new Map(), marks: [], faults: {}, warnings: [], skipped: 0, started: 0,
    });
  }

  // Return the server's time now, in unix seconds.
  time() {
    return Date.now() / 1000 + this.offset;
  }

  snapshot(data) {
    this.clear();
    this.offers = new Set(data.offers ?? []);
    for (const name of ["version", "source", "spec", "started", "url"]) this[name] = data[name] ?? "";
    this.warnings = data.warnings ?? [];
    this.functions = byName(data.functions ?? []);
    this.instances = byId(data.instances ?? []);
    this.tasks = byRequest(data.tasks ?? []);
    this.marks = data.marks ?? [];
    this.#setNow(data.now);
    this.#addCalls(data.calls ?? []);
    this.#addFigures(data.figures ?? []);
    this.setFaults(data.faults);
    this.tell("functions", "instances", "calls", "tasks", "figures", "marks", "faults", "snapshot");
  }

  change(data) {
    this.#setNow(data.now);
    for (const each of data.functions ?? []) this.functions.set(each.name, each);
    for (const each of data.instances ?? []) this.instances.set(each.id, each);
    for (const id of data.gone ?? []) this.instances.delete(id);
    for (const each of data.tasks ?? []) this.tasks.set(each.request_id, each);
    if (data.tasks) drop(this.tasks, KEPT_CALLS);
    if (data.marks) this.#addMarks(data.marks);
    if (data.calls) this.#addCalls(data.calls);
    if (data.figures) this.#addFigures(data.figures);
    if (data.faults) this.setFaults(data.faults);
    this.skipped += data.skipped ?? 0;
    const told = ["functions", "calls", "tasks", "figures", "marks", "faults"].filter((n) => data[n]);
    if (data.instances || data.gone) told.push("instances");
    this.tell(...told);
  }

  setFaults(faults) {
    this.faults = faults ?? {};
    this.tell("faults");
  }

  setState(state, why = "") {
    if (state === this.state && why === this.why) return;
    this.state = state;
    this.why = why;
    this.tell("state");
  }

  // Tell the views, once before the next picture: a burst of changes is drawn as one.
  tell(...names) {
    if (!this.changed.size && names.length) requestAnimationFrame(() => this.#flush());
    for (const name of names) this.changed.add(name);
  }

  listen(listener) {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  #flush() {
    const changed = this.changed;
    this.changed = new Set();
    for (const listener of [...this.listeners]) listener(changed);
  }

  #setNow(now) {
    if (!now) return;
    this.now = now;
    this.offset = now - Date.now() / 1000;
  }

  #addCalls(calls) {
    // The newest stand at the end: a call keeps its place, whatever becomes of it later.
    const fresh = calls.filter((call) => !this.calls.has(call.id));
    for (const call of calls) if (this.calls.has(call.id)) this.calls.set(call.id, call);
    fresh.sort((a, b) => a.arrived - b.arrived);
    for (const call of fresh) this.calls.set(call.id, call);
    drop(this.calls, KEPT_CALLS);
  }

  #addMarks(marks) {
    // A snapshot may tell already what the first change after it tells.
    const last = this.marks.at(-1)?.n ?? -1;
    this.marks = this.marks.concat(marks.filter((mark) => mark.n > last)).slice(-KEPT_MARKS);
  }

  #addFigures(figures) {
    for (const each of figures) {
      let own = this.figures.get(each.function);
      if (!own) this.figures.set(each.function, (own = new Map()));
      own.set(each.t, each);
    }
    for (const own of this.figures.values()) drop(own, KEPT_SECONDS);
  }
}

function drop(map, kept) {
  let over = map.size - kept;
  if (over <= 0) return;
  for (const key of map.keys()) {
    map.delete(key);
    if (--over === 0) return;
  }
}

export const store = new Store();
