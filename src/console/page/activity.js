// Activity: a row for each push, and for each request that was refused.

import { embedded } from "./api.js";
import { chip, code, command, digest, faint, fill, h, moment } from "./dom.js";
import { WindowedList } from "./list.js";
import { addressOf, has, isRefused, nameOf, requestOf, run, statesOf, stateOf, waiting } from "./run.js";
import { requestAddress, rowOfRequest } from "./requests.js";
import { samples } from "./samples.js";

/** How many of those that wait are named. */
const MOST_WAITING = 5;

const KINDS = [["all", "All"], ["pushes", "Pushes"], ["troubles", "Troubles"], ["waiting", "Waiting"]];

function rowOfPush(push) {
  const states = statesOf(push);
  return [
    moment(push.pushed_at),
    h("span", { class: "name" }, code(nameOf(push)), " ", digest(push.digest)),
    h("span", { class: "who" }, push.pushed_by),
    h("span", { class: "chips" }, states.length ? states.map(([state, count]) => chip(state, `${count} ${state}`)) : faint("no triggers")),
  ];
}

const isTrouble = (push) => statesOf(push).some(([state]) => state === "failed" || state === "degraded");
const isWaiting = (push) => statesOf(push).some(([state]) => state === "waiting" || state === "progressing");

/** Pushes and refused requests, newest first; each kind stays in its own order. */
function merged(kind, word) {
  const matches = (record) => has(record, word);
  const keeps = { troubles: isTrouble, waiting: isWaiting }[kind] ?? (() => true);
  const pushes = run.pushes.filter((push) => keeps(push) && matches(push));
  const withRequests = kind === "all" || kind === "troubles";
  const requests = withRequests ? run.requests.filter((request) => isRefused(request) && matches(request)) : [];
  const items = [];
  let at = 0;
  for (const push of pushes) {
    // The clock of pushes can be moved, that of requests cannot.
    const time = String(requestOf(push)?.time ?? push.pushed_at ?? "");
    while (at < requests.length && String(requests[at].time) > time) items.push({ request: requests[at++] });
    items.push({ push });
  }
  while (at < requests.length) items.push({ request: requests[at++] });
  return items;
}

function waitingNow() {
  const open = waiting();
  if (open.length === 0) return null;
  const shown = open.slice(0, MOST_WAITING).map(({ push, decision }) => h(
    "li", null,
    chip(stateOf(decision)), " ", code(decision.trigger), " for ", h("a", { href: addressOf(push) }, nameOf(push)), " ",
    faint(decision.last_answer ?? decision.rollout?.message ?? decision.reason),
  ));
  const more = open.length > MOST_WAITING ? h("li", { class: "faint" }, `${open.length - MOST_WAITING} more`) : null;
  return [h("h2", null, `Waiting now: ${open.length}`), h("ul", null, shown, more)];
}

export function activity({ params, setParams }) {
  const kind = params.get("show") ?? "all";
  const word = params.get("q") ?? "";
  const now = h("div", { class: "waiting" });
  const left = h("p", { class: "faint" });
  const list = new WindowedList({
    label: "Activity",
    key: ({ push, request }) => (push ? `push-${push.id}` : `request-${request.request_id}`),
    href: ({ push, request }) => (push ? addressOf(push) : requestAddress(request)),
    row: ({ push, request }) => (push ? rowOfPush(push) : rowOfRequest(request)),
    empty: () => {
      if (run.state === "none" || run.state === "refused") return faint("A token opens the activity.");
      if (run.pushes.length || run.requests.length || embedded) return h("p", null, "Nothing here matches.");
      return [h("p", null, "Nothing was pushed yet. Push a sample image:"), samples().map((text) => command(text))];
    },
  });
  const search = h("input", { type: "search", placeholder: "Search activity", "aria-label": "Search activity", value: word, input: () => setParams({ q: search.value }) });
  const kinds = h("div", { class: "tabs", role: "group", "aria-label": "Show" }, KINDS.map(([name, title]) => h(
    "button", { type: "button", "data-show": name, "aria-pressed": String(name === kind), click: () => setParams({ show: name === "all" ? "" : name }) }, title,
  )));
  return {
    title: "Activity",
    element: h("div", { class: "screen full" }, h("div", { class: "bar" }, h("h1", null, "Activity"), kinds, search), now, left, list.element),
    list,
    search,
    update() {
      fill(now, waitingNow());
      const { pushes = 0, requests = 0 } = run.leftOut ?? {};
      fill(left, pushes + requests > 0 && `The file has no room for ${pushes} older pushes and ${requests} older requests.`);
      list.set(merged(params.get("show") ?? "all", params.get("q") ?? ""));
    },
  };
}

