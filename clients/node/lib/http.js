// HTTP with what Node has.

import { request } from 'node:http';

import { RequestError } from './errors.js';

const MILLISECONDS = 60_000;

/** Sends a request, with JSON unless the body is bytes; any answer will do. */
export async function ask(url, method, path, { query = {}, body, headers = {}, wait = 0 } = {}) {
  const target = new URL(path, url);
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== null) {
      target.searchParams.set(name, String(value));
    }
  }
  const isJson = body !== undefined && !Buffer.isBuffer(body);
  const content = isJson ? Buffer.from(JSON.stringify(body)) : body;
  const sent = { 'Content-Length': content?.length ?? 0, ...headers };
  if (isJson) {
    sent['Content-Type'] = 'application/json';
  }
  // A connection of its own, which keeps nobody waiting when the emulator stops.
  const options = { method, headers: sent, agent: false, timeout: MILLISECONDS + wait };
  try {
    return await new Promise((resolve, reject) => {
      const asked = request(target, options, (response) => {
        const parts = [];
        response.on('error', reject);
        response.on('data', (part) => parts.push(part));
        response.on('end', () => {
          resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(parts) });
        });
      });
      asked.on('timeout', () => asked.destroy(new Error('no answer in time')));
      asked.on('error', reject);
      asked.end(content);
    });
  } catch (cause) {
    const why = { status: 0, code: cause.code ?? '', reason: cause.message };
    throw new RequestError(`${method} ${path}`, why, { cause });
  }
}

/** The same, where an answer other than 2xx is an error. */
export async function send(url, method, path, options) {
  const answer = await ask(url, method, path, options);
  if (answer.status < 200 || answer.status >= 300) {
    throw refusal(method, path, answer);
  }
  return answer;
}

export function refusal(method, path, answer) {
  return new RequestError(`${method} ${path}`, { status: answer.status, ...failure(answer) });
}

export function json(answer) {
  return JSON.parse(answer.body.toString());
}

/** Code and message of an error, as the management API or the registry sends it. */
export function failure(answer) {
  try {
    const body = json(answer);
    if (body.error_code !== undefined) {
      return { code: body.error_code, reason: body.error_msg };
    }
    const [first] = body.errors;
    return { code: first.code, reason: first.message };
  } catch {
    return { code: '', reason: answer.body.toString() };
  }
}
