// The emulator that the page came from, or the run in the file that the page is.

const TOKEN = "swr-emulator-token";
const CONTROL = "swr-emulator-control-token";

const holder = document.getElementById("run");

/** What a report file has inside: `about` and `report`. */
export const embedded = holder ? JSON.parse(holder.textContent) : null;

/** The token of the built-in account where the page may offer it. */
export const builtinToken = document.documentElement.dataset.builtin || "";

/** Where the emulator is, or was. */
export const base = embedded ? embedded.about.url : location.origin;

/** Kept for as long as the tab is open; a browser may forbid even that. */
function recall(key) {
  try {
    return sessionStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}

export const credentials = { token: recall(TOKEN), control: recall(CONTROL) };

export function remember(token, control = "") {
  credentials.token = token;
  credentials.control = control;
  try {
    sessionStorage.setItem(TOKEN, token);
    sessionStorage.setItem(CONTROL, control);
  } catch {
    // Then for as long as the page is.
  }
}

/** An answer that is not 2xx. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers(more) {
  // Marked, so that the page's own requests are not among those that it shows.
  const own = { "X-Emulator-Console": "1", ...more };
  if (credentials.token) own["X-Auth-Token"] = credentials.token;
  if (credentials.control) own["X-Emulator-Control-Token"] = credentials.control;
  return own;
}

/** The words of an error, in whichever form it came. */
function reasonOf(text, status) {
  try {
    const body = JSON.parse(text);
    return body.error_msg ?? body.message ?? body.error?.message ?? body.errors?.[0]?.message ?? text;
  } catch {
    return text || `status ${status}`;
  }
}

/** Sends a request; the answer as it came. */
export async function send(method, path, body, signal) {
  const isText = typeof body === "string";
  const type = body === undefined ? {} : { "Content-Type": isText ? "application/yaml" : "application/json" };
  const response = await fetch(path, {
    method,
    headers: headers(type),
    body: body === undefined || isText ? body : JSON.stringify(body),
    signal,
  });
  if (!response.ok) throw new Refusal(response.status, reasonOf(await response.text(), response.status));
  return response;
}

/** Sends a request; the answer's JSON. */
export async function call(method, path, body, signal) {
  const response = await send(method, path, body, signal);
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

export const get = (path, signal) => call("GET", path, undefined, signal);

export function query(values) {
  const kept = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return kept.length ? `?${new URLSearchParams(kept)}` : "";
}

/** A path of SWR's API to a repository, in whose name `$` stands for `/`. */
export function repositoryPath(namespace, repository) {
  const name = encodeURIComponent(repository.replaceAll("/", "$"));
  return `/v2/manage/namespaces/${encodeURIComponent(namespace)}/repos/${name}`;
}

/** Reads events from where it left off, until the connection ends. */
export async function listen(lastId, signal, tell) {
  const sent = lastId ? { "Last-Event-ID": lastId } : {};
  const response = await fetch("/_emulator/events", { headers: headers({ Accept: "text/event-stream", ...sent }), signal });
  if (!response.ok) throw new Refusal(response.status, reasonOf(await response.text(), response.status));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  tell({ event: "open" });
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const fields = { event: "message", data: "" };
      for (const line of block.split("\n")) {
        const [, key, content] = /^(\w+): ?(.*)$/.exec(line) ?? [];
        if (key === "data") fields.data += content;
        else if (key) fields[key] = content;
      }
      if (fields.data || fields.id) tell(fields);
    }
  }
}
