// What happened: pushes, requests and rollouts, newest first, kept current by events.

import { call, credentials, embedded, get, listen, Refusal } from "./api.js";

/** How many pushes and requests are kept. */
const MOST = 10_000;
const MOST_REQUESTS = 1000;
/** How long until the report is asked for again where there are no events, in milliseconds. */
const POLL = 2000;
const AGAIN = 1000;

export const run = {
  pushes: [],
  requests: [],
  rollouts: [],
  leftOut: null,
  clock: null,
  /** How many faults were heard of. */
  faults: 0,
  /** `none`, `loading`, `live`, `polling`, `lost`, `refused` or `file`. */
  state: embedded ? "file" : "none",
  reason: "",
};

const byId = new Map();
const byRequestId = new Map();
const listeners = new Set();
let isTold = false;
let session = null;

/** Calls a function after each change, once a frame at the most; returns the way to stop that. */
export function observe(act) {
  listeners.add(act);
  return () => listeners.delete(act);
}

function changed() {
  if (isTold) return;
  isTold = true;
  requestAnimationFrame(() => {
    isTold = false;
    for (const act of listeners) act();
  });
}

function become(state, reason = "") {
  run.state = state;
  run.reason = reason;
  changed();
}

/** The parts of a record that lists are needed of, also where it is odd. */
const listed = (value) => (Array.isArray(value) ? value.filter((entry) => entry && typeof entry === "object") : []);

export function take(report) {
  run.pushes = listed(report.pushes);
  run.requests = listed(report.requests);
  run.rollouts = listed(report.rollouts);
  run.leftOut = report.left_out ?? null;
  byId.clear();
  byRequestId.clear();
  for (const push of run.pushes) byId.set(push.id, push);
  for (const request of run.requests) byRequestId.set(request.request_id, request);
  changed();
}

export const requestOf = (push) => byRequestId.get(push.request_id);
export const pushWithId = (id) => byId.get(Number(id));

/** Puts a record in the place of an older one, or before all. */
function put(list, map, key, record, most) {
  const known = map.get(key);
  if (known) return Object.assign(known, record);
  map.set(key, record);
  list.unshift(record);
  if (list.length > most) list.pop();
  return record;
}

function decisionOf(event) {
  const push = put(run.pushes, byId, event.push_id, {
    id: event.push_id, namespace: event.namespace, repository: event.repository, tag: event.tag,
  }, MOST);
  push.triggers = listed(push.triggers);
  let decision = push.triggers.find((one) => one.trigger === event.trigger);
  if (!decision) {
    decision = { trigger: event.trigger, fires: true, reason: "matched" };
    push.triggers.push(decision);
  }
  return decision;
}

/** Takes an event in; the same one twice changes nothing. */
export function apply(kind, data) {
  switch (kind) {
    case "request":
      put(run.requests, byRequestId, data.request_id, data, MOST_REQUESTS);
      break;
    case "push":
      put(run.pushes, byId, data.id, data, MOST);
      break;
    case "verdicts": {
      const push = byId.get(data.push_id);
      if (push) Object.assign(push, { fired: data.fired, passed_over: data.passed_over });
      break;
    }
    case "firing": {
      const { result, detail, tries } = data;
      Object.assign(decisionOf(data), { result, detail, tries, reason: "matched" });
      break;
    }
    case "rollout":
      Object.assign(decisionOf(data), { rollout: data.rollout, workload: data.workload });
      break;
    case "clock":
      run.clock = data;
      break;
    case "fault":
      run.faults += 1;
      break;
    case "reset":
    case "gap":
      refresh().catch(() => {});
      break;
    default:
      break;
  }
  changed();
}

/** Asks for the whole report. */
export async function load() {
  const signal = session?.signal;
  take(await get("/_emulator/report", signal));
}

let refreshing = null;
let isStale = false;

/** Asks for the report once more, one question at a time. */
export function refresh() {
  if (embedded) return Promise.resolve();
  isStale = true;
  refreshing ??= (async () => {
    try {
      while (isStale) {
        isStale = false;
        await load();
      }
    } finally {
      refreshing = null;
    }
  })();
  return refreshing;
}

const pause = (time, signal) => new Promise((done) => {
  const timer = setTimeout(done, time);
  signal.addEventListener("abort", () => { clearTimeout(timer); done(); });
});

/** Reads the run for as long as the credentials are the same. */
export async function follow() {
  session?.abort();
  if (embedded) return take(embedded.report);
  if (!credentials.token) return become("none");
  session = new AbortController();
  const { signal } = session;
  become("loading");
  let lastId = "";
  let hasEvents = true;
  while (!signal.aborted) {
    try {
      if (hasEvents) {
        // Listened to before the report is asked for, so that nothing falls in between.
        const early = [];
        let isLoaded = false;
        await listen(lastId, signal, ({ event, id, data }) => {
          if (event === "open") {
            load().then(() => {
              isLoaded = true;
              for (const one of early) apply(one.event, one.data);
              become("live");
            }, (error) => become("lost", error.message));
            return;
          }
          lastId = id ?? lastId;
          if (!data) return;
          const parsed = JSON.parse(data);
          if (isLoaded) apply(event, parsed);
          else early.push({ event, data: parsed });
        });
      } else {
        if (!document.hidden) await load();
        if (!signal.aborted) become("polling");
        await pause(POLL, signal);
        continue;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && (error.status === 401 || error.status === 403)) return become("refused", error.message);
      if (error instanceof Refusal && (error.status === 404 || error.status === 503) && hasEvents) {
        hasEvents = false;
        continue;
      }
      become("lost", error.message);
    }
    await pause(AGAIN, signal);
  }
}

/** What became of a trigger at a push, in a word. */
export function stateOf(decision) {
  if (!decision.fires) return "skipped";
  if (decision.result === "failed") return "failed";
  if (decision.result === "success") return decision.rollout?.state ?? "success";
  if (decision.result) return String(decision.result);
  return String(decision.reason ?? "").startsWith("matched") ? "forgotten" : "waiting";
}

/** What a push meant for each trigger, as far as it can be read. */
export const decisionsOf = (push) => listed(push?.triggers);

/** How many triggers are in each state, in the order in which people look for them. */
export function statesOf(push) {
  const counts = new Map(["failed", "degraded", "waiting", "progressing", "unknown", "success", "healthy"].map((state) => [state, 0]));
  const decisions = decisionsOf(push);
  for (const decision of decisions) counts.set(stateOf(decision), (counts.get(stateOf(decision)) ?? 0) + 1);
  const fired = decisions.filter((decision) => decision.fires).length;
  if (push.fired > fired) counts.set("waiting", counts.get("waiting") + push.fired - fired);
  const skipped = counts.get("skipped") ?? 0;
  if (push.passed_over > skipped) counts.set("skipped", push.passed_over);
  return [...counts].filter(([, count]) => count > 0);
}

/** Whether a request was refused that its client hoped to be served. */
export function isRefused({ operation, method, status }) {
  const isChallenge = operation === "Base" && status === 401;
  const isQuestion = method === "HEAD" && status === 404;
  return (status === 0 || status >= 400) && !isChallenge && !isQuestion;
}

/** All firings without an outcome. */
export function waiting() {
  return run.pushes.flatMap((push) => decisionsOf(push)
    .filter((decision) => ["waiting", "progressing"].includes(stateOf(decision)))
    .map((decision) => ({ push, decision })));
}

export const nameOf = (push) => `${push.namespace}/${push.repository}:${push.tag}`;
export const addressOf = (push) => `#/push/${encodeURIComponent(push.namespace)}/${encodeURIComponent(push.repository)}/${push.id}`;
export const triggerAddress = (push, name) => `#/trigger/${[push.namespace, push.repository, name].map(encodeURIComponent).join("/")}`;

/** Pushes a sample under a tag, as the page's own button does. */
export const pushAgain = ({ namespace, repository, tag }) => call("POST", "/_emulator/push", { namespace, repository, tag });

/** Whether a word is in a record, or in the name of what it is about. */
export function has(record, word) {
  return !word || `${nameOf(record)} ${JSON.stringify(record)}`.toLowerCase().includes(word.toLowerCase());
}
