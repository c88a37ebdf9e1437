import { CleanUp } from './clean-up.ts';
import { statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Logger } from 'pino';
import { localTypes, Transfers } from '../api/resources.ts';
import { prepareValidation } from '../api/validation.ts';
import { startAuditLog } from '../audit/audit-log.ts';
import { redactedEvent } from '../audit/redacted-event.ts';
import { auditedSecrets } from '../audit/secret-reads.ts';
import { GridferryError } from '../errors.ts';
import { openLocalHome } from '../home/local-client.ts';
import type { LocalHome } from '../home/local-client.ts';
import type { ManifestSource } from '../home/manifest-source.ts';
import { acquireRunLock } from '../home/run-lock.ts';
import { createSchemaAdmission } from '../home/schema-admission.ts';
import { startApiServer } from '../home/server/api-server.ts';
import { readSecretsDirectory } from '../home/secrets-dir.ts';
import { createLogger } from '../log.ts';
import { systemClock } from '../runtime/clock.ts';
import type { Manager } from '../runtime/manager.ts';
import type { Readiness } from '../runtime/http-endpoints.ts';
import { createPrometheus } from '../runtime/prometheus.ts';
import type { KeySource } from '../security/encryption-keys.ts';
import { createRedactor } from '../security/redact.ts';
import { createSecretResolver } from '../security/secrets.ts';
import type { ControllerInputs } from '../../controllers/dependencies.ts';
import { ExitCode } from './cli-error.ts';
import { prepareControllers, serveEndpoints, whenAborted } from './run-controllers.ts';
import type { Controllers } from './run-controllers.ts';
import { printSummary } from './run-summary.ts';
import { waitUntilSettled } from './settling.ts';
import { describeChoice, startSource } from './start-source.ts';
import type { SourceChoice } from './start-source.ts';
import { AUDIT_FILE, recordSource } from './state-directory.ts';
import { packageVersion } from './version.ts';

export interface RunDirectoryOptions {
  readonly source: SourceChoice;
  readonly once: boolean;
  readonly stateDirectory: string;
  readonly secretsDirectory?: string;
  readonly namespace: string;
  readonly logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly listen?: { readonly host: string; readonly port: number };
  /** Of the Kubernetes API on 127.0.0.1. Default: the one of the last run, or a free one. */
  readonly apiPort?: number;
  /** What Secrets are encrypted with on the disk. Default: a key of the home's own. */
  readonly encryptionKeys?: KeySource;
  /** Default: `audit.log` in the state directory. */
  readonly auditLog?: string;
  /** Ends it in good order. */
  readonly stop: AbortSignal;
  /** Default: those of this program. */
  readonly controllers?: (inputs: ControllerInputs) => Controllers;
}

/** Runs the controllers over a local home until it is stopped, or once everything is settled. Returns the exit code. */
export async function runDirectory(options: RunDirectoryOptions): Promise<number> {
  const { source: choice } = options;
  const stateDirectory = resolve(options.stateDirectory);
  if (choice.type === 'Directory') checkDirectory(resolve(choice.directory), 'manifests');
  if (options.secretsDirectory !== undefined) checkDirectory(resolve(options.secretsDirectory), 'secrets');

  const redactor = createRedactor();
  const log = createLogger({ level: options.logLevel, redactor });
  await using cleanup = new CleanUp();
  const lock = acquireRunLock(stateDirectory);
  cleanup.defer(() => lock.release());
  recordSource(stateDirectory, describeChoice(choice));
  const admission = createSchemaAdmission();
  const home = openLocalHome({
    stateDir: stateDirectory,
    types: localTypes,
    admission,
    auditLog: { redact: redactedEvent(redactor) },
    ...(options.encryptionKeys === undefined ? {} : { encryptionKeys: options.encryptionKeys }),
  });
  cleanup.defer(() => home.close());
  const auditPath = resolve(options.auditLog ?? join(stateDirectory, AUDIT_FILE));
  const audit = await startAuditLog({ source: home.audit, path: auditPath, clock: systemClock, log });
  cleanup.defer(() => audit.stop());
  // Its certificate takes a moment at the very first start: the files are read meanwhile.
  const serving = startApiServer({
    home,
    types: localTypes,
    stateDir: stateDirectory,
    version: packageVersion(),
    log,
    ...(options.apiPort === undefined ? {} : { port: options.apiPort }),
  });
  // Its failure is told where it is waited for.
  const served = serving.catch(() => undefined);
  cleanup.defer(async () => (await served)?.stop());

  const found = createSecretResolver({
    client: home,
    ...(options.secretsDirectory === undefined
      ? {}
      : { secretsDir: readSecretsDirectory(resolve(options.secretsDirectory)) }),
  });
  const secrets = auditedSecrets(found, (event) => home.audit.append([event]));
  const metrics = await createPrometheus();
  const instance = `gridferry-${process.pid}`;
  const { manager, controllers } = prepareControllers({
    client: home,
    log,
    redactor,
    secrets,
    metrics,
    instance,
    cleanup,
    ...(options.controllers === undefined ? {} : { controllers: options.controllers }),
  });
  const { source, hook } = startSource({
    choice,
    stateDirectory,
    namespace: options.namespace,
    client: home,
    admission,
    redactor,
    log,
    instance,
  });
  cleanup.defer(() => source.stop());
  const api = await serving;
  log.info({ url: api.url, kubeconfig: api.kubeconfigPath }, 'serving the Kubernetes API');
  if (options.listen !== undefined) {
    const readiness = (): Readiness => manager.readiness();
    await serveEndpoints({
      ...options.listen,
      readiness,
      metrics,
      log,
      cleanup,
      ...(hook === undefined ? {} : { hook }),
    });
  }
  log.info({ source: describeChoice(choice), state: stateDirectory, pid: process.pid }, 'running');
  return await work({ options, home, manager, controllers, source, log });
}

interface Running {
  readonly options: RunDirectoryOptions;
  readonly home: LocalHome;
  readonly manager: Manager;
  readonly controllers: Controllers;
  readonly source: ManifestSource;
  readonly log: Logger;
}

async function work({ options, home, manager, controllers, source, log }: Running): Promise<number> {
  const stopped = whenAborted(options.stop);
  // First what the files say now, then action: a transfer that was cancelled meanwhile is not taken a step further.
  // Who asks for one look wants all of it to be seen, however long the source takes.
  const ready = await Promise.race([options.once ? source.resync() : source.ready, stopped]);
  if (ready !== 'stopped') await Promise.race([manager.start(), stopped]);
  if (!options.once) {
    // A transfer is waited for: what checks the first one is made while there is nothing else to do.
    setImmediate(() => prepareValidation(Transfers));
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
    problems: source.problems(),
    directory: describeChoice(options.source),
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
