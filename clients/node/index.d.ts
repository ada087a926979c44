// Private emulators of Huawei Cloud SWR for tests.

/// <reference lib="esnext.disposable" />

/**
 * The text of a seed file, the URL of one (`new URL('seed.yaml', import.meta.url)`), or its content
 * as objects and arrays. It has to keep the built-in account.
 */
export type Seed = string | { readonly href: string } | Record<string, unknown>;

/** How an emulator is started. */
export interface StartOptions {
  /** What it contains; nothing by default. */
  seed?: Seed;
  /** Further arguments of the program, like `['--region', 'cn-east-3']`. */
  args?: readonly string[];
}

/**
 * Starts an emulator on a free port with a temporary data folder, and returns once it serves.
 * Nothing of it outlives this process.
 */
export function start(options?: StartOptions): Promise<Emulator>;

/**
 * The program that `start` runs: the one that the variable `SWR_EMULATOR_BINARY` names, or else that
 * of the package for this platform.
 */
export function findBinary(): string;

/** A running emulator. */
export class Emulator implements AsyncDisposable {
  private constructor();

  /** The address of all its APIs, like `http://127.0.0.1:40123`. */
  readonly url: string;
  /** The host of the registry, like `127.0.0.1:40123`. */
  readonly registry: string;
  /** The region that it emulates. */
  readonly region: string;
  /** The built-in account, whose keys everybody knows. */
  readonly credentials: Credentials;
  /** The login for clients of registries. */
  readonly registryLogin: { readonly username: string; readonly password: string };
  /**
   * Variables that point clients at it: those that `swr-emulator env` prints, and `NO_PROXY` with
   * this machine added to it. Use them with `{ env: { ...process.env, ...emulator.env } }`.
   */
  readonly env: Readonly<Record<string, string>>;

  /** Stops it and removes its data. */
  stop(): Promise<void>;
  /** The same, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;

  /**
   * Pushes a small image, as docker would, under a name like `group/busybox:v2`; returns its digest.
   * Each push has a new content unless one is given; the same content makes the same image.
   */
  push(image: string, options?: { content?: string }): Promise<string>;
  /** Makes an operation fail: `fault('PutManifest', { status: 503, times: 1 })`. */
  fault(operation: string, options?: Fault): Promise<void>;
  /** Moves the emulator's clock: by milliseconds, or a text like `40d` or `1h30m`. */
  advance(by: number | string): Promise<void>;
  /**
   * Returns to the state of a fresh start, clock and faults included. With a seed, to the state that
   * it describes, which later resets return to as well.
   */
  reset(seed?: Seed): Promise<void>;
  /** Saves the whole state in a file, images and all secrets included, for its owner only. */
  save(file: string): Promise<void>;
  /** Replaces the whole state by a saved one, which later resets return to as well. */
  load(file: string): Promise<void>;

  /**
   * Waits for the newest push of a tag, or the next one if there is none yet, and its firings: until
   * none of them is pending.
   */
  wait(image: string, options?: WaitOptions): Promise<Push>;
  /**
   * Waits in the same way for one trigger; returns its history entry, whatever the result. As soon
   * as it is known that it does not fire, it fails with an `AssertionError` that has the decision
   * record of the push.
   */
  wait(image: string, trigger: string, options?: WaitOptions): Promise<HistoryEntry>;
  /**
   * Asserts that the newest push of a tag fired the trigger, and that this was a success. Waits as
   * `wait` does. A failure shows the decision record of the push.
   */
  assertFired(image: string, trigger: string, options?: WaitOptions): Promise<HistoryEntry>;
  /**
   * Asserts that the newest push of a tag did not fire the trigger; returns the reason. Waits for
   * the push as `wait` does. A failure shows the decision record of the push.
   */
  assertNotFired(image: string, trigger: string, options?: WaitOptions): Promise<string>;

  /** The pushes of a tag, newest first, at most 1,000. */
  pushes(image: string): Promise<Push[]>;
  /** The effect that a push of this tag would have now, trigger by trigger. */
  explain(image: string): Promise<Explained[]>;
  /** The newest 1,000 requests, newest first, or those that the filter admits. */
  requests(filter?: RequestFilter): Promise<Request[]>;
  /** Pushes with their firings, refused requests and warnings, as text, at most 20 of each. */
  report(): Promise<string>;
}

export interface Credentials {
  readonly accessKey: string;
  readonly secretKey: string;
  readonly projectId: string;
  readonly token: string;
}

export interface WaitOptions {
  /** The `id` of a push: only a later push counts. */
  after?: number;
  /**
   * How far to wait: until the clusters took the updates, which is the default, or until the rollouts
   * are healthy. Then a wait fails as soon as one cannot become healthy.
   */
  until?: 'fired' | 'healthy';
  /** In milliseconds; 10,000 by default. */
  timeout?: number;
}

export interface Fault {
  status?: number;
  code?: string;
  times?: number;
  delay_ms?: number;
  retry_after_s?: number;
  cut?: boolean;
  cut_after_bytes?: number;
  probability?: number;
  seed?: number;
  namespace?: string;
  repository?: string;
  tag?: string;
  digest?: string;
  caller?: string;
}

/** What came of an update once the cluster had taken it. */
export interface Rollout {
  state: 'progressing' | 'healthy' | 'degraded' | 'unknown';
  reason: string;
  message: string;
  observed: string;
  since: string;
}

/** The workload that a firing chose. */
export interface Workload {
  cluster: string;
  namespace: string;
  kind: 'deployments' | 'statefulsets';
  name: string;
  container: string;
}

/** Where a firing went, and what came of it there. */
export interface Landed {
  workload?: Workload;
  rollout?: Rollout;
}

/** An entry of a trigger's history: the trigger as it was when it fired, and the result. */
export interface HistoryEntry extends Landed {
  action: string;
  app_type: string;
  application: string;
  cluster_id: string;
  cluster_name: string;
  cluster_ns: string;
  condition: string;
  container: string;
  created_at: string;
  creator_name: string;
  detail: string;
  result: 'success' | 'failed';
  tag: string;
}

/** A push with the fate of each trigger of its repository. */
export interface Push {
  id: number;
  tag: string;
  digest: string;
  pushed_by: string;
  pushed_at: string;
  /** The request that pushed; absent if a sync brought the tag. */
  request_id?: string;
  /** The address of the push in the console. */
  page?: string;
  triggers: Decision[];
  trigger_count: number;
}

/** What a push did to a trigger. Without a result, its firing has not ended. */
export interface Decision extends Landed {
  trigger: string;
  fires: boolean;
  reason: string;
  result?: 'success' | 'failed';
  detail?: string;
  tries?: number;
  last_answer?: string;
  next_try_at?: string;
}

/** The effect that a push would have. */
export interface Explained {
  trigger: string;
  fires: boolean;
  outcome: 'updates' | 'unchanged' | 'fails' | 'skipped';
  reason: string;
  patch: Record<string, unknown> | null;
}

export interface RequestFilter {
  operation?: string;
  /** A status like 404, or `4xx`. */
  status?: number | string;
  namespace?: string;
  since?: Date;
}

/** A request to the emulator, without its body and without secrets. */
export interface Request {
  operation: string;
  method: string;
  path: string;
  caller: string;
  status: number;
  code: string | null;
  message: string | null;
  body_bytes: number;
  milliseconds: number;
  time: string;
  request_id: string;
}

/** The base of this package's errors, other than failed assertions. */
export class EmulatorError extends Error {}

/** The program did not start; the message is its own. */
export class StartError extends EmulatorError {}

/** The emulator has refused a request. */
export class RequestError extends EmulatorError {
  /** 0 if there was no answer. */
  readonly status: number;
  readonly code: string;
  readonly reason: string;
}
