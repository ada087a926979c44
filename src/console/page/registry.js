// Registry: organizations, repositories, tags, and what a tag is made of.

import { base, embedded, get, repositoryPath } from "./api.js";
import { bytes, code, command, digest, facts, fill, h, moment, section, table } from "./dom.js";
import { run } from "./run.js";
import { curl, samples } from "./samples.js";

const address = (...path) => `#/registry/${path.map(encodeURIComponent).join("/")}`;
const link = (text, ...path) => h("a", { href: address(...path) }, code(text));

function trail(path) {
  const places = path.map((part, at) => (at < path.length - 1 ? h("a", { href: address(...path.slice(0, at + 1)) }, part) : h("span", { "aria-current": "page" }, part)));
  return h("nav", { class: "trail", "aria-label": "Place in the registry" }, h("a", { href: "#/registry" }, "Organizations"), places.map((place) => [" / ", place]));
}

async function organizations() {
  const { namespaces } = await get("/v2/manage/namespaces");
  if (!namespaces?.length) return [h("p", null, "There is no organization yet. Create one, and push to it:"), samples().map((text) => command(text))];
  return table("Organizations", ["Organization", "Repositories", "Creator"], namespaces.map((one) => [link(one.name, one.name), h("span", { class: "number" }, one.repo_count), h("span", null, one.creator_name)]));
}

async function repositories(namespace) {
  const found = await get(`/v2/manage/repos?${new URLSearchParams({ namespace, offset: 0, limit: 100 })}`);
  if (!found.length) return [h("p", null, "No repository yet. Push to one:"), command(curl("POST", "/_emulator/push", { namespace, repository: "busybox", tag: "v1" }))];
  return table("Repositories", ["Repository", "Tags", "Size", "Updated"], found.map((one) => [
    link(one.name, namespace, one.name), h("span", { class: "number" }, one.num_images), h("span", { class: "number" }, bytes(one.size)), moment(one.updated_at),
  ]));
}

async function tags(namespace, repository) {
  const path = repositoryPath(namespace, repository);
  const [found, triggers] = await Promise.all([get(`${path}/tags?limit=100`), get(`${path}/triggers`)]);
  return [
    found.length
      ? table("Tags", ["Tag", "Digest", "Size", "Updated"], found.map((one) => [link(one.Tag, namespace, repository, one.Tag), digest(one.digest), h("span", { class: "number" }, bytes(one.size)), moment(one.updated)]))
      : [h("p", null, "No tag yet. Push one:"), command(curl("POST", "/_emulator/push", { namespace, repository, tag: "v1" }))],
    triggers.length ? section("Triggers", h("ul", { class: "links" }, triggers.map(({ name }) => h("li", null, h("a", { href: `#/trigger/${[namespace, repository, name].map(encodeURIComponent).join("/")}` }, code(name)))))) : null,
  ];
}

function parts(manifest) {
  const listed = manifest.layers ?? manifest.manifests ?? manifest.fsLayers ?? [];
  const title = manifest.manifests ? "Platforms" : "Layers";
  return section(title, table(title, ["Digest", "Media type", "Size"], listed.map((one) => [
    h("code", null, one.digest ?? one.blobSum), h("span", null, [one.mediaType, one.platform && `${one.platform.os}/${one.platform.architecture}`].filter(Boolean).join(" ")), h("span", { class: "number" }, bytes(one.size)),
  ])));
}

async function tag(namespace, repository, name) {
  const path = repositoryPath(namespace, repository);
  const text = encodeURIComponent(name);
  const [found, referrers] = await Promise.all([get(`${path}/tags/${text}`), get(`${path}/${text}/accessories`).catch(() => ({ accessories: [] }))]);
  let manifest = {};
  try {
    manifest = JSON.parse(found.manifest);
  } catch {
    // Shown as the text that it is.
  }
  return [
    facts([["Digest", code(found.digest)], ["Size", bytes(found.size)], ["Created", moment(found.created)], ["Updated", moment(found.updated)], ["Media type", manifest.mediaType && code(manifest.mediaType)], ["Config", manifest.config && code(manifest.config.digest)]]),
    section("Pull", command(`docker pull ${found.path}`)),
    parts(manifest),
    section("Referrers", referrers.accessories?.length
      ? table("Referrers", ["Type", "Tag", "Digest", "Size"], referrers.accessories.map((one) => [h("span", null, one.type), link(one.sig_tag, namespace, repository, one.sig_tag), digest(one.sig_digest), h("span", { class: "number" }, bytes(one.size))]))
      : h("p", { class: "faint" }, "No signature or attestation refers to this image.")),
    section("Manifest", h("pre", { tabindex: "0" }, Object.keys(manifest).length ? JSON.stringify(manifest, null, 2) : found.manifest)),
  ];
}

/** The tag is the last part only where there are three of them: names of repositories have slashes, which addresses encode. */
const load = ([namespace, repository, name]) => {
  if (!namespace) return organizations();
  if (!repository) return repositories(namespace);
  return name ? tag(namespace, repository, name) : tags(namespace, repository);
};

export function registry({ path }) {
  const body = h("div", null, h("p", { class: "faint" }, "Loading…"));
  let seen = null;
  return {
    title: path.at(-1) ?? "Registry",
    element: h("div", { class: "screen" }, h("h1", null, path.length ? code(path.at(-1)) : "Registry"), path.length ? trail(path) : null, body),
    update() {
      if (embedded) return fill(body, h("p", null, `The images are in the emulator, which was at ${base}. A report has no images.`));
      // A push may have changed it.
      const newest = run.pushes[0]?.id ?? 0;
      if (seen === newest) return undefined;
      seen = newest;
      return load(path).then((content) => fill(body, content), (error) => fill(body, h("p", { class: "refused" }, error.message)));
    },
  };
}

