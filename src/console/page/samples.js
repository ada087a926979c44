// Commands with the address of this instance.

import { base, builtinToken } from "./api.js";
import { quoted } from "./dom.js";

/** The token as a shell has it: the built-in one may be shown, every other one is a variable. */
const token = () => (builtinToken ? `X-Auth-Token: ${builtinToken}` : "X-Auth-Token: $SWR_EMULATOR_TOKEN");

/** A request as a command of curl. */
export function curl(method, path, body) {
  const words = ["curl", "-sS"];
  if (method !== "GET") words.push("-X", method);
  words.push("-H", `"${token()}"`);
  if (body !== undefined && body !== null) {
    words.push("-H", "'Content-Type: application/json'", "-d", quoted(typeof body === "string" ? body : JSON.stringify(body)));
  }
  return [...words, quoted(base + path)].join(" ");
}

/** From nothing to a first push. */
export const samples = () => [
  curl("POST", "/v2/manage/namespaces", { namespace: "group" }),
  curl("POST", "/_emulator/push", { namespace: "group", repository: "busybox", tag: "v1" }),
];
