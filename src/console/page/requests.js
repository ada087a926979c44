// Requests: the list beside what is known of one of them.

import { call, embedded } from "./api.js";
import { announce, button, choice, code, command, copy, facts, faint, field, fill, h, moment, section, statusChip } from "./dom.js";
import { WindowedList } from "./list.js";
import { has, isRefused, run } from "./run.js";
import { curl, samples } from "./samples.js";

export const requestAddress = (request) => `#/requests?id=${encodeURIComponent(request.request_id)}`;

export function rowOfRequest(request) {
  return [
    moment(request.time),
    h("span", { class: "name" }, code(request.operation === "-" ? "no operation" : request.operation), " ", faint(`${request.method} ${request.path}`)),
    h("span", { class: "who" }, request.caller),
    h("span", { class: "chips" }, statusChip(request.status), request.message && faint(request.message)),
  ];
}

/** The method and path of a request, ready for a shell. */
export const curlOf = (request) => curl(request.method, request.path, request.body ?? undefined);

const STATUSES = [["", "Any status"], ["refused", "Refused"], ["2xx", "2xx"], ["4xx", "4xx"], ["5xx", "5xx"], ["0", "Cut"]];

function admits(wanted, request) {
  if (!wanted) return true;
  if (wanted === "refused") return isRefused(request);
  if (wanted === "0") return request.status === 0;
  return wanted.endsWith("xx") ? Math.floor(request.status / 100) === Number(wanted[0]) : request.status === Number(wanted);
}

/** A body as it is read best. */
function pretty(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** A small form that makes the operation of a request fail. */
function faultForm(request) {
  const status = h("input", { type: "number", min: "400", max: "599", value: request.status >= 400 ? request.status : 503 });
  const times = h("input", { type: "number", min: "1", value: 1 });
  const result = h("p", { role: "status" });
  const body = () => ({ operation: request.operation, status: Number(status.value), times: Number(times.value) });
  const shown = h("div");
  const show = () => fill(shown, command(curl("POST", "/_emulator/faults", body())));
  status.addEventListener("input", show);
  times.addEventListener("input", show);
  show();
  const make = button("Make this a fault", async () => {
    try {
      await call("POST", "/_emulator/faults", body());
      fill(result, `The next ${times.value} of ${request.operation} will fail with ${status.value}.`);
    } catch (error) {
      fill(result, error.message);
    }
  });
  return section("Fault", h("div", { class: "fields" }, field("Status", status), field("Times", times), embedded ? null : make), result, shown);
}

function detail(request) {
  return [
    h("h2", null, request.operation === "-" ? "No operation" : request.operation, " ", statusChip(request.status)),
    facts([
      ["Request", code(`${request.method} ${request.path}`)],
      ["Caller", request.caller],
      ["Code", request.code && code(request.code)],
      ["Refused by", request.message && h("span", { class: "rule" }, request.message)],
      ["Time", moment(request.time)],
      ["Took", request.milliseconds !== undefined && `${request.milliseconds} ms`],
      ["Body", `${request.body_bytes ?? 0} bytes`],
      ["Request id", code(request.request_id)],
    ]),
    request.body ? section("Body", h("pre", { tabindex: "0" }, pretty(request.body))) : null,
    section("As curl", command(curlOf(request), "Copy as curl")),
    request.operation === "-" || String(request.operation).startsWith("Emulator") ? null : faultForm(request),
  ];
}

export function requests({ params, setParams }) {
  const panel = h("article", { class: "detail", "aria-label": "Request" });
  const address = (request) => {
    const next = new URLSearchParams(params);
    next.set("id", request.request_id);
    return `#/requests?${next}`;
  };
  const list = new WindowedList({
    label: "Requests", key: (request) => request.request_id, href: address, row: rowOfRequest,
    empty: () => (run.state === "none" || run.state === "refused" ? faint("A token opens the requests.") : run.requests.length || embedded ? h("p", null, "No request matches.") : [h("p", null, "Nothing was asked yet. Ask for something:"), samples().map((text) => command(text))]),
  });
  const search = h("input", { type: "search", placeholder: "Search requests", "aria-label": "Search requests", value: params.get("q") ?? "", input: () => setParams({ q: search.value }) });
  const operations = h("select", { "aria-label": "Operation", change: () => setParams({ operation: operations.value }) });
  const status = choice("", STATUSES, params.get("status") ?? "", (value) => setParams({ status: value }));
  status.setAttribute("aria-label", "Status");
  let shown = null;
  let offered = "";
  const chosen = () => run.requests.find((request) => request.request_id === params.get("id"));
  return {
    title: "Requests",
    element: h("div", { class: "screen full" }, h("div", { class: "bar" }, h("h1", null, "Requests"), status, operations, search), h("div", { class: "beside" }, list.element, panel)),
    list,
    search,
    curl: () => {
      const request = list.item ?? chosen();
      if (request) copy(curlOf(request));
      else announce("Choose a request first");
    },
    update() {
      const names = [...new Set(run.requests.map((request) => request.operation))].sort();
      if (names.join() !== offered) {
        offered = names.join();
        const wanted = params.get("operation") ?? "";
        fill(operations, [["", "Any operation"], ...names.map((name) => [name, name])].map(([key, text]) => h("option", { value: key, selected: key === wanted }, text)));
      }
      const wanted = params.get("operation");
      list.set(run.requests.filter((request) => admits(params.get("status"), request) && (!wanted || request.operation === wanted) && has(request, params.get("q"))));
      const request = chosen();
      if (request?.request_id === shown && panel.hasChildNodes()) return;
      shown = request?.request_id;
      list.current = request ? list.items.indexOf(request) : -1;
      list.draw();
      fill(panel, request ? detail(request) : faint("Choose a request to see its code, the rule that refused it, and its body."));
      panel.classList.toggle("chosen", Boolean(request));
    },
  };
}

