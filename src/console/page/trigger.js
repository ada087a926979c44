// Trigger: its fields, its history, and a tester for tags.

import { call, embedded, get, query, repositoryPath } from "./api.js";
import { button, chip, code, command, facts, faint, field, fill, h, moment, section, table } from "./dom.js";
import { addressOf, decisionsOf, run, stateOf, triggerAddress } from "./run.js";
import { curl } from "./samples.js";

/** How many of the repository's tags are tried. */
const MOST_TAGS = 20;
/** How long a tag is still being typed, in milliseconds. */
const TYPING = 150;

/** Conditions that probably mean something else than they say. */
export function lints({ trigger_type: type, condition, enable }, others = []) {
  const found = [];
  const text = String(condition ?? "");
  if (enable === "false") found.push("enable is \"false\": no push fires this trigger.");
  if (type === "regular") {
    if ([".*", "^.*$", ".+", ""].includes(text)) found.push("The expression matches every tag; trigger_type all says that plainly.");
    else if (!text.startsWith("^") || !text.endsWith("$")) {
      const open = [!text.startsWith("^") && "at the start (^)", !text.endsWith("$") && "at the end ($)"].filter(Boolean).join(" and ");
      found.push(`The expression is not anchored ${open}, so it also matches tags that only contain a match.`);
    }
  }
  if (type === "tag") {
    if (/[*^$\\()|?+]|\[/.test(text)) found.push("The condition looks like an expression, but trigger_type tag compares whole tags.");
    if (/\s/.test(text)) found.push("The condition has a blank; tags are separated by ; alone.");
  }
  if (others.length) found.push(`${others.join(", ")} also updates this container of this workload: the last firing wins.`);
  return found;
}

function sharing(trigger, all) {
  const place = ({ cluster_id: cluster, cluster_ns: space, app_type: kind, application, container }) => JSON.stringify([cluster, space, kind, application, container]);
  return all.filter((other) => other.name !== trigger.name && place(other) === place(trigger)).map((other) => other.name);
}

/** Pushes whose decision on this trigger is remembered. */
function remembered(namespace, repository, name) {
  return run.pushes
    .filter((push) => push.namespace === namespace && push.repository === repository)
    .flatMap((push) => decisionsOf(push).filter((decision) => decision.trigger === name).map((decision) => ({ push, decision })));
}

function verdictLine(entry) {
  if (!entry) return faint("no verdict");
  const patch = entry.patch ? h("details", null, h("summary", null, "Patch"), h("pre", { tabindex: "0" }, JSON.stringify(entry.patch, null, 2))) : null;
  return [chip(entry.outcome === "fails" ? "failed" : entry.outcome === "skipped" ? "skipped" : "success", entry.outcome), " ", entry.reason, patch];
}

function tester({ namespace, repository, name, tag, setParams }) {
  const input = h("input", { type: "text", value: tag, placeholder: "v1.2.3", autocomplete: "off", spellcheck: "false" });
  const result = h("div", { class: "verdict", role: "status" });
  const tags = h("div");
  let question = null;
  let timer = 0;
  const ask = async (text, signal) => {
    const entries = await get(`/_emulator/explain${query({ namespace, repository, tag: text, limit: 1000 })}`, signal);
    return entries.find((entry) => entry.trigger === name);
  };
  const judge = async () => {
    question?.abort();
    const text = input.value.trim();
    setParams({ tag: text }, { quiet: true });
    if (!text) return fill(result, faint("Type a tag to see the verdict."));
    question = new AbortController();
    const { signal } = question;
    try {
      fill(result, verdictLine(await ask(text, signal)));
    } catch (error) {
      if (!signal.aborted) fill(result, error.message);
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(judge, TYPING);
  });
  const all = button("Try the repository's tags", async () => {
    const path = repositoryPath(namespace, repository);
    try {
      const found = (await get(`${path}/tags?limit=${MOST_TAGS}`)).filter((entry) => entry.tag_type !== 2);
      const rows = [];
      for (const { Tag: text } of found) {
        const entry = await ask(text);
        rows.push([code(text), entry ? chip(entry.outcome === "skipped" ? "skipped" : "success", entry.outcome) : "", entry?.reason ?? ""]);
        fill(tags, table("Verdicts on the repository's tags", ["Tag", "Verdict", "Why"], rows));
      }
      if (!found.length) fill(tags, h("p", null, "The repository has no tags."));
    } catch (error) {
      fill(tags, error.message);
    }
  });
  judge();
  return section("Try a tag", h("div", { class: "fields" }, field("Tag", input), all), result, tags);
}

const FIELDS = ["name", "enable", "trigger_type", "condition", "action", "app_type", "application", "container", "cluster_id", "cluster_name", "cluster_ns", "trigger_mode", "created_at", "creator_name"];

function historyTable(entries) {
  if (!entries?.length) return h("p", { class: "faint" }, "This trigger has not fired.");
  return table("History", ["Time", "Tag", "Result", "Detail"], entries.map((entry) => [moment(entry.created_at), code(entry.tag), chip(entry.result), h("span", null, entry.detail)]));
}

function decided(namespace, repository, name) {
  const entries = remembered(namespace, repository, name);
  if (!entries.length) return null;
  return section("Pushes", table("Pushes", ["Time", "Tag", "Verdict", "Why"], entries.slice(0, 100).map(({ push, decision }) => [
    moment(push.pushed_at), h("a", { href: addressOf(push) }, code(push.tag)), chip(stateOf(decision)), h("span", null, decision.detail || decision.reason),
  ])));
}

/** All triggers that are known of, as far as the run tells. */
function known() {
  const found = new Map();
  for (const push of run.pushes) {
    for (const decision of decisionsOf(push)) found.set(triggerAddress(push, decision.trigger), `${push.namespace}/${push.repository}: ${decision.trigger}`);
  }
  return found;
}

async function every() {
  const repositories = await get("/v2/manage/repos");
  const lists = await Promise.all(repositories.map(async ({ namespace, name: repository }) => {
    const triggers = await get(`${repositoryPath(namespace, repository)}/triggers`);
    return triggers.map((trigger) => [triggerAddress({ namespace, repository }, trigger.name), `${namespace}/${repository}: ${trigger.name}`]);
  }));
  return new Map(lists.flat());
}

function overview() {
  const body = h("div");
  const draw = (found) => fill(body, found.size
    ? h("ul", { class: "links" }, [...found].map(([address, text]) => h("li", null, h("a", { href: address }, code(text)))))
    : [h("p", null, "There is no trigger yet. Create one:"), command(curl("POST", "/v2/manage/namespaces/group/repos/busybox/triggers", {
      name: "on-push", action: "update", app_type: "deployments", application: "web", cluster_id: "test", cluster_ns: "default",
      trigger_mode: "cce", trigger_type: "all", condition: ".*", enable: "true",
    }))]);
  let isAsked = false;
  return {
    title: "Triggers",
    element: h("div", { class: "screen" }, h("h1", null, "Triggers"), body),
    update() {
      if (embedded) return draw(known());
      if (isAsked) return undefined;
      isAsked = true;
      return every().then(draw, (error) => fill(body, h("p", { class: "refused" }, error.message)));
    },
  };
}

export function trigger({ path, params, setParams }) {
  if (path.length < 3) return overview();
  const [namespace, ...rest] = path;
  const name = rest.pop();
  const repository = rest.join("/");
  const own = `${repositoryPath(namespace, repository)}/triggers/${encodeURIComponent(name)}`;
  const about = h("div");
  const pushes = h("div");
  const said = h("p", { role: "status" });
  let drawn = "";

  async function show() {
    const [found, all] = await Promise.all([get(own), get(`${repositoryPath(namespace, repository)}/triggers`)]);
    const warnings = lints(found, sharing(found, all));
    const other = found.enable === "true" ? "false" : "true";
    const change = button(other === "true" ? "Enable" : "Disable", async () => {
      try {
        await call("PATCH", own, { enable: other });
        await show();
      } catch (error) {
        fill(said, error.message);
      }
    });
    fill(
      about,
      warnings.length ? h("ul", { class: "lints", "aria-label": "Lints" }, warnings.map((text) => h("li", null, text))) : null,
      section("Fields", facts(FIELDS.map((field) => [field, found[field] !== undefined && found[field] !== "" ? code(found[field]) : ""])), h("p", { class: "actions" }, change), said),
      section("History", historyTable(found.trigger_history)),
      section("Commands", command(curl("GET", own)), command(curl("PATCH", own, { enable: other }))),
    );
  }

  return {
    title: name,
    element: h(
      "div", { class: "screen" },
      h("h1", null, code(name), " ", faint(`${namespace}/${repository}`)),
      embedded ? null : tester({ namespace, repository, name, tag: params.get("tag") ?? "", setParams }),
      about,
      pushes,
    ),
    update() {
      const decisions = remembered(namespace, repository, name);
      const state = JSON.stringify(decisions.map(({ decision }) => stateOf(decision)));
      if (state === drawn) return;
      drawn = state;
      fill(pushes, decided(namespace, repository, name));
      if (!embedded) show().catch((error) => fill(about, h("p", { class: "refused" }, error.message)));
    },
  };
}
