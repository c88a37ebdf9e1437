import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Secrets } from '../api/core.ts';
import type { KubeObject, ObjectKey, ResourceType } from '../api/meta.ts';
import { localTypes, ManagedServers, PlatformConfigs, Services, Transfers } from '../api/resources.ts';
import type { Transfer } from '../api/resources.ts';
import { GridferryError } from '../errors.ts';
import { isReason } from '../home/api-error.ts';
import type { Client } from '../home/client.ts';
import { openLocalHome } from '../home/local-client.ts';
import type { LoadedObject } from '../home/manifest-file.ts';
import { createSchemaAdmission } from '../home/schema-admission.ts';
import { readSecretsDirectory } from '../home/secrets-dir.ts';
import type { Reads } from '../home/served-reads.ts';
import { createLogger } from '../log.ts';
import { sleep, systemClock } from '../runtime/clock.ts';
import { createManager } from '../runtime/manager.ts';
import { createRedactor } from '../security/redact.ts';
import { createSecretResolver } from '../security/secrets.ts';
import { createControllers } from '../../controllers/registry.ts';
import { CleanUp } from './clean-up.ts';

export interface PlanTransfersOptions {
  /** What the user's file holds. */
  readonly objects: readonly LoadedObject[];
  /** Where to find what the file does not hold; only read. */
  readonly home: Reads | undefined;
  readonly secretsDirectory?: string;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

const POLL_MS = 100;

/**
 * Plans transfers in this process, over a home that exists only for that: so nothing of it can be left in the user's home,
 * however this process ends, and it works whether or not a controller runs.
 *
 * @throws GridferryError `GF_CLI_INTERRUPTED`, `GF_CLI_PLAN_TIMEOUT`
 */
export async function planTransfers(options: PlanTransfersOptions): Promise<Transfer[]> {
  const { objects, home } = options;
  await using cleanup = new CleanUp();
  const stateDir = mkdtempSync(join(tmpdir(), 'gridferry-plan-'));
  cleanup.defer(() => rmSync(stateDir, { recursive: true, force: true }));
  const client = openLocalHome({ stateDir, types: localTypes, admission: createSchemaAdmission() });
  cleanup.defer(() => client.close());

  const redactor = createRedactor();
  const log = createLogger({ level: 'silent', redactor });
  const transfers = objects.filter(({ type }) => type.kind === Transfers.kind);
  for (const { type, object } of objects) {
    if (type.kind !== Transfers.kind) await copy(client, type, object);
  }
  if (home !== undefined) await fetchReferences(client, home, transfers);
  const keys = await Promise.all(transfers.map(async ({ object }) => submit(client, object as Transfer)));

  const secretsDir =
    options.secretsDirectory === undefined
      ? {}
      : { secretsDir: readSecretsDirectory(resolve(options.secretsDirectory)) };
  const controllers = createControllers({
    client,
    clock: systemClock,
    random: Math.random,
    log,
    redactor,
    // Secrets of the home are read where they are, and never copied.
    secrets: createSecretResolver({ client: layered(client, home), ...secretsDir }),
    watchSecrets: false,
  });
  cleanup.defer(() => controllers.close());
  const manager = createManager({ client, clock: systemClock, log, controllers: controllers.definitions });
  cleanup.defer(() => manager.stop());
  await manager.start();
  // Awaited here: what it reads is taken away when this function ends.
  return await Promise.all(keys.map((key) => planned(client, key, options)));
}

/** The transfer as its user wrote it, but for what it would do. */
async function submit(client: Client, transfer: Transfer): Promise<ObjectKey> {
  const { rollback: _rollback, ...spec } = transfer.spec;
  const asked: Transfer = { ...transfer, spec: { ...spec, mode: 'Plan', suspend: false, cancel: false } };
  const { metadata } = await copy(client, Transfers, asked);
  return { namespace: metadata.namespace ?? 'default', name: metadata.name };
}

/** Copies what the transfers need and their file does not hold. */
async function fetchReferences(client: Client, home: Reads, transfers: readonly LoadedObject[]): Promise<void> {
  for (const { key, object } of transfers) {
    const { namespace } = key;
    const { spec } = object as Transfer;
    await fetch(PlatformConfigs, 'default');
    const service = await fetch(Services, spec.serviceRef?.name);
    await fetch(ManagedServers, spec.targetServerRef.name);
    await fetch(ManagedServers, spec.sourceServerRef?.name ?? service?.status?.server ?? service?.spec.serverRef.name);

    async function fetch<T extends KubeObject>(
      type: ResourceType<T>,
      name: string | undefined,
    ): Promise<T | undefined> {
      if (name === undefined) return undefined;
      const own = await orUndefined(client.get(type, { namespace, name }));
      if (own !== undefined) return own;
      const found = await orUndefined(home.get(type, { namespace, name }));
      return found === undefined ? undefined : copy(client, type, found);
    }
  }
}

/** What others wrote about an object (who owns it, its finalizers, which version it is) does not go with it. */
async function copy<T extends KubeObject>(client: Client, type: ResourceType<T>, object: T): Promise<T> {
  const { name, namespace, labels, annotations } = object.metadata;
  const metadata = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  };
  const { status, ...rest } = object as T & { status?: unknown };
  const created = await client.create(type, { ...(rest as unknown as T), metadata });
  const kept = keptStatus(type, status);
  return kept === undefined ? created : client.updateStatus(type, { ...created, status: kept });
}

/** Where a Service is, and which key a server was seen to have: nothing else is taken on the word of an earlier look. */
function keptStatus(type: ResourceType, status: unknown): object | undefined {
  if (type.kind === Services.kind) return status as object | undefined;
  const { hostKey } = (status ?? {}) as { hostKey?: object };
  return type.kind === ManagedServers.kind && hostKey !== undefined ? { hostKey } : undefined;
}

/** Reads the home where there is none of that name here. */
function layered(client: Client, home: Reads | undefined): Client {
  return {
    ...client,
    get: async (type, key, ...more) => {
      const own = await orUndefined(client.get(type, key, ...more));
      if (own !== undefined) return own;
      if (home !== undefined && type.kind === Secrets.kind) return home.get(type, key, ...more);
      return client.get(type, key, ...more);
    },
  };
}

async function planned(client: Client, key: ObjectKey, { signal, timeoutMs }: PlanTransfersOptions): Promise<Transfer> {
  const deadline = systemClock.monotonic() + timeoutMs;
  for (;;) {
    const transfer = await client.get(Transfers, key);
    if (transfer.status?.phase === 'Planned') return transfer;
    if (systemClock.monotonic() > deadline) {
      throw new GridferryError(
        'GF_CLI_PLAN_TIMEOUT',
        `The plan of ${key.name} is not there after ${String(timeoutMs / 1000)} s (${transfer.status?.message ?? 'not begun'}): give it more time with --timeout.`,
      );
    }
    await sleep(systemClock, POLL_MS, signal).catch(() => {
      throw new GridferryError('GF_CLI_INTERRUPTED', 'Stopped before the plan was there; nothing was changed.');
    });
  }
}

async function orUndefined<R>(call: Promise<R>): Promise<R | undefined> {
  try {
    return await call;
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}
