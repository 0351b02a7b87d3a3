// The page's frame: which view is shown, the connection, the theme, the keys.

import { h, set, setText, shape } from "./dom.js";
import { follow } from "./feed.js";
import { store } from "./store.js";
import * as overview from "./overview.js";
import * as calls from "./calls.js";
import * as tasks from "./tasks.js";
import * as charts from "./charts.js";
import * as send from "./send.js";
import * as faults from "./faults.js";

const VIEWS = [
  { path: "", title: "Functions", view: overview },
  { path: "calls", title: "Calls", view: calls },
  { path: "tasks", title: "Tasks", view: tasks, needs: "tasks" },
  { path: "charts", title: "Charts", view: charts },
  { path: "send", title: "Send", view: send, needs: "send" },
  { path: "faults", title: "Faults", view: faults, needs: "faults" },
];

const main = document.getElementById("main");
let shown = null;

function route() {
  const [path = "", ...rest] = location.hash.replace(/^#\/?/, "").split("/");
  return { entry: VIEWS.find((each) => each.path === path) ?? VIEWS[0], rest: rest.map(decoded) };
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function show() {
  if (location.hash === "#main") return main.focus();
  const { entry, rest } = route();
  if (shown?.entry === entry) {
    shown.handle.go?.(rest);
  } else {
    shown?.handle.unmount?.();
    main.replaceChildren(h("h1", { class: "unseen" }, entry.title));
    main.className = `view-${entry.path || "functions"}`;
    shown = { entry, handle: entry.view.mount(main, rest) };
    document.title = `${entry.title} · fc-event-service console`;
    window.scrollTo(0, 0);
  }
  for (const each of VIEWS) set(each.link, "aria-current", each === entry ? "page" : null);
}

// Show a view now: the address tells of it a moment later, and keys typed meanwhile belong to it.
function visit(path) {
  location.hash = `#/${path}`;
  show();
}

function makeTabs() {
  const list = document.getElementById("views");
  VIEWS.forEach((each, index) => {
    each.count = h("span", { class: "count", hidden: true });
    each.link = h("a", { href: `#/${each.path}`, "aria-keyshortcuts": String(index + 1) }, each.title, each.count);
    list.append(h("li", null, each.link));
  });
}

const THEMES = ["system", "light", "dark"];

function useTheme(theme) {
  document.documentElement.dataset.theme = theme;
  setText(document.getElementById("theme"), `Theme: ${theme}`);
  document.dispatchEvent(new CustomEvent("theme"));
}

function kept(name, otherwise) {
  try {
    return localStorage.getItem(name) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keep(name, value) {
  try {
    localStorage.setItem(name, value);
  } catch {
    // A browser that keeps nothing shows the page all the same.
  }
}

function makeTheme() {
  let theme = kept("theme", "system");
  if (!THEMES.includes(theme)) theme = "system";
  useTheme(theme);
  document.getElementById("theme").addEventListener("click", () => {
    theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
    keep("theme", theme);
    useTheme(theme);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => useTheme(theme));
}

const CONNECTIONS = {
  connecting: ["Connecting", "dots"],
  live: ["Live", "disc"],
  lost: ["Reconnecting", "half"],
  refused: ["Refused", "cross"],
};

const NOTICES = {
  lost: "The server does not answer: it ended or starts again. What you see is the last it said; the page tries on by itself.",
};

const connectionShape = shape("dots", "connecting");
const connectionText = document.createTextNode("");

function showConnection() {
  const [text, form] = CONNECTIONS[store.state];
  connectionShape.draw(form, store.state);
  connectionText.data = text;
  document.documentElement.dataset.connection = store.state;
  const notice = document.getElementById("notice");
  const told = store.state === "refused" ? store.why : NOTICES[store.state] ?? "";
  setText(notice, told);
  notice.hidden = !told;
}

function showFrame() {
  const source = [store.source, store.version].filter(Boolean).join(" ");
  setText(document.getElementById("source"), source);
  for (const each of VIEWS) {
    const offered = !each.needs || !store.source || store.offers.has(each.needs);
    each.link.parentElement.hidden = !offered;
  }
}

const KEYS = [
  ["1 to 6", "a view: Functions, Calls, Tasks, Charts, Send, Faults"],
  ["/", "the filter of the calls"],
  ["j, k or arrows", "the next call, the one before"],
  ["Enter", "open the marked call, the marked instance"],
  ["Esc", "close what is open"],
  ["Ctrl+Enter", "send, in the form"],
  ["?", "this list"],
];

let keysOn = kept("keys", "on") === "on";

function showHelp() {
  const box = h("input", { type: "checkbox", id: "keys-on" });
  box.checked = keysOn;
  box.addEventListener("change", () => keep("keys", (keysOn = box.checked) ? "on" : "off"));
  const dialog = h("dialog", { "aria-labelledby": "keys-title" },
    h("h2", { id: "keys-title" }, "Keys"),
    h("dl", { class: "keys" }, KEYS.map(([key, text]) => [h("dt", null, h("kbd", null, key)), h("dd", null, text)])),
    h("p", null, h("label", { for: "keys-on" }, box, " Keys of one letter are on")),
    h("form", { method: "dialog" }, h("button", null, "Close")));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select");
  if (event.key === "Escape") return shown?.handle.escape?.(event);
  if (typing || !keysOn) return;
  const view = VIEWS[Number(event.key) - 1];
  if (view && !view.link.parentElement.hidden) visit(view.path);
  else if (event.key === "?") showHelp();
  else if (event.key === "/") {
    event.preventDefault();
    if (route().entry.view !== calls) visit("calls");
    document.getElementById("filter-text").focus();
  } else shown?.handle.key?.(event);
}

// A link within the page leads there at once, for the same reason.
function onClick(event) {
  const link = event.target.closest('a[href^="#/"]');
  const isForBrowser = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
  if (!link || isForBrowser || event.defaultPrevented) return;
  event.preventDefault();
  visit(link.getAttribute("href").slice(2));
}

makeTabs();
makeTheme();
document.getElementById("connection").append(connectionShape, connectionText);
document.getElementById("help").addEventListener("click", showHelp);
document.addEventListener("keydown", onKey);
document.addEventListener("click", onClick);
window.addEventListener("hashchange", show);
store.listen((changed) => {
  if (changed.has("state")) showConnection();
  if (changed.has("snapshot")) showFrame();
  shown?.handle.update?.(changed);
});
showConnection();
show();
follow();
