// Images: their names, and a push of a small one as a client of registries does it.

import { createHash, createHmac } from 'node:crypto';

import { json, send } from './http.js';

const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar';
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

/** `organization/repository:tag`, before which the registry may stand. */
export class ImageName {
  static parse(text, registry) {
    const path = text.startsWith(`${registry}/`) ? text.slice(registry.length + 1) : text;
    const [, namespace, repository, tag] = /^([^/:]+)\/([^:]+):(.+)$/.exec(path) ?? [];
    if (tag === undefined) {
      throw new TypeError(`${text} is not the name of an image, like group/busybox:v2`);
    }
    return Object.assign(new ImageName(), { namespace, repository, tag });
  }

  toString() {
    return `${this.namespace}/${this.repository}:${this.tag}`;
  }

  /** The parameters that name it. */
  get query() {
    return { ...this };
  }
}

/** User and password of the long-term login to the registry. */
export function registryLogin({ accessKey, secretKey }, region) {
  const password = createHmac('sha256', secretKey).update(accessKey).digest('hex');
  return { username: `${region}@${accessKey}`, password };
}

/** Pushes an image with one file, which has this content; its digest. */
export async function push(url, login, name, content) {
  const layer = layerWith(content);
  const config = Buffer.from(
    JSON.stringify({
      architecture: 'amd64',
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: [digest(layer)] },
    }),
  );
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: descriptor(CONFIG, config),
      layers: [descriptor(LAYER, layer)],
    }),
  );
  const path = `${name.namespace}/${name.repository}`;
  const headers = { Authorization: `Bearer ${await token(url, login, path)}` };
  for (const body of [config, layer]) {
    const started = await send(url, 'POST', `/v2/${path}/blobs/uploads/`, { headers });
    await send(url, 'PUT', started.headers.location, {
      query: { digest: digest(body) },
      body,
      headers: { ...headers, 'Content-Type': 'application/octet-stream' },
    });
  }
  await send(url, 'PUT', `/v2/${path}/manifests/${name.tag}`, {
    body: manifest,
    headers: { ...headers, 'Content-Type': MANIFEST },
  });
  return digest(manifest);
}

async function token(url, { username, password }, path) {
  const basic = Buffer.from(`${username}:${password}`).toString('base64');
  const query = { service: 'dockyard', scope: `repository:${path}:pull,push` };
  const headers = { Authorization: `Basic ${basic}` };
  return json(await send(url, 'GET', '/swr/auth/v2/registry/auth/', { query, headers })).token;
}

/** A tar archive of one file. */
function layerWith(content) {
  const data = Buffer.from(content);
  const head = Buffer.alloc(512);
  const octal = (number, length) => number.toString(8).padStart(length - 1, '0');
  head.write('content', 0);
  head.write(octal(0o644, 8), 100);
  head.write(octal(0, 8), 108);
  head.write(octal(0, 8), 116);
  head.write(octal(data.length, 12), 124);
  head.write(octal(0, 12), 136);
  head.write(' '.repeat(8), 148);
  head.write('0ustar\0' + '00', 156);
  const sum = head.reduce((total, byte) => total + byte, 0);
  head.write(`${octal(sum, 7)}\0 `, 148);
  const filled = Buffer.alloc(Math.ceil(data.length / 512) * 512);
  data.copy(filled);
  return Buffer.concat([head, filled, Buffer.alloc(1024)]);
}

function digest(blob) {
  return `sha256:${createHash('sha256').update(blob).digest('hex')}`;
}

function descriptor(mediaType, blob) {
  return { mediaType, digest: digest(blob), size: blob.length };
}
