import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Test } from 'tap';
import { servedTypes, Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { openLocalHome } from '../../src/home/local-client.ts';
import type { LocalHome } from '../../src/home/local-client.ts';
import { createSchemaAdmission } from '../../src/home/schema-admission.ts';
import type { Fleet } from '../../src/sandbox/fleet.ts';

/** A directory for the `run` command, with the servers of a fleet and one Transfer, `move`. */
export interface ProcessHome {
  /** The arguments of `gridferry`. */
  readonly args: readonly string[];
  /** Writes more objects into the directory. */
  write(file: string, yaml: string): Promise<void>;
  /** What is stored of the Transfer; `undefined` before there is any. */
  status(): Promise<Transfer['status']>;
}

export interface GridferryProcess {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly said: () => string;
}

export async function prepareProcessHome(
  t: Pick<Test, 'teardown'>,
  base: string,
  fleet: Fleet,
  servers: readonly string[] = fleet.servers.map(({ name }) => name),
): Promise<ProcessHome> {
  const [manifests, state, secrets] = ['manifests', 'state', 'secrets'].map((name) => join(base, name)) as [
    string,
    string,
    string,
  ];
  await mkdir(manifests, { recursive: true });
  for (const [name, key, value] of [
    ['fleet-ssh', 'ssh-privatekey', await readFile(fleet.privateKeyPath, 'utf8')],
    ['cloudflare', 'token', 'demo'],
  ] as const) {
    await mkdir(join(secrets, 'default', name), { recursive: true, mode: 0o700 });
    await writeFile(join(secrets, 'default', name, key), value, { mode: 0o600 });
  }
  await chmod(secrets, 0o700);
  const documents = fleet.servers
    .filter(({ name }) => servers.includes(name))
    .map(
      ({ name, address }) => `apiVersion: gridferry.io/v1alpha1
kind: ManagedServer
metadata: {name: ${name}}
spec:
  address: ${address}
  ssh: {user: root, credentialsRef: {name: fleet-ssh}, hostKeyPolicy: AcceptNew}
`,
    );
  await writeFile(join(manifests, 'servers.yaml'), documents.join('---\n'));
  let home: LocalHome | undefined;
  t.teardown(() => home?.close());
  return {
    args: ['run', manifests, '--state', state, '--secrets-dir', secrets, '--log-level', 'warn'],
    write: (file, yaml) => writeFile(join(manifests, file), yaml),
    async status() {
      try {
        home ??= openLocalHome({
          stateDir: state,
          readOnly: true,
          types: servedTypes,
          admission: createSchemaAdmission(),
        });
        return (await home.get(Transfers, { namespace: 'default', name: 'move' })).status;
      } catch {
        // The program has not come so far as to make its store, or to read the file.
        return undefined;
      }
    },
  };
}

/** The real program, in a process of its own. */
export function startGridferryProcess(t: Pick<Test, 'teardown'>, args: readonly string[]): GridferryProcess {
  const child = spawn(process.execPath, ['bin/gridferry.js', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => void child.kill('SIGKILL'));
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const exit = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, exit, said: () => text };
}
