import type { ChildProcess } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { Leases } from '../../src/api/core.ts';
import { openApiServer } from '../support/api-server.ts';
import { ended, startProgram } from '../support/run-program.ts';
import type { Ran } from '../support/run-program.ts';
import { startStallableProxy } from '../support/stallable-proxy.ts';

/** `gridferry run --cluster` over the embedded API: to a replica it is a cluster like any other. */

const lease = { namespace: 'default', name: 'gridferry' };

interface Replica {
  readonly child: ChildProcess;
  readonly end: Promise<Ran>;
  /** Resolves when it has logged that. */
  logs(text: string): Promise<void>;
  ready(): Promise<{ readonly code: number; readonly body: string }>;
}

async function startReplica(t: Test, kubeconfig: string, ...options: string[]): Promise<Replica> {
  const child = startProgram(['run', '--cluster', '--kubeconfig', kubeconfig, '--listen', '127.0.0.1:0', ...options]);
  t.teardown(() => child.kill('SIGKILL'));
  let text = '';
  const listeners = new Set<() => void>();
  child.stderr.on('data', (chunk: Buffer) => {
    text += chunk.toString();
    for (const listener of listeners) listener();
  });
  const end = ended(child);
  const logs = (wanted: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (text.includes(wanted)) resolve();
      };
      listeners.add(look);
      look();
      void end.then(() => reject(new Error(`it ended without having said "${wanted}": ${text}`)));
    });
  await logs('serving /healthz');
  const port = /"port":(\d+)/.exec(text)?.[1] ?? '';
  return {
    child,
    end,
    logs,
    async ready() {
      const answer = await fetch(`http://127.0.0.1:${port}/readyz`);
      return { code: answer.status, body: await answer.text() };
    },
  };
}

void t.test('a replica waits for an API server that is not there yet, then one leads and hands over', async (t) => {
  const api = await openApiServer();
  t.teardown(() => api.close());
  const proxy = await startStallableProxy(Number(new URL(api.url).port));
  const kubeconfig = join(t.testdir({}), 'kubeconfig');
  const through = api.url.replace(/\d+$/, String(proxy.port));
  writeFileSync(kubeconfig, readFileSync(api.kubeconfigPath, 'utf8').replaceAll(api.url, through), { mode: 0o600 });
  await proxy.close();

  const first = await startReplica(t, kubeconfig);
  await first.logs('GF_API_UNREACHABLE');
  t.match(await first.ready(), { code: 503, body: 'the API server has not answered yet' });
  const again = await startStallableProxy(Number(new URL(api.url).port), proxy.port);
  t.teardown(() => again.close());
  await first.logs('elected leader');
  t.equal((await first.ready()).code, 200);

  const second = await startReplica(t, kubeconfig);
  await second.logs('standing by');
  t.equal((await second.ready()).code, 200, 'a standby is ready');
  first.child.kill('SIGTERM');
  t.equal((await first.end).code, 0);
  await second.logs('elected leader');
  t.equal((await api.home.get(Leases, lease)).spec?.leaseTransitions, 1);

  await api.home.delete(Leases, lease);
  const { code, stderr } = await second.end;
  t.equal(code, 1, 'who loses the lease does not end well');
  t.match(stderr, /error GF_LEADERSHIP_LOST: .*its Lease was deleted/);
});

void t.test('what is missing is said at once', async (t) => {
  const api = await openApiServer();
  t.teardown(() => api.close());
  const child = startProgram([
    ...['run', '--cluster', '--kubeconfig', api.kubeconfigPath],
    ...['--leader-namespace', 'nowhere', '--log-level', 'silent'],
  ]);
  const { code, stderr } = await ended(child);
  t.equal(code, 1);
  t.match(stderr, /^error GF_CLUSTER_NAMESPACE_MISSING: There is no namespace nowhere .*--leader-namespace/);
});
