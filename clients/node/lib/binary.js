// Where the program is: in the package for this platform, which npm installs as an optional
// dependency, so that nothing is downloaded or run at the installation.

import { statSync } from 'node:fs';
import { createRequire } from 'node:module';

import { EmulatorError } from './errors.js';

const VARIABLE = 'SWR_EMULATOR_BINARY';
const require = createRequire(import.meta.url);

/** The program that the variable names, or else that of the package for this platform. */
export function findBinary() {
  const chosen = process.env[VARIABLE];
  if (chosen) {
    if (!statSync(chosen, { throwIfNoEntry: false })?.isFile()) {
      throw new EmulatorError(`${VARIABLE} names ${chosen}, which is not a file`);
    }
    return chosen;
  }
  const platform = `${process.platform}-${process.arch}`;
  const name = `@swr-emulator/${platform}`;
  const own = require('../package.json').optionalDependencies;
  const remedy = `set ${VARIABLE} to a program that you have built (cargo build --release)`;
  if (!(name in own)) {
    const known = Object.keys(own).map((known) => known.split('/')[1]);
    throw new EmulatorError(
      `there is no package with the emulator for ${platform}, but for ${known.join(', ')}; ${remedy}`,
    );
  }
  try {
    return require.resolve(`${name}/bin/swr-emulator`);
  } catch (cause) {
    throw new EmulatorError(
      `the package ${name}, which has the emulator for this platform, is not installed. npm leaves ` +
        'it out with --omit=optional, where node_modules or package-lock.json came from another ' +
        `platform, and on Linux without glibc (Alpine). Install again without these, or ${remedy}`,
      { cause },
    );
  }
}
