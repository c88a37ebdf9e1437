import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ManagedServers, servedTypes, Transfers } from '../../src/api/resources.ts';
import type { TransferStatus } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import { CONTAINER } from './service.ts';
import { until } from './workshop.ts';
import type { Workshop } from './workshop.ts';

const root = join(import.meta.dirname, '../..');
const admission = createSchemaAdmission();

/** `gridferry run` in a process of its own, as a user has it, with all servers of the workshop online. */
export interface RunningGridferry {
  /** From saving the YAML of a Transfer to its end. Throws unless it is Completed. */
  transfer(name: string, spec?: Readonly<Record<string, unknown>>): Promise<FinishedTransfer>;
  /** What the process took at the most so far. */
  residentMiB(): Promise<number>;
  stop(): Promise<void>;
}

export interface FinishedTransfer {
  readonly totalMs: number;
  readonly status: TransferStatus;
}

export async function runGridferry({ fleet }: Workshop): Promise<RunningGridferry> {
  const dir = await mkdtemp(join(tmpdir(), 'gridferry-bench-'));
  const save = (name: string, objects: readonly object[]): Promise<void> => {
    const documents = objects.map((object) => JSON.stringify({ apiVersion: 'gridferry.io/v1alpha1', ...object }));
    return writeFile(join(dir, 'fleet', name), documents.join('\n---\n'));
  };
  const secret = join(dir, 'secrets/default/fleet-ssh');
  await mkdir(secret, { recursive: true, mode: 0o700 });
  await writeFile(join(secret, 'ssh-privatekey'), await readFile(fleet.privateKeyPath), { mode: 0o600 });
  await mkdir(join(dir, 'fleet'));
  await save(
    'servers.yaml',
    fleet.servers.map(({ name, address }) => ({
      kind: 'ManagedServer',
      metadata: { name },
      spec: { address, ssh: { credentialsRef: { name: 'fleet-ssh' }, hostKeyPolicy: 'AcceptNew' } },
    })),
  );
  const state = join(dir, 'state');
  const args = ['bin/gridferry.js', 'run', join(dir, 'fleet'), '--state', state, '--secrets-dir', join(dir, 'secrets')];
  const child = spawn(process.execPath, args, { cwd: root, stdio: 'ignore' });
  const stop = async (): Promise<void> => {
    const ended = once(child, 'close');
    child.kill();
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  try {
    const home = await until(() => openLocalHome({ stateDir: state, readOnly: true, types: servedTypes, admission }));
    await until(async () => {
      const { items } = await home.list(ManagedServers);
      return items.filter(({ status }) => status?.phase === 'Online').length === fleet.servers.length || undefined;
    });
    return {
      async transfer(name, spec = {}) {
        const begun = performance.now();
        await save(`${name}.yaml`, [{ kind: 'Transfer', metadata: { name }, spec: { ...usual, ...spec } }]);
        const status = await until(async () => {
          const found = (await home.list(Transfers)).items.find(({ metadata }) => metadata.name === name)?.status;
          return found?.phase === 'Completed' || found?.phase === 'Failed' ? found : undefined;
        });
        const totalMs = performance.now() - begun;
        if (status.phase !== 'Completed') throw new Error(`${name} ended ${status.phase!}: ${status.message ?? ''}`);
        if (process.env['BENCH_STEPS'] !== undefined) printSteps(status);
        return { totalMs, status };
      },
      async residentMiB() {
        const memory = await readFile(`/proc/${String(child.pid)}/status`, 'utf8');
        return Math.round(Number(/VmHWM:\s+(\d+)/.exec(memory)?.[1]) / 1024);
      },
      async stop() {
        home.close();
        await stop();
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

const usual = {
  container: CONTAINER,
  sourceServerRef: { name: 'alpha' },
  targetServerRef: { name: 'beta' },
  healthCheck: { http: { path: '/health', port: 80 } },
  soak: { duration: '0s' },
  // The next move from the same server must find its port its own.
  forwardFor: '0s',
};

/** With BENCH_STEPS set: where the time went. */
function printSteps({ steps = [], volumes = [], images = [], downtime }: TransferStatus): void {
  console.log(JSON.stringify({ volumes, images, downtime }));
  for (const { name, startTime = '', endTime = '' } of steps) {
    console.log(`${name.padEnd(22)} ${String(Date.parse(endTime) - Date.parse(startTime)).padStart(6)} ms`);
  }
}
