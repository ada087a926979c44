// The frame: which screen an address shows, the keyboard, and who looks at it.

import { activity } from "./activity.js";
import { base, builtinToken, credentials, embedded, remember } from "./api.js";
import { clusters } from "./clusters.js";
import { button, code, field, fill, h } from "./dom.js";
import { push } from "./push.js";
import { registry } from "./registry.js";
import { requests } from "./requests.js";
import { follow, observe, run } from "./run.js";
import { trigger } from "./trigger.js";
import { world } from "./world.js";

const SCREENS = { activity, push, trigger, requests, registry, clusters, world };

const STATES = {
  none: "no token", loading: "loading…", live: "live", polling: "every 2 s", lost: "no connection", refused: "refused", file: "report of a run",
};

const KEYS = [["/", "Search"], ["j", "Next row"], ["k", "Previous row"], ["Enter", "Open the row"], ["c", "Copy as curl"], ["?", "Show this help"], ["Esc", "Close"]];

const main = document.getElementById("main");
const stateText = document.getElementById("state");
const login = document.getElementById("login");
let shown = null;
let shownPath = "";

/** The screen, the parts of its address, and the filters that an address names. */
function parse(hash) {
  const [path, search] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const [name, ...parts] = path.split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  const screen = Object.hasOwn(SCREENS, name ?? "") ? name : "activity";
  return { screen, path: parts, params: new URLSearchParams(search ?? "") };
}

function fallback(error) {
  console.error(error);
  return h("div", { class: "screen" }, h("h1", null, "This cannot be shown"), h("pre", { tabindex: "0" }, String(error?.stack ?? error)));
}

function update() {
  fill(stateText, STATES[run.state] ?? run.state);
  stateText.dataset.state = run.state;
  stateText.title = run.reason;
  showLogin();
  try {
    shown?.update?.();
  } catch (error) {
    fill(main, fallback(error));
  }
}

/** Shows what the address names. */
function route() {
  const { screen, path, params } = parse(location.hash);
  const place = [screen, ...path].join("/");
  if (shown && place === shownPath) {
    // Only filters are others: what has the focus keeps it.
    for (const key of [...shown.params.keys()]) if (!params.has(key)) shown.params.delete(key);
    for (const [key, value] of params) shown.params.set(key, value);
    return update();
  }
  shownPath = place;
  const setParams = (changes, { quiet = false } = {}) => {
    for (const [key, value] of Object.entries(changes)) {
      if (value) params.set(key, value);
      else params.delete(key);
    }
    const text = params.toString();
    history.replaceState(null, "", `#/${[screen, ...path].map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`);
    if (quiet) return;
    for (const tab of main.querySelectorAll("[data-show]")) tab.setAttribute("aria-pressed", String(tab.dataset.show === (params.get("show") ?? "all")));
    update();
  };
  try {
    shown = { ...SCREENS[screen]({ path, params, setParams }), params };
  } catch (error) {
    shown = { title: "swr-emulator", element: fallback(error), params };
  }
  document.title = `${shown.title} · swr-emulator`;
  for (const link of document.querySelectorAll("#screens a")) {
    if (link.dataset.screen === screen) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  fill(main, shown.element);
  main.scrollTop = 0;
  update();
}

function enter(token, control) {
  remember(token, control);
  shownPath = "";
  follow();
  route();
}

/** Asks for a token where there is none, or not the right one. */
function showLogin() {
  const isWanted = run.state === "none" || run.state === "refused";
  const state = isWanted ? `${run.state} ${run.reason}` : "";
  if (login.dataset.for === state) return;
  login.dataset.for = state;
  if (!isWanted) return fill(login);
  const token = h("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  const control = h("input", { type: "password", autocomplete: "off", spellcheck: "false" });
  const use = () => token.value && enter(token.value.trim(), control.value.trim());
  const form = h("div", { class: "fields", keydown: (event) => event.key === "Enter" && event.target !== document.activeElement?.closest("button") && use() },
    builtinToken ? button("Use the built-in account", () => enter(builtinToken), { class: "primary" }) : null,
    field("X-Auth-Token", token), field("Control token (if one is set)", control), button("Use this token", use));
  return fill(login, h("section", { "aria-label": "Token" },
    h("h2", null, run.state === "refused" ? "This token does not open the console" : "A token opens the console"),
    run.reason && h("p", { class: "refused" }, run.reason),
    form,
    h("p", { class: "faint" }, "It is for those who may control the instance. The token stays in this tab. A shell gets one with ", code(`eval "$(swr-emulator env --url ${base})"`), ".")));
}

function help() {
  const dialog = h("dialog", { "aria-labelledby": "keys", close: () => dialog.remove() },
    h("h2", { id: "keys" }, "Keyboard"),
    h("dl", { class: "facts" }, KEYS.map(([key, text]) => [h("dt", null, h("kbd", null, key)), h("dd", null, text)])),
    h("p", { class: "actions" }, button("Close", () => dialog.close(), { autofocus: true })));
  document.body.append(dialog);
  dialog.showModal();
}

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.closest?.("input, textarea, select");
  if (event.key === "Escape" && isTyping) return event.target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return undefined;
  const acts = {
    "/": () => shown?.search?.focus(),
    j: () => shown?.list?.move(1),
    k: () => shown?.list?.move(-1),
    c: () => shown?.curl?.(),
    "?": help,
  };
  const act = acts[event.key];
  if (!act) return undefined;
  event.preventDefault();
  return act();
});

document.getElementById("help").addEventListener("click", help);
addEventListener("hashchange", route);
observe(update);
route();
follow();
