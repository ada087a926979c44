"use strict";

// Shows openapi.json, and sends requests to the emulator that this page came from. The token is
// kept for as long as this tab is open; the built-in account's stands there where it counts.

const TOKEN = "token";
const METHODS = ["get", "post", "put", "patch", "delete"];
const find = (id) => document.getElementById(id);

/** Makes an element; texts are only ever texts, so nothing in the document can become markup. */
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(key, value);
    else if (value !== false && value !== undefined) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== undefined));
  return element;
}

/** Text in which `…` is code and lines that start with - are a list. */
function prose(text) {
  const inline = (line) => line.split("`").map((part, at) => (at % 2 ? make("code", {}, part) : part));
  return text.split("\n\n").map((block) => {
    const lines = block.split("\n");
    return lines.every((line) => line.startsWith("- "))
      ? make("ul", {}, ...lines.map((line) => make("li", {}, ...inline(line.slice(2)))))
      : make("p", {}, ...inline(block));
  });
}

class Page {
  constructor(api) {
    this.api = api;
  }

  resolve(schema) {
    let resolved = schema;
    while (resolved?.$ref) {
      const path = resolved.$ref.slice(2).split("/");
      resolved = path.reduce((value, key) => value?.[key], this.api);
    }
    return resolved ?? {};
  }

  /** A value that looks as the schema says. */
  example(schema, depth = 0) {
    const { examples, default: standard, enum: words, const: only, ...rest } = this.resolve(schema);
    if (only !== undefined) return only;
    if (examples?.length) return examples[0];
    if (standard !== undefined) return standard;
    if (words?.length) return words[0];
    if (depth > 8) return null;
    if (rest.allOf) {
      return Object.assign({}, ...rest.allOf.map((part) => this.example(part, depth + 1)));
    }
    if (rest.anyOf && !rest.properties) return this.example(rest.anyOf[0], depth + 1);
    switch ([rest.type].flat()[0]) {
      case "object": {
        const required = new Set(rest.required);
        const fields = Object.entries(rest.properties ?? {});
        const wanted = depth ? fields.filter(([name]) => required.has(name)) : fields;
        return Object.fromEntries(wanted.map(([name, field]) => [name, this.example(field, depth + 1)]));
      }
      case "array":
        return rest.maxItems === 0 ? [] : [this.example(rest.items ?? {}, depth + 1)];
      case "integer":
      case "number":
        return rest.minimum ?? 0;
      case "boolean":
        return false;
      case "string":
        return "";
      default:
        return rest.properties ? this.example({ ...rest, type: "object" }, depth) : null;
    }
  }

  /** The schema itself, with what it refers to in place. */
  inline(schema, depth = 0) {
    if (Array.isArray(schema)) return schema.map((part) => this.inline(part, depth + 1));
    if (schema === null || typeof schema !== "object" || depth > 12) return schema;
    const members = Object.entries(this.resolve(schema));
    return Object.fromEntries(members.map(([key, value]) => [key, this.inline(value, depth + 1)]));
  }

  schema(schema) {
    const box = make("details", { class: "schema" }, make("summary", {}, "schema"));
    box.addEventListener("toggle", () => {
      if (box.children.length > 1) return;
      box.append(make("pre", {}, JSON.stringify(this.inline(schema), null, 2)));
    });
    return box;
  }

  operation(path, method, operation) {
    const body = make("div");
    const box = make(
      "details",
      { class: "operation", id: operation.operationId },
      make(
        "summary",
        {},
        make("span", { class: `method ${method}` }, method.toUpperCase()),
        make("code", {}, path),
        make("span", { class: "faint" }, `${operation.operationId}: ${operation.summary}`),
      ),
      body,
    );
    box.dataset.words = `${operation.operationId} ${method} ${path} ${operation.summary}`.toLowerCase();
    box.addEventListener("toggle", () => {
      if (!box.open) return;
      if (!body.hasChildNodes()) this.fill(body, path, method, operation);
      // A link to what was opened last, for whoever copies the address.
      history.replaceState(null, "", `#${operation.operationId}`);
    });
    return box;
  }

  /** What an operation shows once it is opened. */
  fill(body, path, method, operation) {
    body.append(...(operation.description ? prose(operation.description) : []));
    const inputs = new Map();
    if (operation.parameters.length) {
      const rows = operation.parameters.map((parameter) => {
        const { default: standard, examples } = parameter.schema;
        const input = make("input", {
          placeholder: standard ?? (parameter.required ? "" : "omitted"),
          value: parameter.required ? examples?.[0] : undefined,
          "aria-label": parameter.name,
        });
        inputs.set(parameter, input);
        return make(
          "tr",
          {},
          make(
            "td",
            {},
            make("code", {}, parameter.name),
            make("span", { class: "faint" }, ` ${parameter.in}${parameter.required ? "" : ", optional"}`),
          ),
          make("td", {}, ...prose(parameter.description), this.schema(parameter.schema)),
          make("td", {}, input),
        );
      });
      body.append(make("h3", {}, "Parameters"), make("table", {}, ...rows));
    }
    let text;
    const content = operation.requestBody?.content["application/json"];
    if (content) {
      text = make("textarea", { "aria-label": "Body", spellcheck: "false" });
      text.value = JSON.stringify(this.example(content.schema), null, 2);
      body.append(make("h3", {}, "Body"), text, this.schema(content.schema));
    }
    const login = operation.security.some((way) => way.login);
    const user = login && make("input", { placeholder: "{project}@{AK}", "aria-label": "User" });
    const password = login && make("input", { placeholder: "password", type: "password", "aria-label": "Password" });
    const answer = make("div", { role: "status" });
    const send = async () => {
      const token = find("token").value.trim();
      find("token").classList.toggle("wanted", this.wantsToken(operation) && !token);
      if (this.wantsToken(operation) && !token) {
        answer.replaceChildren(make("p", { class: "refused" }, "This call needs a token. Enter one at the top of the page."));
        find("token").focus();
        return;
      }
      const headers = new Headers();
      if (token && this.wantsToken(operation)) headers.set("X-Auth-Token", token);
      if (text) headers.set("Content-Type", "application/json");
      if (login && user.value) {
        const bytes = new TextEncoder().encode(`${user.value}:${password.value}`);
        headers.set("Authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`);
      }
      await this.send(answer, this.address(path, inputs), { method: method.toUpperCase(), headers, body: text?.value });
    };
    body.append(
      make("h3", {}, "Try it"),
      make("p", {}, ...(login ? [user, " ", password, " "] : []), make("button", { type: "button", click: send }, "Send")),
      answer,
      make("h3", {}, "Responses"),
      make("table", {}, ...Object.entries(operation.responses).map((row) => this.response(...row))),
    );
  }

  wantsToken(operation) {
    return operation.security.some((way) => way.token);
  }

  response(status, response) {
    const schema = Object.values(response.content ?? {})[0]?.schema;
    const headers = Object.entries(response.headers).filter(([, header]) => header.description);
    return make(
      "tr",
      {},
      make("td", {}, make("code", { class: status < 300 ? "done" : "refused" }, status)),
      make(
        "td",
        {},
        ...prose(response.description),
        ...headers.flatMap(([name, header]) => prose(`\`${name}\`: ${header.description}`)),
        schema && this.schema(schema),
      ),
    );
  }

  address(path, inputs) {
    const query = new URLSearchParams();
    let address = path;
    for (const [parameter, { value }] of inputs) {
      if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (value) query.append(parameter.name, value);
    }
    return query.size ? `${address}?${query}` : address;
  }

  async send(place, url, request) {
    place.replaceChildren(make("p", { class: "faint" }, "Waiting for the response…"));
    const started = performance.now();
    try {
      const response = await fetch(url, { ...request, cache: "no-store", credentials: "omit" });
      let text = await response.text();
      const milliseconds = Math.round(performance.now() - started);
      if (response.headers.get("Content-Type")?.startsWith("application/json")) {
        text = JSON.stringify(JSON.parse(text), null, 2);
      }
      const headers = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
      place.replaceChildren(
        make(
          "p",
          {},
          make("strong", { class: response.ok ? "done" : "refused" }, `${response.status} ${response.statusText}`),
          make("span", { class: "faint" }, ` ${request.method} ${url}, ${milliseconds} ms`),
        ),
        make("pre", {}, `${headers}\n\n${text.slice(0, 200000)}`),
      );
    } catch (error) {
      place.replaceChildren(make("p", { class: "refused" }, `No response: ${error.message}`));
    }
  }

  show() {
    find("version").textContent = this.api.info.version;
    find("about").append(...prose(this.api.info.description));
    for (const { name } of this.api.tags) {
      const operations = Object.entries(this.api.paths).flatMap(([path, methods]) =>
        METHODS.filter((method) => methods[method]?.tags.includes(name)).map((method) =>
          this.operation(path, method, methods[method]),
        ),
      );
      find("operations").append(make("section", {}, make("h2", {}, name), ...operations));
    }
    find("search").addEventListener("input", ({ target }) => this.search(target.value));
    window.addEventListener("hashchange", () => this.open());
    this.open();
  }

  search(text) {
    const words = text.toLowerCase().split(/\s+/);
    for (const section of find("operations").children) {
      let found = 0;
      for (const operation of section.querySelectorAll("details.operation")) {
        operation.hidden = !words.every((word) => operation.dataset.words.includes(word));
        found += !operation.hidden;
      }
      section.hidden = !found;
    }
  }

  /** Opens the operation that the address names. */
  open() {
    const operation = find(decodeURIComponent(location.hash.slice(1)));
    if (operation?.matches("details")) {
      operation.open = true;
      operation.scrollIntoView();
    }
  }
}

/** Fills in the token that this tab had, or else the built-in one, if the emulator has it. */
async function fillInToken() {
  const field = find("token");
  field.addEventListener("input", () => sessionStorage.setItem(TOKEN, field.value));
  const kept = sessionStorage.getItem(TOKEN);
  const health = kept === null ? await (await fetch("health")).json() : {};
  field.value ||= kept ?? (health.builtin_account ? field.dataset.builtin : "");
}

fillInToken().catch(() => {});
fetch("openapi.json")
  .then((response) => response.json())
  .then((api) => {
    new Page(api).show();
    find("state").remove();
  })
  .catch((error) => {
    find("state").textContent = `The document could not be read: ${error.message}`;
  });
