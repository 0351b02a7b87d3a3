// Sends events: samples, JSON checked against the type's schema, one or many.

import { callPath, getJson, post, postBytes } from "./api.js";
import { Editor } from "./editor.js";
import { h, setAttribute, setText, shape } from "./dom.js";
import { asText, bytes, fromBase64, number, plural } from "./format.js";
import { store } from "./store.js";

const CHECK_AFTER = 350; // milliseconds without a key
const FIRST_EVENT = '{\n  "name": "you"\n}\n';

export function mount(root, rest) {
  const view = new SendView(root);
  view.go(rest);
  return view;
}

class SendView {
  constructor(root) {
    this.func = h("select", { id: "send-function" });
    this.sample = h("select", { id: "send-sample" }, h("option", { value: "" }, "your own"));
    this.editor = new Editor({ id: "send-event", label: "Event", changed: () => this.#chosen() });
    this.file = h("input", { type: "file", id: "send-file" });
    this.bytes = null; // an event that is no text: {name, data}
    this.chip = h("p", { class: "chip", hidden: true });
    this.async = h("input", { type: "checkbox", id: "send-async" });
    this.asyncField = h("label", { class: "check" }, this.async, h("span", null, "asynchronously"));
    this.count = h("input", { type: "number", id: "send-count", min: 1, max: 10000, value: 1, required: true });
    this.atOnce = h("input", { type: "number", id: "send-at-once", min: 1, max: 1000, value: 1, required: true });
    this.button = h("button", { class: "primary" }, "Send");
    this.said = h("p", { class: "said", role: "status" });
    this.progress = h("div", { class: "progress", hidden: true });
    this.form = this.#makeForm();
    this.timers = h("section", { class: "card", "aria-labelledby": "timers-title" }, h("h2", { id: "timers-title" }, "Timers"));
    root.append(h("div", { class: "send" }, this.form, this.timers));
    this.editor.set(sessionStorage.getItem("send-event") ?? FIRST_EVENT);
    this.#functions();
    this.#samples();
    this.#edited();
  }

  #makeForm() {
    const form = h("form", { class: "card send-form", "aria-labelledby": "send-title" },
      h("h2", { id: "send-title" }, "An event"),
      h("div", { class: "fields" },
        h("label", null, h("span", null, "Function"), this.func),
        h("label", null, h("span", null, "Sample"), this.sample),
        h("label", null, h("span", null, "Or a file"), this.file)),
      this.chip, this.editor.node,
      h("div", { class: "fields" },
        h("label", { class: "short" }, h("span", null, "How many"), this.count),
        h("label", { class: "short" }, h("span", null, "At once"), this.atOnce),
        this.asyncField,
        this.button),
      this.said, this.progress);
    form.addEventListener("submit", (event) => (event.preventDefault(), this.#send()));
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    });
    this.sample.addEventListener("change", () => this.#useSample());
    this.file.addEventListener("change", () => this.#useFile());
    return form;
  }

  async go([id]) {
    this.asked?.abort();
    if (!id) return;
    this.asked = new AbortController();
    try {
      const call = await getJson(callPath(id), this.asked.signal);
      const text = call.event ? asText(fromBase64(call.event.base64), false) : null;
      if (text === null || call.event.cut) return setText(this.said, "That event is binary or too long to edit here: use Send again.");
      sessionStorage.setItem("send-function", call.function); // for when it is not yet known here
      if (store.functions.has(call.function)) this.func.value = call.function;
      this.sample.value = "";
      this.editor.set(text);
      this.#edited();
      setText(this.said, `The event of ${id}.`);
    } catch (refusal) {
      if (refusal.name !== "AbortError") setText(this.said, refusal.message);
    }
  }

  #functions() {
    const names = [...store.functions.keys()];
    if (this.names === names.join("\n")) return;
    this.names = names.join("\n");
    const chosen = this.func.value || sessionStorage.getItem("send-function");
    this.func.replaceChildren(...names.map((name) => h("option", { value: name }, name)));
    if (names.includes(chosen)) this.func.value = chosen;
    this.#drawTimers();
  }

  async #samples() {
    try {
      this.samples = new Map((await getJson("api/samples")).map((each) => [each.name, each]));
    } catch (refusal) {
      return setText(this.said, refusal.message);
    }
    this.sample.append(...[...this.samples.keys()].map((name) => h("option", { value: name }, name)));
    this.sample.value = sessionStorage.getItem("send-sample") ?? "";
    this.#edited();
  }

  #useSample() {
    const sample = this.samples?.get(this.sample.value);
    this.file.value = "";
    if (sample?.text !== undefined) this.editor.set(sample.text);
    this.#useBytes(sample?.base64 === undefined ? null : { name: sample.name, data: fromBase64(sample.base64) });
    this.#chosen();
  }

  #useFile() {
    const [file] = this.file.files;
    this.sample.value = "";
    this.#useBytes(file ? { name: file.name, data: file, size: file.size } : null);
    this.#chosen();
  }

  // Send these bytes in place of the text, or with null the text again.
  #useBytes(taken) {
    this.bytes = taken;
    this.editor.node.hidden = Boolean(taken);
    this.chip.hidden = !taken;
    if (!taken) return;
    const drop = h("button", { type: "button", onclick: () => {
      this.file.value = "";
      this.sample.value = "";
      this.#useBytes(null);
    } }, "Write a text instead");
    this.chip.replaceChildren(h("span", null, `${taken.name}, ${bytes(taken.size ?? taken.data.length)}, is sent as it is.`), drop);
  }

  // What the user writes or picks is not replaced by an event that is asked for still.
  #chosen() {
    this.asked?.abort();
    this.#edited();
  }

  #edited() {
    sessionStorage.setItem("send-event", this.editor.text().slice(0, 1e6));
    sessionStorage.setItem("send-sample", this.sample.value);
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#check(), CHECK_AFTER);
  }

  // Tell in place what is no JSON, or not what the type of the sample says.
  async #check() {
    const type = this.samples?.get(this.sample.value)?.type;
    this.checking?.abort();
    this.checking = new AbortController();
    try {
      const text = this.editor.text();
      const { errors } = await post("api/check", { type: type ?? "", text }, this.checking.signal);
      if (text === this.editor.text()) this.editor.mark(errors, type);
    } catch (refusal) {
      if (refusal.name !== "AbortError") this.editor.mark([], null);
    }
  }

  async #send() {
    const count = Number(this.count.value);
    const fields = { function: this.func.value, async: this.async.checked, count, at_once: Math.min(count, Number(this.atOnce.value)) };
    // Some may have ended, and the page been told of it, before the answer to this is read.
    const from = this.#counts(fields.function);
    sessionStorage.setItem("send-function", fields.function);
    setText(this.said, count > 1 ? `Sending ${plural(count, "event")} …` : "Sending …");
    this.button.disabled = true;
    try {
      const { ids } = await (this.bytes ? postBytes("api/send", fields, this.bytes.data) : post("api/send", { ...fields, event: { text: this.editor.text() } }));
      this.#follow(ids ?? [], { count, from, name: fields.function });
    } catch (refusal) {
      setText(this.said, refusal.message);
    } finally {
      this.button.disabled = false;
    }
  }

  #follow(ids, batch) {
    const { count } = batch;
    this.batch = { ids: new Set(ids), ...batch };
    this.said.replaceChildren(`Sent ${plural(count, "event")}. `,
      ids.length === 1 ? h("a", { href: `#/calls/${encodeURIComponent(ids[0])}` }, "See the call") : h("a", { href: "#/calls" }, "See the calls"));
    this.#drawProgress();
  }

  #counts(name) {
    const { calls = 0, errors = 0, throttled = 0 } = store.functions.get(name) ?? {};
    return { calls, errors, throttled };
  }

  #drawProgress() {
    if (!this.batch) return;
    this.progress.hidden = false;
    const { ids, count, from, name } = this.batch;
    const known = [...ids].map((id) => store.calls.get(id)).filter(Boolean);
    if (count === 1) {
      const [call] = known;
      this.progress.replaceChildren(...(call ? [oneOutcome(call)] : []));
      return;
    }
    const now = this.#counts(name);
    const done = Math.max(0, Math.min(count, now.calls - from.calls)); // a new server counts anew
    const bar = this.progress.querySelector("progress") ?? h("progress", { "aria-label": "Calls that ended" });
    setAttribute(bar, "max", count);
    setAttribute(bar, "value", done);
    const text = h("p", null, `${number(done)} of ${number(count)} calls of ${name} ended: ${plural(now.errors - from.errors, "error")}, ${number(now.throttled - from.throttled)} throttled.`);
    this.progress.replaceChildren(bar, text);
  }

  #drawTimers() {
    this.asyncField.hidden = !store.offers.has("tasks");
    const timers = [...store.functions.values()].flatMap((f) => (f.triggers ?? []).filter((t) => t.type === "timer").map((t) => [f.name, t]));
    const said = h("p", { class: "said", role: "status" });
    const rows = timers.map(([name, t]) => h("li", null, h("span", null, h("b", null, t.name), ` of ${name}`, t.cron && h("code", null, t.cron), t.enabled === false && " (off)"),
      h("button", { type: "button", onclick: () => this.#fire(name, t.name, said) }, "Fire now")));
    this.timers.replaceChildren(this.timers.firstChild, rows.length ? h("ul", { class: "timer-list" }, rows) : h("p", { class: "empty" }, "No function has a timer trigger."), said);
    this.timers.hidden = !store.offers.has("timers");
  }

  async #fire(name, trigger, said) {
    try {
      const { ids } = await post("api/timers", { function: name, trigger });
      said.replaceChildren(`Fired ${trigger}: `, h("a", { href: `#/calls/${encodeURIComponent(ids?.[0] ?? "")}` }, "see the call"));
    } catch (refusal) {
      setText(said, refusal.message);
    }
  }

  update(changed) {
    if (changed.has("functions") || changed.has("snapshot")) this.#functions();
    if (changed.has("calls") || changed.has("functions")) this.#drawProgress();
  }

  unmount() {
    clearTimeout(this.waiting);
    this.checking?.abort();
    this.asked?.abort();
  }
}

function oneOutcome(call) {
  const forms = { ok: "check", error: "cross", refused: "bar", running: "dots" };
  return h("p", { class: `status status-${call.status}` }, shape(forms[call.status] ?? "diamond", call.status), call.status, call.error && `: ${call.error}`);
}
