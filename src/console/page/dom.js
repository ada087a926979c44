// Elements and words. A value of a record only ever becomes a text node or an attribute's text.

/** Makes an element; a function among the attributes listens to the event of that name. */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value);
  }
  fill(element, ...children);
  return element;
}

/** Gives an element other content. */
export function fill(element, ...children) {
  const kept = children.flat(9).filter((child) => child !== null && child !== undefined && child !== false);
  element.replaceChildren(...kept.map((child) => (child instanceof Node ? child : String(child))));
  return element;
}

export const code = (text) => h("code", null, text);
export const faint = (...children) => h("span", { class: "faint" }, ...children);

/** The words of a state: text always, color only besides. */
const TONES = {
  success: "good", healthy: "good", ok: "good",
  failed: "bad", degraded: "bad",
  waiting: "busy", progressing: "busy",
};

export function chip(state, text = state) {
  return h("span", { class: `chip ${TONES[state] ?? "quiet"}` }, text);
}

export function statusChip(status) {
  const tone = status === 0 || status >= 400 ? "bad" : "quiet";
  return h("span", { class: `chip ${tone}` }, status === 0 ? "cut" : status);
}

/** A digest in its first characters, with the whole of it for the pointer. */
export function digest(text) {
  return h("code", { class: "faint", title: text }, String(text ?? "").replace(/^sha256:/, "").slice(0, 12));
}

/** A time of day in UTC, as the log has it; of another day, with the date. */
export function moment(text) {
  const time = String(text ?? "");
  const today = new Date().toISOString().slice(0, 10);
  const shown = time.startsWith(today) ? time.slice(11, 19) : time.slice(0, 19).replace("T", " ");
  return h("time", { datetime: time, title: time }, shown);
}

export function bytes(count) {
  if (!Number.isFinite(count)) return "";
  const units = ["B", "KiB", "MiB", "GiB"];
  let at = 0;
  let size = count;
  while (size >= 1024 && at < units.length - 1) {
    size /= 1024;
    at += 1;
  }
  return `${at ? size.toFixed(1) : size} ${units[at]}`;
}

/** A list of names and values; entries without a value are left out. */
export function facts(entries) {
  const shown = entries.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", { class: "facts" }, shown.map(([name, value]) => [h("dt", null, name), h("dd", null, value)]));
}

export function table(caption, heads, rows) {
  const head = h("tr", null, heads.map((text) => h("th", { scope: "col" }, text)));
  // On a narrow screen each cell is a line of its own, with its heading before it.
  const body = rows.map((cells) => h("tr", null, cells.map((cell, at) => h("td", { "data-head": heads[at] }, cell))));
  return h("table", { "aria-label": caption }, h("thead", null, head), h("tbody", null, body));
}

export function section(title, ...children) {
  return h("section", null, h("h2", null, title), ...children);
}

/** Tells it to those who see the page and to those who hear it. */
export function announce(text) {
  const place = document.getElementById("said");
  if (place) place.textContent = text;
}

export async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page that was opened from a disk may have no clipboard.
    const area = h("textarea", { class: "offscreen", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  announce("Copied");
}

/** A command, with a button that copies it. */
export function command(text, label = "Copy the command") {
  return h(
    "div",
    { class: "command" },
    h("pre", { tabindex: "0" }, h("code", null, text)),
    h("button", { type: "button", "aria-label": `${label}: ${text.slice(0, 60)}`, click: () => copy(text) }, "Copy"),
  );
}

export function button(text, act, attributes) {
  return h("button", { type: "button", click: act, ...attributes }, text);
}

/** A field with its name above it. */
export function field(name, input) {
  return h("label", { class: "field" }, h("span", null, name), input);
}

export function choice(name, options, value, change) {
  const select = h("select", { change: () => change?.(select.value) }, options.map(([key, text]) => h("option", { value: key, selected: key === value }, text)));
  return name ? field(name, select) : select;
}

/** A question before something is lost. */
export function ask(title, text, act) {
  const dialog = h(
    "dialog",
    { "aria-labelledby": "asked", close: () => dialog.remove() },
    h("h2", { id: "asked" }, title),
    h("p", null, text),
    h("p", { class: "actions" }, button("Cancel", () => dialog.close(), { autofocus: true }), button(title, () => {
      dialog.close();
      act();
    }, { class: "danger" })),
  );
  document.body.append(dialog);
  dialog.showModal();
}

/** A text for a shell, as one word. */
export const quoted = (text) => (/^[\w./:@%+=,-]+$/.test(text) ? text : `'${String(text).replaceAll("'", "'\\''")}'`);
