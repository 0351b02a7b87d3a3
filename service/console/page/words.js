// The words and shapes of what the server names: states of instances, of calls, and marks.

export const STATES = {
  starting: { text: "starting", shape: "dots" },
  initializing: { text: "initializing", shape: "half" },
  ready: { text: "ready", shape: "ring" },
  busy: { text: "busy", shape: "disc" },
  frozen: { text: "frozen", shape: "flake" },
  unhealthy: { text: "unhealthy", shape: "triangle" },
  stopping: { text: "stopping", shape: "hollow" },
  stopped: { text: "stopped", shape: "square" },
};

export const STATUSES = {
  running: { text: "running", shape: "dots" },
  ok: { text: "ok", shape: "check" },
  error: { text: "error", shape: "cross" },
  refused: { text: "refused", shape: "bar" },
};

export const MARKS = {
  cold: { text: "cold start", shape: "bolt" },
  "scale-out": { text: "scale-out", shape: "up" },
  start: { text: "provisioned start", shape: "ring" },
  freeze: { text: "freeze", shape: "flake" },
  thaw: { text: "thaw", shape: "sun" },
  stop: { text: "stop", shape: "hollow" },
  kill: { text: "kill", shape: "cross" },
  fault: { text: "fault", shape: "triangle" },
  reload: { text: "reload", shape: "loop" },
};

export const stateOf = (state) => STATES[state] ?? { text: String(state), shape: "diamond" };
export const statusOf = (status) => STATUSES[status] ?? { text: String(status), shape: "diamond" };
export const markOf = (kind) => MARKS[kind] ?? { text: String(kind), shape: "diamond" };

// A call's duration in its parts, in the order in which they pass.
export const PARTS = [
  ["queue", "waiting for room"],
  ["start", "instance start"],
  ["initializer", "initializer"],
  ["handler", "handler"],
];
