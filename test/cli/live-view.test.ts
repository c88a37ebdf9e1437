import { Writable } from 'node:stream';
import t from 'tap';
import { Transfers } from '../../src/api/resources.ts';
import type { Transfer } from '../../src/api/resources.ts';
import { createLiveView, followTransfers } from '../../src/cli/live-view.ts';
import { endText, liveLines, createPaint, progressBar } from '../../src/cli/transfer-view.ts';
import { systemClock } from '../../src/runtime/clock.ts';
import type { Clock } from '../../src/runtime/clock.ts';
import { createFakeClient } from '../support/fake-client.ts';

function transfer(status: Partial<NonNullable<Transfer['status']>>): Transfer {
  return {
    apiVersion: 'gridferry.io/v1alpha1',
    kind: 'Transfer',
    metadata: { name: 'move-web', namespace: 'default', generation: 1 },
    spec: { sourceServerRef: { name: 'alpha' }, targetServerRef: { name: 'beta' } } as Transfer['spec'],
    status: { observedGeneration: 1, ...status },
  };
}

/** A terminal, or what is none, that keeps what is written to it; and a clock that is set by hand. */
function setting(isTTY: boolean, env: NodeJS.ProcessEnv = { NO_COLOR: '1' }) {
  let text = '';
  let now = 0;
  const timers: (() => void)[] = [];
  const stream = Object.assign(
    new Writable({
      write(chunk: Buffer, _encoding, done) {
        text += chunk.toString();
        done();
      },
    }),
    { isTTY, columns: 80 },
  );
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after(_ms, callback) {
      timers.push(callback);
      return () => void timers.splice(timers.indexOf(callback), 1);
    },
  };
  const view = createLiveView({ stream, clock, env });
  return {
    view,
    text: () => text,
    pass(ms: number) {
      now += ms;
      for (const timer of timers.splice(0)) timer();
    },
  };
}

const step = { name: 'copy-images', phase: 'Uploading', state: 'Done', attempts: 1 } as const;

void t.test(
  'without a terminal there is a line for each phase, each ended step, and now and then for progress',
  async (t) => {
    const { view, text, pass } = setting(false);
    view.update(transfer({ phase: 'Preparing' }));
    view.update(
      transfer({ phase: 'Uploading', currentStep: 'precopy-data', steps: [{ ...step, message: '2 MiB sent' }] }),
    );
    const copying = (bytesDone: number) =>
      transfer({
        ...{ phase: 'Uploading', currentStep: 'precopy-data', steps: [{ ...step }], bytesDone },
        ...{ bytesTotal: 200 * 1024 * 1024, progressPercent: 40, bytesPerSecond: 50 * 1024 * 1024, etaSeconds: 2 },
      });
    view.update(copying(1));
    pass(3100);
    view.update(copying(100 * 1024 * 1024));
    view.update(copying(101 * 1024 * 1024));
    view.update(transfer({ phase: 'Completed', downtimeSeconds: 0.42, message: 'the service runs on server beta' }));
    view.close();
    t.same(text().split('\n'), [
      'move-web  Preparing',
      '  ✔ copy-images            2 MiB sent',
      'move-web  Uploading',
      'move-web  precopy-data  40 %  100 MiB of 200 MiB  50.0 MiB/s  ETA 2.0 s',
      '✔ move-web Completed, downtime 0.42 s: the service runs on server beta',
      '',
    ]);
    t.notMatch(text(), /\u001b/, 'nothing but text');
  },
);

void t.test('on a terminal the view is redrawn in place, within its width', async (t) => {
  const { view, text, pass } = setting(true);
  view.update(
    transfer({ phase: 'Uploading', currentStep: 'precopy-data', progressPercent: 50, message: 'x'.repeat(200) }),
  );
  pass(100);
  view.update(transfer({ phase: 'Uploading', currentStep: 'precopy-data', progressPercent: 60 }));
  pass(100);
  t.match(text(), /█/);
  t.match(text(), /\u001b\[2A\u001b\[J/, 'goes up over the two lines it drew');
  for (const line of text()
    .replaceAll(/\u001b\[\d*[AJ]/g, '')
    .split('\n'))
    t.ok(Array.from(line).length < 80, line);
  t.notMatch(text(), /\u001b\[\d+m/, 'NO_COLOR is respected');
  view.update(transfer({ phase: 'Failed', message: 'GF_X: it broke' }));
  t.ok(text().endsWith('✘ move-web Failed: GF_X: it broke\n'));
});

void t.test('a hostile message cannot take over the terminal', async (t) => {
  const lines = liveLines(transfer({ phase: 'Pending', message: '\u001b]0;owned\u0007 hi' }), 100, createPaint(false));
  t.notMatch(lines.join(''), /[\u001b\u0007]/);
});

void t.test('a bar is as long as asked, whatever the percentage', async (t) => {
  for (const percent of [-5, 0, 33, 100, 250]) t.equal(Array.from(progressBar(percent, 10)).length, 10);
  t.equal(progressBar(30, 10), '███░░░░░░░');
});

void t.test('following all transfers goes on until the last of them has ended, whichever comes first', async (t) => {
  const client = createFakeClient();
  const named = (name: string, status: Transfer['status']): Transfer =>
    Object.assign(transfer(status ?? {}), { metadata: { name, namespace: 'default' } });
  await client.create(Transfers, named('a-old', { phase: 'Completed' }));
  const running = await client.create(Transfers, named('b-new', { phase: 'Uploading' }));
  const { view } = setting(false);
  const { signal } = new AbortController();
  const followed = followTransfers({ client, view, clock: systemClock, namespace: 'default', signal });
  await waitFor(() => client.openWatches > 0);
  await client.updateStatus(Transfers, { ...running, status: { ...running.status, phase: 'Completed' } });
  t.same(
    (await followed).map(({ status }) => status?.phase),
    ['Completed', 'Completed'],
  );
});

void t.test('one that was rolled back tells the downtime of the way back', async (t) => {
  const rollback = { data: 'Sync', cause: 'User', startTime: '2026-03-01T12:00:00Z', downtimeSeconds: 5 } as const;
  const over = transfer({ phase: 'RolledBack', downtimeSeconds: 3.5, rollback });
  t.match(endText(over, createPaint(false)), /^✔ move-web RolledBack, downtime 5\.0 s/);
});

async function waitFor(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
