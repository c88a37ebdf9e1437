import { CleanUp } from './clean-up.ts';
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Logger } from 'pino';
import { servedTypes } from '../api/resources.ts';
import { GridferryError } from '../errors.ts';
import { startDirectorySync } from '../home/directory-sync.ts';
import type { DirectorySync } from '../home/directory-sync.ts';
import { openLocalHome } from '../home/local-client.ts';
import type { LocalHome } from '../home/local-client.ts';
import { acquireRunLock } from '../home/run-lock.ts';
import { createSchemaAdmission } from '../home/schema-admission.ts';
import { readSecretsDirectory } from '../home/secrets-dir.ts';
import { createLogger } from '../log.ts';
import { systemClock } from '../runtime/clock.ts';
import { createHttpEndpoints } from '../runtime/http-endpoints.ts';
import { createManager } from '../runtime/manager.ts';
import type { Manager } from '../runtime/manager.ts';
import { createPrometheus } from '../runtime/prometheus.ts';
import type { ControllerDefinition } from '../runtime/reconciler.ts';
import { createRedactor } from '../security/redact.ts';
import { createSecretResolver } from '../security/secrets.ts';
import type { ControllerInputs } from '../../controllers/dependencies.ts';
import { createControllers } from '../../controllers/registry.ts';
import { ExitCode } from './cli-error.ts';
import { printSummary } from './run-summary.ts';
import { waitUntilSettled } from './settling.ts';
import { recordSource } from './state-directory.ts';

export interface Controllers {
  readonly definitions: readonly ControllerDefinition[];
  close(): Promise<void>;
}

export interface RunDirectoryOptions {
  readonly directory: string;
  readonly once: boolean;
  readonly stateDirectory: string;
  readonly secretsDirectory?: string;
  readonly namespace: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly listen?: { readonly host: string; readonly port: number };
  /** Ends it in good order. */
  readonly stop: AbortSignal;
  /** Default: those of this program. */
  readonly controllers?: (inputs: ControllerInputs) => Controllers;
}

/** Runs the controllers over a directory until it is stopped, or once everything is settled. Returns the exit code. */
export async function runDirectory(options: RunDirectoryOptions): Promise<number> {
  const directory = resolve(options.directory);
  const stateDirectory = resolve(options.stateDirectory);
  checkDirectory(directory, 'manifests');
  if (options.secretsDirectory !== undefined) checkDirectory(resolve(options.secretsDirectory), 'secrets');

  const redactor = createRedactor();
  const log = createLogger({ level: options.logLevel, redactor });
  await using cleanup = new CleanUp();
  const lock = acquireRunLock(stateDirectory);
  cleanup.defer(() => lock.release());
  recordSource(stateDirectory, directory);
  const admission = createSchemaAdmission();
  const home = openLocalHome({ stateDir: stateDirectory, types: servedTypes, admission });
  cleanup.defer(() => home.close());

  const secrets = createSecretResolver({
    client: home,
    ...(options.secretsDirectory === undefined
      ? {}
      : { secretsDir: readSecretsDirectory(resolve(options.secretsDirectory)) }),
  });
  const inputs: ControllerInputs = { client: home, clock: systemClock, random: Math.random, log, secrets, redactor };
  const controllers = (options.controllers ?? createControllers)(inputs);
  cleanup.defer(() => controllers.close());
  const metrics = await createPrometheus();
  const manager = createManager({
    client: home,
    clock: systemClock,
    log,
    metrics,
    controllers: controllers.definitions,
    instance: `gridferry-${process.pid}`,
  });
  cleanup.defer(() => manager.stop());
  const sync = startDirectorySync({
    directory,
    client: home,
    types: servedTypes,
    admission,
    clock: systemClock,
    log,
    defaultNamespace: options.namespace,
  });
  cleanup.defer(() => sync.stop());
  if (options.listen !== undefined) {
    const endpoints = createHttpEndpoints({ ...options.listen, readiness: () => manager.readiness(), metrics });
    const { host, port } = await endpoints.start();
    cleanup.defer(() => endpoints.stop());
    log.info({ host, port }, 'serving /healthz, /readyz and /metrics');
  }
  log.info({ directory, state: stateDirectory, pid: process.pid }, 'running');
  return await work({ options, home, manager, controllers, sync, log });
}

interface Running {
  readonly options: RunDirectoryOptions;
  readonly home: LocalHome;
  readonly manager: Manager;
  readonly controllers: Controllers;
  readonly sync: DirectorySync;
  readonly log: Logger;
}

async function work({ options, home, manager, controllers, sync, log }: Running): Promise<number> {
  const stopped = new Promise<'stopped'>((done) => {
    if (options.stop.aborted) done('stopped');
    options.stop.addEventListener('abort', () => done('stopped'), { once: true });
  });
  // First what the files say now, then action: a transfer that was cancelled meanwhile is not taken a step further.
  const ready = await Promise.race([sync.ready, stopped]);
  if (ready !== 'stopped') await Promise.race([manager.start(), stopped]);
  if (!options.once) {
    await stopped;
    log.info('stopping');
    return ExitCode.ok;
  }
  const settled = new AbortController();
  const settling = waitUntilSettled({
    client: home,
    manager,
    controllers: new Map(controllers.definitions.map(({ reconciler }) => [reconciler.type.kind, reconciler.name])),
    clock: systemClock,
    signal: settled.signal,
  });
  // Its end is a stop, too; the race below has its outcome.
  settling.catch(() => undefined);
  const outcome = await Promise.race([settling, stopped]);
  settled.abort();
  if (outcome === 'stopped') {
    throw new GridferryError(
      'GF_CLI_INTERRUPTED',
      'Stopped before everything was settled; start it again and it goes on from here.',
    );
  }
  await manager.flushEvents();
  return printSummary({
    verdicts: outcome,
    problems: sync.problems(),
    directory: options.directory,
    stateDirectory: options.stateDirectory,
  });
}

function checkDirectory(path: string, what: string): void {
  const facts = statSync(path, { throwIfNoEntry: false });
  if (facts?.isDirectory() === true) return;
  const why = facts === undefined ? 'does not exist' : 'is not a directory';
  throw new GridferryError(
    'GF_CLI_NO_DIRECTORY',
    `The directory of ${what} ${path} ${why}: create it, or name another.`,
  );
}
