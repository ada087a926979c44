// Makes the packages from a built program: `node pack.mjs PROGRAM FOLDER [PLATFORM]` writes the main
// package and that of the platform (this one, or one like linux-arm64) into the folder. It is not
// part of a package.

import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const license = fileURLToPath(new URL('../../LICENSE', import.meta.url));
const own = `${process.platform}-${process.arch}`;
const [program, folder, platform = own] = process.argv.slice(2);
const main = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));
const name = `@swr-emulator/${platform}`;

function fail(reason) {
  console.error(`pack.mjs: ${reason}`);
  process.exit(1);
}

if (folder === undefined) {
  fail('usage: node pack.mjs PROGRAM FOLDER [PLATFORM]');
}
if (main.optionalDependencies[name] === undefined) {
  fail(`package.json has no optional dependency ${name}`);
}
for (const [dependency, version] of Object.entries(main.optionalDependencies)) {
  if (version !== main.version) {
    fail(`package.json: ${dependency} must have the version ${main.version}`);
  }
}
// A program for another platform cannot be asked.
if (platform === own) {
  const told = execFileSync(program, ['--version'], { encoding: 'utf8' }).trim();
  if (told !== `swr-emulator ${main.version}`) {
    fail(`package.json has the version ${main.version}, but ${program} is ${told}`);
  }
}

const stage = mkdtempSync(join(tmpdir(), 'swr-pack-'));
try {
  const [os, cpu] = platform.split('-');
  const meta = {
    name,
    version: main.version,
    description: `The program of the package swr-emulator for ${platform}`,
    license: main.license,
    os: [os],
    cpu: [cpu],
    ...(os === 'linux' ? { libc: ['glibc'] } : {}),
    files: ['bin'],
  };
  mkdirSync(join(stage, 'platform/bin'), { recursive: true });
  writeFileSync(join(stage, 'platform/package.json'), `${JSON.stringify(meta, null, 2)}\n`);
  cpSync(program, join(stage, 'platform/bin/swr-emulator'));
  chmodSync(join(stage, 'platform/bin/swr-emulator'), 0o755);

  mkdirSync(join(stage, 'main'));
  for (const file of ['package.json', 'README.md', ...main.files]) {
    cpSync(join(here, file), join(stage, 'main', file), { recursive: true });
  }

  mkdirSync(folder, { recursive: true });
  for (const one of ['platform', 'main']) {
    cpSync(license, join(stage, one, 'LICENSE'));
    execFileSync('npm', ['pack', '--silent', '--pack-destination', resolve(folder)], {
      cwd: join(stage, one),
      stdio: 'inherit',
    });
  }
} finally {
  rmSync(stage, { recursive: true, force: true });
}
