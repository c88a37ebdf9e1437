import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { createControllers } from '../../controllers/registry.ts';
import { hasEnded } from '../../controllers/transfer/status.ts';
import { Secrets } from '../../src/api/core.ts';
import { API_VERSION } from '../../src/api/meta.ts';
import { ManagedServers, PlatformConfigs, servedTypes, Transfers } from '../../src/api/resources.ts';
import type { ManagedServer, PlatformConfig, Transfer, TransferSpec } from '../../src/api/resources.ts';
import type { Client } from '../../src/home/client.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { createLogger } from '../../src/log.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import { createManager } from '../../src/runtime/manager.ts';
import { createRedactor } from '../../src/security/redact.ts';
import { createSecretResolver } from '../../src/security/secrets.ts';
import type { CloudflareStandIn } from '../../src/sandbox/cloudflare-stand-in.ts';
import type { Fleet } from '../../src/sandbox/fleet.ts';

const namespace = 'default';

/** A Gridferry in this process, on a home of its own: what the `run` command is, without the directory. */
export interface TestGridferry {
  readonly client: Client;
  /** Everything that was logged, as JSON lines. */
  readonly logged: () => string;
  /** Registers every server of the fleet, with root's key, and waits until they are online. */
  addServers(fleet: Fleet, change?: (server: ManagedServer) => void): Promise<void>;
  /** Makes the namespace's PlatformConfig, with its DNS at the stand-in. */
  addPlatform(domain: string, cloudflare: CloudflareStandIn, token: string): Promise<void>;
  addSecret(name: string, data: Readonly<Record<string, string>>): Promise<void>;
  transfer(name: string, spec: Partial<TransferSpec>): Promise<Transfer>;
  /** Changes the spec of a transfer, as its user does. */
  change(name: string, spec: Partial<TransferSpec>): Promise<void>;
  /** Waits until the transfer satisfies the condition; fails with its status otherwise. */
  until(name: string, condition: (transfer: Transfer) => boolean, timeoutMs?: number): Promise<Transfer>;
  /** Waits until the transfer is over. */
  ended(name: string, timeoutMs?: number): Promise<Transfer>;
  /** Ends the controllers and starts others, which know nothing but what is stored. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startGridferry(): Promise<TestGridferry> {
  const stateDir = await mkdtemp(join(tmpdir(), 'gridferry-test-'));
  const lines: string[] = [];
  const destination = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      lines.push(chunk.toString());
      callback();
    },
  });
  const redactor = createRedactor();
  const log = createLogger({ level: 'debug', pretty: false, redactor, destination });
  const client = openLocalHome({ stateDir, types: servedTypes, admission: createSchemaAdmission() });
  const startControllers = async (): Promise<() => Promise<void>> => {
    const controllers = createControllers({
      client,
      clock: systemClock,
      random: Math.random,
      log,
      secrets: createSecretResolver({ client }),
      watchSecrets: true,
      redactor,
    });
    const manager = createManager({ client, clock: systemClock, log, controllers: controllers.definitions });
    await manager.start();
    return async () => {
      await manager.stop();
      await controllers.close();
    };
  };
  let stopControllers = await startControllers();

  const gridferry: TestGridferry = {
    client,
    logged: () => lines.join(''),
    async addSecret(name, data) {
      await client.create(Secrets, {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name, namespace },
        stringData: { ...data },
      });
    },
    async addPlatform(domain, { baseUrl, dnsAddress }, token) {
      await gridferry.addSecret('cloudflare', { token });
      await client.create(PlatformConfigs, {
        apiVersion: API_VERSION,
        kind: 'PlatformConfig',
        metadata: { name: 'default', namespace },
        spec: {
          domain,
          cloudflare: { apiTokenRef: { name: 'cloudflare', key: 'token' }, apiBaseURL: baseUrl },
          resolvers: [dnsAddress],
        },
      } as unknown as PlatformConfig);
    },
    async addServers(fleet, change) {
      await gridferry.addSecret('fleet-ssh', { 'ssh-privatekey': await readFile(fleet.privateKeyPath, 'utf8') });
      for (const { name, address } of fleet.servers) {
        const server = {
          apiVersion: API_VERSION,
          kind: 'ManagedServer',
          metadata: { name, namespace },
          spec: { address, ssh: { user: 'root', credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' } },
        } as unknown as ManagedServer;
        change?.(server);
        await client.create(ManagedServers, server);
      }
      for (const { name } of fleet.servers) {
        await poll(
          () => client.get(ManagedServers, { namespace, name }),
          (server) => server.status?.phase === 'Online',
          30_000,
        );
      }
    },
    async transfer(name, spec) {
      const transfer = {
        apiVersion: API_VERSION,
        kind: 'Transfer',
        metadata: { name, namespace },
        spec: {
          sourceServerRef: { name: 'alpha' },
          targetServerRef: { name: 'beta' },
          soak: { duration: '1s' },
          ...spec,
        },
      } as unknown as Transfer;
      return client.create(Transfers, transfer);
    },
    async change(name, spec) {
      await client.patch(Transfers, { namespace, name }, { type: 'merge', body: { spec } });
    },
    until: (name, condition, timeoutMs = 120_000) =>
      poll(() => client.get(Transfers, { namespace, name }), condition, timeoutMs),
    ended: (name, timeoutMs) => gridferry.until(name, hasEnded, timeoutMs),
    async restart() {
      await stopControllers();
      stopControllers = await startControllers();
    },
    async stop() {
      await stopControllers();
      client.close();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
  return gridferry;
}

async function poll<T extends { status?: unknown }>(
  read: () => Promise<T>,
  condition: (value: T) => boolean,
  timeoutMs: number,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (condition(value)) return value;
    if (Date.now() > deadline) {
      throw new Error(`not reached within ${String(timeoutMs)} ms: ${JSON.stringify(value.status, null, 1)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
