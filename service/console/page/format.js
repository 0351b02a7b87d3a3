// Numbers, times and bytes as people read them.

const WHOLE = new Intl.NumberFormat("en");

export const number = (n) => WHOLE.format(n ?? 0);

export const plural = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

export function milliseconds(ms) {
  if (ms === null || ms === undefined) return "–";
  if (ms < 0.1) return "0 ms";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
  return `${Math.floor(ms / 60000)} min ${Math.round((ms % 60000) / 1000)} s`;
}

export function bytes(n) {
  if (n === null || n === undefined) return "–";
  if (n < 1024) return plural(n, "byte");
  if (n < 1024 ** 2) return `${trim(n / 1024)} KiB`;
  return `${trim(n / 1024 ** 2)} MiB`;
}

const trim = (n) => (n < 10 ? n.toFixed(1) : WHOLE.format(Math.round(n)));

export function age(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min ${s % 60} s`;
  return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
}

const two = (n) => String(n).padStart(2, "0");

export function clock(unix, parts = 0) {
  const d = new Date(unix * 1000);
  const text = `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
  return parts ? `${text}.${String(d.getMilliseconds()).padStart(3, "0").slice(0, parts)}` : text;
}

export function moment(unix) {
  const d = new Date(unix * 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clock(unix, 3)}`;
}

export const rate = (n) => (n < 10 ? n.toFixed(1) : number(Math.round(n)));

// Return the bytes of a base64 text.
export const fromBase64 = (text) => Uint8Array.from(atob(text ?? ""), (c) => c.charCodeAt(0));

// Return the text of bytes, or null if they are not UTF-8; an end that was cut inside a character
// is left out.
export function asText(data, cut) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(data, { stream: cut });
  } catch {
    return null;
  }
}

const MOST_PRETTY = 4 * 1024 * 1024; // characters with the indents: lists in lists have many

// Return a JSON text with indents, or null if it is none or would be too long. Its numbers are not read as numbers: what
// a double cannot hold would be shown as another one.
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return null;
  }
  const out = [];
  let depth = 0;
  let i = 0;
  let indents = 0;
  const line = () => {
    indents += 2 * depth + 1;
    out.push("\n", indents > MOST_PRETTY ? "" : "  ".repeat(depth));
  };
  while (i < text.length) {
    const c = text[i];
    if (c === '"') {
      const from = i++;
      while (text[i] !== '"') i += text[i] === "\\" ? 2 : 1;
      out.push(text.slice(from, ++i));
      continue;
    }
    if (c === "{" || c === "[") {
      const rest = /^\s*[}\]]/.exec(text.slice(i + 1, i + 65));
      if (rest) {
        out.push(c, c === "{" ? "}" : "]");
        i += 1 + rest[0].length;
        continue;
      }
      depth++;
      out.push(c);
      line();
    } else if (c === "}" || c === "]") {
      depth--;
      line();
      out.push(c);
    } else if (c === ",") {
      out.push(c);
      line();
    } else if (c === ":") out.push(": ");
    else if (!/\s/.test(c)) out.push(c);
    i++;
  }
  return indents > MOST_PRETTY ? null : out.join("");
}

// Return the lines of a hex dump of at most `limit` bytes.
export function hex(data, limit = 4096) {
  const lines = [];
  for (let at = 0; at < Math.min(data.length, limit); at += 16) {
    const part = [...data.subarray(at, Math.min(at + 16, limit))];
    const codes = part.map((b) => b.toString(16).padStart(2, "0"));
    const left = codes.slice(0, 8).join(" ").padEnd(23);
    const right = codes.slice(8).join(" ").padEnd(23);
    const signs = part.map((b) => (b >= 32 && b < 127 ? String.fromCharCode(b) : "·")).join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${left}  ${right}  ${signs}`);
  }
  if (data.length > limit) lines.push(`… ${plural(data.length - limit, "byte")} more`);
  return lines.join("\n");
}
