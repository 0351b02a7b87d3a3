// Follows the server's events, and finds it again after it was away.

import { getJson } from "./api.js";
import { store } from "./store.js";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 4000;

let wait = FIRST_WAIT;

export function follow() {
  const source = new EventSource("events");
  source.addEventListener("snapshot", (event) => {
    wait = FIRST_WAIT;
    store.snapshot(JSON.parse(event.data));
    store.setState("live");
  });
  source.addEventListener("change", (event) => store.change(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    // The browser's own second try would not come after an answer that is no stream.
    source.close();
    if (store.state !== "refused") store.setState("lost");
    setTimeout(again, wait);
    wait = Math.min(wait * 2, LONGEST_WAIT);
  });
}

async function again() {
  try {
    await getJson("api/samples");
    store.setState("lost");
  } catch (refusal) {
    if (refusal.status === 401 || refusal.status === 403) store.setState("refused", refusal.message);
    else if (refusal.status === 0) store.setState("lost");
  }
  follow();
}
