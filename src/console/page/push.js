// Push: what each trigger decided, and what became of it.

import { embedded, get, query } from "./api.js";
import { announce, button, chip, code, command, copy, facts, faint, fill, h, moment, section, table } from "./dom.js";
import { addressOf, decisionsOf, nameOf, pushAgain, pushWithId, refresh, requestOf, run, stateOf, triggerAddress } from "./run.js";
import { requestAddress } from "./requests.js";
import { curl, samples } from "./samples.js";

/** The rollout that a firing made: the first one of this trigger and content that is not older than the push. */
function rolloutOf(push, decision) {
  const { workload } = decision;
  return run.rollouts.findLast((rollout) => rollout.trigger === decision.trigger
    && rollout.tag === push.tag && rollout.digest === push.digest && String(rollout.at) >= String(push.pushed_at)
    && (!workload || (rollout.name === workload.name && rollout.kind === workload.kind && rollout.namespace === workload.namespace)));
}

/** A change of the pod template, line by line. */
export function difference(container, before, after) {
  const lines = [[" ", "spec:"], [" ", "  containers:"], [" ", `    - name: ${container}`]];
  if (before === after) lines.push([" ", `      image: ${after}`]);
  else lines.push(["-", `      image: ${before}`], ["+", `      image: ${after}`]);
  return h("pre", { class: "diff", tabindex: "0", "aria-label": "Change of the pod template" }, lines.map(([sign, text]) => {
    const line = `${sign} ${text}\n`;
    if (sign === "+") return h("ins", null, line);
    return sign === "-" ? h("del", null, line) : line;
  }));
}

function timeline(push, decision, rollout) {
  const steps = [[push.pushed_at, chip("pushed"), `by ${push.pushed_by}`]];
  if (decision.result === "failed") {
    steps.push([null, chip("failed"), decision.detail]);
  } else if (decision.result === "success") {
    const tries = decision.tries > 1 ? ` after ${decision.tries} tries` : "";
    steps.push([rollout?.at, chip("success"), `the cluster took the patch${tries}${decision.detail ? `: ${decision.detail}` : ""}`]);
  } else if (decision.next_try_at) {
    steps.push([decision.next_try_at, chip("waiting"), `next try; try ${decision.tries} ended with: ${decision.last_answer}`]);
  } else if (decision.fires) {
    steps.push([null, chip(stateOf(decision)), decision.reason]);
  }
  const after = decision.rollout;
  if (after) steps.push([after.since ?? after.observed, chip(after.state), [after.reason, after.message].filter(Boolean).join(": ")]);
  return h("ol", { class: "timeline" }, steps.map(([time, state, text]) => h("li", null, time ? moment(time) : h("span"), state, h("span", null, text))));
}

function fired(push, decision) {
  const rollout = rolloutOf(push, decision);
  const place = decision.workload ?? (rollout && { cluster: rollout.cluster_name, namespace: rollout.namespace, kind: rollout.kind, name: rollout.name });
  const path = place && [place.cluster, place.namespace, place.kind, place.name];
  return section(
    decision.trigger,
    path ? h("p", null, faint("Workload "), h("a", { href: `#/clusters/${path.map(encodeURIComponent).join("/")}` }, code(path.join("/")))) : null,
    timeline(push, decision, rollout),
    rollout ? difference(rollout.container, rollout.before, rollout.after) : null,
  );
}

/** The clause that decided, and how near the tag came to it. */
function why(decision, prediction) {
  const recorded = String(decision.reason ?? "");
  // A firing keeps no clause; that of the trigger as it is now says more than that it matched.
  const reason = recorded === "matched" && prediction?.fires && / matches | is one of /.test(prediction.reason) ? prediction.reason : recorded;
  const near = !decision.fires && prediction && !prediction.fires && prediction.reason !== reason ? prediction.reason : "";
  return [h("span", { class: "clause" }, reason), near ? h("span", { class: "near" }, near.startsWith(reason) ? near.slice(reason.length).replace(/^[:;,]? */, "") : near) : null];
}

function decisionTable(push, predictions) {
  const decisions = decisionsOf(push);
  if (decisions.length === 0) {
    const path = `/v2/manage/namespaces/${push.namespace}/repos/${push.repository.replaceAll("/", "$")}/triggers`;
    return [h("p", null, "The repository had no triggers. Create one, then push again:"), command(curl("POST", path, {
      name: "on-push", action: "update", app_type: "deployments", application: "web", cluster_id: "test", cluster_ns: "default",
      trigger_mode: "cce", trigger_type: "all", condition: ".*", enable: "true",
    }))];
  }
  return table("Decisions", ["Trigger", "Verdict", "Why", "Outcome"], decisions.map((decision) => [
    h("a", { href: triggerAddress(push, decision.trigger) }, code(decision.trigger)),
    chip(stateOf(decision)),
    h("span", null, why(decision, predictions.get(decision.trigger))),
    h("span", null, decision.detail ?? decision.last_answer ?? decision.rollout?.message ?? ""),
  ]));
}

/** Leads to the newest push, once there is one. */
function newest() {
  const body = h("div");
  return {
    title: "Push",
    element: h("div", { class: "screen" }, body),
    update() {
      const [first] = run.pushes;
      if (first) location.replace(addressOf(first));
      else fill(body, h("h1", null, "Push"), h("p", null, "Nothing was pushed yet. Push a sample image:"), samples().map((text) => command(text)));
    },
  };
}

export function push({ path }) {
  if (path.length < 3) return newest();
  const [namespace, ...rest] = path;
  const id = Number(rest.pop());
  const repository = rest.join("/");
  const body = h("div");
  const said = h("p", { role: "status" });
  let predictions = new Map();
  let asked = "";

  async function predict(found) {
    if (embedded || !found.tag) return;
    const state = `${found.id} ${found.triggers?.length}`;
    if (state === asked) return;
    asked = state;
    try {
      const { tag } = found;
      const entries = await get(`/_emulator/explain${query({ namespace, repository, tag, limit: 1000 })}`);
      predictions = new Map(entries.map((entry) => [entry.trigger, entry]));
      draw();
    } catch {
      // The table is there without the nearest misses, too.
    }
  }

  function draw() {
    const found = pushWithId(id);
    if (!found) {
      fill(body, h("h1", null, `Push ${id}`), h("p", null, "No such push is remembered. ", h("a", { href: "#/activity" }, "See the activity"), "."), command(curl("GET", `/_emulator/pushes${query({ namespace, repository })}`)));
      return;
    }
    const request = requestOf(found);
    const again = { namespace, repository, tag: found.tag };
    const act = async () => {
      try {
        const { digest } = await pushAgain(found);
        await refresh();
        const newer = run.pushes.find((other) => other.digest === digest && other.id > id);
        if (newer) location.hash = addressOf(newer);
        else fill(said, `Pushed ${digest}.`);
      } catch (error) {
        fill(said, error.message);
      }
    };
    fill(
      body,
      h("div", { class: "bar" }, h("h1", null, code(nameOf(found))), embedded ? null : button("Push again", act, { class: "primary" })),
      said,
      facts([
        ["Digest", found.digest && code(found.digest)],
        ["Pushed by", found.pushed_by],
        ["Pushed at", found.pushed_at && moment(found.pushed_at)],
        ["Region", found.region],
        ["Request", request ? h("a", { href: requestAddress(request) }, code(`${request.method} ${request.path}`)) : found.request_id && code(found.request_id)],
        ["Image", h("a", { href: `#/registry/${[namespace, repository, found.tag].map(encodeURIComponent).join("/")}` }, code(nameOf(found)))],
      ]),
      section("Decisions", decisionTable(found, predictions)),
      found.trigger_count > decisionsOf(found).length && h("p", { class: "faint" }, `The first ${decisionsOf(found).length} of ${found.trigger_count} triggers.`),
      decisionsOf(found).filter((decision) => decision.fires).map((decision) => fired(found, decision)),
      section("Commands", h("p", null, "Push this tag again:"), command(curl("POST", "/_emulator/push", again)), h("p", null, "Predict the effect of a push:"), command(curl("GET", `/_emulator/explain${query(again)}`))),
    );
    predict(found);
  }

  let known = "";
  return {
    title: `Push ${id}`,
    element: h("div", { class: "screen" }, body),
    curl: () => {
      copy(curl("POST", "/_emulator/push", { namespace, repository, tag: pushWithId(id)?.tag ?? "" }));
      announce("Copied as curl");
    },
    update() {
      const found = pushWithId(id);
      const state = JSON.stringify([found, run.rollouts.length]);
      if (state === known) return;
      known = state;
      draw();
      // Events tell of firings one by one; the rest is asked for.
      const decisions = decisionsOf(found);
      const isPart = found && (!found.triggers || found.fired + found.passed_over > decisions.length
        || decisions.some((decision) => decision.result === "success" && !rolloutOf(found, decision)));
      if (isPart) refresh().catch(() => {});
    },
  };
}

