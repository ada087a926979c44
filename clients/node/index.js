// Private emulators of Huawei Cloud SWR for tests. What is public is described in index.d.ts.

export { findBinary } from './lib/binary.js';
export { Emulator, start } from './lib/emulator.js';
export { EmulatorError, RequestError, StartError } from './lib/errors.js';
