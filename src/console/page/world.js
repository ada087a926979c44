// World: the clock, faults, and the instance as a whole.

import { base, call, embedded, get, send } from "./api.js";
import { ask, button, code, command, facts, field, fill, h, moment, section, table } from "./dom.js";
import { refresh, run } from "./run.js";
import { curl } from "./samples.js";

const CLIENTS = ["shell", "python", "node", "go", "terraform", "docker", "skopeo", "podman"];

/** Gives a file to whoever looks at the page. */
function save(name, content) {
  const url = URL.createObjectURL(content);
  const link = h("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  URL.revokeObjectURL(url);
}

function effect(fault) {
  if (fault.cut) return "cuts the connection";
  if (fault.cut_after_bytes !== null && fault.cut_after_bytes !== undefined) return `cuts after ${fault.cut_after_bytes} bytes`;
  return [fault.status && `${fault.status} ${fault.code ?? ""}`, fault.delay_ms && `after ${fault.delay_ms} ms`].filter(Boolean).join(" ");
}

export function world() {
  const clock = h("div");
  const faults = h("div");
  const seed = h("div");
  const said = h("p", { role: "status" });
  const advance = h("input", { type: "text", value: "1h", pattern: "-?[0-9a-z]+" });
  let isAsked = false;
  let seen = null;

  /** Does something, and tells how it went. */
  const doing = (act, done) => async () => {
    try {
      await act();
      await show();
      fill(said, done);
    } catch (error) {
      fill(said, h("span", { class: "refused" }, error.message));
    }
  };

  async function show() {
    const [time, planned] = await Promise.all([get("/_emulator/clock"), get("/_emulator/faults?limit=1000")]);
    fill(clock, facts([["Now", moment(time.now)], ["Real time", moment(time.real)], ["Ahead", h("span", { class: "number" }, `${time.ahead_seconds} s`)]]));
    fill(faults, planned.length
      ? table("Faults", ["Operation", "Effect", "Only", "Struck"], planned.map((fault) => [
        code(fault.operation), h("span", null, effect(fault)),
        h("span", null, ["namespace", "repository", "tag", "digest", "caller"].filter((name) => fault[name]).map((name) => `${name} ${fault[name]}`).join(", ")),
        h("span", { class: "number" }, `${fault.struck}${fault.times ? ` of ${fault.times}` : ""}`),
      ]))
      : [h("p", null, "Nothing fails on purpose. Make an operation fail once:"), command(curl("POST", "/_emulator/faults", { operation: "PutManifest", status: 503, times: 1 }))]);
  }

  const move = (body) => () => call("POST", "/_emulator/clock", body);
  const element = h(
    "div", { class: "screen" },
    h("h1", null, "World"),
    said,
    section("Clock", clock, h("div", { class: "fields" },
      field("Advance by", advance),
      button("Advance", doing(() => move({ advance: advance.value })(), "The clock moved.")),
      button("Real time", doing(move({ reset: true }), "The clock shows the real time."))),
    command(curl("POST", "/_emulator/clock", { advance: "40d" }))),
    section("Faults", faults, h("p", { class: "actions" }, button("Remove all faults", doing(() => call("DELETE", "/_emulator/faults"), "There is no fault any more.")))),
    section("Seed file", h("p", null, "The present state as a seed file, with the secrets of its users."), h("p", { class: "actions" },
      button("Show", doing(async () => fill(seed, h("pre", { tabindex: "0" }, await (await send("GET", "/_emulator/seed")).text())), "This is the present state.")),
      button("Save seed.yaml", doing(async () => save("seed.yaml", await (await send("GET", "/_emulator/seed")).blob()), "The seed file is saved."))),
    seed, command(`swr-emulator seed export --url ${base}`)),
    section("Snapshot", h("p", null, "The whole state with its images, and with all secrets."), h("p", { class: "actions" },
      button("Save world.swr", doing(async () => save("world.swr", await (await send("GET", "/_emulator/snapshot")).blob()), "The snapshot is saved."))),
    command(`swr-emulator snapshot save --url ${base} world.swr`)),
    section("Reset", h("p", null, "Everything becomes as after a fresh start with this seed file."), h("p", { class: "actions" },
      button("Reset", () => ask("Reset", "Everything that is not in the seed file is lost: images, pushes, triggers, the clock and faults.", doing(async () => {
        await call("POST", "/_emulator/reset");
        await refresh();
      }, "The instance is as after a fresh start.")), { class: "danger" })),
    command(curl("POST", "/_emulator/reset"))),
    section("Clients", h("p", null, "The settings of a client, ready to paste:"), CLIENTS.map((client) => command(`swr-emulator env --for ${client} --url ${base}`))),
  );
  const offline = h("div", { class: "screen" }, h("h1", null, "World"), h("p", null, `The emulator was at ${base}.`));
  return {
    title: "World",
    element: embedded ? offline : element,
    update() {
      const state = JSON.stringify([run.clock, run.faults]);
      if (embedded || (isAsked && state === seen)) return undefined;
      isAsked = true;
      seen = state;
      return show().catch((error) => fill(said, h("span", { class: "refused" }, error.message)));
    },
  };
}
