// Clusters: workloads with their containers, revisions and rollouts, and switches for failures.

import { call, embedded, get } from "./api.js";
import { button, chip, code, command, facts, faint, field, fill, h, moment, section, table } from "./dom.js";
import { run } from "./run.js";
import { curl } from "./samples.js";

const address = (path) => `#/clusters/${path.map(encodeURIComponent).join("/")}`;
const own = ([cluster, namespace, kind, name]) => `/_emulator/clusters/${[cluster, "namespaces", namespace, kind, name].map(encodeURIComponent).join("/")}`;

const SAMPLE = ["/_emulator/clusters/test/namespaces/default/deployments/web", { containers: [{ name: "web", image: "{registry}/group/busybox:v1" }] }];

const OUTCOMES = [["", "Healthy at once"], ["healthy", "Healthy"], ["ImagePullBackOff", "ImagePullBackOff"], ["CrashLoopBackOff", "CrashLoopBackOff"], ["stalled", "Stalled"]];

function rolloutTable(rollouts) {
  if (!rollouts?.length) return h("p", { class: "faint" }, "No trigger has updated this workload.");
  return table("Rollouts", ["Time", "Trigger", "Tag", "Container", "Image"], rollouts.map((one) => [
    moment(one.at), code(one.trigger), code(one.tag), code(one.container),
    h("span", { class: "change" }, h("del", null, one.before), " ", h("ins", null, one.after)),
  ]));
}

function revisionTable(revisions) {
  if (!revisions?.length) return null;
  return section("Revisions", table("Revisions", ["Revision", "Time", "State", "Images"], revisions.map((one) => [
    h("span", { class: "number" }, one.revision), moment(one.at), chip(one.state), h("span", null, Object.entries(one.images ?? {}).map(([name, image]) => h("div", null, code(`${name}: ${image}`)))),
  ])));
}

/** The body that puts the workload as it is, with these failures. */
function switches(path, workload, again) {
  const status = h("input", { type: "number", min: "400", max: "599", placeholder: "none" });
  const times = h("input", { type: "number", min: "1", value: "1" });
  const delay = h("input", { type: "number", min: "0", value: "0" });
  const after = h("input", { type: "text", value: workload.rollout?.after ?? "0s", pattern: "[0-9]+(ms|s|m|h)" });
  const message = h("input", { type: "text", value: workload.rollout?.message ?? "" });
  const outcome = h("select", null, OUTCOMES.map(([value, text]) => h("option", { value, selected: value === (workload.rollout?.outcome ?? "") }, text)));
  const said = h("p", { role: "status" });
  const shown = h("div");
  const { containers, init_containers: first } = workload;
  const body = () => ({
    containers,
    ...(first?.length ? { init_containers: first } : {}),
    ...(status.value ? { fail: { status: Number(status.value), times: Number(times.value) } } : {}),
    ...(Number(delay.value) ? { delay_ms: Number(delay.value) } : {}),
    ...(outcome.value ? { rollout: { outcome: outcome.value, after: after.value || "0s", ...(message.value ? { message: message.value } : {}) } } : {}),
  });
  const show = () => fill(shown, command(curl("PUT", own(path), body())));
  const form = h("div", { class: "fields", input: show, change: show },
    field("Updates fail with status", status), field("How often", times), field("Each update takes (ms)", delay),
    field("Rollout", outcome), field("After", after), field("Message", message),
    button("Apply", async () => {
      try {
        await call("PUT", own(path), body());
        fill(said, "The workload behaves so from its next update on.");
        again();
      } catch (error) {
        fill(said, error.message);
      }
    }, { class: "primary" }));
  show();
  return section("Failures", form, said, shown);
}

function workloadView(path, workload, again) {
  const { status, annotations } = workload;
  return [
    status ? facts([["State", chip(status.state)], ["Reason", status.reason], ["Message", status.message], ["Since", status.since && moment(status.since)]]) : null,
    section("Containers", table("Containers", ["Container", "Image"], [...(workload.containers ?? []), ...(workload.init_containers ?? [])].map((one) => [code(one.name), code(one.image)]))),
    section("Rollouts", rolloutTable(workload.rollouts)),
    revisionTable(workload.revisions),
    Object.keys(annotations ?? {}).length ? section("Annotations", facts(Object.entries(annotations).map(([name, value]) => [name, code(value)]))) : null,
    switches(path, workload, again),
    section("Commands", command(curl("GET", own(path)))),
  ];
}

/** The workloads that the rollouts of a report name. */
function ofReport() {
  const found = new Map();
  for (const one of run.rollouts) found.set([one.cluster_name, one.namespace, one.kind, one.name].join("/"), one);
  if (!found.size) return h("p", null, "No workload was updated in this run.");
  return table("Workloads", ["Workload", "Last image", "By", "Time"], [...found.keys()].map((place) => {
    const last = run.rollouts.find((one) => [one.cluster_name, one.namespace, one.kind, one.name].join("/") === place);
    return [h("a", { href: address(place.split("/")) }, code(place)), code(last.after), code(last.trigger), moment(last.at)];
  }));
}

async function overview() {
  const { clusters } = await get("/_emulator/clusters?limit=1000");
  if (!clusters.length) return [h("p", null, "There is no cluster yet. Make one with a workload:"), command(curl("PUT", ...SAMPLE))];
  return clusters.map((cluster) => section(
    h("span", null, cluster.name, " ", cluster.id !== cluster.name && faint(cluster.id)),
    cluster.workloads.length
      ? h("ul", { class: "links" }, cluster.workloads.map((place) => h("li", null, h("a", { href: address([cluster.id, ...place.split("/")]) }, code(place)))))
      : [h("p", { class: "faint" }, "No simulated workload."), command(curl("PUT", SAMPLE[0].replace("/test/", `/${encodeURIComponent(cluster.id)}/`), SAMPLE[1]))],
  ));
}

export function clusters({ path }) {
  const body = h("div", null, h("p", { class: "faint" }, "Loading…"));
  const isWorkload = path.length >= 4;
  let seen = null;
  const failed = (error) => fill(body, h("p", { class: "refused" }, error.message));
  async function show() {
    if (!isWorkload) return fill(body, await overview());
    return fill(body, workloadView(path, await get(own(path)), () => show().catch(failed)));
  }
  return {
    title: path.at(-1) ?? "Clusters",
    element: h("div", { class: "screen" },
      h("h1", null, isWorkload ? code(path.at(-1)) : "Clusters"),
      isWorkload ? h("nav", { class: "trail", "aria-label": "Place in the clusters" }, h("a", { href: "#/clusters" }, "Clusters"), ` / ${path.join(" / ")}`) : null,
      body),
    update() {
      if (embedded) {
        const [cluster, namespace, kind, name] = path;
        const mine = run.rollouts.filter((one) => [one.cluster_id, one.cluster_name].includes(cluster) && one.namespace === namespace && one.kind === kind && one.name === name);
        return fill(body, isWorkload ? section("Rollouts", rolloutTable(mine)) : ofReport());
      }
      // Nobody's typing is lost to a push that changes nothing here.
      const state = run.pushes.slice(0, 20).map((push) => `${push.id} ${JSON.stringify(push.triggers)}`).join();
      if (state === seen || body.contains(document.activeElement)) return undefined;
      seen = state;
      return show().catch(failed);
    },
  };
}

