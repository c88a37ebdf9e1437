import t from 'tap';
import type { Condition, KubeObject } from '../../src/api/meta.ts';
import { printSummary } from '../../src/cli/run-summary.ts';
import { waitUntilSettled } from '../../src/cli/settling.ts';
import type { ObjectVerdict } from '../../src/cli/settling.ts';
import { judgeObject } from '../../src/cli/verdict.ts';
import { Transfers } from '../../src/api/resources.ts';
import type { ManifestProblem } from '../../src/home/manifest-problem.ts';
import type { Pending } from '../../src/runtime/manager.ts';
import type { Client } from '../../src/home/client.ts';
import { systemClock } from '../../src/runtime/clock.ts';

function condition(type: string, status: Condition['status'], reason: string, message = ''): Condition {
  return { type, status, reason, message, lastTransitionTime: '2026-03-01T12:00:00Z' };
}

function transfer(status: object, spec: object = {}): KubeObject {
  return {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Transfer',
    metadata: { name: 'move', namespace: 'default', generation: 2 },
    spec: { cancel: false, ...spec },
    status: { observedGeneration: 2, ...status },
  };
}

function server(status: object): KubeObject {
  return {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'ManagedServer',
    metadata: { name: 'alpha', namespace: 'default', generation: 1 },
    spec: {},
    status: { observedGeneration: 1, ...status },
  };
}

void t.test('a transfer is judged by its phase, and only by what it says of the present spec', async (t) => {
  t.equal(judgeObject(transfer({ phase: 'Completed' }), false).kind, 'good');
  t.equal(judgeObject(transfer({ phase: 'RolledBack' }), false).kind, 'good');
  t.equal(judgeObject(transfer({ phase: 'Failed' }), false).kind, 'failed');
  t.equal(judgeObject(transfer({ phase: 'Cancelled' }), false).kind, 'failed');
  t.equal(judgeObject(transfer({ phase: 'Cancelled' }, { cancel: true }), false).kind, 'good');
  t.equal(judgeObject(transfer({ phase: 'Uploading' }), true).kind, 'working');
  t.equal(judgeObject(transfer({ phase: 'Completed', observedGeneration: 1 }), false).kind, 'working');
  t.equal(judgeObject(transfer({}), true).kind, 'working');
});

void t.test(
  'an undo that keeps failing has an end for who waits for it, also when the object is being deleted',
  async (t) => {
    const stuck = (attempts: number, more: object = {}): KubeObject =>
      transfer({
        phase: 'Restoring',
        conditions: [
          condition('SourceRestored', 'False', 'UndoFailed', 'undo of step x: GF_SSH_REFUSED: nobody listens.'),
        ],
        steps: [{ name: 'x', phase: 'Restoring', state: 'Undoing', attempts }],
        ...more,
      });
    t.equal(judgeObject(stuck(9), true).kind, 'working');
    t.match(judgeObject(stuck(10), true), { kind: 'failed', message: /nobody listens\. It was tried 10 times/ });
    const deleted = stuck(10);
    deleted.metadata.deletionTimestamp = '2026-03-01T12:00:00Z';
    t.equal(judgeObject(deleted, true).kind, 'failed');
  },
);

void t.test('a rollback that was asked for and refused, or taken back, has failed', async (t) => {
  const conditions = [condition('RolledBack', 'False', 'WindowOver', 'rollbackWindow ended')];
  t.match(judgeObject(transfer({ phase: 'Completed', conditions }), false), {
    kind: 'failed',
    message: /not rolled back \(WindowOver\): rollbackWindow ended/,
  });
});

void t.test('a transfer that only somebody else can set going is waiting', async (t) => {
  const refused = { phase: 'Pending', conditions: [condition('Accepted', 'False', 'ServerNotFound', 'no beta')] };
  t.match(judgeObject(transfer(refused), false), { kind: 'waiting', message: /no beta/ });
  const locked = { phase: 'Pending', conditions: [condition('LockAcquired', 'False', 'Waiting', 'waits for other')] };
  t.match(judgeObject(transfer(locked), true), { kind: 'waiting', message: /waits for other/ });
  t.equal(judgeObject(transfer({ phase: 'Uploading', message: 'suspended before step x' }), false).kind, 'waiting');
});

void t.test('a server gets three probes before Offline is final', async (t) => {
  const conditions = [condition('Ready', 'False', 'Refused', 'GF_SSH_REFUSED: nobody listens')];
  t.equal(judgeObject(server({ phase: 'Online' }), true).kind, 'good');
  t.equal(judgeObject(server({ phase: 'Offline', conditions, consecutiveFailures: 2 }), true).kind, 'working');
  t.match(judgeObject(server({ phase: 'Offline', conditions, consecutiveFailures: 3 }), true), {
    kind: 'failed',
    message: /Refused.*nobody listens/,
  });
  t.equal(judgeObject(server({ phase: 'Offline', conditions, consecutiveFailures: 1 }), false).kind, 'failed');
  t.equal(judgeObject(server({ phase: 'Pending' }), true).kind, 'working');
});

/** A client that lists these objects, and a queue that holds these keys. */
function world(objects: () => KubeObject[], pending: () => Partial<Pending> = () => ({})) {
  const client = {
    list: async (type: { kind: string }) => ({
      items: objects().filter(({ kind }) => kind === type.kind),
      resourceVersion: '1',
    }),
  } as unknown as Client;
  const manager = { pending: (): Pending => ({ running: [], ready: [], delayed: [], ...pending() }) };
  const controllers = new Map([
    ['Transfer', 'transfer'],
    ['ManagedServer', 'managedserver'],
  ]);
  return { client, manager, controllers, clock: systemClock, signal: AbortSignal.timeout(10_000) };
}

void t.test('everything is settled when nothing changes by itself any more', async (t) => {
  let phase = 'Uploading';
  setTimeout(() => (phase = 'Completed'), 500);
  const started = performance.now();
  const active = {
    delayed: [{ controller: 'transfer', key: 'default/move', priority: 'retry', dueInMs: 1, reason: '' }],
  } as const;
  const verdicts = await waitUntilSettled(
    world(
      () => [transfer({ phase })],
      () => active,
    ),
  );
  t.ok(performance.now() - started >= 500);
  t.match(verdicts, [{ verdict: { kind: 'good' } }]);
});

void t.test('what has not been looked at since the start is not settled, whatever its old status says', async (t) => {
  let ready: Pending['ready'] = [{ controller: 'managedserver', key: 'default/alpha', priority: 'resync' }];
  setTimeout(() => (ready = []), 400);
  const started = performance.now();
  await waitUntilSettled(
    world(
      () => [server({ phase: 'Online' })],
      () => ({ ready }),
    ),
  );
  t.ok(performance.now() - started >= 400);
});

void t.test('one that waits for a lock is not given up while the holder works, nor right after', async (t) => {
  let first = transfer({ phase: 'Uploading' });
  let second = transfer({ phase: 'Pending', conditions: [condition('LockAcquired', 'False', 'Waiting')] });
  second.metadata.name = 'second';
  const done = transfer({ phase: 'Completed' });
  setTimeout(() => (first = done), 500);
  setTimeout(() => (second = { ...done, metadata: { ...done.metadata, name: 'second' } }), 1700);
  const delayed = [{ controller: 'transfer', key: 'default/move', priority: 'retry', dueInMs: 1, reason: '' }] as const;
  const verdicts = await waitUntilSettled(
    world(
      () => [first, second],
      () => ({ delayed }),
    ),
  );
  t.same(
    verdicts.map(({ verdict }) => verdict.kind),
    ['good', 'good'],
  );
});

void t.test('the signal ends the waiting', async (t) => {
  const options = { ...world(() => [transfer({})]), signal: AbortSignal.timeout(100) };
  await t.rejects(waitUntilSettled(options), { name: 'TimeoutError' });
});

void t.test('the summary decides the exit code: bad files before failures before success', async (t) => {
  const entry = (verdict: ObjectVerdict['verdict']): ObjectVerdict => ({
    type: Transfers,
    object: transfer({}),
    verdict,
  });
  const lines: string[] = [];
  const output = { print: (text: string) => void lines.push(text), note: (text: string) => void lines.push(text) };
  const places = { directory: 'dir', stateDirectory: '/state' };
  const problem: ManifestProblem = {
    ...{
      code: 'GF_MANIFEST_YAML',
      severity: 'error',
      file: 'a.yaml',
      line: 3,
      column: 5,
      field: '',
      message: 'broken',
    },
    hint: 'mend it',
  } as const;
  const good = entry({ kind: 'good', message: 'Completed' });
  const failed = entry({ kind: 'failed', message: 'Failed: GF_SSH_REFUSED: nobody listens' });
  t.equal(printSummary({ verdicts: [good], problems: [], ...places }, output), 0);
  t.equal(printSummary({ verdicts: [good], problems: [{ ...problem, severity: 'warning' }], ...places }, output), 0);
  t.equal(printSummary({ verdicts: [good, failed], problems: [], ...places }, output), 1);
  t.equal(printSummary({ verdicts: [failed], problems: [problem], ...places }, output), 2);
  t.ok(lines.includes('transfer/default/move  Completed'));
  t.ok(lines.includes('error GF_SSH_REFUSED: transfer default/move: Failed: nobody listens'));
  t.ok(lines.includes('dir/a.yaml:3:5: broken (mend it) [GF_MANIFEST_YAML]'));
  t.ok(lines.some((line) => line.includes('gridferry describe transfer move --state /state')));
});
