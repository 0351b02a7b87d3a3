// Asks the server. What it refuses is raised with the server's own words.

export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, options) {
  let answer;
  try {
    answer = await fetch(path, { cache: "no-store", ...options });
  } catch (fault) {
    if (fault.name === "AbortError") throw fault;
    throw new Refusal(0, "The server does not answer. Is it still running?");
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  throw new Refusal(answer.status, messageOf(text) ?? `The server answered ${answer.status}.`);
}

function messageOf(text) {
  try {
    const { error } = JSON.parse(text);
    return typeof error === "string" ? error : null;
  } catch {
    return text.slice(0, 300) || null;
  }
}

export const getJson = async (path, signal) => (await ask(path, { signal })).json();
export const getText = async (path) => (await ask(path)).text();

export async function post(path, body = {}, signal = undefined) {
  const headers = { "Content-Type": "application/json", "X-Console": "1" };
  return (await ask(path, { method: "POST", headers, body: JSON.stringify(body), signal })).json();
}

// Send bytes as they are, the fields in the address.
export async function postBytes(path, fields, data) {
  const headers = { "Content-Type": "application/octet-stream", "X-Console": "1" };
  return (await ask(`${path}?${new URLSearchParams(fields)}`, { method: "POST", headers, body: data })).json();
}

export const callPath = (id, rest = "") => `api/calls/${encodeURIComponent(id)}${rest}`;
