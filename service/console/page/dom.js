// Makes and changes elements. What comes from functions becomes text nodes only: nothing here, and
// nothing in the other modules, hands a string to the browser as markup.

const SVG = "http://www.w3.org/2000/svg";

// Return an element: h("p", {class: "note", onclick: f}, "text", child). A property that is null,
// undefined or false is left out; children that are are skipped.
export function h(tag, properties, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) set(node, name, value);
  add(node, children);
  return node;
}

export function set(node, name, value) {
  if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
  else if (value === null || value === undefined || value === false) node.removeAttribute(name);
  else if (name === "value") node.value = value;
  else node.setAttribute(name, value === true ? "" : String(value));
}

function add(node, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) add(node, child);
    else node.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

// Change the text of an element, if it is another one: an unchanged text costs no layout.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setAttribute(node, name, value) {
  const wanted = value === null || value === undefined || value === false ? null : String(value);
  if (node.getAttribute(name) === wanted) return;
  if (wanted === null) node.removeAttribute(name);
  else node.setAttribute(name, wanted);
}

// Let `parent` have one child for each item, in their order. `made` (a Map) keeps the children by
// key between two calls; `make(item)` returns a child that may carry an `update(item)`.
export function keyed(parent, made, items, key, make) {
  // What goes is removed first: a child that stays is not moved for it, which would take the focus.
  const wanted = new Set(items.map(key));
  for (const [id, child] of made) {
    if (wanted.has(id)) continue;
    child.remove();
    made.delete(id);
  }
  let next = parent.firstChild;
  for (const item of items) {
    const id = key(item);
    let child = made.get(id);
    if (!child) {
      child = make(item);
      made.set(id, child);
    }
    child.update?.(item);
    if (child === next) next = next.nextSibling;
    else parent.insertBefore(child, next);
  }
}

// Each shape differs in form, not in colour alone; 12 by 12.
const SHAPES = {
  ring: "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M6 3a3 3 0 1 1 0 6a3 3 0 1 1 0-6",
  disc: "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9",
  half: "M6 1.5a4.5 4.5 0 1 0 0 9a4.5 4.5 0 1 0 0-9M6 3v6a3 3 0 1 1 0-6",
  dots: "M1.2 4.8h2.4v2.4h-2.4zM4.8 4.8h2.4v2.4h-2.4zM8.4 4.8h2.4v2.4h-2.4z",
  flake: "M5.3 0h1.4v4.8l4-2.4 .7 1.2-4 2.4 4 2.4-.7 1.2-4-2.4v4.8h-1.4v-4.8l-4 2.4-.7-1.2 4-2.4-4-2.4 .7-1.2 4 2.4z",
  triangle: "M6 .8l5.6 10.2h-11.2zM5.3 4.2v3.4h1.4v-3.4zM5.3 8.4v1.4h1.4v-1.4z",
  square: "M2 2h8v8h-8z",
  hollow: "M2 2h8v8h-8zM3.4 3.4v5.2h5.2v-5.2z",
  check: "M4.6 10.4l-3.8-3.8 1.2-1.2 2.6 2.6 5.4-6 1.2 1.1z",
  cross: "M2.2 1l3.8 3.8 3.8-3.8 1.2 1.2-3.8 3.8 3.8 3.8-1.2 1.2-3.8-3.8-3.8 3.8-1.2-1.2 3.8-3.8-3.8-3.8z",
  bar: "M1 5h10v2h-10z",
  up: "M6 1l5 6h-3.4v4h-3.2v-4h-3.4z",
  sun: "M6 3.5a2.5 2.5 0 1 0 0 5a2.5 2.5 0 1 0 0-5M5.4 0h1.2v2.2h-1.2zM5.4 9.8h1.2v2.2h-1.2zM0 5.4h2.2v1.2h-2.2zM9.8 5.4h2.2v1.2h-2.2z",
  bolt: "M7 0l-5 7h3.2l-1 5 5.4-7.2h-3.4z",
  diamond: "M6 .6l5.4 5.4-5.4 5.4-5.4-5.4z",
  loop: "M6 1.4a4.6 4.6 0 1 0 4.6 4.6h-1.5a3.1 3.1 0 1 1-3.1-3.1v2l3.4-2.7-3.4-2.7z",
};

export function shape(name, kind = name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `shape shape-${kind}`);
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("fill-rule", "evenodd");
  svg.append(path);
  svg.draw = (shapeName, shapeKind) => {
    path.setAttribute("d", SHAPES[shapeName] ?? SHAPES.disc);
    svg.setAttribute("class", `shape shape-${shapeKind}`);
  };
  svg.draw(name, kind);
  return svg;
}

// Return the outline of a shape, for a canvas.
export function outline(name) {
  return new Path2D(SHAPES[name] ?? SHAPES.disc);
}

// Return a small line of numbers, oldest first; a picture of what stands beside it as text.
export function sparkline(width, height) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "sparkline");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const area = document.createElementNS(SVG, "path");
  const line = document.createElementNS(SVG, "path");
  area.setAttribute("class", "sparkline-area");
  line.setAttribute("class", "sparkline-line");
  svg.append(area, line);
  svg.draw = (numbers) => {
    const top = Math.max(1, ...numbers);
    const step = width / Math.max(1, numbers.length - 1);
    const points = numbers.map((n, i) => `${(i * step).toFixed(1)} ${(height - 1 - (n / top) * (height - 3)).toFixed(1)}`);
    const path = points.length ? `M${points.join("L")}` : "";
    setAttribute(line, "d", path);
    setAttribute(area, "d", path && `${path}L${width} ${height}L0 ${height}Z`);
  };
  return svg;
}
