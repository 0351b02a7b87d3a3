// One call in full: its times, failure, reports, event, result and lines.

import { callPath, getJson, getText, post } from "./api.js";
import { h, setAttribute, setText, shape } from "./dom.js";
import { asText, bytes, clock, fromBase64, hex, milliseconds, moment, plural, pretty } from "./format.js";
import { notesOf, splitBar } from "./parts.js";
import { store } from "./store.js";
import { PARTS, statusOf } from "./words.js";

const LINES_SHOWN = 500;
const TEXT_SHOWN = 256 * 1024;
const COPIES = [["curl", "curl"], ["sdk", "SDK code"], ["pytest", "pytest"]];

export function showCall(place, id, leave) {
  const view = new CallView(place, id, leave);
  view.load();
  return view;
}

class CallView {
  constructor(place, id, leave) {
    this.id = id;
    this.place = place;
    this.quit = new AbortController();
    this.said = h("p", { class: "said", role: "status" });
    this.body = h("div", { class: "call-body" });
    this.title = h("h2", { tabindex: "-1" }, "Call ", h("code", null, id));
    this.actions = h("p", { class: "actions" });
    this.#drawActions();
    const close = h("button", { type: "button", class: "plain", "aria-label": "Close the call", onclick: leave }, "Close");
    place.replaceChildren(h("div", { class: "call-head" }, this.title, close), this.actions, this.said, this.body);
    place.scrollTop = 0;
  }

  close() {
    this.quit.abort();
    this.place.replaceChildren();
  }

  async load() {
    const before = store.calls.get(this.id);
    try {
      this.call = await getJson(callPath(this.id), this.quit.signal);
    } catch (refusal) {
      if (refusal.name === "AbortError") return;
      const why = refusal.status === 404 ? "The server does not keep this call any more." : refusal.message;
      this.body.replaceChildren(h("p", { class: "empty" }, why));
      return;
    }
    this.body.replaceChildren(...partsOf(this.call));
    // A call that ended while the answer was under way is told no second time.
    if (store.calls.get(this.id) !== before) this.update(new Set());
  }

  update(changed) {
    if (changed.has("snapshot")) {
      this.#drawActions();
      return this.load();
    }
    const live = store.calls.get(this.id);
    if (live && this.call && live.status !== this.call.status) {
      this.call.status = live.status;
      this.load();
    }
  }

  #drawActions() {
    const again = h("button", { type: "button", onclick: () => this.#again() }, "Send again");
    const edit = h("a", { href: `#/send/${encodeURIComponent(this.id)}`, class: "button" }, "Edit and send");
    const copies = COPIES.map(([as, text]) => h("button", { type: "button", onclick: () => this.#copy(as, text) }, `Copy as ${text}`));
    this.actions.replaceChildren(...(store.offers.has("send") ? [again, edit] : []), ...copies);
  }

  async #again() {
    try {
      const { ids } = await post(callPath(this.id, "/again"), {}, this.quit.signal);
      this.said.replaceChildren("Sent again: ", h("a", { href: `#/calls/${encodeURIComponent(ids[0])}` }, "see the new call"));
    } catch (refusal) {
      if (refusal.name !== "AbortError") setText(this.said, refusal.message);
    }
  }

  async #copy(as, text) {
    let copied;
    try {
      copied = await getText(callPath(this.id, `/copy?as=${as}`));
      await navigator.clipboard.writeText(copied);
      setText(this.said, `Copied as ${text}.`);
    } catch (fault) {
      if (copied === undefined) return setText(this.said, fault.message);
      // Without leave to write the clipboard, the text can be taken by hand.
      this.said.replaceChildren(h("span", null, "The browser does not let the page copy; here it is:"), h("pre", { tabindex: "0" }, copied));
    }
  }
}

function partsOf(call) {
  const failure = call.failure ?? (call.status !== "ok" && call.error ? { type: call.error, message: "" } : null);
  return [
    summaryOf(call), timesOf(call.ms),
    failure && part("Failure", failureOf(failure)),
    call.reports?.length > 0 && part("Reports", call.reports.map(reportOf)),
    part("Event", bodyOf(call, "event")),
    part("Result", bodyOf(call, "result")),
    part(`Log${call.lines?.length ? `, ${plural(call.lines.length, "line")}` : ""}`, linesOf(call.lines ?? [], call.lines_dropped ?? 0)),
    call.headers && part("Headers", headersOf(call.headers)),
  ].filter(Boolean);
}

const part = (title, ...content) => h("section", { class: "call-part" }, h("h3", null, title), content);

function summaryOf(call) {
  const { text, shape: form } = statusOf(call.status);
  const instance = store.instances.get(call.instance)?.name ?? call.instance;
  const told = [text, call.status !== "ok" && call.error, String(call.code ?? 200) !== "200" && call.code].filter(Boolean);
  const status = h("p", { class: `status status-${call.status}` }, shape(form, call.status), told.join(" · "));
  const pairs = [
    ["function", call.function], ["instance", instance ?? "none"],
    ["arrived", moment(call.arrived)], ["duration", milliseconds(call.ms?.total)],
    ["notes", notesOf(call).join(", ") || "none"],
    call.request_id && call.request_id !== call.id && ["request", h("code", null, call.request_id)],
    call.task && ["task", h("a", { href: "#/tasks" }, call.task)],
  ];
  return h("div", { class: "call-summary" }, status, h("dl", { class: "pairs" }, pairs.filter(Boolean).map(([title, value]) => h("div", null, h("dt", null, title), h("dd", null, value)))));
}

function timesOf(ms) {
  if (!ms) return null;
  const bar = splitBar();
  bar.draw(ms);
  const rows = PARTS.filter(([name]) => ms[name] || (name === "handler" && ms[name] !== undefined)).map(([name, text]) =>
    h("li", null, h("span", { class: `swatch part-${name}`, "aria-hidden": "true" }), `${text} `, h("b", null, milliseconds(ms[name]))));
  return h("div", { class: "times" }, bar, h("ul", { class: "legend", "aria-label": "Where the time went" }, rows));
}

function failureOf(failure) {
  const trace = Array.isArray(failure.trace) ? failure.trace.join("\n") : failure.trace;
  return [
    h("p", { class: "failure" }, h("b", null, failure.type), failure.message && `: ${failure.message}`),
    trace && h("pre", { tabindex: "0", "aria-label": "Trace" }, trace.slice(0, TEXT_SHOWN)),
  ];
}

function reportOf(report) {
  return h("div", { class: "report" }, h("p", null, shape("triangle", "warning"), h("b", null, report.kind)), h("pre", { tabindex: "0", "aria-label": `Report: ${report.kind}` }, report.text));
}

function linesOf(lines, dropped) {
  if (!lines.length) return h("p", { class: "empty" }, "It wrote no lines.");
  const shown = lines.slice(-LINES_SHOWN);
  const cut = lines.length - shown.length + dropped;
  const rows = shown.map((line) => h("li", { "data-level": line.level }, h("time", { class: "quiet" }, clock(line.t, 3)), line.level && h("span", { class: "level" }, line.level), h("span", { class: "line-text" }, String(line.text).slice(0, TEXT_SHOWN))));
  return [cut > 0 && h("p", { class: "quiet" }, `${plural(cut, "line")} not shown.`), h("ol", { class: "lines", tabindex: "0", "aria-label": "Its log lines" }, rows)];
}

function headersOf(headers) {
  return h("dl", { class: "pairs headers" }, Object.entries(headers).map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, String(value)))));
}

// Return an event or a result with a choice of how it is shown.
function bodyOf(call, which) {
  const body = call[which];
  if (!body) return h("p", { class: "empty" }, which === "result" ? (call.status === "running" ? "It runs still." : "It has no result.") : "It was not kept.");
  if (body.kept === false) return h("p", { class: "empty" }, `${bytes(body.bytes)}, not kept any more.`);
  if (!body.bytes) return h("p", { class: "empty" }, "Empty: 0 bytes.");
  const data = fromBase64(body.base64);
  const text = asText(data, Boolean(body.cut));
  const forms = formsOf(data, text, body.cut);
  const pre = h("pre", { tabindex: "0", "aria-label": which === "event" ? "The event" : "The result" });
  const buttons = Object.keys(forms).map((name) => h("button", { type: "button", onclick: () => choose(name) }, name));
  const choose = (name) => {
    setText(pre, forms[name]());
    for (const button of buttons) setAttribute(button, "aria-pressed", String(button.textContent === name));
  };
  choose(Object.keys(forms)[0]);
  const size = `${bytes(body.bytes)}${body.cut ? `, the first ${bytes(data.length)} shown` : ""}`;
  return [
    h("p", { class: "forms" }, h("span", { class: "switch", role: "group", "aria-label": `How the ${which} is shown` }, buttons), h("span", { class: "quiet" }, size),
      h("a", { href: callPath(call.id, `/${which}`), download: "" }, "Download")),
    pre,
  ];
}

function formsOf(data, text, cut) {
  const forms = {};
  const json = text !== null && !cut && text.length <= TEXT_SHOWN ? pretty(text) : null;
  if (json !== null) forms.Pretty = () => json;
  if (text !== null) forms.Text = () => text;
  forms.Hex = () => hex(data);
  return forms;
}
