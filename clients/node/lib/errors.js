// The errors of this package, other than failed assertions.

export class EmulatorError extends Error {
  name = 'EmulatorError';
}

/** The program did not start; the message is its own. */
export class StartError extends EmulatorError {
  name = 'StartError';
}

/** The emulator has refused a request. */
export class RequestError extends EmulatorError {
  name = 'RequestError';

  constructor(request, { status, code, reason }, options) {
    super([`${request}:`, status, code, reason].filter((word) => word !== '').join(' '), options);
    Object.assign(this, { status, code, reason });
  }
}
